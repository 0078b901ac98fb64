//! The conditions of NodeUpdates and UpdateRollouts: computed in one place, from facts, at the end of a pass.
//!
//! `Ready`, `Reconciling` and `Stalled` are what kstatus reads: `Ready` is only ever a summary, and `Stalled` means that
//! nothing goes on until a person does something. A condition's `lastTransitionTime` moves only when its status flips.

use super::report::ReasonCode;
use super::stall::Stalled;
use crate::api::{ApprovalState, Outcome, RolloutState, Step, StepPhase, StepRecord};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What the conditions of a NodeUpdate are made of.
#[derive(Clone, Copy, Debug)]
pub struct NodeUpdateFacts<'a> {
    /// The log.
    pub steps: &'a [StepRecord],
    /// How it ended: outcome, the reason's CamelCase code, and the sentence.
    pub ended: Option<(Outcome, &'a str, &'a str)>,
    /// What it waits for.
    pub waiting_on: Option<&'a str>,
    /// Whether a person has released it, if it was held.
    pub released: bool,
}

/// What the conditions of an UpdateRollout are made of.
#[derive(Clone, Copy, Debug)]
pub struct RolloutFacts<'a> {
    /// Where it stands.
    pub state: RolloutState,
    /// Why it stands there.
    pub reason: Option<&'a str>,
    /// Why it can not go on until a person changes something.
    pub stalled: Option<&'a Stalled>,
    /// Whether it has ended: no node is in work any more.
    pub ended: bool,
}

/// Why the provider of a SnapshotClass can not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassTrouble {
    /// CamelCase code.
    pub code: &'static str,
    /// In words.
    pub message: String,
    /// Whether it stays so until a person does something.
    pub for_a_person: bool,
}

/// What a SnapshotClass is needed for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// How many snapshots are to be deleted through it.
    pub snapshots: usize,
    /// How many node updates in work take their snapshot through it, and would be restored through it.
    pub updates: usize,
}

impl Needed {
    /// Whether anything needs it.
    pub fn is_any(self) -> bool {
        self != Self::default()
    }
}

/// What the conditions of a SnapshotClass are made of.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotClassFacts<'a> {
    /// Why its provider can not work.
    pub trouble: Option<&'a ClassTrouble>,
    /// Where a person has deleted it: what keeps it.
    pub needed: Option<Needed>,
    /// What there is to say about orphans.
    pub orphans: Option<&'a str>,
}

/// One condition before its time is known.
struct Draft<'a> {
    type_: &'static str,
    status: bool,
    reason: &'a str,
    message: &'a str,
}

/// The conditions of a NodeUpdate; `seen` are those it has.
pub fn node_update(
    seen: &[Condition],
    facts: NodeUpdateFacts<'_>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let mut drafts = node_update_summary(facts);
    let phases = [
        ("Drained", [Step::Drain].as_slice()),
        ("SnapshotTaken", &[Step::Snapshot]),
        ("Verified", &[Step::Verify]),
        ("Reverted", &[Step::Restore, Step::VerifyRestored]),
    ];
    drafts.extend(phases.iter().filter_map(|(type_, steps)| of_steps(type_, steps, facts.steps)));
    drafts.into_iter().map(|draft| condition(seen, &draft, generation, now)).collect()
}

