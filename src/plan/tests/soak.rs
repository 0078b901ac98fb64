//! The soak: probing, failing, promoting.

use super::*;
use crate::api::RolloutState;
use std::collections::BTreeSet;

/// A ring whose only node was updated at noon, soaking for ten minutes, probed each minute, and one ring after it.
fn soaking() -> World {
    let spec = json!({"soak": {"duration": "10m", "interval": "1m", "failureThreshold": 2}});
    let mut world = World::with(&[("canary", 1, spec.clone(), json!({})), ("early", 1, spec, json!({}))]);
    world.update("canary-0", UPDATED, "");
    world
}

fn minute(minutes: i64) -> Timestamp {
    noon() + jiff::SignedDuration::from_mins(minutes)
}

fn probing(at: Timestamp, failure: Option<&str>) -> SoakObservation {
    let failures = failure.into_iter().map(|text| ("canary-0".to_owned(), text.to_owned())).collect();
    let passed = if failure.is_none() { ["canary-0".to_owned()].into() } else { BTreeSet::new() };
    SoakObservation { ring: "canary".into(), at, failures, passed }
}

#[test]
fn a_ring_is_probed_each_interval_and_promoted_by_a_probing_after_its_end() {
    let mut world = soaking();
    let plan = world.plan(minute(0));
    assert_eq!(
        (plan.state, reason(&plan).as_str()),
        (RolloutState::Soaking, "ring canary soaks for 10m after its last node")
    );
    let probe = plan.probe.expect("due at once");
    assert_eq!((probe.ring, probe.nodes.len()), ("canary", 1));

    world.fresh = Some(probing(minute(0), None));
    world.record(minute(0));
    let plan = world.plan(minute(0));
    assert_eq!((plan.probe, plan.wake_at), (None, Some(minute(1))));

    world.probed_at = Some(at("2026-11-23T12:09:30Z"));
    assert_eq!(world.plan(at("2026-11-23T12:09:31Z")).wake_at, Some(minute(10)), "once more at the end");
    let plan = world.plan(minute(30));
    assert_eq!(plan.state, RolloutState::Soaking, "what was true before the end is not enough");
    assert!(plan.probe.is_some());
    world.fresh = Some(probing(minute(30), None));
    let plan = world.plan(minute(30));
    assert_eq!((plan.rings[0].state, starts(&plan)), (RingState::Promoted, vec!["early-0"]));
}

#[test]
fn a_soak_no_longer_than_its_interval_is_probed_once_at_its_end() {
    let soaking = |interval: &str| {
        let spec = json!({"soak": {"duration": "10m", "interval": interval}});
        let mut world = World::with(&[("canary", 1, spec, json!({}))]);
        world.update("canary-0", UPDATED, "");
        world
    };
    let mut world = soaking("10m");
    let plan = world.plan(minute(0));
    assert_eq!((plan.state, plan.probe, plan.wake_at), (RolloutState::Soaking, None, Some(minute(10))));
    assert!(world.plan(minute(10)).probe.is_some());
    world.fresh = Some(probing(minute(10), None));
    assert_eq!(world.plan(minute(10)).rings[0].state, RingState::Promoted);
    assert!(soaking("9m").plan(minute(0)).probe.is_some(), "a longer one is probed as it begins, too");
}

/// An autoscaler adds nodes with an old image all the time: each stopped the probing and made failures forgotten.
#[test]
fn a_node_that_joins_while_probes_fail_waits_until_it_is_known_what_that_is() {
    let joined = |world: &mut World| world.sample.nodes.push(sample::node("canary-9", "canary", 0));
    let mut world = soaking();
    world.record(minute(0));
    world.fresh = Some(probing(minute(1), Some("probe ready: NotReady")));
    world.record(minute(1));
    joined(&mut world);
    let plan = world.plan(minute(2));
    assert_eq!((plan.rings[0].state, holds(&plan)), (RingState::Soaking, vec!["canary-9: ProbesFail".to_owned()]));
    assert!(plan.probe.is_some() && reason(&plan).contains("failed 1 of at most 2 times"), "{}", reason(&plan));
    world.record(minute(2));
    for (failure, minutes, state, started) in [
        (Some("probe ready: NotReady"), 2, RingState::Halted, vec![]),
        // It was nothing: the probing that says so may be the one that would have ended the soak.
        (None, 2, RingState::Soaking, vec![]),
        (None, 11, RingState::Running, vec!["canary-9"]),
    ] {
        world.fresh = Some(probing(minute(minutes), failure));
        let plan = world.plan(minute(minutes));
        assert_eq!((plan.rings[0].state, starts(&plan)), (state, started), "{failure:?} {minutes}");
    }
    world.fresh = Some(probing(minute(2), None));
    world.record(minute(2));
    assert_eq!(starts(&world.plan(minute(3))), ["canary-9"]);

    let mut world = soaking();
    world.record(minute(0));
    joined(&mut world);
    world.fresh = Some(probing(minute(1), Some("probe ready: NotReady")));
    assert_eq!(starts(&world.plan(minute(1))), Vec::<&str>::new(), "both at once");
}

