//! Random fleets, and whole rollouts in seeded random order: what must hold whatever happens.

use super::*;
use crate::api::{IntOrPercent, RolloutState, Span};
use crate::domain::Build;
use crate::plan::stall::StallCode;
use jiff::SignedDuration;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A fleet in any state at all: unready, cordoned, claimed, skipped, odd builds, updates of every outcome.
fn any_world(seed: u64) -> World {
    let mut random = fastrand::Rng::with_seed(seed);
    let sizes: Vec<usize> = (0..random.usize(1..5)).map(|_| random.usize(0..12)).collect();
    let names: Vec<String> = (0..sizes.len()).map(|i| format!("r{i}")).collect();
    let rings: Vec<_> = names.iter().zip(&sizes).map(|(n, s)| (n.as_str(), *s, json!({}), json!({}))).collect();
    let mut world = World::with(&rings);
    let promoted = random.usize(0..=names.len());
    for (i, ring) in world.sample.status.rings.iter_mut().enumerate() {
        ring.state = if i < promoted {
            RingState::Promoted
        } else {
            random.choice([RingState::Waiting, RingState::Running, RingState::Soaking]).expect("one")
        };
        any_ring(ring, &mut random);
    }
    for node in world.sample.nodes.clone() {
        any_node(world.node(&node.node.name), &mut random);
        if random.u8(..) < 100 {
            any_update(&mut world, &node.node.name, &mut random);
        }
    }
    world.sample.desired = match random.u8(..) {
        0..20 => DesiredState::Paused,
        20..40 => DesiredState::Aborted,
        _ => DesiredState::Running,
    };
    world.deleting = random.u8(..) < 10;
    world.operator_node =
        random.choice(&world.sample.nodes).map(|node| node.node.name.clone()).filter(|_| random.bool());
    world
}

fn any_ring(ring: &mut RingStatus, random: &mut fastrand::Rng) {
    let revision = &mut *ring.revision;
    let spec = &mut revision.ring;
    spec.batch.max_unavailable =
        if random.bool() { IntOrPercent::Nodes(random.u32(0..6)) } else { IntOrPercent::Percent(random.u32(0..120)) };
    spec.soak.duration = Span::from_mins(random.u64(0..3));
    spec.soak.min_updated = random.i32(0..3);
    revision.policy.on_failure.halt_after = IntOrPercent::Nodes(random.u32(1..4));
    if random.bool() {
        let spread = json!({"topologyKey": "topology.kubernetes.io/zone"});
        spec.batch.spread = serde_json::from_value(spread).expect("a spread");
    }
    if random.u8(..) < 80 {
        let window = json!({"timeZone": "UTC", "allow": [{"days": ["Mon"], "start": format!("{:02}:00", random.u8(0..24)), "duration": "6h"}]});
        revision.policy.maintenance = serde_json::from_value(window).expect("a window");
    }
}

fn any_node(node: &mut NodeState, random: &mut fastrand::Rng) {
    let mut rarely = || random.u8(..) < 25;
    if rarely() {
        node.readiness = Readiness::NotReady(noon());
    }
    node.unschedulable = rarely();
    node.skip = rarely();
    node.quarantined = rarely();
    node.claimed_by = rarely().then(|| "somebody".to_owned());
    match random.u8(..) {
        0..25 => node.build = None,
        25..50 => node.build = Some(Build::new(10, 0, 17763, 1)),
        _ => {}
    }
    let mut rarely = || random.u8(..) < 25;
    if rarely() {
        set_label(node, "topology.kubernetes.io/zone", None);
    }
    if rarely() {
        set_label(node, "ring", Some("r0"));
    }
}

fn any_update(world: &mut World, node: &str, random: &mut fastrand::Rng) {
    let outcome = match random.u8(0..20) {
        0 => Some(Outcome::Failed),
        1 => Some(Outcome::Skipped),
        2 => Some(Outcome::Held),
        3 => Some(Outcome::Reverted),
        4 => Some(Outcome::NodeGone),
        5..12 => IN_WORK,
        _ => UPDATED,
    };
    if ring_of(world.node(node)).starts_with('r') {
        world.update(node, outcome, "");
    }
    if random.u8(..) < 20 {
        world.node(node).node.uid += "-replaced";
    }
}

