//! A person's request at a node update that has ended, the annotation `windlass.dev/request`: answered once.

use super::context::Context;
use super::error::ReconcileError;
use crate::act::{self, ActContext};
use crate::api::{
    NodeUpdate, Outcome, RELEASE, RELEASED, REQUEST, RETRY, RingState, RolloutState, Step, UpdateRolloutStatus,
};
use crate::domain::{History, Intent, NodeSeen, StepKey, StepResult, WaitingOn};
use crate::observe::Stores;
use jiff::Timestamp;
use kube::ResourceExt;
use std::sync::Arc;
use std::time::Duration;

/// Longest part of a request that an answer repeats.
const MAX_REQUEST: usize = 24;
/// How soon a node is given back anew where that came to nothing.
const AGAIN: Duration = Duration::from_secs(30);

/// What giving a node back came to.
enum Given {
    /// It is in nobody's way any more; what was done.
    Back(String),
    /// It is held still; on what that waits, and when to try again.
    NotYet(WaitingOn, Duration),
}

/// Answers a request that was not answered yet. `release` gives the node back as it is; the outcome stays `Held`.
/// `retry` lets the rollout take the node along once more, in its turn and with its budget, as a new NodeUpdate.
///
/// `Some`: it can not be answered yet, and is to be looked at again after this time; `status.waitingOn` says why.
///
/// # Errors
/// [`ReconcileError`]; the request is answered by a later pass.
pub async fn answer(ctx: &Context, update: &Arc<NodeUpdate>) -> Result<Option<Duration>, ReconcileError> {
    let Some(request) = unanswered(update) else { return Ok(None) };
    let outcome = update.status.as_ref().and_then(|s| s.outcome);
    let now = ctx.clock.now();
    let refusal = match request.as_str() {
        RELEASE if outcome == Some(Outcome::Held) => None,
        RELEASE => Some("nothing is held"),
        RETRY => {
            no_retry(outcome.filter(|_| !update.was_released()), &update.spec.ring, rollout_of(ctx, update).as_ref())
        }
        _ => Some("unknown, use release or retry"),
    };
    if let Some(why) = refusal {
        refuse(ctx, update, &request, why).await?;
        return Ok(None);
    }
    if request == RETRY {
        ctx.updates.answer(update, (RETRY, ""), false, now).await?;
        return Ok(None);
    }
    let message = match give_back(ctx, update, now).await? {
        Given::Back(message) => message,
        Given::NotYet(on, after) => {
            ctx.updates.not_yet(update, &on).await?;
            return Ok(Some(after));
        }
    };
    let before = update.status.as_ref().and_then(|s| s.reason.as_deref()).unwrap_or_default();
    let reason = format!("{RELEASED}, {message}; it was held because: {before}");
    ctx.updates.answer(update, (&request, &reason), true, now).await?;
    Ok(None)
}

/// Refuses a request that is made while the update is in work: carried out at its end, it would give a node back that nobody
/// has looked at.
///
/// # Errors
/// [`ReconcileError`]; the request is refused by a later pass.
pub async fn refuse_early(ctx: &Context, update: Arc<NodeUpdate>) -> Result<Arc<NodeUpdate>, ReconcileError> {
    match unanswered(&update) {
        Some(request) => refuse(ctx, &update, &request, "it is in work").await,
        None => Ok(update),
    }
}

/// Says why, and takes the request off: it may be made again.
async fn refuse(
    ctx: &Context,
    update: &Arc<NodeUpdate>,
    request: &str,
    why: &str,
) -> Result<Arc<NodeUpdate>, ReconcileError> {
    let now = ctx.clock.now();
    let answered = ctx.updates.answer(update, (&format!("{request}: {why}"), ""), false, now).await?;
    Ok(ctx.updates.ledger().take_off_annotation(&answered, REQUEST).await?)
}

/// Where the rollout stands that the update is of, if it is there still.
fn rollout_of(ctx: &Context, update: &NodeUpdate) -> Option<UpdateRolloutStatus> {
    let rollout = Stores::get(&ctx.stores.rollouts, &update.spec.rollout_name)?;
    (rollout.uid().as_deref() == Some(update.spec.rollout_uid.as_str())).then(|| rollout.status.clone())?
}