#[test]
fn failures_hold_the_promotion_back_and_a_success_forgives_them() {
    let mut world = soaking();
    world.record(minute(0));
    world.fresh = Some(probing(minute(11), Some("probe ready: NotReady")));
    let plan = world.plan(minute(11));
    assert_eq!(
        (plan.state, reason(&plan).as_str()),
        (
            RolloutState::Soaking,
            "ring canary soaks, its probes have failed 1 of at most 2 times in a row: canary-0: probe ready: NotReady"
        )
    );
    world.record(minute(11));
    assert_eq!(world.plan(minute(11)).rings[0].soak_failures, 1, "the same probing counts once");
    world.fresh = Some(probing(minute(12), None));
    let plan = world.plan(minute(12));
    assert_eq!((plan.rings[0].state, plan.rings[0].soak_failures), (RingState::Promoted, 0));
}

#[test]
fn as_many_failures_as_the_threshold_halt() {
    let mut world = soaking();
    world.record(minute(0));
    for minutes in [1, 2] {
        world.fresh = Some(probing(minute(minutes), Some("probe pod-network: no route")));
        world.record(minute(minutes));
    }
    assert_eq!(world.sample.status.state, RolloutState::Halted);
    let halt =
        "ring canary: its soak failed 2 times in a row: canary-0: probe pod-network: no route; early not started";
    assert_eq!(world.sample.status.reason.as_deref(), Some(halt));
    assert!(world.sample.status.ended_at.is_some());
}

#[test]
fn observations_of_another_ring_or_time_do_not_count() {
    let mut world = soaking();
    world.record(minute(0));
    world.fresh = Some(probing(minute(-1), Some("before the last node ended")));
    assert_eq!(world.plan(minute(1)).rings[0].soak_failures, 0);
    world.fresh = Some(SoakObservation { ring: "early".into(), ..probing(minute(1), Some("x")) });
    assert_eq!(world.plan(minute(1)).rings[0].soak_failures, 0);
}

#[test]
fn a_node_that_joins_ends_the_soak_until_it_is_through() {
    let mut world = soaking();
    world.fresh = Some(probing(minute(1), None));
    world.record(minute(1));
    world.sample.nodes.push(sample::node("canary-new", "canary", 0));
    let plan = world.plan(minute(2));
    assert_eq!((plan.rings[0].state, plan.rings[0].soak_failures), (RingState::Running, 0));
    assert_eq!((starts(&plan), plan.probe), (vec!["canary-new"], None));
}

#[test]
fn nothing_is_left_to_watch() {
    let mut world = soaking();
    world.sample.nodes.retain(|node| node.node.name != "canary-0");
    let plan = world.plan(minute(30));
    assert_eq!(
        (plan.state, reason(&plan).as_str()),
        (RolloutState::Stalled, "ring canary: none of its 1 updated nodes is left to soak")
    );
}

#[test]
fn a_paused_or_aborted_rollout() {
    let mut world = soaking();
    world.sample.desired = DesiredState::Paused;
    assert!(world.plan(minute(1)).probe.is_some(), "pausing starts no node; the soak goes on");
    world.sample.desired = DesiredState::Aborted;
    let plan = world.plan(minute(1));
    assert_eq!((plan.probe, plan.ended), (None, true));
}

/// A ring of so many updated nodes that soaks for a day and is probed each hour.
fn large(nodes: usize) -> World {
    let spec =
        json!({"soak": {"duration": "24h", "interval": "1h", "failureThreshold": 2}, "batch": {"maxUnavailable": 1}});
    let mut world = World::with(&[("canary", nodes, spec, json!({}))]);
    for i in 0..nodes {
        world.update(&format!("canary-{i}"), UPDATED, "");
    }
    world
}

