//! Gates that people open: halted rollouts that go on, rings that wait for a word.

use super::*;
use crate::api::{Gate, RolloutState, UpdateApproval, UpdateRollout};
use crate::plan::approve::{Verdict, judge, open};
use jiff::SignedDuration;

fn later(minutes: i64) -> Timestamp {
    noon() + SignedDuration::from_mins(minutes)
}

/// A rollout whose first node was reverted, come to rest.
fn halted() -> World {
    let mut world = World::new(&[("canary", 3), ("early", 1)]);
    world.update("canary-0", Some(Outcome::Reverted), "probe ready failed");
    world.record(noon());
    world
}

fn rollout(world: &World) -> UpdateRollout {
    let mut rollout: UpdateRollout = serde_json::from_value(json!({
        "apiVersion": "windlass.dev/v1alpha1", "kind": "UpdateRollout", "metadata": {"name": "sample", "uid": "u"},
        "spec": {"rings": ["canary", "early"], "updates": {"classifications": ["Security"]}},
    }))
    .expect("a rollout");
    rollout.status = Some(world.sample.status.clone());
    rollout
}

fn approval(world: &World, change: Value) -> UpdateApproval {
    let gate = world.sample.status.gate.as_ref();
    let mut spec = json!({
        "rolloutName": "sample", "rolloutUid": "u", "gate": gate.map_or(Gate::Resume, |gate| gate.name),
        "planHash": gate.map_or("0123456789abcdef", |gate| gate.plan_hash.as_str()), "approver": "alice",
        "expiresAt": "2026-11-23T18:00:00Z",
    });
    if let (Value::Object(spec), Value::Object(change)) = (&mut spec, change) {
        spec.extend(change);
    }
    let mut approval = UpdateApproval::new("go-on", serde_json::from_value(spec).expect("a spec"));
    approval.metadata.uid = Some("a-1".into());
    approval
}

fn verdict(world: &World, change: Value) -> Verdict {
    judge(&approval(world, change), Some(&rollout(world)), later(1))
}

#[test]
fn only_the_approval_that_was_meant_opens_a_gate() {
    let world = halted();
    assert_eq!(verdict(&world, json!({})), Verdict::Opens);
    for (change, field) in [
        (json!({"rolloutUid": "another"}), "spec.rolloutUid"),
        (json!({"gate": "Promote"}), "spec.gate"),
        (json!({"planHash": "0000000000000000"}), "spec.planHash"),
        (json!({"expiresAt": "2026-11-23T12:01:00Z"}), "spec.expiresAt"),
    ] {
        assert!(matches!(verdict(&world, change), Verdict::Refused(why) if why.starts_with(field)), "{field}");
    }
    let given = approval(&world, json!({}));
    assert!(matches!(judge(&given, None, noon()), Verdict::Refused(_)));
    let mut aborted = rollout(&world);
    aborted.spec.state = DesiredState::Aborted;
    assert!(matches!(judge(&given, Some(&aborted), noon()), Verdict::Refused(_)));
    let running = World::new(&[("canary", 1)]);
    assert!(matches!(verdict(&running, json!({})), Verdict::Refused(why) if why.contains("no gate")));
}

#[test]
fn the_gate_is_closed_when_the_nodes_in_work_have_ended_and_tells_what_has_happened() {
    let mut world = World::new(&[("canary", 3)]);
    world.update("canary-0", Some(Outcome::Reverted), "x").update("canary-1", IN_WORK, "").record(noon());
    assert_eq!(world.sample.status.state, RolloutState::Halted);
    assert_eq!(world.sample.status.gate, None);
    assert!(matches!(verdict(&world, json!({})), Verdict::Waits(_)));
    let mut other = world.clone();
    world.sample.updates[1].outcome = Some(Outcome::Reverted);
    other.sample.updates[1].outcome = UPDATED;
    let gates = [&mut world, &mut other].map(|world| world.record(later(1)).sample.status.gate.clone());
    assert!(gates.iter().all(Option::is_some));
    assert_ne!(gates[0], gates[1], "another end is another thing to approve");
}

