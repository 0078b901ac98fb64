//! The power goes at every single call that changes something, before and after its effect: the end is the same.

#![allow(clippy::expect_used, clippy::panic)] // Clippy does not know helpers of tests as tests.

mod common;

use common::{Answer, Cut, Machine, NEW, Offer, Operator};
use proptest::prelude::*;
use windlass_agent::{NONCE_A_FILE, NONCE_B_FILE};
use windlass_protocol::{AgentPhase, Progress, UpdateState};

const TWO_ROUNDS: &str = "KB5040437";
const EXCLUSIVE: &str = "KB5039227";
const WITHOUT_REBOOT: &str = "KB5041111";

fn operator() -> Operator {
    let mut two = Offer::new(TWO_ROUNDS);
    two.rounds = 2;
    let mut exclusive = Offer::new(EXCLUSIVE);
    (exclusive.exclusive, exclusive.target) = (true, None);
    let mut light = Offer::new(WITHOUT_REBOOT);
    (light.needs_reboot, light.target) = (false, None);
    Operator::new(Machine::new(vec![two, exclusive, light]), &[TWO_ROUNDS, EXCLUSIVE, WITHOUT_REBOOT])
}

fn check(operator: &Operator, end: &Answer, what: &str) {
    assert_eq!((end.phase(), end.progress()), (AgentPhase::Done, Progress::Done), "{what}: {}", end.error());
    assert_eq!(end.report.build, NEW, "{what}");
    assert!(end.report.updates.iter().all(|u| u.state == UpdateState::Installed), "{what}: {:?}", end.report.updates);
    assert!(end.report.mutated && !end.report.armed, "{what}");
    let machine = &operator.machine;
    for (kb, count) in &machine.installs {
        let rounds = if kb.to_string() == TWO_ROUNDS { 2 } else { 1 };
        assert_eq!(*count, rounds, "{what}: installations of {kb}");
    }
    assert_eq!(machine.installs.len(), 3, "{what}");
    assert!(!machine.disk.task, "{what}: disarmed at the end");
    assert_eq!(machine.disk.policy.no_auto_update, None, "{what}: the policy is as it was");
    assert_eq!(machine.file(NONCE_A_FILE).as_deref(), Some("a-1"), "{what}");
    assert_eq!(machine.file(NONCE_B_FILE).as_deref(), Some("b-1"), "{what}");
}

/// One cut costs one more boot, which counts.
fn patient(mut operator: Operator, cuts: u32) -> Operator {
    operator.max_reboots = 3 + cuts;
    operator
}

#[test]
fn every_boundary_leads_to_the_same_end() {
    let mut smooth = operator();
    let end = smooth.run_to_end();
    check(&smooth, &end, "without a cut");
    let calls = smooth.machine.calls;
    assert!(calls > 30, "{calls} calls are hardly the whole flow");
    for at in 1..=calls {
        for after_effect in [false, true] {
            let mut operator = patient(operator(), 1);
            operator.machine.cut = Some(Cut { at, after_effect });
            let end = operator.run_to_end();
            check(&operator, &end, &format!("cut at call {at}, after its effect: {after_effect}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Several cuts in a row, each counted from the last.
    #[test]
    fn any_row_of_cuts_leads_to_the_same_end(cuts in proptest::collection::vec((1u32..40, any::<bool>()), 1..6)) {
        let mut operator = patient(operator(), u32::try_from(cuts.len()).expect("few"));
        for (distance, after_effect) in &cuts {
            operator.machine.cut = Some(Cut { at: operator.machine.calls + distance, after_effect: *after_effect });
            // A pod or two under the next cut, then the next one.
            operator.stage();
            operator.arm(1, 1);
        }
        let end = operator.run_to_end();
        check(&operator, &end, "after the cuts");
    }
}
