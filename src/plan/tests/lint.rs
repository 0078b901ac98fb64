//! Each invariant, broken on purpose: the second opinion must see it.

use super::*;
use crate::api::{Counts, IntOrPercent, PinnedSet, RolloutState};
use crate::domain::Build;
use crate::plan::lint::{
    Rule::{self, *},
    lint,
};
use crate::plan::rollout::Start;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// A world of two rings; what is done to it after the plan was made; what is done to the plan; what must be found.
type Case = (&'static str, fn(&mut World), for<'a> fn(&mut Plan<'a>), &'static [Rule]);

const CASES: &[Case] = &[
    ("as planned", |_| {}, |_| {}, &[]),
    ("paused since", |w| w.sample.desired = DesiredState::Paused, |_| {}, &[StoppedRolloutStarts]),
    ("aborted since", |w| w.sample.desired = DesiredState::Aborted, |_| {}, &[StoppedRolloutStarts]),
    ("deleted since", |w| w.deleting = true, |_| {}, &[StoppedRolloutStarts]),
    ("halted", |_| {}, |plan| plan.state = RolloutState::Halted, &[StoppedRolloutStarts]),
    ("a ring was halted", |w| w.ring("early").state = RingState::Halted, |_| {}, &[StoppedRolloutStarts, LeftHalt]),
    ("a halt is left", |w| w.ring("canary").state = RingState::Halted, |plan| plan.starts.clear(), &[LeftHalt]),
    ("a later ring", |_| {}, |plan| plan.rings[0].state = RingState::Soaking, &[ClosedRingStarts]),
    ("a ring before is not through", |_| {}, |plan| plan.starts[0].ring = "early", &[ClosedRingStarts, StrangeNode]),
    ("a node that is gone", |w| w.sample.nodes.retain(|n| n.node.name != "canary-0"), |_| {}, &[StrangeNode]),
    ("a node of another ring", |w| set_label(w.node("canary-0"), "ring", Some("x")), |_| {}, &[StrangeNode]),
    ("twice", |w| limit(w, 9), |plan| plan.starts.push(plan.starts[0]), &[StartedTwice]),
    ("again", |w| _ = w.update("canary-0", Some(Outcome::Skipped), ""), |_| {}, &[StartedTwice]),
    (
        "its name is in work",
        |w| {
            limit(w, 9);
            w.update("canary-0", IN_WORK, "");
            w.sample.updates[0].node_uid = "another".into();
        },
        |_| {},
        &[StartedTwice],
    ),
    ("claimed", |w| w.node("canary-0").claimed_by = Some("x".into()), |_| {}, &[UnfitNode]),
    ("left alone", |w| w.node("canary-0").skip = true, |_| {}, &[UnfitNode]),
    ("in quarantine", |w| w.node("canary-0").quarantined = true, |_| {}, &[UnfitNode]),
    ("not Ready", |w| _ = w.not_ready("canary-0"), |_| {}, &[UnfitNode]),
    ("not what was pinned", |w| w.sample.status.pinned[0].updates[0].revision = 2, |_| {}, &[NotPinned]),
    ("nothing pinned", |w| w.sample.status.pinned.clear(), |_| {}, &[NotPinned]),
    ("backwards", |w| w.node("canary-0").build = Some(NEW), |plan| plan.starts[0].from = NEW, &[NotPinned]),
    ("another Windows", |_| {}, |plan| plan.starts[0].to = Build::new(10, 0, 26100, 1), &[NotPinned, FeatureUpgrade]),
    ("one is unavailable", |w| w.node("canary-1").unschedulable = true, |_| {}, &[OverBudget]),
    ("one is in work", |w| _ = w.update("canary-1", IN_WORK, ""), |_| {}, &[OverBudget]),
    ("another rollout has one", |w| w.node("canary-1").claimed_by = Some("x".into()), |_| {}, &[OverBudget]),
    ("no budget", |w| limit(w, 0), |_| {}, &[OverBudget]),
    (
        "a bad budget",
        |w| w.ring("canary").revision.ring.batch.max_unavailable = IntOrPercent::Percent(101),
        |_| {},
        &[OverBudget],
    ),
    ("held since", |w| w.holds.push(HoldSeen::unreadable("h", "x")), |_| {}, &[UnderHold]),
    (
        "the provider is away since",
        |w| w.providers_away.push(("ebs".into(), "no answer".into())),
        |_| {},
        &[ProviderAway],
    ),
    ("the window has closed", |w| window(w, "22:00"), |_| {}, &[OutsideWindow]),
    ("the window is open", |w| window(w, "11:00"), |_| {}, &[]),
    (
        "a denied day",
        |w| {
            let deny = json!({"timeZone": "UTC", "deny": [{"from": "2026-11-20", "to": "2026-11-23", "reason": "x"}]});
            w.ring("canary").revision.policy.maintenance = serde_json::from_value(deny).expect("a freeze");
        },
        |_| {},
        &[OutsideWindow],
    ),
    (
        "two domains",
        |w| {
            limit(w, 9);
            let spread = json!({"topologyKey": "topology.kubernetes.io/zone"});
            w.ring("canary").revision.ring.batch.spread = serde_json::from_value(spread).expect("a spread");
            w.update("canary-1", IN_WORK, "");
        },
        |_| {},
        &[SeveralDomains],
    ),
    (
        "another rollout is in another domain",
        |w| {
            limit(w, 9);
            let spread = json!({"topologyKey": "topology.kubernetes.io/zone"});
            w.ring("canary").revision.ring.batch.spread = serde_json::from_value(spread).expect("a spread");
            w.node("canary-1").claimed_by = Some("x".into());
        },
        |_| {},
        &[SeveralDomains],
    ),
    (
        "promoted in the middle",
        |_| {},
        |plan| {
            plan.starts.clear();
            plan.rings[1].state = RingState::Promoted;
        },
        &[PromotedTooEarly],
    ),
    (
        "a node was reverted since",
        |w| _ = w.update("canary-1", Some(Outcome::Reverted), ""),
        |_| {},
        &[FailedRingGoesOn],
    ),
    ("a node is held since", |w| _ = w.update("canary-1", Some(Outcome::Held), ""), |_| {}, &[FailedRingGoesOn]),
    (
        "reverted, and more are borne",
        |w| {
            w.ring("canary").revision.policy.on_failure.halt_after = IntOrPercent::Nodes(2);
            w.update("canary-1", Some(Outcome::Reverted), "");
        },
        |_| {},
        &[],
    ),
    (
        "reverted before a person let it go on",
        |w| {
            w.ring("canary").resumed_at = Some(MicroTime(noon()));
            w.update("canary-1", Some(Outcome::Reverted), "");
        },
        |_| {},
        &[],
    ),
    ("reboots again and again", |w| reboots(w, 2), |_| {}, &[FailedRingGoesOn]),
    ("has rebooted once", |w| reboots(w, 1), |_| {}, &[]),
    (
        "another rollout lets it reboot",
        |w| {
            reboots(w, 2);
            let uid = w.node("canary-1").node.uid.clone();
            w.taken.push((uid, noon()));
        },
        |_| {},
        &[],
    ),
    (
        "promoted though it reboots again and again",
        |w| {
            reboots(w, 2);
            w.update("canary-0", UPDATED, "");
        },
        |plan| {
            plan.starts.clear();
            plan.rings[0].state = RingState::Promoted;
            plan.rings[0].counts = Counts { total: 2, updated: 2, ..Counts::default() };
        },
        &[FailedRingGoesOn],
    ),
];

/// `canary-1` was updated, and has rebooted so often since; the ring bears none that does so again and again.
fn reboots(world: &mut World, times: u32) {
    world.ring("canary").revision.ring.soak.max_rebooting = IntOrPercent::Nodes(0);
    world.update("canary-1", UPDATED, "");
    world.sample.updates[0].boot_id = Some("7".into());
    world.node("canary-1").boot_id = (7 + times).to_string();
}

#[test]
fn each_invariant_is_seen_broken() {
    for (name, since, bend, rules) in CASES {
        let before = World::new(&[("canary", 2), ("early", 2)]);
        let mut after = before.clone();
        since(&mut after);
        let mut plan = before.plan(noon());
        assert_eq!(starts(&plan), ["canary-0"]);
        // What has changed about the node itself, the planner sees as it is now.
        let node = after.sample.nodes.iter().find(|node| node.node.name == "canary-0");
        plan.starts[0] = Start { node: node.unwrap_or(plan.starts[0].node), ..plan.starts[0] };
        bend(&mut plan);
        let found: Vec<_> = lint(&after.fleet(), &plan, noon()).into_iter().map(|violation| violation.rule).collect();
        assert_eq!(found, *rules, "{name}");
    }
}

fn limit(world: &mut World, nodes: u32) {
    world.ring("canary").revision.ring.batch.max_unavailable = IntOrPercent::Nodes(nodes);
}

fn window(world: &mut World, start: &str) {
    let window = json!({"timeZone": "UTC", "allow": [{"days": ["Mon"], "start": start, "duration": "2h"}]});
    world.ring("canary").revision.policy.maintenance = serde_json::from_value(window).expect("a window");
}

#[test]
fn a_violation_says_which_node() {
    let mut world = World::new(&[("canary", 1)]);
    let before = world.clone();
    let plan = before.plan(noon());
    world.sample.status.pinned =
        vec![PinnedSet { os_build: "10.0.20348".into(), expected_build: None, updates: vec![] }];
    let found: Vec<_> = lint(&world.fleet(), &plan, noon()).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["canary-0: NotPinned"]);
}
