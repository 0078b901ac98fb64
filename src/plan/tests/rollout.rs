//! Order of rings, budget, halting, states, and the sentences that say so.

use super::*;
use crate::api::{IntOrPercent, RolloutState, Step};
use crate::domain::Build;
use crate::plan::stall::StallCode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

type Case = (&'static str, fn(&mut World), RolloutState, &'static [&'static str], &'static str);

/// Two rings of two nodes, bent by each case: where the rollout stands, what starts, and what is said.
const CASES: &[Case] = &[
    ("nothing done yet", |_| {}, RolloutState::Running, &["canary-0"], "ring canary: 0 of 2 nodes updated, 1 in work"),
    (
        "one in work spends the budget",
        |w| _ = w.update("canary-0", IN_WORK, ""),
        RolloutState::Running,
        &[],
        "ring canary: 0 of 2 nodes updated, 1 in work",
    ),
    (
        "the next one follows",
        |w| _ = w.update("canary-0", UPDATED, ""),
        RolloutState::Running,
        &["canary-1"],
        "ring canary: 1 of 2 nodes updated, 1 in work",
    ),
    (
        "the next ring opens when the first is through",
        |w| _ = w.update("canary-0", UPDATED, "").update("canary-1", UPDATED, ""),
        RolloutState::Running,
        &["early-0"],
        "ring early: 0 of 2 nodes updated, 1 in work",
    ),
    (
        "nodes that have the build count as updated",
        |w| {
            w.node("canary-0").build = Some(NEW);
            w.node("canary-1").build = Some(Build::new(10, 0, 20348, 9999));
        },
        RolloutState::Running,
        &["early-0"],
        "ring early: 0 of 2 nodes updated, 1 in work",
    ),
    (
        "what names no build is not installed without something that does",
        |w| w.sample.status.pinned[0].expected_build = None,
        RolloutState::Stalled,
        &[],
        "ring canary: 0 of at least 1 nodes updated; canary-0 is skipped: NoTarget: what is pinned for its Windows version \
         10.0.20348 names no build, and is installed only together with an update that does",
    ),
    (
        "nodes that had the build were not asked for what names none",
        |w| {
            let mut other = w.sample.status.pinned[0].updates[0].clone();
            other.kb = "KB5042881".into();
            w.sample.status.pinned[0].updates.push(other);
            w.promoted("canary").promoted("early");
        },
        RolloutState::Completed,
        &[],
        "4 of 4 nodes updated; 4 had the build before and got none of the other updates",
    ),
    ("through", |w| _ = w.promoted("canary").promoted("early"), RolloutState::Completed, &[], "4 of 4 nodes updated"),
    (
        "a failure of the update halts",
        |w| _ = w.promoted("canary").update("early-1", Some(Outcome::Reverted), "probe pod-network failed: no route"),
        RolloutState::Halted,
        &[],
        "ring early: early-1 reverted: probe pod-network failed: no route",
    ),
    (
        "the first failure is the story, the later rings are named",
        |w| {
            w.ring("canary").revision.policy.on_failure.halt_after = IntOrPercent::Nodes(2);
            w.update("canary-0", Some(Outcome::Held), "the restore failed");
            w.update("canary-1", Some(Outcome::Reverted), "probe ready failed");
            w.sample.updates[0].ended_at = Some(at("2026-11-23T12:05:00Z"));
        },
        RolloutState::Halted,
        &[],
        "ring canary: canary-1 reverted: probe ready failed (and 1 more node); early not started",
    ),
    (
        "halted, one node still in work",
        |w| _ = w.update("canary-0", IN_WORK, "").update("canary-1", Some(Outcome::Held), "x"),
        RolloutState::Halted,
        &[],
        "ring canary: canary-1 held: x; early not started; 1 node still in work",
    ),
    (
        "a node on its way back halts before it is back",
        |w| {
            w.update("canary-0", IN_WORK, "probe pod-network failed");
            w.sample.updates[0].step = Some(Step::Restore);
        },
        RolloutState::Halted,
        &[],
        "ring canary: canary-0 is being reverted: probe pod-network failed; early not started; 1 node still in work",
    ),
    (
        "noise does not halt",
        |w| _ = w.update("canary-0", Some(Outcome::Failed), "PDB shop/web"),
        RolloutState::Running,
        &["canary-1"],
        "ring canary: 0 of 2 nodes updated, 1 in work",
    ),
    (
        "an installation that failed does",
        |w| {
            w.update("canary-0", Some(Outcome::Failed), "0x800f0922");
            w.sample.updates[0].reason_code = Some("InstallFailed".into());
        },
        RolloutState::Halted,
        &[],
        "ring canary: canary-0 failed: 0x800f0922; early not started",
    ),
    (
        "too few updated",
        |w| {
            w.update("canary-0", Some(Outcome::Failed), "PDB shop/web");
            w.node("canary-1").skip = true;
        },
        RolloutState::Stalled,
        &[],
        "ring canary: 0 of at least 1 nodes updated; canary-0 failed: PDB shop/web",
    ),
    (
        "all skipped",
        |w| {
            w.node("canary-0").build = Some(Build::new(10, 0, 17763, 1));
            w.node("canary-1").build = None;
        },
        RolloutState::Stalled,
        &[],
        "ring canary: 0 of at least 1 nodes updated; canary-0 is skipped: NoTarget: nothing is pinned for its Windows version 10.0.17763",
    ),
    (
        "an empty ring promotes nothing",
        |w| w.sample.nodes.retain(|node| ring_of(node) != "canary"),
        RolloutState::Stalled,
        &[],
        "ring canary: 0 of at least 1 nodes updated; it has no Windows node",
    ),
    (
        "unless it may",
        |w| {
            w.sample.nodes.retain(|node| ring_of(node) != "canary");
            w.ring("canary").revision.ring.soak.min_updated = 0;
        },
        RolloutState::Running,
        &["early-0"],
        "ring early: 0 of 2 nodes updated, 1 in work",
    ),
    (
        "paused",
        |w| {
            w.sample.desired = DesiredState::Paused;
            w.update("canary-0", IN_WORK, "");
        },
        RolloutState::Paused,
        &[],
        "paused by a person; 1 node still in work",
    ),
    ("aborted", |w| w.sample.desired = DesiredState::Aborted, RolloutState::Aborted, &[], "aborted by a person"),
    (
        "deleted while paused",
        |w| {
            w.sample.desired = DesiredState::Paused;
            w.deleting = true;
        },
        RolloutState::Aborted,
        &[],
        "the rollout is being deleted",
    ),
    (
        "a budget of zero stops the ring",
        |w| w.ring("canary").revision.ring.batch.max_unavailable = IntOrPercent::Nodes(0),
        RolloutState::Stalled,
        &[],
        "ring canary: batch.maxUnavailable is 0, so no node may start; a new rollout takes an edited ring",
    ),
    (
        "a bad percentage is a budget of zero",
        |w| w.ring("canary").revision.ring.batch.max_unavailable = IntOrPercent::Percent(150),
        RolloutState::Stalled,
        &[],
        "ring canary: batch.maxUnavailable is 150%, so no node may start; a new rollout takes an edited ring",
    ),
    (
        "held nodes take up the budget",
        |w| {
            w.ring("canary").revision.policy.on_failure.halt_after = IntOrPercent::Nodes(2);
            w.update("canary-0", Some(Outcome::Held), "x");
            w.node("canary-0").unschedulable = true;
        },
        RolloutState::Stalled,
        &[],
        "ring canary: held nodes take up its budget (maxUnavailable 1); canary-0 held: x",
    ),
    (
        "held nodes take up the budget of a ring that was resumed",
        |w| {
            w.update("canary-0", Some(Outcome::Held), "x");
            w.node("canary-0").unschedulable = true;
            w.ring("canary").resumed_at = Some(MicroTime(noon()));
        },
        RolloutState::Stalled,
        &[],
        "ring canary: held nodes take up its budget (maxUnavailable 1); canary-0 held: x",
    ),
    ("not pinned yet", |w| w.sample.status.rings.clear(), RolloutState::Pending, &[], ""),
];

#[test]
fn where_a_rollout_stands_and_what_starts() {
    for (name, bend, state, expected, sentence) in CASES {
        let mut world = World::new(&[("canary", 2), ("early", 2)]);
        bend(&mut world);
        let plan = world.plan(noon());
        assert_eq!(
            (plan.state, starts(&plan), reason(&plan)),
            (*state, expected.to_vec(), (*sentence).to_owned()),
            "{name}"
        );
    }
}

#[test]
fn counts_tell_every_node_once() {
    let mut world = World::new(&[("canary", 8)]);
    world.ring("canary").revision.policy.on_failure.halt_after = IntOrPercent::Nodes(9);
    world.update("canary-0", UPDATED, "").update("canary-1", Some(Outcome::Reverted), "");
    world.update("canary-2", Some(Outcome::Held), "").update("canary-3", Some(Outcome::Failed), "");
    world.update("canary-4", Some(Outcome::NodeGone), "").update("canary-5", IN_WORK, "");
    world.node("canary-6").skip = true;
    world.sample.nodes.retain(|node| node.node.name != "canary-4");
    let counts = world.plan(noon()).counts;
    let crate::api::Counts { total, pending, in_progress, updated, reverted, held, failed, skipped } = counts;
    assert_eq!([total, pending, in_progress, updated, reverted, held, failed, skipped], [8, 1, 1, 1, 1, 1, 1, 2]);
}

#[test]
fn a_node_that_joins_is_taken_along_by_an_open_ring_only() {
    let mut world = World::new(&[("canary", 1), ("early", 1)]);
    world.promoted("canary");
    world.sample.nodes.push(sample::node("canary-new", "canary", 0));
    world.sample.nodes.push(sample::node("early-new", "early", 0));
    world.ring("early").revision.ring.batch.max_unavailable = IntOrPercent::Nodes(9);
    let plan = world.plan(noon());
    assert_eq!(starts(&plan), ["early-0", "early-new"]);
    assert_eq!(plan.counts.total, 3, "the closed ring does not count it either");
}

/// Its label was changed mid-way: the node stays where its update is.
#[test]
fn a_node_with_an_update_stays_in_the_ring_of_the_update() {
    let mut world = World::new(&[("canary", 2), ("early", 2)]);
    world.update("canary-0", IN_WORK, "");
    set_label(world.node("canary-0"), "ring", Some("early"));
    let plan = world.plan(noon());
    assert_eq!((plan.rings[0].counts.total, plan.rings[1].counts.total), (2, 2));
    assert_eq!(starts(&plan), Vec::<&str>::new());
}

#[test]
fn another_machine_of_the_same_name_is_another_node() {
    let mut world = World::new(&[("canary", 1)]);
    world.update("canary-0", IN_WORK, "");
    world.node("canary-0").node.uid = "uid-new".into();
    assert_eq!(holds(&world.plan(noon())), ["canary-0: Predecessor"]);
    world.sample.updates[0].outcome = Some(Outcome::NodeGone);
    assert_eq!(starts(&world.plan(noon())), ["canary-0"]);
}

/// Where a cloud replaces a node that does not come back, a bad update would be tried on one new machine after the other.
#[test]
fn nodes_that_are_gone_in_the_midst_of_their_installation_halt_when_they_are_many() {
    for (gone, step, updated, halted) in [
        (1, Step::Reboot, 0, false),
        (2, Step::Reboot, 0, true),
        (2, Step::Install, 19, true),
        (2, Step::Verify, 20, false),
        (3, Step::Verify, 20, true),
        (9, Step::Drain, 0, false),
        (9, Step::Uncordon, 0, false),
        // They had failed before.
        (1, Step::Restore, 30, true),
        (1, Step::VerifyRestored, 30, true),
    ] {
        let mut world = World::new(&[("canary", 40)]);
        for i in 0..gone {
            world.update(&format!("canary-{i}"), Some(Outcome::NodeGone), "node is gone");
            world.sample.updates.last_mut().expect("an update").step = Some(step);
        }
        for i in 0..updated {
            world.update(&format!("canary-{}", 10 + i), UPDATED, "");
        }
        let plan = world.plan(noon());
        let is_halted = plan.state == RolloutState::Halted;
        assert_eq!(is_halted, halted, "{gone} gone in {step:?}, {updated} updated: {:?}", plan.reason);
        if halted {
            let words = "canary-0 was gone after its installation had begun: node is gone";
            assert!(plan.reason.as_deref().is_some_and(|reason| reason.contains(words)), "{:?}", plan.reason);
        }
    }
}

/// What a bad update does to machines hours later: they crash, boot, and are healthy whenever they are probed.
#[test]
fn updated_nodes_that_reboot_again_and_again_halt_when_they_are_many() {
    for (limit, updated, rebooting, halted) in [
        ("10%", 1, 1, false),
        ("10%", 10, 1, false),
        ("10%", 10, 2, true),
        ("10%", 11, 2, false),
        ("10%", 11, 3, true),
        ("100%", 11, 11, false),
        ("0%", 5, 1, true),
    ] {
        let spec = json!({"soak": {"duration": "1h", "maxRebooting": limit}});
        let mut world = World::with(&[("canary", 40, spec, json!({})), ("early", 1, json!({}), json!({}))]);
        for i in 0..updated {
            let node = format!("canary-{i}");
            world.update(&node, UPDATED, "");
            // All have rebooted once, as when a zone loses its power: sample nodes begin with boot 1.
            world.node(&node).boot_id = if i < rebooting { "10" } else { "2" }.to_owned();
        }
        let plan = world.plan(noon());
        let is_halted = plan.state == RolloutState::Halted;
        assert_eq!(is_halted, halted, "{rebooting} of {updated} with {limit}: {:?}", plan.reason);
        assert_eq!(plan.counts.updated, updated, "they are updated all the same");
    }
}

#[test]
fn reboots_that_somebody_has_answered_for_do_not_halt() {
    let spec = json!({"batch": {"maxUnavailable": 1}, "soak": {"maxRebooting": 0}});
    let mut world = World::with(&[("canary", 2, spec, json!({})), ("early", 1, json!({}), json!({}))]);
    world.update("canary-0", UPDATED, "");
    world.node("canary-0").boot_id = "3".into();
    let halt = "ring canary: canary-0 reboots by itself again and again since its update; early not started";
    assert_eq!(reason(&world.plan(noon())), halt);
    world.taken = vec![("uid-canary-0".into(), at("2026-11-23T11:59:59Z"))];
    assert_eq!(reason(&world.plan(noon())), halt, "another rollout's update of the node was over before");
    // The API server writes whole seconds of what was made: in the same second is since.
    for since in ["2026-11-23T12:00:00Z", "2026-11-23T12:00:01Z"] {
        world.taken = vec![("uid-canary-0".into(), at(since))];
        assert_eq!(starts(&world.plan(noon())), ["canary-1"], "another rollout has taken the node since");
    }
    world.taken.clear();
    world.ring("canary").resumed_at = Some(MicroTime(noon()));
    assert_eq!(starts(&world.plan(noon())), ["canary-1"]);
    // One that nobody knows the boot of is not said to have rebooted.
    world.ring("canary").resumed_at = None;
    for (then, now) in [(None, "3"), (Some(""), "3"), (Some("1"), ""), (Some("4"), "1"), (Some("a"), "c")] {
        world.sample.updates[0].boot_id = then.map(str::to_owned);
        world.node("canary-0").boot_id = now.into();
        assert_eq!(starts(&world.plan(noon())), ["canary-1"], "{then:?} then, {now:?} now");
    }
    world.node("canary-0").boot_id = "3".into();
    world.sample.updates[0].boot_id = Some("1".into());
    world.ring("canary").state = RingState::Promoted;
    assert_eq!(starts(&world.plan(noon())), ["early-0"], "of a ring that is through nobody asks");
}

#[test]
fn percentages_of_halt_after_are_rounded_up() {
    for (failed, halted) in [(1, false), (2, true)] {
        let mut world = World::new(&[("canary", 11)]);
        world.ring("canary").revision.policy.on_failure.halt_after = IntOrPercent::Percent(10);
        for i in 0..failed {
            world.update(&format!("canary-{i}"), Some(Outcome::Reverted), "x");
        }
        assert_eq!(world.plan(noon()).state == RolloutState::Halted, halted, "{failed} of 11");
    }
}

#[test]
fn a_halt_is_final_and_asks_for_a_person() {
    let mut world = World::new(&[("canary", 2), ("early", 1)]);
    world.update("canary-0", Some(Outcome::Reverted), "probe ready failed").update("canary-1", IN_WORK, "");
    let plan = world.plan(noon());
    assert!(!plan.ended, "a node is in work");
    assert_eq!(plan.stalled.as_ref().map(|stalled| stalled.code), Some(StallCode::Halted));
    world.record(noon());
    world.sample.updates.retain(|update| update.node == "canary-1");
    assert_eq!(world.plan(noon()).state, RolloutState::Halted, "deleting the node update undoes nothing");
    assert_eq!(reason(&world.plan(noon())), reason(&plan_of(&world)));
    world.sample.updates.clear();
    world.record(noon());
    assert!(world.sample.status.ended_at.is_some());
}

fn plan_of(world: &World) -> Plan<'_> {
    world.plan(noon())
}

