//! Checks a decision about one node: a second opinion that shares no code with the step machine.
//!
//! It reads the log in the plainest way. A decision with a violation must not be acted on: the node stays as it is, and
//! people are told.

use crate::api::{Outcome, Step, StepDetail, StepPhase, StepRecord, UpdatePolicySpec};
use crate::plan::node::{Decision, Observed};
use std::time::Duration;

/// The invariants of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Nothing is installed, and nothing restored, without a snapshot that is on record with its handle.
    NoSnapshot,
    /// The Windows version stays the same.
    FeatureUpgrade,
    /// Nobody reverts a machine that was not changed: noise before an installation never leads to a restore.
    NeedlessRevert,
    /// A changed machine goes back into service only after it was verified, as updated or as restored.
    UnverifiedReturn,
    /// `Updated` means verified after the last installation and the last reboot.
    UnverifiedUpdate,
    /// `Reverted` means restored, and verified after that.
    UnverifiedRevert,
    /// A node that was claimed is back in service, or held, when its update ends.
    LeftHalfway,
    /// An end that is not as intended says why.
    NoReason,
    /// No wait is longer than the longest time that the policy gives a step.
    NoDeadline,
}

/// Longest time of what the policy gives no time for: single writes, and the look before.
const WITHOUT_POLICY: Duration = Duration::from_mins(5);

/// Checks a decision; one with violations must not be acted on.
pub fn lint(seen: &Observed<'_>, decision: &Decision) -> Vec<Rule> {
    let mut log: Vec<&StepRecord> = seen.history.records().iter().collect();
    let ended = match decision {
        Decision::Begin { ended, .. } | Decision::Wait { ended, .. } | Decision::Done { ended, .. } => ended.as_slice(),
        Decision::Run(_) => &[],
    };
    log.extend(ended);
    let log = Log(log);
    let checks: Vec<(Rule, bool)> = match decision {
        Decision::Begin { key, .. } | Decision::Run(key) => vec![
            (Rule::NoSnapshot, matches!(key.step, Step::Install | Step::Restore) && !log.has_snapshot()),
            (Rule::FeatureUpgrade, key.step == Step::Install && !seen.intent.from.same_os(seen.intent.to)),
            (Rule::NeedlessRevert, key.step == Step::Restore && log.changed().is_none()),
            (Rule::UnverifiedReturn, key.step == Step::Uncordon && !log.is_fit()),
        ],
        Decision::Wait { after, .. } => vec![(Rule::NoDeadline, *after > longest(&seen.intent.policy))],
        Decision::Done { outcome, reason, .. } => vec![
            (Rule::UnverifiedUpdate, *outcome == Outcome::Updated && !log.verified_update()),
            (Rule::UnverifiedRevert, *outcome == Outcome::Reverted && !log.verified_revert()),
            (Rule::LeftHalfway, !log.given_back(*outcome)),
            (Rule::NoReason, *outcome != Outcome::Updated && reason.message.is_empty()),
        ],
    };
    checks.into_iter().filter(|(_, broken)| *broken).map(|(rule, _)| rule).collect()
}

/// The longest time that any step may take.
fn longest(policy: &UpdatePolicySpec) -> Duration {
    let mut times = vec![WITHOUT_POLICY, policy.drain.timeout.get(), policy.verify.timeout.get()];
    if let Some(in_place) = &policy.strategy.in_place {
        let (install, snapshot) = (&in_place.install, &in_place.snapshot);
        let spans = [install.stage_timeout, install.timeout, install.reboot_timeout, snapshot.timeout];
        times.extend(spans.map(crate::api::Span::get));
        times.push(snapshot.restore_timeout.get());
    }
    times.into_iter().max().unwrap_or(WITHOUT_POLICY)
}

/// A log with what is about to be written: the end of a record stands behind its beginning, not in its place.
struct Log<'a>(Vec<&'a StepRecord>);

impl Log<'_> {
    /// Place of the last record that fits.
    fn last(&self, fits: impl Fn(&StepRecord) -> bool) -> Option<usize> {
        self.0.iter().rposition(|record| fits(record))
    }

    fn last_success(&self, step: Step) -> Option<usize> {
        self.last(|record| record.step == step && record.phase == StepPhase::Succeeded)
    }

    fn has_snapshot(&self) -> bool {
        let taken = |record: &&StepRecord| record.step == Step::Snapshot && record.phase == StepPhase::Succeeded;
        self.0.iter().any(|record| taken(record) && record.handle.as_ref().is_some_and(|handle| !handle.is_empty()))
    }

    /// Place of the last installation that changed the machine, or may have.
    fn changed(&self) -> Option<usize> {
        let unchanged = [StepDetail::Untouched, StepDetail::NotOffered, StepDetail::RebootFirst];
        let harmless = |record: &StepRecord| {
            record.phase == StepPhase::Failed && record.detail.is_some_and(|detail| unchanged.contains(&detail))
        };
        let at = |record: &StepRecord| (record.round, record.attempt);
        self.last(|record| {
            let ended = |end: &&&StepRecord| end.step == Step::Install && at(end) == at(record) && harmless(end);
            record.step == Step::Install && !harmless(record) && !self.0.iter().any(|end| ended(&end))
        })
    }

    /// Whether the machine may take work: it is as it was, or was verified since.
    fn is_fit(&self) -> bool {
        self.changed().is_none_or(|changed| {
            let verified = self.last_success(Step::Verify).max(self.last_success(Step::VerifyRestored));
            verified.is_some_and(|verified| verified > changed)
        })
    }

    fn verified_update(&self) -> bool {
        let work = self.last(|record| matches!(record.step, Step::Install | Step::Reboot));
        self.last_success(Step::Verify) > work && self.last_success(Step::Install).is_some()
    }

    fn verified_revert(&self) -> bool {
        let restored = self.last_success(Step::Restore);
        restored.is_some() && self.last_success(Step::VerifyRestored) > restored
    }

    /// Whether a node that was claimed is accounted for.
    fn given_back(&self, outcome: Outcome) -> bool {
        let Some(claimed) = self.last(|record| record.step == Step::Cordon) else { return true };
        match outcome {
            Outcome::NodeGone => true,
            Outcome::Held => self.0.last().is_some_and(|record| record.step == Step::Hold),
            _ => self.last_success(Step::Uncordon).is_some_and(|back| back > claimed),
        }
    }
}

#[cfg(test)]
mod tests;
