//! Whose turn it is: the nodes of the open ring, in order, through the gates.

use super::budget::{Budget, max_unavailable};
use super::census::{RingCensus, domain};
use super::fleet::Fleet;
use super::gate::{Candidate, Gatehouse, Hold};
use super::holds::{HeldBack, pausing};
use super::progress;
use super::rollout::{RingPlan, Start, Waiting};
use super::stall::{StallCode, Stalled};
use super::unworked::Pending;
use super::window::{self, Closed};
use crate::api::{RingStatus, RolloutState, SpreadMode};
use jiff::Timestamp;
use std::sync::Arc;

/// What comes of one look at the open ring.
#[derive(Clone, Debug, Default)]
pub struct Turn<'a> {
    /// Nodes that start now.
    pub starts: Vec<Start<'a>>,
    /// Nodes that do not.
    pub waiting: Vec<Waiting<'a>>,
    /// When the next window opens, if that is what is waited for.
    pub opens_at: Option<Timestamp>,
}

impl<'a> Turn<'a> {
    /// Sends the pending nodes of the ring at `place` through the gates, by domain and name.
    pub fn take(
        fleet: &Fleet<'a>,
        census: &[RingCensus<'a>],
        place: usize,
        (state, soaks): (RolloutState, bool),
        now: Timestamp,
    ) -> Self {
        let (Some(ring), Some(census)) = (fleet.status.rings.get(place), census.get(place)) else {
            return Self::default();
        };
        let mut turn = Self::default();
        if census.pending.is_empty() {
            return turn;
        }
        // One that soaks with nodes that have still to start watches first what becomes of the others.
        let stopped = stopped(fleet, state, now).or_else(|| soaks.then_some(Hold::ProbesFail));
        let window = if stopped.is_none() { closed_window(fleet, ring, now) } else { None };
        turn.opens_at = window.as_ref().and_then(|closed| closed.opens_at);
        let mut house = gatehouse(fleet, ring, census, stopped, window);
        house.holds = fleet.holds_now(now).collect();
        for candidate in queue(ring, census) {
            match house.admit(&candidate) {
                Ok(()) => turn.starts.push(start(ring, &candidate.pending)),
                Err(on) => turn.waiting.push(Waiting { node: candidate.pending.node, on }),
            }
        }
        turn
    }

    /// Why the ring never starts a node again as it is frozen: no window is long enough, and as none is in work the time that a
    /// node takes is not measured anew.
    pub fn stalled(&self, ring: &RingPlan<'_>) -> Option<Stalled> {
        let too_short =
            |waiting: &Waiting<'_>| matches!(&waiting.on, Hold::Window(closed) if closed.opens_at.is_none());
        let none_in_work = ring.counts.in_progress == 0 && self.starts.is_empty();
        let first = self.waiting.iter().find(|waiting| too_short(waiting)).filter(|_| none_in_work)?;
        let message = format!("ring {}: {}; a new rollout takes an edited policy", ring.name, first.on);
        Some(Stalled { code: StallCode::WindowTooShort, message })
    }
}

/// The pending nodes in the order in which they are asked.
fn queue<'a>(ring: &RingStatus, census: &RingCensus<'a>) -> Vec<Candidate<'a>> {
    let spread = ring.revision.ring.batch.spread.as_ref();
    let candidate = |pending: &Pending<'a>| Candidate { domain: domain(pending.node, spread), pending: *pending };
    let mut queue: Vec<_> = census.pending.iter().map(candidate).collect();
    queue.sort_unstable_by_key(Candidate::rank);
    queue
}

fn closed_window(fleet: &Fleet<'_>, ring: &RingStatus, now: Timestamp) -> Option<Arc<Closed>> {
    let maintenance = ring.revision.policy.maintenance.as_ref()?;
    let need = progress::need(progress::median_time_by_policy(fleet, ring));
    window::check(maintenance, need, now).err().map(Arc::new)
}

fn gatehouse<'a>(
    fleet: &Fleet<'a>,
    ring: &'a RingStatus,
    census: &RingCensus<'a>,
    stopped: Option<Hold<'a>>,
    window: Option<Arc<Closed>>,
) -> Gatehouse<'a> {
    let batch = &ring.revision.ring.batch;
    let one_domain = batch.spread.as_ref().is_some_and(|spread| match spread.mode {
        SpreadMode::OneDomainAtATime => true,
    });
    Gatehouse {
        stopped,
        holds: Vec::new(),
        window,
        budget: Budget {
            max: max_unavailable(batch.max_unavailable, census.present),
            spent: census.spent,
            in_work: census.in_work,
        },
        away: census.first_away,
        provider_away: provider_away(fleet, ring),
        present: census.present,
        vanished: census.vanished,
        domains: one_domain.then(|| census.domains.clone()),
        unfinished: census.pending.len() + census.in_work,
        operator_node: fleet.operator_node,
    }
}

/// The ring's SnapshotClass, and why its provider does not work, when it does not.
fn provider_away<'a>(fleet: &Fleet<'a>, ring: &'a RingStatus) -> Option<(&'a str, &'a str)> {
    let class = ring.revision.policy.strategy.in_place.as_ref()?.snapshot.class_name.as_str();
    let (class, why) = fleet.providers_away.iter().find(|(away, _)| away == class)?;
    Some((class, why))
}

/// What stops the whole rollout in this state.
fn stopped<'a>(fleet: &Fleet<'a>, state: RolloutState, now: Timestamp) -> Option<Hold<'a>> {
    match state {
        RolloutState::Running | RolloutState::Soaking | RolloutState::Stalled => None,
        RolloutState::Paused => Some(match pausing(fleet, now) {
            Some(hold) => Hold::UpdateHeld(HeldBack { hold, what: None }),
            None => Hold::Paused,
        }),
        RolloutState::Pending | RolloutState::Halted | RolloutState::Completed | RolloutState::Aborted => {
            Some(Hold::Ended)
        }
    }
}

fn start<'a>(ring: &'a RingStatus, pending: &Pending<'a>) -> Start<'a> {
    let Pending { node, from, to, pinned, previous, predecessor: _ } = *pending;
    Start { node, ring: &ring.name, revision: &ring.revision, from, to, pinned, previous }
}
