//! Each gate, their order, and the budget.

use super::*;
use crate::api::IntOrPercent;
use crate::plan::budget::{Budget, halt_after, max_unavailable};

type Case = (&'static str, fn(&mut World), &'static [&'static str], &'static [&'static str]);

/// A ring of four nodes with a budget of two, bent by each case: what starts, and what holds the others back.
const CASES: &[Case] = &[
    ("budget", |_| {}, &["a-0", "a-3"], &["a-1: Budget", "a-2: Budget"]),
    (
        "a node that is not Ready is not started, and eats budget",
        |w| _ = w.not_ready("a-0"),
        &["a-3"],
        &["a-0: NotReady", "a-1: Budget", "a-2: Budget"],
    ),
    (
        "a cordoned node eats budget, and costs nothing more itself",
        |w| w.node("a-2").unschedulable = true,
        &["a-0", "a-2"],
        &["a-3: Budget", "a-1: Budget"],
    ),
    (
        "no more than the budget are in work, were all cordoned",
        |w| w.sample.nodes.iter_mut().for_each(|node| node.unschedulable = true),
        &["a-0", "a-3"],
        &["a-1: Budget", "a-2: Budget"],
    ),
    (
        "an update in work on a cordoned node counts once",
        |w| {
            w.update("a-0", IN_WORK, "");
            w.node("a-0").unschedulable = true;
        },
        &["a-3"],
        &["a-1: Budget", "a-2: Budget"],
    ),
    (
        "a node held by us is unavailable",
        |w| {
            w.ring("a").revision.policy.on_failure.halt_after = IntOrPercent::Nodes(9);
            w.update("a-0", Some(Outcome::Held), "x");
            w.node("a-0").unschedulable = true;
        },
        &["a-3"],
        &["a-1: Budget", "a-2: Budget"],
    ),
    (
        "another rollout is going to take a node out of service",
        |w| w.node("a-0").claimed_by = Some("other".into()),
        &["a-3"],
        &["a-0: Claimed", "a-1: Budget", "a-2: Budget"],
    ),
    (
        "another rollout has taken one of ours out of service once more",
        |w| {
            w.update("a-0", UPDATED, "");
            w.node("a-0").claimed_by = Some("other".into());
        },
        &["a-3"],
        &["a-1: Budget", "a-2: Budget"],
    ),
    (
        "the provider of the snapshots is away",
        |w| w.providers_away = vec![("other".into(), "x".into()), ("ebs".into(), "no answer".into())],
        &[],
        &["a-0: ProviderAway", "a-3: ProviderAway", "a-1: ProviderAway", "a-2: ProviderAway"],
    ),
    (
        "the provider of other rings is away",
        |w| w.providers_away = vec![("other".into(), "no answer".into())],
        &["a-0", "a-3"],
        &["a-1: Budget", "a-2: Budget"],
    ),
    ("in quarantine", |w| w.node("a-0").quarantined = true, &["a-3", "a-1"], &["a-0: Quarantined", "a-2: Budget"]),
    (
        "paused comes before all else",
        |w| {
            w.sample.desired = DesiredState::Paused;
            w.not_ready("a-0");
        },
        &[],
        &["a-0: Paused", "a-3: Paused", "a-1: Paused", "a-2: Paused"],
    ),
    (
        "the operator's node goes last",
        |w| w.operator_node = Some("a-0".into()),
        &["a-3", "a-1"],
        &["a-0: OwnNode", "a-2: Budget"],
    ),
    (
        "and then it goes",
        |w| {
            w.operator_node = Some("a-0".into());
            w.update("a-1", UPDATED, "").update("a-2", UPDATED, "").update("a-3", UPDATED, "");
        },
        &["a-0"],
        &[],
    ),
    (
        "many nodes vanish at once",
        |w| _ = w.not_ready("a-1").not_ready("a-2").not_ready("a-3"),
        &[],
        &["a-0: NodesVanished", "a-3: NotReady", "a-1: NotReady", "a-2: NotReady"],
    ),
    ("one domain at a time, the first by name", |w| spread(w), &["a-0", "a-3"], &["a-1: Domain", "a-2: Domain"]),
    (
        "the domain with nodes in work goes on",
        |w| {
            spread(w);
            w.update("a-1", IN_WORK, "");
        },
        &[],
        &["a-0: Domain", "a-3: Domain", "a-2: Domain"],
    ),
    (
        "a domain without a node that can start is passed over",
        |w| {
            spread(w);
            w.node("a-0").quarantined = true;
            w.node("a-3").quarantined = true;
        },
        &["a-1"],
        &["a-0: Quarantined", "a-3: Quarantined", "a-2: Domain"],
    ),
    (
        "the domain in which another rollout works goes on",
        |w| {
            spread(w);
            w.node("a-1").claimed_by = Some("other".into());
        },
        &[],
        &["a-0: Domain", "a-3: Domain", "a-1: Claimed", "a-2: Domain"],
    ),
    (
        "a node that another rollout holds is no work in its domain",
        |w| {
            spread(w);
            let held = w.node("a-1");
            (held.claimed_by, held.quarantined, held.unschedulable) = (Some("other".into()), true, true);
        },
        &["a-0"],
        &["a-3: Budget", "a-1: Quarantined", "a-2: Domain"],
    ),
    (
        "outside of the window",
        |w| {
            let window = json!({"timeZone": "UTC", "allow": [{"days": ["Sat"], "start": "01:00", "duration": "5h"}]});
            w.ring("a").revision.policy.maintenance = serde_json::from_value(window).expect("a window");
            w.not_ready("a-1");
        },
        &[],
        &["a-0: Window", "a-3: Window", "a-1: NotReady", "a-2: Window"],
    ),
];

#[test]
fn each_gate_holds_back_what_it_should() {
    for (name, bend, expected, waiting) in CASES {
        let mut world = World::with(&[("a", 4, json!({"batch": {"maxUnavailable": 2}}), json!({}))]);
        bend(&mut world);
        let plan = world.plan(noon());
        assert_eq!(
            (starts(&plan), holds(&plan)),
            (expected.to_vec(), waiting.iter().map(|s| (*s).into()).collect()),
            "{name}"
        );
    }
}

fn spread(world: &mut World) {
    let spread = json!({"topologyKey": "topology.kubernetes.io/zone"});
    world.ring("a").revision.ring.batch.spread = serde_json::from_value(spread).expect("a spread");
}

#[test]
fn a_window_that_opens_wakes_the_planner() {
    let mut world = World::new(&[("a", 1)]);
    let window = json!({"timeZone": "Europe/Berlin", "allow": [{"days": ["Sat"], "start": "01:00", "duration": "5h"}]});
    world.ring("a").revision.policy.maintenance = serde_json::from_value(window).expect("a window");
    let plan = world.plan(noon());
    assert_eq!(plan.wake_at, Some(at("2026-11-28T00:00:00Z")));
    assert_eq!(
        reason(&plan),
        "ring a: 0 of 1 nodes updated; outside of the maintenance windows; the next node may start Sat 2026-11-28 01:00 Europe/Berlin"
    );
}

#[test]
fn every_wait_names_its_blocker() {
    let sentence = |bend: fn(&mut World)| {
        let mut world = World::new(&[("a", 2)]);
        bend(&mut world);
        reason(&world.plan(noon())).replace("ring a: 0 of 2 nodes updated; ", "")
    };
    assert_eq!(sentence(|w| _ = w.not_ready("a-0")), "a-0 is not Ready");
    assert_eq!(
        sentence(|w| {
            w.node("a-0").claimed_by = Some("u-7".into());
            w.node("a-1").unschedulable = true;
            w.node("a-1").claimed_by = Some("u-8".into());
        }),
        "a-0 is claimed by node update u-7"
    );
    assert_eq!(
        sentence(|w| {
            w.ring("a").revision.policy.on_failure.halt_after = IntOrPercent::Nodes(2);
            w.node("a-1").skip = true;
            w.node("a-1").unschedulable = true;
        }),
        "the ring's budget of 1 is spent: 0 in work, 1 unavailable (a-1)"
    );
    assert_eq!(
        sentence(|w| _ = w.not_ready("a-0").not_ready("a-1")),
        "a-0 is not Ready",
        "when all are away there is none left for the guard to hold back"
    );
}

#[test]
fn budgets_round_as_promised() {
    let percent = IntOrPercent::Percent;
    for (limit, nodes, max) in [
        (IntOrPercent::Nodes(0), 10, 0),
        (IntOrPercent::Nodes(3), 1, 3),
        (percent(0), 10, 0),
        (percent(10), 5, 1),
        (percent(10), 29, 2),
        (percent(100), 7, 7),
        (percent(101), 1000, 0),
    ] {
        assert_eq!(max_unavailable(limit, nodes), max, "{limit} of {nodes}");
    }
    for (limit, nodes, at) in [
        (IntOrPercent::Nodes(0), 10, 1),
        (IntOrPercent::Nodes(4), 10, 4),
        (percent(0), 10, 1),
        (percent(2), 120, 3),
        (percent(2), 100, 2),
    ] {
        assert_eq!(halt_after(limit, nodes), at, "{limit} of {nodes}");
    }
    let spent = Budget { max: 2, spent: 3, in_work: 1 };
    assert!(!spent.allows(true) && spent.allows(false));
    assert!(!Budget { max: 0, spent: 0, in_work: 0 }.allows(false), "zero is zero");
}
