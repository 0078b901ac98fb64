//! Which nodes start now, and where the rollout stands: one pure function over the facts.

use super::approve::closed;
use super::census::{self, RingCensus};
use super::fleet::{Fleet, UpdateSeen};
use super::gate::Hold;
use super::holds::{next_expiry, pausing};
use super::progress;
use super::ring::{Judged, judge_all, whole_second};
use super::rollout_report::{self, Story};
use super::soak;
use super::stall::{StallCode, Stalled};
use super::turn::Turn;
use crate::api::{
    ClosedGate, Counts, DesiredState, FailingNode, FrozenRing, Gate, PinnedSet, RingState, RingStatus, RolloutState,
    UpdateRolloutStatus,
};
use crate::domain::{Build, NodeState};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::time::Duration;

/// What is to be done now, and what is to be said.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Plan<'a> {
    /// Where the rollout stands.
    pub state: RolloutState,
    /// The ring in work.
    pub ring: Option<&'a str>,
    /// Where each ring stands, in the order of the rollout.
    pub rings: Vec<RingPlan<'a>>,
    /// Nodes by outcome, over all rings.
    pub counts: Counts,
    /// Nodes that start now, in this order. Nothing may start before the status of this plan is recorded.
    pub starts: Vec<Start<'a>>,
    /// The nodes of the open ring that could start but for what is said, by domain and name.
    pub waiting: Vec<Waiting<'a>>,
    /// The probing that is due now.
    pub probe: Option<SoakProbe<'a>>,
    /// Why the rollout stands where it stands, in one sentence of at most 1,024 characters.
    pub reason: Option<String>,
    /// About how long it will take (`about 40m`); empty as long as nothing was measured.
    pub eta: Option<String>,
    /// Why it can not go on until a person changes something.
    pub stalled: Option<Stalled>,
    /// The gate that only a person opens.
    pub gate: Option<ClosedGate>,
    /// Whether it has ended for good: completed, halted or aborted, and no node in work.
    pub ended: bool,
    /// When the next pass is due although nothing has happened.
    pub wake_at: Option<Timestamp>,
}

/// Where one ring stands.
#[derive(Clone, Debug, PartialEq)]
pub struct RingPlan<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it stands.
    pub state: RingState,
    /// Its nodes by outcome.
    pub counts: Counts,
    /// When its soak began.
    pub soak_started_at: Option<Timestamp>,
    /// What its probes found wrong, last time.
    pub soak_failure: Option<String>,
    /// How often in a row they have, of the node that failed most often.
    pub soak_failures: i32,
    /// The nodes whose probes have failed.
    pub soak_failing: Vec<FailingNode>,
}

/// One node that starts now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start<'a> {
    /// The node.
    pub node: &'a NodeState,
    /// Its ring.
    pub ring: &'a str,
    /// The ring and its policy, frozen.
    pub revision: &'a FrozenRing,
    /// The build it has.
    pub from: Build,
    /// The build it is to have.
    pub to: Build,
    /// What is installed.
    pub pinned: &'a PinnedSet,
    /// UID of the update that this rollout has made of the node before, where it is taken along once more.
    pub previous: Option<&'a str>,
}

/// One node that does not start now.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting<'a> {
    /// The node.
    pub node: &'a NodeState,
    /// What holds it back; its text is a sentence for users.
    pub on: Hold<'a>,
}

/// A probing that is due now.
#[derive(Clone, Debug, PartialEq)]
pub struct SoakProbe<'a> {
    /// The ring that soaks.
    pub ring: &'a str,
    /// The ring and its policy, frozen.
    pub revision: &'a FrozenRing,
    /// Its nodes that this rollout has updated, that are still there, and that no other rollout has in work, by name.
    pub nodes: Vec<&'a NodeState>,
    /// Those of them on which probes are made that need a pod: first those that failed the last time, then some in turn.
    pub deep: Vec<&'a NodeState>,
}

impl Plan<'_> {
    /// How long until a pass is due although nothing has happened: a probing, a soak's end, a window that opens.
    pub fn next_wake(&self, now: Timestamp) -> Option<Duration> {
        self.wake_at.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
    }

    /// The status that records this plan: `seen` with all that the planner decides put in its place. Conditions and
    /// `observedGeneration` are left as they are. An unchanged plan gives an unchanged status, whatever the time.
    #[must_use]
    pub fn status(&self, seen: &UpdateRolloutStatus, now: Timestamp) -> UpdateRolloutStatus {
        let now = Time(whole_second(now));
        let mut status = seen.clone();
        status.state = self.state;
        status.ring = self.ring.map(str::to_owned);
        status.counts = self.counts;
        status.eta.clone_from(&self.eta);
        status.reason.clone_from(&self.reason);
        status.gate.clone_from(&self.gate);
        for (status, plan) in status.rings.iter_mut().zip(&self.rings) {
            plan.record(status);
        }
        if self.state != RolloutState::Pending {
            status.started_at.get_or_insert_with(|| now.clone());
        }
        if self.ended {
            status.ended_at.get_or_insert(now);
        }
        status
    }
}

