//! Machines that come back as another Node object, after their update has ended.

use super::*;
use crate::api::{IntOrPercent, RolloutState, Step};

/// It was believed to be gone in its reboot, and registers anew with the update that nobody has verified.
#[test]
fn a_machine_that_is_back_after_its_end_counts_as_nothing_and_is_watched() {
    let back = |uuid: &str, others: usize| {
        let soak = json!({"soak": {"duration": "1h"}});
        let rings = [("canary", 1 + others, soak, json!({})), ("early", 1, json!({}), json!({}))];
        let mut world = World::with(&rings);
        world.update("canary-0", Some(Outcome::NodeGone), "node is gone");
        world.sample.updates[0].step = Some(Step::Reboot);
        let node = world.node("canary-0");
        (node.node.uid, node.node.system_uuid, node.build) = ("uid-new".into(), uuid.into(), Some(sample::NEW));
        for i in 1..=others {
            world.update(&format!("canary-{i}"), UPDATED, "");
        }
        world.sample.updates.iter_mut().for_each(|update| update.ended_at = Some(noon()));
        world
    };
    let (world, other) = (back("uuid-canary-0", 0), back("uuid-new", 0));
    let alone = world.plan(noon());
    let reason = alone.reason.as_deref().unwrap_or_default();
    assert!(alone.state == RolloutState::Stalled && reason.contains("0 of at least 1 nodes updated"), "{reason}");
    assert_eq!((alone.counts.total, alone.counts.updated, alone.counts.skipped), (2, 0, 1), "{:?}", alone.counts);

    let replaced = other.plan(noon());
    assert_eq!(
        (replaced.counts.updated, starts(&replaced)),
        (1, vec!["early-0"]),
        "another machine, which had it before"
    );

    let others = back("uuid-canary-0", 1);
    let plan = others.plan(noon());
    assert_eq!((plan.rings[0].state, plan.counts.updated, starts(&plan)), (RingState::Soaking, 1, vec![]));
    let census = crate::plan::census::take(&others.fleet());
    let watched: Vec<_> = census[0].watched.iter().map(|node| node.node.name.as_str()).collect();
    assert_eq!(watched, ["canary-0", "canary-1"]);
}

/// Somebody deletes the Node object of a machine that is held, and its kubelet registers it without our marks.
#[test]
fn a_held_machine_that_registers_anew_is_held_still_and_counts_once() {
    for build in [sample::OLD, sample::NEW] {
        let mut world = World::new(&[("canary", 3)]);
        let ring = world.ring("canary");
        ring.revision.policy.on_failure.halt_after = IntOrPercent::Nodes(2);
        ring.revision.ring.batch.max_unavailable = IntOrPercent::Nodes(1);
        world.update("canary-0", Some(Outcome::Held), "the restore failed");
        let node = world.node("canary-0");
        (node.node.uid, node.build) = ("uid-new".into(), Some(build));
        let plan = world.plan(noon());
        assert_eq!((plan.counts.total, plan.counts.held, plan.counts.updated), (3, 1, 0), "{build}");
        assert_eq!(starts(&plan), ["canary-1"], "{build}: it is not updated again");
        world.node("canary-0").unschedulable = true;
        let plan = world.plan(noon());
        assert_eq!((plan.state, starts(&plan)), (RolloutState::Stalled, vec![]), "{build}");
        assert!(reason(&plan).contains("held nodes take up its budget"), "{build}: {}", reason(&plan));
        // Released, or another machine: a node like any other.
        world.sample.updates[0].machine = None;
        world.node("canary-0").unschedulable = false;
        let plan = world.plan(noon());
        assert_eq!(plan.counts.total, 4, "{build}: a machine that is gone and one that is new");
    }
}
