//! Records of the log: how one is begun, and how it is closed.

use crate::api::{Step, StepDetail, StepPhase, StepRecord};
use crate::domain::StepKey;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::time::Duration;

/// Longest message of a record; the schema has the same bound.
const MAX_MESSAGE: usize = 512;

/// A fresh record of a step's first attempt.
pub(super) fn record(step: Step, round: i32, now: Timestamp) -> StepRecord {
    StepRecord {
        step,
        phase: StepPhase::Started,
        round,
        attempt: 1,
        started_at: MicroTime(now),
        finished_at: None,
        detail: None,
        handle: None,
        message: String::new(),
    }
}

/// The record of a step that has begun; `boot_id` is kept where a reboot follows, to know the next boot by, and where the
/// node goes back into service, to know by which boot it did.
pub fn begun(key: &StepKey, boot_id: Option<&str>, now: Timestamp) -> StepRecord {
    let number = |n| i32::try_from(n).unwrap_or(i32::MAX);
    let keeps = matches!(key.step, Step::Install | Step::Reboot | Step::Uncordon);
    let handle = boot_id.filter(|_| keeps).map(str::to_owned);
    StepRecord { attempt: number(key.attempt), handle, ..record(key.step, number(key.round), now) }
}

pub(super) fn close(
    open: &StepRecord,
    phase: StepPhase,
    detail: Option<StepDetail>,
    message: &str,
    now: Timestamp,
) -> StepRecord {
    let finished_at = Some(MicroTime(now.max(open.started_at.0)));
    StepRecord { phase, detail, finished_at, message: cut(message), ..open.clone() }
}

pub(super) fn cut(message: &str) -> String {
    message.chars().take(MAX_MESSAGE).collect()
}

/// How long a step has been under way.
pub(super) fn elapsed(open: &StepRecord, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(open.started_at.0)).unwrap_or_default()
}
