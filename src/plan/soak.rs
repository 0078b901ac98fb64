//! The soak: a ring is watched after its last node before the next ring opens.

use super::fleet::SoakSeen;
use crate::api::{RingState, RingStatus};
use jiff::Timestamp;

/// What a soak has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SoakVerdict {
    /// Through: the ring may be promoted.
    Passed,
    /// Goes on.
    Soaking(SoakState),
    /// The probes have failed too often in a row.
    Failed(SoakState),
}

/// Where a soak stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoakState {
    /// How often in a row the probes have failed.
    pub failures: i32,
    /// What failed the last time.
    pub failure: Option<String>,
    /// When the next probing is due; now, or in the past, means at once.
    pub probe_at: Timestamp,
}

/// Judges the soak of a ring whose last node update ended at `started`.
///
/// The ring has passed when its time is over and a probing made *after* that found nothing wrong. So a ring is never
/// promoted on what was true before the operator slept, and never while its probes fail.
pub fn judge(ring: &RingStatus, started: Timestamp, seen: &SoakSeen<'_>, now: Timestamp) -> SoakVerdict {
    let soak = &ring.revision.ring.soak;
    if soak.duration.get().is_zero() {
        return SoakVerdict::Passed;
    }
    let ends = after(started, soak.duration.get());
    let fresh = seen.fresh.filter(|fresh| fresh.ring == ring.name && fresh.at >= started);
    let (failures, failure) = match fresh {
        Some(fresh) if fresh.failures.is_empty() => (0, None),
        Some(fresh) => (before(ring).0.saturating_add(1), first_failure(&fresh.failures)),
        None => before(ring),
    };
    let probed_at = fresh.map(|fresh| fresh.at).max(seen.probed_at).filter(|at| *at >= started);
    if failures == 0 && now >= ends && probed_at.is_some_and(|at| at >= ends) {
        return SoakVerdict::Passed;
    }
    let state = SoakState { failures, failure, probe_at: next_probe(probed_at, started, ends, soak.interval.get()) };
    if failures >= soak.failure_threshold { SoakVerdict::Failed(state) } else { SoakVerdict::Soaking(state) }
}

/// The failures in a row, as recorded. A ring that was not soaking has none.
fn before(ring: &RingStatus) -> (i32, Option<String>) {
    match ring.state {
        RingState::Soaking => (ring.soak_failures, ring.soak_failure.clone()),
        RingState::Waiting | RingState::Running | RingState::Promoted | RingState::Halted => (0, None),
    }
}

/// Every interval, and once when the soak's time is over.
fn next_probe(
    probed_at: Option<Timestamp>,
    started: Timestamp,
    ends: Timestamp,
    interval: std::time::Duration,
) -> Timestamp {
    match probed_at {
        None => started,
        Some(at) if at < ends => after(at, interval).min(ends),
        Some(at) => after(at, interval),
    }
}

/// Names the first failing node, and how many more there are.
fn first_failure(failures: &[(String, String)]) -> Option<String> {
    let (node, message) = failures.iter().min()?;
    let nodes: std::collections::BTreeSet<_> = failures.iter().map(|(node, _)| node).collect();
    Some(match nodes.len() {
        1 => format!("{node}: {message}"),
        n => format!("{node}: {message} (and {} more nodes)", n - 1),
    })
}

fn after(at: Timestamp, duration: std::time::Duration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}