fn shuffled(world: &World, seed: u64) -> World {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut other = world.clone();
    random.shuffle(&mut other.sample.nodes);
    random.shuffle(&mut other.sample.updates);
    other
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// `World::plan` also lints: this is the lint's test on random fleets.
    #[test]
    fn a_plan_is_faultless_and_does_not_depend_on_the_order_of_the_facts(seed: u64) {
        let world = any_world(seed);
        let other = shuffled(&world, seed.wrapping_add(1));
        let (plan, again) = (world.plan(noon()), other.plan(noon()));
        prop_assert_eq!(&plan, &again);
        let [listed, all] = [plan.counts.pending + plan.counts.in_progress + plan.counts.updated + plan.counts.reverted
            + plan.counts.held + plan.counts.failed + plan.counts.skipped, plan.counts.total];
        prop_assert_eq!(listed, all, "every node is counted once");
        prop_assert_eq!(plan.waiting.len(), plan.ring.map_or(0, |name| {
            plan.rings.iter().find(|ring| ring.name == name).map_or(0, |ring| usize::try_from(ring.counts.pending).expect("a count"))
        }), "every node of the open ring that stays pending says why");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_rollout_ends(seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let end = simulate(&mut random);
        prop_assert!(matches!(end, End::Ended(RolloutState::Completed | RolloutState::Halted) | End::Stalled), "{end:?}");
    }
}

#[derive(Debug)]
enum End {
    Ended(RolloutState),
    Stalled,
    Never,
}

/// Runs a rollout over virtual time: nodes end in random order with random outcomes, soaks now and then fail.
fn simulate(random: &mut fastrand::Rng) -> End {
    let names = ["canary", "early", "broad"];
    let sizes: BTreeMap<_, _> = names.map(|name| (name, random.usize(1..15))).into();
    let spec = json!({"soak": {"duration": "10m", "interval": "2m", "minUpdated": 1}});
    let mut world = World::with(&names.map(|name| (name, sizes[name], spec.clone(), json!({}))));
    for ring in &mut world.sample.status.rings {
        ring.revision.ring.batch.max_unavailable = IntOrPercent::Percent(random.u32(1..101));
        ring.revision.policy.on_failure.halt_after = IntOrPercent::Nodes(random.u32(1..4));
    }
    let bad = random.u8(..) < 100;
    for tick in 0..2000 {
        let now = noon() + SignedDuration::from_mins(tick);
        world.record(now);
        if world.sample.status.ended_at.is_some() {
            return End::Ended(world.sample.status.state);
        }
        let stalled = world.plan(now).stalled.as_ref().map(|stalled| stalled.code);
        if matches!(stalled, Some(StallCode::TooFewUpdated | StallCode::BudgetHeld)) {
            return End::Stalled;
        }
        act(&mut world, now, bad, random);
    }
    End::Never
}

/// What the controllers and the machines do in one minute.
fn act(world: &mut World, now: Timestamp, bad: bool, random: &mut fastrand::Rng) {
    let plan = world.plan(now);
    let started: Vec<String> = plan.starts.iter().map(|start| start.node.node.name.clone()).collect();
    let probing = plan.probe.as_ref().map(|probe| {
        let failed = bad && random.u8(..) < 5;
        let failures = probe.nodes.iter().filter(|_| failed).map(|node| (node.node.name.clone(), "probe x".to_owned()));
        let passed = probe.deep.iter().filter(|_| !failed).map(|node| node.node.name.clone()).collect();
        SoakObservation { ring: probe.ring.to_owned(), at: now, failures: failures.collect(), passed }
    });
    world.fresh = probing.or(world.fresh.take());
    for name in started {
        world.update(&name, IN_WORK, "");
        world.node(&name).unschedulable = true;
    }
    for i in 0..world.sample.updates.len() {
        if world.sample.updates[i].outcome.is_none() && random.u8(..) < 60 {
            finish(world, i, now, bad, random);
        }
    }
}

fn finish(world: &mut World, place: usize, now: Timestamp, bad: bool, random: &mut fastrand::Rng) {
    let outcome = match random.u8(..) {
        0..15 if bad => Outcome::Reverted,
        15..20 if bad => Outcome::Held,
        20..25 => Outcome::Failed,
        25..28 => Outcome::Skipped,
        _ => Outcome::Updated,
    };
    let update = &mut world.sample.updates[place];
    update.outcome = Some(outcome);
    update.ended_at = Some(now);
    let name = update.node.clone();
    let node = world.node(&name);
    node.unschedulable = outcome == Outcome::Held;
    if outcome == Outcome::Updated {
        node.build = Some(NEW);
    }
}
