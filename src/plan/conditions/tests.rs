use super::*;
use crate::plan::stall::StallCode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

fn record(step: Step, phase: StepPhase) -> StepRecord {
    StepRecord {
        step,
        phase,
        round: 1,
        attempt: 1,
        started_at: MicroTime(at(0)),
        finished_at: (phase != StepPhase::Started).then(|| MicroTime(at(1))),
        detail: None,
        handle: None,
        message: format!("{step:?} says so"),
    }
}

/// `Type=True/Reason` of each condition, in order.
fn short(conditions: &[Condition]) -> Vec<String> {
    conditions.iter().map(|c| format!("{}={}/{}", c.type_, c.status, c.reason)).collect()
}

fn check(steps: &[StepRecord], ended: Option<(Outcome, &str, &str)>, released: bool, expect: &[&str]) {
    let facts = NodeUpdateFacts { steps, ended, waiting_on: Some("a pod"), released };
    assert_eq!(short(&node_update(&[], facts, Some(1), at(5))), expect);
}

#[test]
fn a_node_update_in_work_reconciles_and_shows_how_far_it_is() {
    use StepPhase::{Failed, Started, Succeeded};
    check(&[], None, false, &["Ready=False/InProgress", "Reconciling=True/Pending", "Stalled=False/InProgress"]);
    check(
        &[record(Step::Cordon, Succeeded), record(Step::Drain, Succeeded), record(Step::Snapshot, Started)],
        None,
        false,
        &[
            "Ready=False/InProgress",
            "Reconciling=True/Snapshot",
            "Stalled=False/InProgress",
            "Drained=True/Succeeded",
            "SnapshotTaken=False/InProgress",
        ],
    );
    check(
        &[record(Step::Verify, Failed), record(Step::Restore, Succeeded)],
        None,
        false,
        &[
            "Ready=False/InProgress",
            "Reconciling=True/Restore",
            "Stalled=False/InProgress",
            "Verified=False/VerifyFailed",
            "Reverted=False/InProgress",
        ],
    );
}

#[test]
fn an_ended_node_update_is_ready_only_if_updated_and_stalled_only_if_held() {
    let summary = |outcome, code, released, expect: [&str; 3]| {
        check(&[], Some((outcome, code, "because")), released, &expect);
    };
    let ended = ["Ready=True/Succeeded", "Reconciling=False/Ended", "Stalled=False/Ended"];
    summary(Outcome::Updated, "Succeeded", false, ended);
    let ended = ["Ready=False/VerifyFailed", "Reconciling=False/Ended", "Stalled=False/Ended"];
    summary(Outcome::Reverted, "VerifyFailed", false, ended);
    let ended = ["Ready=False/RestoreFailed", "Reconciling=False/Ended", "Stalled=True/RestoreFailed"];
    summary(Outcome::Held, "RestoreFailed", false, ended);
    let ended = ["Ready=False/RestoreFailed", "Reconciling=False/Ended", "Stalled=False/Ended"];
    summary(Outcome::Held, "RestoreFailed", true, ended);
    for outcome in [Outcome::Failed, Outcome::Skipped, Outcome::Aborted, Outcome::NodeGone] {
        let ended = ["Ready=False/Aborted", "Reconciling=False/Ended", "Stalled=False/Ended"];
        summary(outcome, "Aborted", false, ended);
    }
}

#[test]
fn times_move_only_when_the_status_flips() {
    let facts = |waiting_on| NodeUpdateFacts { steps: &[], ended: None, waiting_on: Some(waiting_on), released: false };
    let first = node_update(&[], facts("one"), Some(1), at(5));
    let second = node_update(&first, facts("two"), Some(1), at(9));
    assert!(second.iter().all(|c| c.last_transition_time.0 == at(5)));
    assert_ne!(first, second, "the sentence is the new one");
    let ended = NodeUpdateFacts { ended: Some((Outcome::Updated, "Succeeded", "")), ..facts("two") };
    let third = node_update(&second, ended, Some(1), at(20));
    let since: Vec<_> = third.iter().map(|c| (c.type_.as_str(), c.last_transition_time.0)).collect();
    assert_eq!(since, [("Ready", at(20)), ("Reconciling", at(20)), ("Stalled", at(5))]);
}

#[test]
fn a_rollout_is_stalled_when_a_person_is_needed() {
    let stalled = Stalled { code: StallCode::Halted, message: "ring early: win-3 reverted".into() };
    let facts = |state, stalled, ended| RolloutFacts { state, reason: Some("why"), stalled, ended };
    let cases = [
        (facts(RolloutState::Running, None, false), ["False/Running", "True/Running", "False/Running"]),
        (facts(RolloutState::Paused, None, false), ["False/Paused", "False/Paused", "False/Paused"]),
        (facts(RolloutState::Completed, None, true), ["True/Completed", "False/Completed", "False/Completed"]),
        (facts(RolloutState::Halted, Some(&stalled), false), ["False/Halted", "True/Halted", "True/Halted"]),
        (facts(RolloutState::Halted, Some(&stalled), true), ["False/Halted", "False/Halted", "True/Halted"]),
        (facts(RolloutState::Aborted, None, false), ["False/Aborted", "True/Aborted", "False/Aborted"]),
        (facts(RolloutState::Aborted, None, true), ["False/Aborted", "False/Aborted", "True/Aborted"]),
    ];
    for (facts, expect) in cases {
        let conditions = rollout(&[], facts, Some(2), at(0));
        let got: Vec<_> = conditions.iter().map(|c| format!("{}/{}", c.status, c.reason)).collect();
        assert_eq!(got, expect, "{facts:?}");
        assert!(conditions.iter().all(|c| c.observed_generation == Some(2)));
    }
}

#[test]
fn a_class_is_ready_by_its_provider_and_says_what_keeps_it() {
    let of = |facts| short(&snapshot_class(&[], facts, Some(1), at(5)));
    let trouble = |for_a_person| ClassTrouble { code: "ProviderNotReady", message: "no Secret".into(), for_a_person };
    let fine = SnapshotClassFacts { trouble: None, needed: None, orphans: None };
    assert_eq!(
        of(fine),
        ["Ready=True/ProviderReady", "Reconciling=False/ProviderReady", "Stalled=False/ProviderReady"]
    );
    let (person, passes) = (trouble(true), trouble(false));
    assert_eq!(
        of(SnapshotClassFacts { trouble: Some(&person), ..fine }),
        ["Ready=False/ProviderNotReady", "Reconciling=False/ProviderNotReady", "Stalled=True/ProviderNotReady"]
    );
    assert_eq!(
        of(SnapshotClassFacts { trouble: Some(&passes), orphans: Some("s-1"), ..fine }),
        [
            "Ready=False/ProviderNotReady",
            "Reconciling=True/ProviderNotReady",
            "Stalled=False/ProviderNotReady",
            "Orphans=True/Found"
        ]
    );
    let deleted = snapshot_class(
        &[],
        SnapshotClassFacts { needed: Some(Needed { snapshots: 3, updates: 1 }), ..fine },
        Some(1),
        at(5),
    );
    assert_eq!(short(&deleted)[1], "Reconciling=True/SnapshotsExist");
    assert!(deleted[1].message.ends_with("delete: 3, node updates in work: 1"), "{}", deleted[1].message);
}
