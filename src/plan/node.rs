//! The step machine of one node update.
//!
//! [`decide`] says what comes next; the caller records it, runs it, and brings the result to [`conclude`], which says
//! what comes then. Both are pure. The one step table is [`Row::of`]: what follows a success, what follows a failure,
//! how long a step may take, and what undoes it.
//!
//! A deadline is only ever enforced after a look: the step runs, and when it is still not done and its time is over,
//! the failure arrow is taken. An operator that was away for hours so finds an installation that ended well. As a look may
//! take a while itself (an agent's pod), a step of a changed machine has [`GRACE`] from when somebody looks again.

use super::log::{close, cut, elapsed, record};
use super::preflight::{self, Fitness};
use super::report::{Reason, ReasonCode};
use super::retry;
use super::table::{PREFLIGHT_TIMEOUT, Row};
use crate::api::{Outcome, Step, StepDetail, StepPhase, StepRecord};
use crate::domain::{History, Intent, MAX_RECORDS, NodeSeen, StepKey, StepResult, WaitingOn, Wish, key_of};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Records kept free for the way back when a log grows towards its bound.
const RESERVED_RECORDS: usize = 12;

/// How long a step of a changed machine that was not looked at may go on once somebody looks again, at most for its own time: an
/// agent's pod has to start and to answer, and probes are made more than once. What became of the node meanwhile is not known
/// before, and a good update is not to be reverted for that. Where nothing was changed yet, or the provider answers at once, a
/// look is enough.
const GRACE: Duration = Duration::from_mins(10);

/// What was seen of one node update.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// What it was made to do.
    pub intent: &'a Intent,
    /// What was done.
    pub history: &'a History,
    /// What there is under the node's name.
    pub node: &'a NodeSeen,
    /// What people want of it now.
    pub wish: Wish,
    /// Since when the step in work has been looked at without a pause; now, where nobody has looked for a while.
    pub looked_since: Timestamp,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Decision {
    /// Record `ended` and that `key` is begun, in one write; then run it.
    Begin {
        /// Records that end here.
        ended: Vec<StepRecord>,
        /// The step to begin.
        key: StepKey,
    },
    /// Run the step in work: its effect is idempotent, and finds its own earlier work.
    Run(StepKey),
    /// Nothing to do but wait.
    Wait {
        /// Records that end here.
        ended: Vec<StepRecord>,
        /// On what.
        on: WaitingOn,
        /// When to look again at the latest.
        after: Duration,
    },
    /// It has ended.
    Done {
        /// Records that end here.
        ended: Vec<StepRecord>,
        /// How.
        outcome: Outcome,
        /// Why.
        reason: Reason,
    },
}

/// Says what comes next.
pub fn decide(seen: &Observed<'_>, now: Timestamp) -> Decision {
    if let Some(decision) = without_the_node(seen, now) {
        return decision;
    }
    let Some(open) = seen.history.open() else { return after(seen, Vec::new(), now) };
    if seen.wish.ends() && may_end_in(open) {
        let ended = vec![close(open, StepPhase::Failed, Some(StepDetail::Aborted), seen.wish.why(), now)];
        return after(seen, ended, now);
    }
    if open.step == Step::Preflight && preflight::check(seen) != Fitness::Fit {
        return look_before(seen, Vec::new(), now);
    }
    Decision::Run(key_of(open, &seen.intent.uid))
}

/// Says what comes after the step in work came to `result`.
pub fn conclude(seen: &Observed<'_>, result: StepResult, now: Timestamp) -> Decision {
    let Some(open) = seen.history.open() else { return after(seen, Vec::new(), now) };
    // What the machine's provider says counts of a node that is fit.
    if open.step == Step::Preflight && preflight::check(seen) != Fitness::Fit {
        return look_before(seen, Vec::new(), now);
    }
    let record = match result {
        StepResult::Done { more: true, .. } if open.step == Step::Reboot && !reboots_left(seen, seen.history) => {
            let text = format!(
                "more is to be installed after {} reboots, and install.maxReboots allows no more",
                seen.history.reboots()
            );
            close(open, StepPhase::Failed, None, &text, now)
        }
        StepResult::Done { handle, message, more } => {
            let detail = more.then_some(StepDetail::MoreToInstall);
            let mut record = close(open, StepPhase::Succeeded, detail, &message, now);
            record.handle = handle.or(record.handle);
            record
        }
        StepResult::Failed { detail, message } => close(open, StepPhase::Failed, detail, &message, now),
        StepResult::Pending { on, after } => {
            let timeout = Row::of(open.step, seen.intent).timeout;
            let left = left(seen, open, timeout, now);
            if !left.is_zero() {
                return Decision::Wait { ended: Vec::new(), on, after: after.min(left) };
            }
            let message =
                format!("not done within {}: waiting on {on}", crate::api::Span::from_secs(timeout.as_secs()));
            close(open, StepPhase::Failed, Some(StepDetail::TimedOut), &message, now)
        }
    };
    match seen.node {
        NodeSeen::Missing { left } => await_registration(seen, vec![record], *left),
        _ => after(seen, vec![record], now),
    }
}