impl<'a> RingPlan<'a> {
    /// The ring as it was recorded.
    pub(super) fn recorded(ring: &'a RingStatus) -> Self {
        Self {
            name: &ring.name,
            state: ring.state,
            counts: ring.counts,
            soak_started_at: ring.soak_started_at.as_ref().map(|at| at.0),
            soak_failure: ring.soak_failure.clone(),
            soak_failures: ring.soak_failures,
            soak_failing: ring.soak_failing.clone(),
        }
    }

    fn record(&self, status: &mut RingStatus) {
        status.state = self.state;
        status.counts = self.counts;
        status.soak_started_at = self.soak_started_at.map(Time);
        status.soak_failure.clone_from(&self.soak_failure);
        status.soak_failures = self.soak_failures;
        status.soak_failing.clone_from(&self.soak_failing);
        if matches!(self.state, RingState::Waiting | RingState::Running) {
            // It was given for a ring that had soaked, with the nodes that it had then.
            status.promoted_by = None;
        }
    }
}

/// Plans one rollout: which nodes start now, and where it stands.
///
/// # Guarantees
/// Nothing but the arguments decides; the order of nodes and updates does not matter. A rollout that has ended
/// (`status.endedAt`) is given back as it was recorded, whatever becomes of its nodes. [`super::lint::lint`] finds
/// nothing wrong with a plan.
pub fn plan<'a>(fleet: &Fleet<'a>, now: Timestamp) -> Plan<'a> {
    if fleet.status.ended_at.is_some() {
        return settled(fleet);
    }
    let census = census::take(fleet);
    let ending = fleet.deleting || fleet.desired == DesiredState::Aborted;
    let mut rings = judge_all(fleet, &census, ending, now);
    let current = current(&rings);
    let mut state = state(fleet, &rings, ending, now);
    let soaks = current.and_then(|place| rings.get(place)).is_some_and(|ring| ring.plan.state == RingState::Soaking);
    let turn = current.map(|place| Turn::take(fleet, &census, place, (state, soaks), now)).unwrap_or_default();
    if let Some(ring) = current.and_then(|place| rings.get_mut(place)).filter(|_| state == RolloutState::Running) {
        ring.stalled = turn.stalled(&ring.plan);
        state = if ring.stalled.is_some() { RolloutState::Stalled } else { state };
    }
    let mut counts = total(&census);
    // Counted before it is made, so that one record says that the node before has ended and that this one starts.
    let open = current.and_then(|place| rings.get_mut(place)).map(|ring| &mut ring.plan.counts);
    open.into_iter().chain([&mut counts]).for_each(|counts| count_starts(counts, turn.starts.len()));
    let story =
        Story { fleet, census: &census, rings: &rings, current, waiting: &turn.waiting, starts: turn.starts.len() };
    let reason = rollout_report::reason(&story, state, now);
    let soaking = current.filter(|_| !ending && state != RolloutState::Halted);
    let probe_at = soaking.and_then(|place| rings.get(place)?.probe_at);
    let probe =
        soaking.filter(|_| probe_at.is_some_and(|at| at <= now)).and_then(|place| soak::probe(fleet, &census, place));
    let states: Vec<_> = rings.iter().map(|ring| ring.plan.state).collect();
    let ended = is_final(state) && !fleet.updates.iter().any(UpdateSeen::in_work);
    let gate = gate(fleet, &census, &rings, (state, ended));
    let going = matches!(state, RolloutState::Running | RolloutState::Soaking);
    Plan {
        state,
        ring: current.and_then(|place| Some(rings.get(place)?.plan.name)),
        counts,
        probe,
        eta: if going { progress::eta(fleet, &census, &states, now) } else { None },
        stalled: stalled(state, &rings, reason.as_deref()),
        gate,
        ended,
        wake_at: probe_at.into_iter().chain(turn.opens_at).chain(next_expiry(fleet, now)).filter(|at| *at > now).min(),
        starts: turn.starts,
        waiting: turn.waiting,
        reason,
        rings: rings.into_iter().map(|ring| ring.plan).collect(),
    }
}