fn node_update_summary(facts: NodeUpdateFacts<'_>) -> Vec<Draft<'_>> {
    let Some((outcome, code, message)) = facts.ended else {
        let doing = facts.waiting_on.unwrap_or("at work");
        return vec![
            draft("Ready", false, "InProgress", doing),
            draft("Reconciling", true, facts.steps.last().map_or("Pending", |r| step_name(r.step)), doing),
            draft("Stalled", false, "InProgress", ""),
        ];
    };
    let held = outcome == Outcome::Held && !facts.released;
    let stalled_code = if held { code } else { "Ended" };
    vec![
        draft("Ready", outcome == Outcome::Updated, code, message),
        draft("Reconciling", false, "Ended", ""),
        draft("Stalled", held, stalled_code, if held { message } else { "" }),
    ]
}

/// The condition that tells how far `steps` (in their order) are; none before the first of them was begun.
fn of_steps<'a>(type_: &'static str, steps: &[Step], log: &'a [StepRecord]) -> Option<Draft<'a>> {
    let record = log.iter().rev().find(|r| steps.contains(&r.step))?;
    let through = steps.last() == Some(&record.step);
    let (status, reason) = match record.phase {
        StepPhase::Succeeded if through => (true, ReasonCode::Succeeded.as_str()),
        StepPhase::Started | StepPhase::Succeeded => (false, "InProgress"),
        StepPhase::Failed => (false, ReasonCode::of_failed(record.step).as_str()),
    };
    Some(draft(type_, status, reason, &record.message))
}

/// The conditions of an UpdateRollout; `seen` are those it has.
pub fn rollout(seen: &[Condition], facts: RolloutFacts<'_>, generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let state = rollout_state(facts.state);
    let why = facts.reason.unwrap_or_default();
    let completed = facts.state == RolloutState::Completed;
    let reconciling = match facts.state {
        RolloutState::Pending | RolloutState::Running | RolloutState::Soaking => true,
        // Nodes in work are brought to an end; a person's pause is no work.
        RolloutState::Halted | RolloutState::Aborted => !facts.ended,
        RolloutState::Paused | RolloutState::Completed | RolloutState::Stalled => false,
    };
    // What was aborted ends without having been done: to kstatus that is a failure, and whoever waits for it may stop.
    let aborted = facts.state == RolloutState::Aborted && facts.ended;
    let otherwise = draft("Stalled", aborted, state, if aborted { why } else { "" });
    let stalled = facts.stalled.map_or(otherwise, |s| Draft {
        type_: "Stalled",
        status: true,
        reason: s.code.as_str(),
        message: &s.message,
    });
    let drafts = [
        draft("Ready", completed, state, why),
        draft("Reconciling", reconciling, state, if reconciling { why } else { "" }),
        stalled,
    ];
    drafts.iter().map(|draft| condition(seen, draft, generation, now)).collect()
}

/// The conditions of an UpdateApproval; `seen` are those it has.
pub fn approval(
    seen: &[Condition],
    (state, message): (ApprovalState, &str),
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let reason = match state {
        ApprovalState::Waiting => "Waiting",
        ApprovalState::Used => "Used",
        ApprovalState::Refused => "Refused",
    };
    let drafts = [
        draft("Ready", state == ApprovalState::Used, reason, message),
        draft("Reconciling", state == ApprovalState::Waiting, reason, ""),
        draft("Stalled", state == ApprovalState::Refused, reason, ""),
    ];
    drafts.iter().map(|draft| condition(seen, draft, generation, now)).collect()
}

/// The conditions of a SnapshotClass; `seen` are those it has.
pub fn snapshot_class(
    seen: &[Condition],
    facts: SnapshotClassFacts<'_>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let (code, why) = facts.trouble.map_or(("ProviderReady", ""), |trouble| (trouble.code, &trouble.message));
    let passes = facts.trouble.filter(|trouble| !trouble.for_a_person);
    let kept = facts.needed.map(|Needed { snapshots, updates }| {
        format!("it goes when nothing needs it: snapshots that it is to delete: {snapshots}, node updates in work: {updates}")
    });
    let reconciling = match (&kept, passes) {
        (Some(kept), _) => draft("Reconciling", true, "SnapshotsExist", kept),
        (None, Some(trouble)) => draft("Reconciling", true, trouble.code, &trouble.message),
        (None, None) => draft("Reconciling", false, code, ""),
    };
    let stalled = facts.trouble.is_some_and(|trouble| trouble.for_a_person);
    let mut drafts = vec![
        draft("Ready", facts.trouble.is_none(), code, why),
        reconciling,
        draft("Stalled", stalled, code, if stalled { why } else { "" }),
    ];
    drafts.extend(facts.orphans.map(|orphans| draft("Orphans", true, "Found", orphans)));
    drafts.iter().map(|draft| condition(seen, draft, generation, now)).collect()
}

/// The state's CamelCase text, as conditions, events and metric labels have it.
pub fn rollout_state(state: RolloutState) -> &'static str {
    match state {
        RolloutState::Pending => "Pending",
        RolloutState::Running => "Running",
        RolloutState::Soaking => "Soaking",
        RolloutState::Paused => "Paused",
        RolloutState::Halted => "Halted",
        RolloutState::Completed => "Completed",
        RolloutState::Aborted => "Aborted",
        RolloutState::Stalled => "Stalled",
    }
}

/// The step's CamelCase text, as conditions and metric labels have it.
pub fn step_name(step: Step) -> &'static str {
    match step {
        Step::Preflight => "Preflight",
        Step::Stage => "Stage",
        Step::Cordon => "Cordon",
        Step::Drain => "Drain",
        Step::Snapshot => "Snapshot",
        Step::Install => "Install",
        Step::Reboot => "Reboot",
        Step::Verify => "Verify",
        Step::Restore => "Restore",
        Step::VerifyRestored => "VerifyRestored",
        Step::Uncordon => "Uncordon",
        Step::Hold => "Hold",
    }
}

fn draft<'a>(type_: &'static str, status: bool, reason: &'a str, message: &'a str) -> Draft<'a> {
    Draft { type_, status, reason, message }
}

fn condition(seen: &[Condition], draft: &Draft<'_>, generation: Option<i64>, now: Timestamp) -> Condition {
    let status = if draft.status { "True" } else { "False" };
    let since = seen
        .iter()
        .find(|c| c.type_ == draft.type_ && c.status == status)
        .map_or(Time(now), |c| c.last_transition_time.clone());
    Condition {
        type_: draft.type_.to_owned(),
        status: status.to_owned(),
        reason: draft.reason.to_owned(),
        message: draft.message.to_owned(),
        last_transition_time: since,
        observed_generation: generation,
    }
}

#[cfg(test)]
mod tests;