#[test]
fn a_resumed_rollout_goes_on_and_the_halt_count_starts_anew() {
    let mut world = halted();
    assert_eq!(starts(&world.plan(later(1))), Vec::<&str>::new(), "it stays halted by itself");
    let given = approval(&world, json!({}));
    world.sample.status = open(&world.sample.status, &given, later(1));
    assert_eq!((world.sample.status.ended_at.is_none(), world.sample.status.gate.is_none()), (true, true));
    assert_eq!(judge(&given, Some(&rollout(&world)), later(2)), Verdict::Used, "once");
    let plan = world.plan(later(2));
    assert_eq!((plan.state, starts(&plan)), (RolloutState::Running, vec!["canary-1"]), "the failed node is left alone");
    assert_eq!((plan.counts.reverted, plan.gate.clone()), (1, None));
    let pinned = world.sample.status.pinned.clone();

    world.update("canary-1", Some(Outcome::Reverted), "probe ready failed again");
    let second = world.sample.updates.last_mut().expect("one");
    (second.started_at, second.ended_at) = (Some(later(3)), Some(later(9)));
    world.record(later(10));
    assert_eq!((world.sample.status.state, &world.sample.status.pinned), (RolloutState::Halted, &pinned));
    assert!(world.sample.status.reason.as_deref().is_some_and(|why| why.contains("canary-1 reverted")));
    let gate = world.sample.status.gate.clone().expect("closed again");
    assert_ne!(gate.plan_hash, given.spec.plan_hash);
}

/// Nodes come and go in a fleet that scales by itself: nobody could read a hash and use it in time.
#[test]
fn a_hash_is_of_what_was_decided_and_not_of_how_many_nodes_wait() {
    let hash = |world: &World| world.plan(later(1)).gate.expect("a gate").plan_hash;
    let mut world = halted();
    world.sample.status.ended_at = None;
    let before = hash(&world);
    world.sample.nodes.push(crate::plan::sample::node("early-9", "early", 0));
    world.sample.nodes.push(crate::plan::sample::node("canary-9", "canary", 0));
    assert_eq!(hash(&world), before);
    world.update("canary-1", Some(Outcome::Reverted), "x");
    assert_ne!(hash(&world), before, "a failure more was not seen by who approved");
}

/// It said Halted for ever, with a gate that nobody could open any more.
#[test]
fn a_halt_that_is_aborted_is_aborted_and_has_no_gate() {
    let mut world = halted();
    assert!(world.sample.status.ended_at.is_some() && world.sample.status.gate.is_some());
    world.sample.desired = DesiredState::Aborted;
    let plan = world.plan(later(1));
    assert_eq!((plan.state, plan.gate.clone(), plan.stalled.clone()), (RolloutState::Aborted, None, None));
}

#[test]
fn a_failed_node_is_tried_again_after_the_halt_when_somebody_asks() {
    let mut world = halted();
    world.sample.updates[0].retry = true;
    assert_eq!(starts(&world.plan(later(1))), Vec::<&str>::new());
    world.sample.status = open(&world.sample.status, &approval(&world, json!({})), later(1));
    assert_eq!(starts(&world.plan(later(2))), ["canary-0"]);
}

#[test]
fn a_soak_that_has_failed_begins_anew() {
    let spec = json!({"soak": {"duration": "10m", "interval": "1m", "failureThreshold": 1}});
    let mut world = World::with(&[("canary", 1, spec, json!({}))]);
    world.update("canary-0", UPDATED, "").record(noon());
    let failures = vec![("canary-0".to_owned(), "probe ready: NotReady".to_owned())];
    world.fresh = Some(SoakObservation { ring: "canary".into(), at: later(5), failures, passed: [].into() });
    world.record(later(5));
    assert_eq!(world.sample.status.state, RolloutState::Halted);
    world.sample.status = open(&world.sample.status, &approval(&world, json!({})), later(30));
    let plan = world.plan(later(31));
    assert_eq!((plan.state, plan.rings[0].soak_started_at), (RolloutState::Soaking, Some(later(30))));
    assert_eq!((plan.rings[0].soak_failures, plan.probe.is_some()), (0, true));
}

#[test]
fn a_ring_with_promotion_by_approval_waits_for_a_word() {
    let spec = json!({"promotion": "Approval", "soak": {"duration": "0s"}});
    let mut world = World::with(&[("canary", 1, spec, json!({})), ("early", 1, json!({}), json!({}))]);
    world.update("canary-0", UPDATED, "").record(noon());
    assert_eq!((world.sample.status.state, starts(&world.plan(later(60)))), (RolloutState::Soaking, vec![]));
    let gate = world.sample.status.gate.clone().expect("a closed gate");
    assert_eq!((gate.name, gate.ring.as_str()), (Gate::Promote, "canary"));
    assert!(reason(&world.plan(noon())).contains("UpdateApproval Promote"));
    assert_eq!(verdict(&world, json!({})), Verdict::Opens);
    world.sample.status = open(&world.sample.status, &approval(&world, json!({})), later(1));
    let plan = world.plan(later(2));
    assert_eq!((plan.rings[0].state, starts(&plan)), (RingState::Promoted, vec!["early-0"]));
    world.sample.nodes.push(sample::node("canary-new", "canary", 0));
    world.record(later(2));
    assert_eq!(world.ring("canary").promoted_by, None, "it was given for the nodes that the ring had then");
}
