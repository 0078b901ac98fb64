//! UpdateHolds: what waits, what is given back, what goes on.

use super::*;
use crate::api::{RolloutState, UpdateHold};
use crate::domain::{Build, Labels};
use crate::plan::holds::{Held, against};
use crate::plan::sample::OLD;

fn hold(spec: Value) -> HoldSeen {
    HoldSeen::read(&UpdateHold::new("h", serde_json::from_value(spec).expect("a hold")))
}

fn world(spec: Value) -> World {
    let mut world = World::new(&[("canary", 2), ("early", 2)]);
    world.holds = vec![hold(spec)];
    world
}

const WHY: &str = "KB5065432 is held by UpdateHold h: it breaks (https://example.com/kb)";

fn bad_kb() -> Value {
    json!({"reason": "it breaks", "link": "https://example.com/kb", "updates": {"kbs": ["KB5065432"]}})
}

#[test]
fn what_is_pinned_and_held_waits_and_says_why() {
    let world = world(bad_kb());
    let plan = world.plan(noon());
    assert_eq!((plan.state, starts(&plan)), (RolloutState::Running, vec![]));
    assert_eq!(holds(&plan), ["canary-0: UpdateHeld", "canary-1: UpdateHeld"]);
    assert_eq!(reason(&plan), format!("ring canary: 0 of 2 nodes updated; {WHY}"));
}

#[test]
fn a_range_of_builds_holds_what_leads_into_it() {
    for (from, to, held) in [(5256, 5256, true), (1, 5255, false), (5257, 9999, false), (5000, 6000, true)] {
        let range = json!({"from": format!("10.0.20348.{from}"), "to": format!("10.0.20348.{to}")});
        let world = world(json!({"reason": "x", "updates": {"builds": range}}));
        assert_eq!(starts(&world.plan(noon())).is_empty(), held, "{from} to {to}");
    }
    let other = json!({"from": "10.0.26100.1", "to": "10.0.26100.99999"});
    assert!(!starts(&world(json!({"reason": "x", "updates": {"builds": other}})).plan(noon())).is_empty());
}

#[test]
fn a_hold_on_everything_pauses_until_it_expires() {
    let mut world = world(json!({"reason": "night", "expiresAt": "2026-11-23T13:00:00Z"}));
    world.update("canary-0", IN_WORK, "");
    let plan = world.plan(noon());
    assert_eq!((plan.state, plan.wake_at), (RolloutState::Paused, Some(at("2026-11-23T13:00:00Z"))));
    assert_eq!(reason(&plan), "held by UpdateHold h: night; 1 node still in work");
    world.sample.updates.clear();
    assert_eq!(starts(&world.plan(at("2026-11-23T12:59:59Z"))), Vec::<&str>::new());
    let plan = world.plan(at("2026-11-23T13:00:00Z"));
    assert_eq!((plan.state, starts(&plan)), (RolloutState::Running, vec!["canary-0"]));
}

#[test]
fn a_hold_is_about_whom_it_names() {
    let scoped = |scope: Value| world(json!({"reason": "x", "scope": scope}));
    let somebody_else = scoped(json!({"rollouts": ["august"]}));
    assert_eq!(starts(&somebody_else.plan(noon())), ["canary-0"]);
    let this = scoped(json!({"rollouts": ["august", "sample"]}));
    assert_eq!(this.plan(noon()).state, RolloutState::Paused);
    let zone = scoped(json!({"nodeSelector": {"matchLabels": {"topology.kubernetes.io/zone": "zone-0"}}}));
    let plan = zone.plan(noon());
    assert_eq!((plan.state, starts(&plan)), (RolloutState::Running, vec!["canary-1"]));
    assert_eq!(holds(&plan), ["canary-0: UpdateHeld"]);
}

#[test]
fn one_that_can_not_be_read_holds_everything() {
    let mut world = World::new(&[("canary", 1)]);
    world.holds = vec![HoldSeen::unreadable("broken", "missing field `reason`")];
    let plan = world.plan(noon());
    assert_eq!(plan.state, RolloutState::Paused);
    assert!(reason(&plan).contains("UpdateHold broken: it can not be read"), "{}", reason(&plan));
}

#[test]
fn a_node_given_back_is_taken_along_when_the_hold_is_gone() {
    let mut world = world(bad_kb());
    world.update("canary-0", Some(Outcome::Aborted), WHY);
    let plan = world.plan(noon());
    assert_eq!((plan.counts.pending, plan.counts.skipped, starts(&plan)), (4, 0, vec![]));
    world.holds.clear();
    let plan = world.plan(noon());
    assert_eq!(starts(&plan), ["canary-0"]);
    assert_eq!(plan.starts[0].previous, Some("update-of-uid-canary-0"));
}

/// Its label was changed since: it is the new ring that takes it along, whether or not the old one is through.
#[test]
fn a_node_given_back_and_moved_to_another_ring_is_taken_along_there() {
    let mut world = World::new(&[("canary", 2), ("early", 1)]);
    world.update("canary-0", Some(Outcome::Aborted), WHY).update("canary-1", UPDATED, "");
    set_label(world.node("canary-0"), "ring", Some("early"));
    world.ring("canary").state = RingState::Promoted;
    world.ring("early").revision.ring.batch.max_unavailable = crate::api::IntOrPercent::Nodes(2);
    assert_eq!(starts(&world.plan(noon())), ["canary-0", "early-0"]);
}

#[test]
fn a_node_is_retried_on_request_but_not_in_a_promoted_ring() {
    let mut world = World::new(&[("canary", 2), ("early", 1)]);
    world.ring("canary").revision.policy.on_failure.halt_after = crate::api::IntOrPercent::Nodes(9);
    world.update("canary-0", Some(Outcome::Reverted), "x").update("canary-1", UPDATED, "");
    assert_eq!(starts(&world.plan(noon())), ["early-0"]);
    world.sample.updates[0].retry = true;
    assert_eq!(starts(&world.plan(noon())), ["canary-0"]);
    world.ring("canary").state = RingState::Promoted;
    let plan = world.plan(noon());
    assert_eq!((starts(&plan), plan.counts.reverted), (vec!["early-0"], 1));
}

#[test]
fn nodes_in_work_are_given_back_by_a_hold_on_what_they_install_only() {
    let pinned = world(bad_kb()).sample.status.pinned.remove(0).updates;
    let stands = |spec: Value, to: Build| {
        let holds = [hold(spec)];
        against(&holds, "july", &Labels::default(), (&pinned, to), noon()).map(|held| held.to_string())
    };
    assert_eq!(stands(bad_kb(), NEW).as_deref(), Some(WHY));
    assert_eq!(stands(json!({"reason": "x"}), NEW), None, "a pause lets them be finished");
    assert_eq!(stands(json!({"reason": "x", "updates": {"kbs": ["KB1234567"]}}), NEW), None);
    let range = json!({"reason": "x", "updates": {"builds": {"from": OLD.to_string(), "to": NEW.to_string()}}});
    assert!(stands(range, NEW).is_some_and(|why| why.starts_with("build 10.0.20348.5256 is held")));
    assert_eq!(hold(bad_kb()).what, Held::Updates { kbs: vec!["KB5065432".into()], builds: None });
}
