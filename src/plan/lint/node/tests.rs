//! Each invariant, broken on purpose. That no decision of the step machine breaks one is checked in its own tests, at
//! every boundary of every story.

use super::*;
use crate::domain::{Build, History, NodeSeen, StepKey, WaitingOn, Wish};
use crate::plan::log::{begun, close};
use crate::plan::node::tests::{intent, node};
use crate::plan::{Reason, ReasonCode};
use jiff::Timestamp;

/// A log as one line: `Install1` succeeded, `Install1!` failed, `Install1!Untouched` with a detail.
fn log(steps: &str) -> History {
    let record = |word: &str| {
        let (name, failure) = word.split_once('!').map_or((word, None), |(name, detail)| (name, Some(detail)));
        let (name, round) = name.split_at(name.len() - 1);
        let step: Step = serde_json::from_value(name.into()).expect("a step");
        let now = Timestamp::UNIX_EPOCH;
        let key =
            StepKey { node_update_uid: "nu-uid".into(), step, round: round.parse().expect("a round"), attempt: 1 };
        let detail = failure.filter(|d| !d.is_empty()).map(|d| serde_json::from_value(d.into()).expect("a detail"));
        let phase = if failure.is_some() { StepPhase::Failed } else { StepPhase::Succeeded };
        let mut record = close(&begun(&key, None, now), phase, detail, "what came of it", now);
        record.handle = (step == Step::Snapshot).then(|| "snap-1".to_owned());
        record
    };
    History::default().with(&steps.split_whitespace().map(record).collect::<Vec<_>>())
}

fn begin(step: Step) -> Decision {
    Decision::Begin { ended: vec![], key: StepKey { node_update_uid: "nu-uid".into(), step, round: 1, attempt: 1 } }
}

fn done(outcome: Outcome, message: &str) -> Decision {
    Decision::Done {
        ended: vec![],
        outcome,
        reason: Reason { code: ReasonCode::InstallFailed, message: message.into() },
    }
}

#[track_caller]
fn finds(steps: &str, decision: &Decision, expected: &[Rule]) {
    let (intent, history, node) = (intent(), log(steps), NodeSeen::Here(Box::new(node())));
    let seen =
        Observed { intent: &intent, history: &history, node: &node, wish: Wish::GoOn, looked_since: Timestamp::MIN };
    assert_eq!(lint(&seen, decision), expected, "{steps} then {decision:?}");
}

const TO_DRAIN: &str = "Preflight1 Stage1 Cordon1 Drain1";
const TO_INSTALL: &str = "Preflight1 Stage1 Cordon1 Drain1 Snapshot1 Install1";

#[test]
fn no_install_and_no_restore_without_a_snapshot() {
    finds(TO_DRAIN, &begin(Step::Install), &[Rule::NoSnapshot]);
    finds(&format!("{TO_DRAIN} Snapshot1!"), &begin(Step::Install), &[Rule::NoSnapshot]);
    finds(&format!("{TO_DRAIN} Snapshot1"), &begin(Step::Install), &[]);
    finds(&format!("{TO_DRAIN} Install1!"), &begin(Step::Restore), &[Rule::NoSnapshot]);
}

#[test]
fn a_snapshot_without_a_handle_is_none() {
    let (intent, node) = (intent(), NodeSeen::Here(Box::new(node())));
    let mut records = log(&format!("{TO_DRAIN} Snapshot1")).records().to_vec();
    records.last_mut().expect("a snapshot").handle = None;
    let history = History::default().with(&records);
    let seen =
        Observed { intent: &intent, history: &history, node: &node, wish: Wish::GoOn, looked_since: Timestamp::MIN };
    assert_eq!(lint(&seen, &begin(Step::Install)), [Rule::NoSnapshot]);
}

#[test]
fn no_other_windows() {
    let mut intent = intent();
    intent.to = Build::new(10, 0, 26100, 1);
    let (history, node) = (log(&format!("{TO_DRAIN} Snapshot1")), NodeSeen::Here(Box::new(node())));
    let seen =
        Observed { intent: &intent, history: &history, node: &node, wish: Wish::GoOn, looked_since: Timestamp::MIN };
    assert_eq!(lint(&seen, &begin(Step::Install)), [Rule::FeatureUpgrade]);
}