/// How much of its time the step in work has left.
fn left(seen: &Observed<'_>, open: &StepRecord, timeout: Duration, now: Timestamp) -> Duration {
    let looked = Duration::try_from(now.duration_since(seen.looked_since)).unwrap_or_default();
    // Nobody has looked within its time: a crash may have come before it was begun at all.
    let unseen = elapsed(open, seen.looked_since) >= timeout;
    let grace = match open.step {
        Step::Install if unseen => timeout,
        Step::Install | Step::Reboot | Step::Verify | Step::VerifyRestored => timeout.min(GRACE),
        _ => Duration::ZERO,
    };
    timeout.saturating_sub(elapsed(open, now)).max(grace.saturating_sub(looked))
}

/// What comes after the records in `ended` are written and no step is in work.
fn after(seen: &Observed<'_>, ended: Vec<StepRecord>, now: Timestamp) -> Decision {
    let history = seen.history.with(&ended);
    let Some(last) = history.last() else { return look_before(seen, ended, now) };
    let row = Row::of(last.step, seen.intent);
    let next = match last.phase {
        StepPhase::Succeeded => after_success(seen, &history, last, &row),
        StepPhase::Failed if may_retry(&history, last, &row, &seen.wish) => return retry_later(seen, ended, last, now),
        StepPhase::Failed | StepPhase::Started => after_failure(&history, last, &row),
    };
    let Some((step, round)) = next else {
        let (outcome, reason) = verdict(seen, &history);
        return Decision::Done { ended, outcome, reason };
    };
    if step == Step::Preflight {
        return look_before(seen, ended, now);
    }
    if step == Step::Stage {
        // One that was made before a pending reboot stays on record: this one has a key, and so an agent's pod, of its own.
        let before = history.records().iter().filter(|r| r.step == Step::Stage).map(|r| r.attempt).max();
        return begin(seen, ended, step, round, u32::try_from(before.unwrap_or_default()).unwrap_or_default() + 1);
    }
    let full = history.records().len() + RESERVED_RECORDS > MAX_RECORDS;
    let step = if full && !matches!(step, Step::Uncordon) { Step::Hold } else { step };
    begin(seen, ended, step, round, 1)
}

fn after_success(seen: &Observed<'_>, history: &History, last: &StepRecord, row: &Row) -> Option<(Step, u32)> {
    let round = u32::try_from(last.round).unwrap_or_default();
    let abort = seen.wish.ends() && history.succeeded(Step::Install).is_none();
    match last.step {
        Step::Cordon | Step::Drain | Step::Snapshot | Step::Reboot if abort => Some((Step::Uncordon, round)),
        Step::Preflight | Step::Stage if abort => after_nothing(history, round),
        // A reboot that was due before we came: then the look before, again, in round 1.
        Step::Drain if round == 0 => Some((Step::Reboot, 0)),
        Step::Reboot if round == 0 => Some((Step::Preflight, 1)),
        Step::Reboot if last.detail == Some(StepDetail::MoreToInstall) => Some((Step::Install, round + 1)),
        Step::Reboot if hides_its_build(seen, history, round) && reboots_left(seen, history) => {
            Some((Step::Reboot, round + 1))
        }
        Step::Verify if extra_reboots(history) < seen.intent.policy.verify.extra_reboots => {
            Some((Step::Reboot, round + 1))
        }
        _ => row.next.map(|step| (step, round)),
    }
}

fn after_failure(history: &History, last: &StepRecord, row: &Row) -> Option<(Step, u32)> {
    let round = u32::try_from(last.round).unwrap_or_default();
    let first_time = !history.records().iter().any(|r| r.step == Step::Reboot && r.round == 0);
    match (last.step, last.detail) {
        (Step::Preflight | Step::Stage, Some(StepDetail::RebootFirst)) if first_time => Some((Step::Cordon, 0)),
        (Step::Preflight | Step::Stage, _) => after_nothing(history, round),
        // Nothing to restore. A reboot that became due since the look before is not the update's doing either.
        (Step::Install, Some(StepDetail::Untouched | StepDetail::NotOffered | StepDetail::RebootFirst))
            if round <= 1 =>
        {
            Some((Step::Uncordon, round))
        }
        // Round 0 has no snapshot to go back to.
        (Step::Reboot, _) if history.snapshot_handle().is_none() => Some((Step::Hold, round)),
        _ => row.on_failure.map(|step| (step, round)),
    }
}

