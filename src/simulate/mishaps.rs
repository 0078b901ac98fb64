//! Calls that fail in ways which look like a success, a whole rollout through.

use super::crash::stories;
use super::{Auditor, Outcome, Setup, Trouble, What, run};
use jiff::SignedDuration;

fn audited(setup: &Setup) -> Outcome {
    let outcome = run(setup, vec![Box::new(Auditor::default())]).expect("an outcome");
    assert!(outcome.report.invariants.broken.is_empty(), "{:?}", outcome.report.invariants.broken);
    assert_eq!(outcome.report.rollouts[0].state, "Completed", "{}", outcome.report.text());
    outcome
}

/// It was taken for "the pod is gone": the drain was over, and the pod ran on through snapshot, installation and reboot.
#[test]
fn a_conflict_at_an_eviction_does_not_end_the_drain() {
    for every in 2..=9 {
        let setup = stories::setup("{}");
        let until = setup.start + SignedDuration::from_mins(8);
        let trouble = Trouble { from: setup.start, until, what: What::Conflicts(every) };
        audited(&Setup { troubles: vec![trouble], ..setup });
    }
}
