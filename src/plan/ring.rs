//! Where one ring stands: its turn, its failures, its soak.

use super::budget::{halt_after, max_unavailable};
use super::census::RingCensus;
use super::fleet::Fleet;
use super::rollout::RingPlan;
use super::rollout_report as words;
use super::soak::{self, SoakState, SoakVerdict};
use super::stall::{StallCode, Stalled};
use super::unworked::Pending;
use crate::api::{Promotion, RingState, RingStatus};
use jiff::Timestamp;

/// A ring, judged.
#[derive(Clone, Debug)]
pub struct Judged<'a> {
    /// What is recorded of it.
    pub plan: RingPlan<'a>,
    /// Why it can not go on until a person changes something.
    pub stalled: Option<Stalled>,
    /// When its nodes are to be probed next, while it soaks.
    pub probe_at: Option<Timestamp>,
    /// Whether it has soaked, and waits for a person to say that the next ring may start.
    pub awaits_approval: bool,
}

/// Judges all rings, strictly in order: a ring opens when all before it are promoted.
///
/// A rollout that is ending promotes and soaks nothing any more; its rings stay as they were.
pub fn judge_all<'a>(fleet: &Fleet<'a>, census: &[RingCensus<'a>], ending: bool, now: Timestamp) -> Vec<Judged<'a>> {
    let mut open = true;
    let mut judged = Vec::with_capacity(census.len());
    for (ring, census) in fleet.status.rings.iter().zip(census) {
        let one = if ending { recorded(ring, census) } else { judge(fleet, ring, census, open, now) };
        open &= one.plan.state == RingState::Promoted;
        judged.push(one);
    }
    judged
}

fn judge<'a>(
    fleet: &Fleet<'a>,
    ring: &'a RingStatus,
    census: &RingCensus<'a>,
    open: bool,
    now: Timestamp,
) -> Judged<'a> {
    match ring.state {
        RingState::Promoted | RingState::Halted => recorded(ring, census),
        RingState::Waiting | RingState::Running | RingState::Soaking if has_failed(ring, census) => {
            in_state(ring, census, RingState::Halted)
        }
        RingState::Waiting | RingState::Running | RingState::Soaking if !open => {
            in_state(ring, census, RingState::Waiting)
        }
        RingState::Waiting | RingState::Running | RingState::Soaking => judge_open(fleet, ring, census, now),
    }
}

/// Whether as many updates have failed as the policy bears.
fn has_failed(ring: &RingStatus, census: &RingCensus<'_>) -> bool {
    let total = usize::try_from(census.counts.total).unwrap_or_default();
    census.failures.len() >= halt_after(ring.revision.policy.on_failure.halt_after, total)
}

fn judge_open<'a>(fleet: &Fleet<'a>, ring: &'a RingStatus, census: &RingCensus<'a>, now: Timestamp) -> Judged<'a> {
    let mut judged = in_state(ring, census, RingState::Running);
    // Where updated nodes fail their probes, no more are updated until it is known whether the update is bad: nodes that join
    // again and again would let it go on for ever.
    let fails_now = || fleet.soak.fresh.is_some_and(|fresh| fresh.ring == ring.name && !fresh.failures.is_empty());
    let is_failing = ring.state == RingState::Soaking && (!ring.soak_failing.is_empty() || fails_now());
    if !census.pending.is_empty() && !is_failing || census.in_work > 0 {
        let max = max_unavailable(ring.revision.ring.batch.max_unavailable, census.present);
        if max == 0 {
            judged.stalled = stalled(StallCode::BudgetZero, words::budget_zero(ring));
        } else if census.in_work == 0 && census.held.len() >= max && !census.pending.iter().any(Pending::costs_nothing)
        {
            judged.stalled = stalled(StallCode::BudgetHeld, words::budget_held(ring, census));
        }
        return judged;
    }
    if census.counts.updated < ring.revision.ring.soak.min_updated {
        judged.stalled = stalled(StallCode::TooFewUpdated, words::too_few_updated(ring, census));
        return judged;
    }
    // A ring whose nodes all had the build before has nothing to watch.
    let watches = census.updated_by_us > 0 || !census.updated.is_empty();
    let Some(started) = census.last_end.filter(|_| watches) else {
        promote(ring, &mut judged);
        return judged;
    };
    // After a halt it begins anew.
    let resumed = ring.resumed_at.as_ref().map(|at| at.0);
    let started = whole_second(started.max(resumed.unwrap_or(started)));
    judged.plan.soak_started_at = Some(started);
    match soak::judge(ring, started, (&fleet.soak, &census.watched), now) {
        // Those that have joined meanwhile have their turn, and are watched in theirs.
        SoakVerdict::Passed(_) if !census.pending.is_empty() => judged.plan.soak_started_at = None,
        SoakVerdict::Passed(state) => {
            judged.probe_at = state.map(|state| state.probe_at);
            promote(ring, &mut judged);
        }
        SoakVerdict::Soaking(state) => {
            judged.plan.state = RingState::Soaking;
            judged.probe_at = Some(state.probe_at);
            if census.updated.is_empty() {
                judged.stalled = stalled(StallCode::TooFewUpdated, words::nothing_left_to_soak(ring, census));
            }
            note_failures(&mut judged.plan, state);
        }
        SoakVerdict::Failed(state) => {
            judged.plan.state = RingState::Halted;
            note_failures(&mut judged.plan, state);
        }
    }
    judged
}

/// Promotes a ring that is through, if nobody has to say so first, or somebody has.
fn promote(ring: &RingStatus, judged: &mut Judged<'_>) {
    judged.awaits_approval = match ring.revision.ring.promotion {
        Promotion::Automatic => false,
        Promotion::Approval => ring.promoted_by.is_none(),
    };
    judged.plan.state = if judged.awaits_approval { RingState::Soaking } else { RingState::Promoted };
}

fn note_failures(plan: &mut RingPlan<'_>, state: SoakState) {
    plan.soak_failures = state.failures;
    plan.soak_failing = state.failing;
    plan.soak_failure = state.failure.map(|text| words::cut(&text, words::MAX_FAILURE));
}

/// The ring as it was recorded, with today's counts.
fn recorded<'a>(ring: &'a RingStatus, census: &RingCensus<'a>) -> Judged<'a> {
    let plan = RingPlan { counts: census.counts, ..RingPlan::recorded(ring) };
    Judged { plan, stalled: None, probe_at: None, awaits_approval: false }
}

fn in_state<'a>(ring: &'a RingStatus, census: &RingCensus<'a>, state: RingState) -> Judged<'a> {
    let plan = RingPlan {
        name: &ring.name,
        state,
        counts: census.counts,
        soak_started_at: None,
        soak_failure: None,
        soak_failures: 0,
        soak_failing: Vec::new(),
    };
    Judged { plan, stalled: None, probe_at: None, awaits_approval: false }
}

#[allow(clippy::unnecessary_wraps)]
fn stalled(code: StallCode, message: String) -> Option<Stalled> {
    Some(Stalled { code, message })
}

/// The API server keeps whole seconds: what is compared with the record must have no more.
pub fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