fn deep_after(world: &World, turn: Option<&str>) -> Vec<String> {
    let fleet = Fleet { soak: SoakSeen { turn, ..SoakSeen::default() }, ..world.fleet() };
    let probe = crate::plan::rollout::plan(&fleet, noon()).probe.expect("due");
    probe.deep.iter().map(|node| node.node.name.clone()).collect()
}

#[test]
fn pods_are_run_on_some_nodes_in_turn_until_each_was_seen() {
    for (nodes, each) in [(3, 3), (50, 20), (1000, 42)] {
        let world = large(nodes);
        let (mut seen, mut turn) = (BTreeSet::new(), None::<String>);
        for _ in 0..24 {
            let deep = deep_after(&world, turn.as_deref());
            assert_eq!(deep.len(), each, "of {nodes}");
            turn = deep.last().cloned();
            seen.extend(deep);
        }
        assert_eq!(seen.len(), nodes, "each node within the soak");
    }
}

#[test]
fn a_node_that_failed_is_probed_again_at_once_and_counts_for_itself() {
    let mut world = large(50);
    world.record(noon());
    let failed = |world: &mut World, node: &str, passed: &[&str]| {
        let at = noon() + jiff::SignedDuration::from_hours(1);
        let failures = vec![(node.to_owned(), "probe dns failed".to_owned())];
        let passed = passed.iter().map(|name| (*name).to_owned()).collect();
        world.fresh = Some(SoakObservation { ring: "canary".into(), at, failures, passed });
        world.record(at);
    };
    failed(&mut world, "canary-7", &["canary-1"]);
    assert_eq!(deep_after(&world, Some("canary-30"))[0], "canary-7");
    failed(&mut world, "canary-8", &["canary-2"]);
    assert_eq!(world.ring("canary").soak_failures, 1, "two nodes have failed once each");
    failed(&mut world, "canary-9", &["canary-7", "canary-8"]);
    let failing: Vec<_> = world.ring("canary").soak_failing.iter().map(|f| (f.node.clone(), f.times)).collect();
    assert_eq!(failing, [("canary-9".to_owned(), 1)], "those that passed are forgiven");
    failed(&mut world, "canary-9", &[]);
    assert_eq!(world.sample.status.state, RolloutState::Halted);
    assert!(world.sample.status.reason.as_deref().is_some_and(|why| why.contains("canary-9: probe dns failed")));
}

#[test]
fn a_failing_node_that_is_gone_is_not_waited_for() {
    let mut world = large(3);
    world.record(noon());
    world.fresh = Some(probing(minute(60), Some("x")));
    world.record(minute(60));
    world.sample.nodes.retain(|node| node.node.name != "canary-0");
    world.fresh = Some(SoakObservation { passed: ["canary-1".to_owned()].into(), ..probing(minute(120), None) });
    world.record(minute(120));
    assert_eq!(world.ring("canary").soak_failing, []);
}

#[test]
fn a_node_in_another_rollouts_work_is_not_probed_and_what_it_failed_is_not_ours() {
    let mut world = large(2);
    world.record(noon());
    let failed = |world: &mut World, minutes: i64, node: &str| {
        let failures = vec![(node.to_owned(), "the node is not Ready".to_owned())];
        let at = minute(minutes);
        world.fresh = Some(SoakObservation { ring: "canary".into(), at, failures, passed: BTreeSet::new() });
        world.record(at);
    };
    failed(&mut world, 60, "canary-0");
    world.node("canary-0").claimed_by = Some("another".into());
    let probed: Vec<_> =
        world.plan(minute(120)).probe.expect("due").nodes.iter().map(|node| node.node.name.as_str()).collect();
    assert_eq!(probed, ["canary-1"]);
    failed(&mut world, 120, "canary-1");
    let failing: Vec<_> = world.ring("canary").soak_failing.iter().map(|failing| failing.node.clone()).collect();
    assert_eq!(failing, ["canary-1"], "nobody waits for the other one to pass");

    world.ring("canary").soak_failing.clear();
    world.node("canary-1").claimed_by = Some("another".into());
    let plan = world.plan(minute(60 * 25));
    assert_eq!(
        (plan.state, plan.probe.as_ref(), reason(&plan).as_str()),
        (
            RolloutState::Soaking,
            None,
            "ring canary soaks, and waits for its updated nodes: other rollouts work on them"
        )
    );
}
