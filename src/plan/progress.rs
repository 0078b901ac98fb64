//! How long nodes take, from the times measured in this rollout, and about how long is left.

use super::budget::max_unavailable;
use super::census::RingCensus;
use super::fleet::{Fleet, UpdateSeen};
use super::window::Need;
use crate::api::{Outcome, RingState, RingStatus, Span};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// What a node and its revert are taken to need while nothing was measured: twice 45 minutes. Published times of one
/// patched Windows instance are about 30 minutes (AWS Managed Services), of a rollback three quarters of the update.
const GUESS: Duration = Duration::from_mins(2 * 45);

/// Median time of the node updates that ended as intended, from first step to last.
pub fn median_time<'a>(updates: impl IntoIterator<Item = &'a UpdateSeen>) -> Option<Duration> {
    let mut times: Vec<Duration> = updates.into_iter().filter_map(time).collect();
    let middle = times.len().checked_sub(1)? / 2;
    Some(*times.select_nth_unstable(middle).1)
}

/// The same of the nodes that were updated by the policy of this ring: another one may let nodes settle for hours, or drain
/// them for as long.
pub fn median_time_by_policy(fleet: &Fleet<'_>, ring: &RingStatus) -> Option<Duration> {
    let same = |other: &&RingStatus| other.revision.policy == ring.revision.policy;
    let rings: BTreeSet<_> = fleet.status.rings.iter().filter(same).map(|ring| ring.name.as_str()).collect();
    median_time(fleet.updates.iter().filter(|update| rings.contains(update.ring.as_str())))
}

fn time(update: &UpdateSeen) -> Option<Duration> {
    if update.outcome != Some(Outcome::Updated) {
        return None;
    }
    Duration::try_from(update.ended_at?.duration_since(update.started_at?)).ok()
}

/// How much of a window a node needs. A revert is taken to need as long as the update: it too ends with a boot and the
/// same probes.
pub fn need(median: Option<Duration>) -> Need {
    median.map_or(Need::Guess(GUESS), |time| Need::Measured(time * 2))
}

/// About how long the rollout will take from now, in words; `None` as long as nothing was measured.
///
/// What is left in each ring goes in batches of its budget, each as long as the median node; then the ring soaks.
/// Maintenance windows and pauses are not foreseen. Rounded, so that the text does not change with every pass.
pub fn eta(fleet: &Fleet<'_>, census: &[RingCensus<'_>], states: &[RingState], now: Timestamp) -> Option<String> {
    let node = median_time(fleet.updates)?;
    let rings = fleet.status.rings.iter().zip(census).zip(states);
    let left = rings.map(|((ring, census), state)| ring_left(ring, census, *state, node, now)).sum();
    Some(format!("about {}", rounded(left)))
}

fn ring_left(ring: &RingStatus, census: &RingCensus<'_>, state: RingState, node: Duration, now: Timestamp) -> Duration {
    let soak = ring.revision.ring.soak.duration.get();
    match state {
        RingState::Promoted | RingState::Halted => Duration::ZERO,
        RingState::Soaking => {
            let soaked = census.last_end.and_then(|end| Duration::try_from(now.duration_since(end)).ok());
            soak.saturating_sub(soaked.unwrap_or_default())
        }
        RingState::Waiting | RingState::Running => {
            let nodes = census.pending.len() + census.in_work;
            let at_once = max_unavailable(ring.revision.ring.batch.max_unavailable, census.present).max(1);
            let batches = u32::try_from(nodes.div_ceil(at_once)).unwrap_or(u32::MAX);
            node.saturating_mul(batches).saturating_add(soak)
        }
    }
}

/// Rounds up: to a minute below ten, to five below two hours, to half an hour below a day, then to whole hours.
fn rounded(time: Duration) -> String {
    let minutes = time.as_secs().div_ceil(60).max(1);
    let grain = match minutes {
        0..10 => 1,
        10..120 => 5,
        120..1440 => 30,
        _ => 60,
    };
    Span::from_mins(minutes.next_multiple_of(grain)).to_string()
}
