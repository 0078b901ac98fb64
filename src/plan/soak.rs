//! The soak: a ring is watched after its last node before the next ring opens.

use super::census::RingCensus;
use super::fleet::{Fleet, SoakObservation, SoakSeen};
use super::rollout::SoakProbe;
use crate::api::{FailingNode, RingState, RingStatus, Soak};
use crate::domain::NodeState;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// On how many nodes in turn a probing makes the probes that need a pod, at least.
const IN_TURN: usize = 20;
/// How many failing nodes are remembered: the schema's bound.
const MAX_FAILING: usize = 16;

/// What a soak has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SoakVerdict {
    /// Through: the ring may be promoted. Where it soaks at all, how it stands should it go on.
    Passed(Option<SoakState>),
    /// Goes on.
    Soaking(SoakState),
    /// The probes have failed too often in a row.
    Failed(SoakState),
}

/// Where a soak stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoakState {
    /// How often in a row the probes have failed, of the node that failed most often.
    pub failures: i32,
    /// The nodes that have failed, those that failed most often first.
    pub failing: Vec<FailingNode>,
    /// What failed the last time.
    pub failure: Option<String>,
    /// When the next probing is due; now, or in the past, means at once.
    pub probe_at: Timestamp,
}

/// Judges the soak of a ring whose last node update ended at `started`.
///
/// The ring has passed when its time is over and a probing made *after* that found nothing wrong. So a ring is never
/// promoted on what was true before the operator slept, and never while its probes fail.
///
/// Failures are counted for each node: one that was not probed in full has neither failed nor passed. `there` are the
/// nodes that the ring has updated and that are there to be probed; one that is gone, or in another rollout's work, is not
/// waited for.
pub fn judge(
    ring: &RingStatus,
    started: Timestamp,
    (seen, there): (&SoakSeen<'_>, &[&NodeState]),
    now: Timestamp,
) -> SoakVerdict {
    let soak = &ring.revision.ring.soak;
    if soak.duration.get().is_zero() {
        return SoakVerdict::Passed(None);
    }
    let ends = after(started, soak.duration.get());
    let fresh = seen.fresh.filter(|fresh| fresh.ring == ring.name && fresh.at >= started);
    let (failing, failure) = match fresh {
        Some(fresh) => counted(ring, fresh, there),
        None => before(ring),
    };
    let failures = failing.first().map_or(0, |worst| worst.times);
    let probed_at = fresh.map(|fresh| fresh.at).max(seen.probed_at).filter(|at| *at >= started);
    let next = next_probe(probed_at, started, ends, soak.interval.get());
    let state = SoakState { failures, failing, failure, probe_at: next };
    if failures == 0 && now >= ends && probed_at.is_some_and(|at| at >= ends) {
        return SoakVerdict::Passed(Some(state));
    }
    if failures >= soak.failure_threshold { SoakVerdict::Failed(state) } else { SoakVerdict::Soaking(state) }
}

/// The failing nodes and what failed, as recorded. A ring that was not soaking has none.
fn before(ring: &RingStatus) -> (Vec<FailingNode>, Option<String>) {
    match ring.state {
        RingState::Soaking => (ring.soak_failing.clone(), ring.soak_failure.clone()),
        RingState::Waiting | RingState::Running | RingState::Promoted | RingState::Halted => (Vec::new(), None),
    }
}

/// The failing nodes after a probing, and what the worst of them said.
fn counted(ring: &RingStatus, fresh: &SoakObservation, there: &[&NodeState]) -> (Vec<FailingNode>, Option<String>) {
    let known: BTreeMap<_, _> = before(ring).0.into_iter().map(|failing| (failing.node, failing.times)).collect();
    let failed: BTreeSet<&String> = fresh.failures.iter().map(|(node, _)| node).collect();
    let is_there: BTreeSet<&str> = there.iter().map(|node| node.node.name.as_str()).collect();
    let again = failed.iter().map(|node| (*node, known.get(*node).copied().unwrap_or(0).saturating_add(1)));
    let unseen = known.iter().filter(|(node, _)| !failed.contains(node) && !fresh.passed.contains(*node));
    let unseen = unseen.filter(|(node, _)| is_there.contains(node.as_str())).map(|(node, times)| (node, *times));
    let mut failing: Vec<_> =
        again.chain(unseen).map(|(node, times)| FailingNode { node: node.clone(), times }).collect();
    failing.sort_unstable_by(|a, b| (b.times, &a.node).cmp(&(a.times, &b.node)));
    let failure = worst_failure(&failing, fresh).or_else(|| before(ring).1.filter(|_| !failing.is_empty()));
    failing.truncate(MAX_FAILING);
    (failing, failure)
}

/// Names the node that failed most often, what failed there, and how many more nodes there are.
fn worst_failure(failing: &[FailingNode], fresh: &SoakObservation) -> Option<String> {
    let of = |node: &str| fresh.failures.iter().filter(|(failed, _)| failed == node).min();
    let (node, message) = failing.iter().find_map(|worst| of(&worst.node))?;
    Some(match failing.len() {
        1 => format!("{node}: {message}"),
        n => format!("{node}: {message} (and {} more nodes)", n - 1),
    })
}

/// The probing of a ring that is due, if there is anything to be probed.
pub(super) fn probe<'a>(fleet: &Fleet<'a>, census: &[RingCensus<'a>], place: usize) -> Option<SoakProbe<'a>> {
    let ring = fleet.status.rings.get(place)?;
    let mut nodes = census.get(place)?.watched.clone();
    nodes.sort_unstable_by_key(|node| &node.node.name);
    let deep = deep(ring, &nodes, &fleet.soak);
    (!nodes.is_empty()).then_some(SoakProbe { ring: &ring.name, revision: &ring.revision, nodes, deep })
}

/// The nodes on which the probes that need a pod are made: first those that have failed, then some in turn, so many that
/// each comes up at least once in the soak.
fn deep<'a>(ring: &RingStatus, nodes: &[&'a NodeState], seen: &SoakSeen<'_>) -> Vec<&'a NodeState> {
    let failing: BTreeSet<_> = before(ring).0.into_iter().map(|failing| failing.node).collect();
    let (mut deep, others): (Vec<_>, Vec<_>) = nodes.iter().copied().partition(|n| failing.contains(&n.node.name));
    let in_turn = in_turn(&ring.revision.ring.soak, nodes.len());
    let (before, next): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|node| seen.turn.is_some_and(|last| node.node.name.as_str() <= last));
    deep.extend(next.into_iter().chain(before).take(in_turn));
    deep
}

fn in_turn(soak: &Soak, nodes: usize) -> usize {
    let probings = soak.duration.get().as_secs() / soak.interval.get().as_secs().max(1);
    nodes.div_ceil(usize::try_from(probings).unwrap_or(usize::MAX).max(1)).max(IN_TURN)
}

/// Every interval, and once when the soak's time is over. One that is no longer than an interval is probed at its end
/// only: the nodes were verified as it began, and nobody asked for more.
fn next_probe(
    probed_at: Option<Timestamp>,
    started: Timestamp,
    ends: Timestamp,
    interval: std::time::Duration,
) -> Timestamp {
    match probed_at {
        None if after(started, interval) >= ends => ends,
        None => started,
        Some(at) if at < ends => after(at, interval).min(ends),
        Some(at) => after(at, interval),
    }
}

fn after(at: Timestamp, duration: std::time::Duration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}