/// Why the node can not be taken along once more; `None`: it can. One that was held and released has no outcome here.
fn no_retry(outcome: Option<Outcome>, ring: &str, rollout: Option<&UpdateRolloutStatus>) -> Option<&'static str> {
    match outcome {
        Some(Outcome::Updated) => return Some("it is updated"),
        Some(Outcome::Held) => return Some("release it first"),
        Some(Outcome::NodeGone) => return Some("the node is gone"),
        None | Some(Outcome::Reverted | Outcome::Skipped | Outcome::Failed | Outcome::Aborted) => {}
    }
    let Some(rollout) = rollout else { return Some("its rollout is gone") };
    match rollout.state {
        RolloutState::Completed | RolloutState::Aborted => return Some("its rollout has ended"),
        RolloutState::Pending
        | RolloutState::Running
        | RolloutState::Soaking
        | RolloutState::Paused
        | RolloutState::Halted
        | RolloutState::Stalled => {}
    }
    let promoted = rollout.rings.iter().any(|r| r.name == ring && r.state == RingState::Promoted);
    promoted.then_some("its ring is promoted")
}

/// The request, if there is one that was not answered. One that was refused is taken off.
fn unanswered(update: &NodeUpdate) -> Option<String> {
    let request: String = update.annotations().get(REQUEST)?.chars().take(MAX_REQUEST).collect();
    let last = update.status.as_ref().and_then(|s| s.last_handled_request.as_deref()).unwrap_or_default();
    (last != request && !request.is_empty()).then_some(request)
}

/// Has the agent take off what it left on the machine, uncordons the node and takes our marks off, if it is ours. With a Node
/// object that is gone our marks went, too.
async fn give_back(ctx: &Context, update: &NodeUpdate, now: Timestamp) -> Result<Given, ReconcileError> {
    let back = |message: &str| Ok(Given::Back(message.to_owned()));
    // One with an impossible spec has touched nothing.
    let Ok(intent) = Intent::parse(update) else { return back("nothing was touched") };
    let node = ctx.look_for(&intent.node).await?;
    match &node {
        NodeSeen::Here(_) | NodeSeen::Replaced { same_machine: true, .. } => {}
        NodeSeen::Replaced { same_machine: false, .. } => {
            return back("the node is gone and another machine has its name");
        }
        NodeSeen::Gone | NodeSeen::Missing { .. } => return back("the node is gone"),
    }
    let log = update.status.as_ref().map(|status| status.steps.as_slice()).unwrap_or_default();
    // Of a log that nobody would write, what the agent left is not known.
    let history = History::parse(log).unwrap_or_default();
    // No attempt on record: the agent is asked anew.
    let attempt = u32::try_from(log.len()).unwrap_or_default() + 1;
    let key = StepKey { node_update_uid: intent.uid.clone(), step: Step::Uncordon, round: 1, attempt };
    let act = ActContext { means: &ctx.means, intent: &intent, history: &history, node: &node, now };
    Ok(match act::run(&act, &key).await? {
        StepResult::Done { message, .. } => Given::Back(message),
        StepResult::Pending { on, after } => Given::NotYet(on, after),
        StepResult::Failed { message, .. } => {
            Given::NotYet(WaitingOn::Retry { step: Step::Uncordon, attempt: 2, message }, AGAIN)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::samples;

    fn update(request: Option<&str>, handled: Option<&str>) -> NodeUpdate {
        let mut update = samples::node_update("n", "win-1", "r", Some("Held"));
        update.annotations_mut().extend(request.map(|request| (REQUEST.to_owned(), request.to_owned())));
        update.status.get_or_insert_default().last_handled_request = handled.map(str::to_owned);
        update
    }

    #[test]
    fn one_that_was_released_may_be_retried_also_after_a_refusal() {
        let mut held = update(None, Some("retry: its ring is promoted"));
        assert!(!held.was_released());
        held.status.get_or_insert_default().reason =
            Some("released on request, given back; it was held because: x".into());
        assert!(held.was_released());
    }

    #[test]
    fn a_request_is_answered_once() {
        let cases = [
            (None, None, None),
            (Some("release"), None, Some("release")),
            (Some("release"), Some("release"), None),
            // Refused, and made again; or not taken off yet.
            (Some("release"), Some("release: it is in work"), Some("release")),
            (Some("retry"), Some("retry"), None),
            (Some("rel"), Some("release"), Some("rel")),
            (Some(""), None, None),
        ];
        for (request, handled, expect) in cases {
            assert_eq!(unanswered(&update(request, handled)).as_deref(), expect, "{request:?} after {handled:?}");
        }
    }
}
