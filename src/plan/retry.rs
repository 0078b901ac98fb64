//! When a step that failed in a way that may pass is tried again.

use crate::domain::StepKey;
use std::time::Duration;

/// First wait, doubled with each attempt.
const BASE: Duration = Duration::from_secs(5);
/// Longest wait: a busy update service is asked at least this often.
const CAP: Duration = Duration::from_mins(5);

/// How long to wait after this attempt failed.
///
/// Exponential, with up to a quarter more that the key alone decides: many nodes do not ask again in the same second,
/// and the same node waits the same time after a restart of the operator.
pub fn backoff(failed: &StepKey) -> Duration {
    let doubled = BASE.saturating_mul(1 << failed.attempt.saturating_sub(1).min(10)).min(CAP);
    let jitter = failed.digest().bytes().next_back().map_or(0, |b| u32::from(b) % 16);
    doubled + doubled * jitter / 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Step;

    #[test]
    fn waits_grow_and_are_bounded() {
        let wait = |attempt| backoff(&StepKey { node_update_uid: "u".into(), step: Step::Stage, round: 1, attempt });
        assert!(wait(1) >= BASE && wait(1) < wait(3));
        assert!(wait(60) <= CAP + CAP / 4);
        assert_eq!(wait(2), wait(2));
    }
}
