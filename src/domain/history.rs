//! The log of a node update, parsed: what was begun, what ended, and how.

use super::{Expiry, StepKey};
use crate::api::{Step, StepDetail, StepPhase, StepRecord};
use jiff::Timestamp;

/// Most records a log may have; the schema has the same bound.
pub const MAX_RECORDS: usize = 128;

/// In place of the boot id before an installation: it needs no reboot, so any boot is the one after it.
pub const NO_REBOOT: &str = "";

/// The log of a node update, oldest record first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    records: Vec<StepRecord>,
}

/// A log that the controller would never write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// Too many records.
    #[error("status.steps: {0} records, at most {MAX_RECORDS} are ever written")]
    TooLong(usize),
    /// A record contradicts itself or its place.
    #[error("status.steps[{at}]: {what}")]
    Record {
        /// Index of the record.
        at: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl History {
    /// Parses the log of `status.steps`.
    ///
    /// # Errors
    /// [`HistoryError`], naming the record.
    pub fn parse(records: &[StepRecord]) -> Result<Self, HistoryError> {
        if records.len() > MAX_RECORDS {
            return Err(HistoryError::TooLong(records.len()));
        }
        for (at, record) in records.iter().enumerate() {
            let refuse = |what| Err(HistoryError::Record { at, what });
            let ended = record.phase != StepPhase::Started;
            if !ended && at + 1 < records.len() {
                return refuse("a step was begun before this one ended");
            }
            if ended != record.finished_at.is_some() {
                return refuse("finishedAt belongs to a step that has ended, and only to it");
            }
            if record.finished_at.as_ref().is_some_and(|end| end.0 < record.started_at.0) {
                return refuse("it ended before it began");
            }
            if !(0..=64).contains(&record.round) || !(1..=64).contains(&record.attempt) {
                return refuse("round or attempt out of range");
            }
            if matches!(record.step, Step::Install | Step::Restore) && snapshot_handle(&records[..at]).is_none() {
                return refuse("no snapshot was taken before it");
            }
        }
        Ok(Self { records: records.to_vec() })
    }

    /// All records, oldest first.
    pub fn records(&self) -> &[StepRecord] {
        &self.records
    }

    /// The last record.
    pub fn last(&self) -> Option<&StepRecord> {
        self.records.last()
    }

    /// The record of the step in work, if one is.
    pub fn open(&self) -> Option<&StepRecord> {
        self.last().filter(|r| r.phase == StepPhase::Started)
    }

    /// The last record of this step that succeeded.
    pub fn succeeded(&self, step: Step) -> Option<&StepRecord> {
        self.records.iter().rev().find(|r| r.step == step && r.phase == StepPhase::Succeeded)
    }

    /// Handle of the snapshot to restore from.
    pub fn snapshot_handle(&self) -> Option<&str> {
        snapshot_handle(&self.records)
    }

    /// When the disk as it was staged is not let in any more by cluster or domain, as the record of `Stage` keeps it.
    pub fn identity_expiry(&self) -> Option<Expiry> {
        self.succeeded(Step::Stage)?.handle.as_deref()?.parse().ok()
    }

    /// When the way back was begun.
    pub fn restore_begun(&self) -> Option<Timestamp> {
        self.records.iter().find(|r| r.step == Step::Restore).map(|r| r.started_at.0)
    }

    /// Whether the agent installs in this round, and so reboots by itself when it is through.
    pub fn installs_in(&self, round: u32) -> bool {
        self.records.iter().any(|r| r.step == Step::Install && number(r.round) == round)
    }

    /// The boot id that the node had before this round's reboot, as the records keep it: when the last attempt to
    /// install was begun, or where nothing is installed in this round, when the reboot was.
    pub fn boot_id_before(&self, round: u32) -> Option<&str> {
        let of = |step| self.records.iter().filter(move |r| r.step == step && number(r.round) == round);
        let carries = of(Step::Install).next_back().or_else(|| of(Step::Reboot).next());
        carries.and_then(|r| r.handle.as_deref())
    }

    /// Whether what was installed in this round needs no reboot, and none was made.
    pub fn installed_without_reboot(&self, round: u32) -> bool {
        let install = self.records.iter().rev().find(|r| r.step == Step::Install && number(r.round) == round);
        install.is_some_and(|r| r.phase == StepPhase::Succeeded && r.handle.as_deref() == Some(NO_REBOOT))
    }

    /// Whether the node was claimed: from here on it must be given back.
    pub fn touched_node(&self) -> bool {
        self.records.iter().any(|r| r.step == Step::Cordon)
    }

    /// Whether the agent may have left something on the machine: it was asked to stage, and no update went well to its
    /// end since. (At a good end it takes its things off by itself; a restore brings back the disk on which it had them.)
    pub fn agent_left_things(&self) -> bool {
        let asked = self.records.iter().any(|r| r.step == Step::Stage);
        asked && (self.succeeded(Step::Verify).is_none() || self.failure().is_some_and(|r| self.is_after_verify(r)))
    }

    /// Whether this failure came after the last verification that passed.
    fn is_after_verify(&self, failure: &StepRecord) -> bool {
        self.succeeded(Step::Verify).is_some_and(|verified| failure.started_at.0 > verified.started_at.0)
    }

    /// How many reboots were begun.
    pub fn reboots(&self) -> usize {
        let mut rounds: Vec<_> = self.records.iter().filter(|r| r.step == Step::Reboot).map(|r| r.round).collect();
        rounds.dedup();
        rounds.len()
    }

    /// The record with which the way back began: the last failure of a step on the way forth.
    pub fn failure(&self) -> Option<&StepRecord> {
        let forth = |s| !matches!(s, Step::Restore | Step::VerifyRestored | Step::Uncordon | Step::Hold);
        self.records.iter().rev().find(|r| r.phase == StepPhase::Failed && forth(r.step))
    }

    /// Whether a person ended it.
    pub fn aborted(&self) -> bool {
        self.records.iter().any(|r| r.detail == Some(StepDetail::Aborted))
    }

    /// When the first record was begun.
    pub fn started_at(&self) -> Option<Timestamp> {
        self.records.first().map(|r| r.started_at.0)
    }

    /// The log with these records at its end: an open last record of the same attempt is replaced by its end.
    #[must_use]
    pub fn with(&self, ended: &[StepRecord]) -> Self {
        let mut records = self.records.clone();
        for record in ended {
            let same = |r: &&mut StepRecord| {
                r.phase == StepPhase::Started
                    && (r.step, r.round, r.attempt) == (record.step, record.round, record.attempt)
            };
            match records.last_mut().filter(same) {
                Some(open) => *open = record.clone(),
                None => records.push(record.clone()),
            }
        }
        Self { records }
    }
}

/// The key of a record's attempt.
pub fn key_of(record: &StepRecord, node_update_uid: &str) -> StepKey {
    StepKey {
        node_update_uid: node_update_uid.to_owned(),
        step: record.step,
        round: number(record.round),
        attempt: number(record.attempt),
    }
}

fn snapshot_handle(records: &[StepRecord]) -> Option<&str> {
    let taken = |r: &&StepRecord| r.step == Step::Snapshot && r.phase == StepPhase::Succeeded;
    records.iter().rev().find(taken).and_then(|r| r.handle.as_deref())
}

/// A counter of the API, never negative once parsed.
fn number(counter: i32) -> u32 {
    u32::try_from(counter).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    fn record(step: Step, round: i32, handle: &str) -> StepRecord {
        StepRecord {
            step,
            phase: StepPhase::Failed,
            round,
            attempt: 1,
            started_at: MicroTime(Timestamp::UNIX_EPOCH),
            finished_at: Some(MicroTime(Timestamp::UNIX_EPOCH)),
            detail: None,
            handle: Some(handle.to_owned()),
            message: String::new(),
        }
    }

    #[test]
    fn the_boot_before_a_reboot_is_that_of_the_last_attempt_to_install() {
        let records = [
            record(Step::Reboot, 0, "1"),
            record(Step::Install, 1, "2"),
            record(Step::Install, 1, "3"),
            record(Step::Reboot, 1, "4"),
        ];
        let history = History::default().with(&records);
        assert_eq!(history.boot_id_before(0), Some("1"), "nothing is installed in round 0");
        assert_eq!(history.boot_id_before(1), Some("3"), "the record of the reboot may be of the boot after it");
        assert_eq!(history.boot_id_before(2), None);
    }
    #[test]
    fn the_agent_takes_its_things_off_by_itself_at_a_good_end_only() {
        let at = |step, second: i64, phase| {
            let time = MicroTime(Timestamp::from_second(second).expect("a time"));
            StepRecord { phase, started_at: time, ..record(step, 1, "") }
        };
        let left = |records: &[StepRecord]| History::default().with(records).agent_left_things();
        let (good, bad) = (StepPhase::Succeeded, StepPhase::Failed);
        assert!(!left(&[at(Step::Preflight, 1, bad)]), "nobody asked it for anything");
        assert!(left(&[at(Step::Stage, 1, bad)]));
        assert!(left(&[at(Step::Stage, 1, good), at(Step::Drain, 2, bad)]));
        let verified = [at(Step::Stage, 1, good), at(Step::Install, 2, bad), at(Step::Verify, 3, good)];
        assert!(!left(&verified), "an attempt that failed on the way is no failure");
        let restored = [verified.as_slice(), &[at(Step::Reboot, 4, bad), at(Step::VerifyRestored, 5, good)]].concat();
        assert!(left(&restored), "the extra reboot broke it, and the old disk is back");
    }
}