#[test]
fn what_was_not_changed_is_not_reverted() {
    finds(&format!("{TO_DRAIN} Snapshot1 Drain1!Retriable"), &begin(Step::Restore), &[Rule::NeedlessRevert]);
    finds(&format!("{TO_INSTALL}!Untouched"), &begin(Step::Restore), &[Rule::NeedlessRevert]);
    finds(&format!("{TO_INSTALL}!"), &begin(Step::Restore), &[]);
    finds(&format!("{TO_INSTALL} Reboot1 Install2!Untouched"), &begin(Step::Restore), &[]);
}

#[test]
fn what_was_changed_is_verified_before_it_takes_work() {
    finds(TO_INSTALL, &begin(Step::Uncordon), &[Rule::UnverifiedReturn]);
    finds(&format!("{TO_INSTALL} Reboot1 Verify1!"), &begin(Step::Uncordon), &[Rule::UnverifiedReturn]);
    finds(&format!("{TO_INSTALL} Reboot1 Verify1"), &begin(Step::Uncordon), &[]);
    finds(&format!("{TO_INSTALL}! Restore1"), &begin(Step::Uncordon), &[Rule::UnverifiedReturn]);
    finds(&format!("{TO_INSTALL}! Restore1 VerifyRestored1"), &begin(Step::Uncordon), &[]);
    finds(&format!("{TO_INSTALL}!NotOffered"), &begin(Step::Uncordon), &[]);
    finds(TO_DRAIN, &begin(Step::Uncordon), &[]);
}

#[test]
fn updated_and_reverted_are_proven() {
    let whole = format!("{TO_INSTALL} Reboot1 Verify1 Uncordon1");
    finds(&whole, &done(Outcome::Updated, ""), &[]);
    finds(&format!("{TO_INSTALL} Reboot1 Uncordon1"), &done(Outcome::Updated, ""), &[Rule::UnverifiedUpdate]);
    finds(
        &format!("{TO_INSTALL} Reboot1 Verify1 Reboot2 Uncordon2"),
        &done(Outcome::Updated, ""),
        &[Rule::UnverifiedUpdate],
    );
    let back = format!("{TO_INSTALL}! Restore1 VerifyRestored1 Uncordon1");
    finds(&back, &done(Outcome::Reverted, "it failed"), &[]);
    finds(&format!("{TO_INSTALL}! Restore1 Uncordon1"), &done(Outcome::Reverted, "x"), &[Rule::UnverifiedRevert]);
    finds(
        &format!("{TO_INSTALL}! VerifyRestored1 Uncordon1"),
        &done(Outcome::Reverted, "x"),
        &[Rule::UnverifiedRevert],
    );
}

#[test]
fn a_claimed_node_is_in_service_or_held_at_the_end_and_the_end_says_why() {
    finds(TO_DRAIN, &done(Outcome::Failed, "x"), &[Rule::LeftHalfway]);
    finds(TO_DRAIN, &done(Outcome::Held, "x"), &[Rule::LeftHalfway]);
    finds(TO_DRAIN, &done(Outcome::NodeGone, "x"), &[]);
    finds(&format!("{TO_DRAIN}! Uncordon1"), &done(Outcome::Failed, "x"), &[]);
    finds(&format!("{TO_DRAIN}! Uncordon1"), &done(Outcome::Failed, ""), &[Rule::NoReason]);
    finds(&format!("{TO_INSTALL}! Restore1! Hold1"), &done(Outcome::Held, "x"), &[]);
    // Given back, and claimed again: once more it has to be given back.
    finds("Cordon0 Drain0 Uncordon0 Cordon1", &done(Outcome::Aborted, "x"), &[Rule::LeftHalfway]);
    finds("Preflight1 Stage1!", &done(Outcome::Failed, "x"), &[]);
}

#[test]
fn waits_end() {
    let wait = |after| Decision::Wait { ended: vec![], on: WaitingOn::Settle, after };
    finds(TO_DRAIN, &wait(Duration::from_secs(30)), &[]);
    finds(TO_DRAIN, &wait(Duration::from_hours(48)), &[Rule::NoDeadline]);
}