/// After a step that touches nothing of the node: the end, unless the node was claimed in an earlier round, or the agent
/// may have left something on the machine.
fn after_nothing(history: &History, round: u32) -> Option<(Step, u32)> {
    (history.touched_node() || history.agent_left_things()).then_some((Step::Uncordon, round))
}

fn reboots_left(seen: &Observed<'_>, history: &History) -> bool {
    let most = seen.intent.policy.strategy.in_place.as_ref().map_or(0, |p| p.install.max_reboots);
    history.reboots() < usize::try_from(most).unwrap_or_default()
}

/// Whether an update that needs no reboot (a hotpatch) is in, and the kubelet goes on reporting the build that it started
/// with. The node is drained: it is rebooted, so that nobody takes it for one that still has to be updated.
fn hides_its_build(seen: &Observed<'_>, history: &History, round: u32) -> bool {
    let build = seen.node.here().and_then(|node| node.build);
    history.installed_without_reboot(round) && build.is_some_and(|build| build < seen.intent.to)
}

/// Reboots for their own sake: in rounds after the first in which nothing is installed, nor shown by the reboot.
fn extra_reboots(history: &History) -> i32 {
    let extra = |r: &&StepRecord| {
        let round = u32::try_from(r.round).unwrap_or_default();
        let of_the_update = history.installs_in(round) || history.installed_without_reboot(round.saturating_sub(1));
        r.step == Step::Reboot && round > 0 && !of_the_update
    };
    i32::try_from(history.records().iter().filter(extra).count()).unwrap_or(i32::MAX)
}

fn may_retry(history: &History, last: &StepRecord, row: &Row, wish: &Wish) -> bool {
    let given_up = wish.ends() && matches!(last.step, Step::Stage | Step::Snapshot);
    let passing = Some(StepDetail::Retriable);
    let same = |r: &&StepRecord| (r.step, r.round, r.detail) == (last.step, last.round, passing);
    let tried = history.records().iter().filter(same).count();
    last.detail == passing && u32::try_from(tried).is_ok_and(|tried| tried < row.attempts) && !given_up
}

fn retry_later(seen: &Observed<'_>, ended: Vec<StepRecord>, last: &StepRecord, now: Timestamp) -> Decision {
    let failed = key_of(last, &seen.intent.uid);
    let due = last.finished_at.as_ref().map_or(now, |t| t.0)
        + SignedDuration::try_from(retry::backoff(&failed)).unwrap_or_default();
    let attempt = failed.attempt + 1;
    if now >= due {
        return begin(seen, ended, failed.step, failed.round, attempt);
    }
    let on = WaitingOn::Retry { step: failed.step, attempt, message: last.message.clone() };
    Decision::Wait { ended, on, after: Duration::try_from(due.duration_since(now)).unwrap_or_default() }
}

/// The look before anything is touched, at the Node object. Where that is fit, the step is begun and the machine's provider
/// is asked as well.
fn look_before(seen: &Observed<'_>, mut ended: Vec<StepRecord>, now: Timestamp) -> Decision {
    if seen.wish.ends() && !seen.history.touched_node() {
        return Decision::Done { ended, outcome: Outcome::Aborted, reason: aborted(seen.history, &seen.wish) };
    }
    let (open, fresh) = (seen.history.open().filter(|r| r.step == Step::Preflight), record(Step::Preflight, 1, now));
    match (preflight::check(seen), open) {
        (Fitness::Fit | Fitness::NotYet(_), None) => begin(seen, ended, Step::Preflight, 1, 1),
        (Fitness::Fit, Some(open)) => Decision::Run(key_of(open, &seen.intent.uid)),
        (Fitness::NotYet(on), Some(open)) => {
            let left = PREFLIGHT_TIMEOUT.saturating_sub(elapsed(open, now));
            if !left.is_zero() {
                return Decision::Wait { ended, on, after: left };
            }
            ended.push(close(open, StepPhase::Failed, Some(StepDetail::TimedOut), &on.to_string(), now));
            after(seen, ended, now)
        }
        (Fitness::Unfit(message), open) => {
            ended.push(close(open.unwrap_or(&fresh), StepPhase::Failed, None, &message, now));
            after(seen, ended, now)
        }
    }
}