/// Counts nodes that start as in work.
fn count_starts(counts: &mut Counts, starts: usize) {
    let starts = i32::try_from(starts).unwrap_or(i32::MAX);
    counts.pending -= starts;
    counts.in_progress += starts;
}

/// The ring in work: the first that is not promoted.
fn current(rings: &[Judged<'_>]) -> Option<usize> {
    rings.iter().position(|ring| ring.plan.state != RingState::Promoted)
}

/// Where the rollout stands. What a person said comes first, but for what has halted or is through already.
fn state(fleet: &Fleet<'_>, rings: &[Judged<'_>], ending: bool, now: Timestamp) -> RolloutState {
    if ending {
        return RolloutState::Aborted;
    }
    if rings.iter().any(|ring| ring.plan.state == RingState::Halted) {
        return RolloutState::Halted;
    }
    if rings.is_empty() {
        return RolloutState::Pending;
    }
    let Some(ring) = current(rings).and_then(|place| rings.get(place)) else { return RolloutState::Completed };
    if fleet.desired == DesiredState::Paused || pausing(fleet, now).is_some() {
        return RolloutState::Paused;
    }
    match (&ring.stalled, ring.plan.state) {
        (Some(_), _) => RolloutState::Stalled,
        (None, RingState::Soaking) => RolloutState::Soaking,
        (None, _) => RolloutState::Running,
    }
}

/// The gate that only a person opens: of a rollout that has halted and come to rest, or of a ring that has soaked.
fn gate(
    fleet: &Fleet<'_>,
    census: &[RingCensus<'_>],
    rings: &[Judged<'_>],
    (state, ended): (RolloutState, bool),
) -> Option<ClosedGate> {
    let (name, place) = match state {
        RolloutState::Halted if ended => {
            (Gate::Resume, rings.iter().position(|ring| ring.plan.state == RingState::Halted)?)
        }
        RolloutState::Soaking | RolloutState::Paused => (Gate::Promote, rings.iter().position(|r| r.awaits_approval)?),
        _ => return None,
    };
    let plans: Vec<_> = rings.iter().map(|ring| ring.plan.clone()).collect();
    Some(closed(name, plans.get(place)?, &plans, (fleet.status, &census.get(place)?.failures)))
}

fn is_final(state: RolloutState) -> bool {
    matches!(state, RolloutState::Completed | RolloutState::Halted | RolloutState::Aborted)
}

fn stalled(state: RolloutState, rings: &[Judged<'_>], reason: Option<&str>) -> Option<Stalled> {
    match state {
        RolloutState::Halted => {
            Some(Stalled { code: StallCode::Halted, message: reason.unwrap_or_default().to_owned() })
        }
        RolloutState::Stalled => rings.iter().find_map(|ring| ring.stalled.clone()),
        RolloutState::Pending
        | RolloutState::Running
        | RolloutState::Soaking
        | RolloutState::Paused
        | RolloutState::Completed
        | RolloutState::Aborted => None,
    }
}

fn total(census: &[RingCensus<'_>]) -> Counts {
    let mut sum = Counts::default();
    for Counts { total, pending, in_progress, updated, reverted, held, failed, skipped } in
        census.iter().map(|c| c.counts)
    {
        sum.total += total;
        sum.pending += pending;
        sum.in_progress += in_progress;
        sum.updated += updated;
        sum.reverted += reverted;
        sum.held += held;
        sum.failed += failed;
        sum.skipped += skipped;
    }
    sum
}

/// The plan of a rollout that has ended: what was recorded, unless it has halted and a person aborts it.
fn settled<'a>(fleet: &Fleet<'a>) -> Plan<'a> {
    let status = fleet.status;
    let aborted = status.state == RolloutState::Halted && fleet.desired == DesiredState::Aborted;
    let halted = status.state == RolloutState::Halted && !aborted;
    let message = status.reason.clone().unwrap_or_default();
    Plan {
        state: if aborted { RolloutState::Aborted } else { status.state },
        ring: status.ring.as_deref(),
        rings: status.rings.iter().map(RingPlan::recorded).collect(),
        counts: status.counts,
        starts: Vec::new(),
        waiting: Vec::new(),
        probe: None,
        reason: status.reason.clone(),
        eta: None,
        stalled: halted.then_some(Stalled { code: StallCode::Halted, message }),
        gate: status.gate.clone().filter(|_| !aborted),
        ended: true,
        wake_at: None,
    }
}