#[test]
fn what_has_ended_stays_as_it_was_recorded() {
    let mut world = World::new(&[("canary", 1)]);
    world.promoted("canary").record(noon());
    assert_eq!(world.sample.status.state, RolloutState::Completed);
    let recorded = world.sample.status.clone();
    world.sample.nodes.clear();
    let later = at("2027-01-01T00:00:00Z");
    assert_eq!(world.plan(later).status(&recorded, later), recorded);
}

#[test]
fn recording_twice_changes_nothing() {
    let mut world = World::new(&[("canary", 3), ("early", 2)]);
    world.update("canary-0", UPDATED, "").update("canary-1", IN_WORK, "").record(noon());
    let recorded = world.sample.status.clone();
    let later = at("2026-11-23T12:00:41.5Z");
    assert_eq!(world.plan(later).status(&recorded, later), recorded);
}

#[test]
fn the_eta_comes_from_measured_times() {
    let mut world = World::new(&[("canary", 2), ("early", 4)]);
    assert_eq!(world.plan(noon()).eta, None, "nothing measured");
    world.ring("early").revision.ring.batch.max_unavailable = IntOrPercent::Nodes(2);
    world.update("canary-0", UPDATED, "");
    assert_eq!(world.plan(noon()).eta.as_deref(), Some("about 1h"), "1 + 2 batches of 20 minutes");
    world.ring("early").revision.ring.soak.duration = crate::api::Span::from_days(1);
    assert_eq!(world.plan(noon()).eta.as_deref(), Some("about 1d1h"));
}

#[test]
fn sentences_are_cut_to_what_the_schema_takes() {
    let mut world = World::new(&[("canary", 1)]);
    world.update("canary-0", Some(Outcome::Reverted), &"é".repeat(2000));
    let text = reason(&world.plan(noon()));
    assert_eq!(text.chars().count(), 1024);
    assert!(text.ends_with('…'));
}