/// What to do when the node that was meant is not there.
fn without_the_node(seen: &Observed<'_>, now: Timestamp) -> Option<Decision> {
    let same_machine = match seen.node {
        NodeSeen::Here(_) => return None,
        // The machine's provider is asked, and not the node; some of them start the machine only when they are asked.
        NodeSeen::Missing { .. } if seen.history.open().is_some_and(|open| open.step == Step::Restore) => return None,
        // Ours, and perhaps in the midst of a boot: were it believed to be gone, it would come back without our cordon.
        NodeSeen::Missing { left } if seen.history.touched_node() => {
            return Some(await_registration(seen, Vec::new(), *left));
        }
        NodeSeen::Missing { .. } | NodeSeen::Gone => false,
        NodeSeen::Replaced { same_machine, .. } => *same_machine,
    };
    let end = |open| close(open, StepPhase::Failed, None, "the Node object is gone", now);
    let ended: Vec<_> = seen.history.open().map(end).into_iter().collect();
    if !same_machine || !seen.history.touched_node() {
        let message = format!("node {} is gone, or its name has another machine", seen.intent.node.name);
        return Some(Decision::Done {
            ended,
            outcome: Outcome::NodeGone,
            reason: Reason { code: ReasonCode::NodeGone, message },
        });
    }
    // The machine is ours, half-way, and registered anew without cordon and claim: keep work off it.
    Some(match seen.history.last() {
        Some(last) if last.step == Step::Hold && last.phase == StepPhase::Started => {
            Decision::Run(key_of(last, &seen.intent.uid))
        }
        Some(last) if last.step == Step::Hold => after(seen, Vec::new(), now),
        _ => begin(seen, ended, Step::Hold, 1, 1),
    })
}

fn await_registration(seen: &Observed<'_>, ended: Vec<StepRecord>, left: Duration) -> Decision {
    let on = WaitingOn::Registration { node: seen.intent.node.name.clone() };
    Decision::Wait { ended, on, after: left }
}

/// Whether a person's wish to end is granted in the midst of this step: only while the machine is as it was.
fn may_end_in(open: &StepRecord) -> bool {
    matches!(open.step, Step::Preflight | Step::Stage | Step::Cordon | Step::Drain)
}

/// How it all ended, read from a log at its end.
fn verdict(seen: &Observed<'_>, history: &History) -> (Outcome, Reason) {
    let last_is = |step| history.last().is_some_and(|r| r.step == step);
    let failure = history.failure();
    let why = |r: &StepRecord| Reason { code: reason_code(r), message: r.message.clone() };
    if last_is(Step::Hold) {
        let record = history.records().iter().rev().find(|r| r.phase == StepPhase::Failed && r.step != Step::Hold);
        let reason = record.map_or_else(node_replaced, |last| held_reason(last, failure));
        return (Outcome::Held, reason);
    }
    if history.succeeded(Step::VerifyRestored).is_some() {
        return (Outcome::Reverted, failure.map_or_else(|| aborted(history, &seen.wish), why));
    }
    let verified = history.succeeded(Step::Verify).is_some();
    // What it had come to before it was given back: an attempt that failed before that, and was made again, is no failure.
    let before = history.records().iter().rev().find(|r| r.step != Step::Uncordon);
    if history.aborted() || !verified && before.is_none_or(|r| r.phase == StepPhase::Succeeded) {
        return (Outcome::Aborted, aborted(history, &seen.wish));
    }
    match failure {
        Some(r) if !verified && r.detail == Some(StepDetail::NotOffered) => (Outcome::Skipped, why(r)),
        Some(r) if !verified => (Outcome::Failed, why(r)),
        _ => (Outcome::Updated, Reason { code: ReasonCode::Succeeded, message: "updated and verified".into() }),
    }
}

/// A held node's sentence tells what failed last and, where that was the way back, what had failed first.
fn held_reason(last: &StepRecord, first: Option<&StepRecord>) -> Reason {
    let message = match first {
        Some(first) if first != last => {
            format!("{:?} failed: {}; before that {:?}: {}", last.step, last.message, first.step, first.message)
        }
        _ => last.message.clone(),
    };
    Reason { code: reason_code(last), message: cut(&message) }
}

fn reason_code(failed: &StepRecord) -> ReasonCode {
    match failed.detail {
        Some(StepDetail::Aborted) => ReasonCode::Aborted,
        Some(StepDetail::NotOffered) => ReasonCode::PinnedUpdateUnavailable,
        _ => ReasonCode::of_failed(failed.step),
    }
}

/// The sentence of an end before anything was changed: as the log has it, or else what is wanted now.
fn aborted(history: &History, wish: &Wish) -> Reason {
    let recorded = history.records().iter().rev().find(|r| r.detail == Some(StepDetail::Aborted));
    let why = recorded.map_or(wish.why(), |record| record.message.as_str());
    Reason { code: ReasonCode::Aborted, message: cut(&format!("{why}; nothing was changed")) }
}

fn node_replaced() -> Reason {
    Reason {
        code: ReasonCode::NodeReplaced,
        message: "the machine registered as a new Node object in the middle of its update".into(),
    }
}

fn begin(seen: &Observed<'_>, ended: Vec<StepRecord>, step: Step, round: u32, attempt: u32) -> Decision {
    let key = StepKey { node_update_uid: seen.intent.uid.clone(), step, round, attempt };
    Decision::Begin { ended, key }
}

#[cfg(test)]
pub(crate) mod tests;
