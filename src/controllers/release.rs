//! A person's request at a node update that has ended, the annotation `windlass.dev/request`: answered once.

use super::context::Context;
use super::error::ReconcileError;
use crate::act::{self, ActContext};
use crate::api::{NodeUpdate, Outcome, RELEASE, REQUEST, RETRY, RingState, RolloutState, Step, UpdateRolloutStatus};
use crate::domain::{History, Intent, StepKey, StepResult};
use crate::observe::{self, Stores};
use jiff::Timestamp;
use kube::ResourceExt;
use std::sync::Arc;

/// Longest part of a request that an answer repeats.
const MAX_REQUEST: usize = 24;

/// Answers a request that was not answered yet. `release` gives the node back as it is; the outcome stays `Held`.
/// `retry` lets the rollout take the node along once more, in its turn and with its budget, as a new NodeUpdate.
///
/// # Errors
/// [`ReconcileError`]; the request is answered by a later pass.
pub async fn answer(ctx: &Context, update: &Arc<NodeUpdate>) -> Result<(), ReconcileError> {
    let Some(request) = unanswered(update) else { return Ok(()) };
    let outcome = update.status.as_ref().and_then(|s| s.outcome);
    let now = ctx.clock.now();
    let refusal = match request.as_str() {
        RELEASE if outcome == Some(Outcome::Held) => None,
        RELEASE => Some("nothing is held"),
        RETRY => {
            no_retry(outcome.filter(|_| !was_released(update)), &update.spec.ring, rollout_of(ctx, update).as_ref())
        }
        _ => Some("unknown, use release or retry"),
    };
    if let Some(why) = refusal {
        ctx.updates.answer(update, (&format!("{request}: {why}"), ""), false, now).await?;
        return Ok(());
    }
    if request == RETRY {
        ctx.updates.answer(update, (RETRY, ""), false, now).await?;
        return Ok(());
    }
    let message = give_back(ctx, update, now).await?;
    let before = update.status.as_ref().and_then(|s| s.reason.as_deref()).unwrap_or_default();
    let reason = format!("released on request, {message}; it was held because: {before}");
    ctx.updates.answer(update, (&request, &reason), true, now).await?;
    Ok(())
}

/// Where the rollout stands that the update is of, if it is there still.
fn rollout_of(ctx: &Context, update: &NodeUpdate) -> Option<UpdateRolloutStatus> {
    let rollout = Stores::get(&ctx.stores.rollouts, &update.spec.rollout_name)?;
    (rollout.uid().as_deref() == Some(update.spec.rollout_uid.as_str())).then(|| rollout.status.clone())?
}

/// Whether its node was held, and given back on request.
fn was_released(update: &NodeUpdate) -> bool {
    update.status.as_ref().is_some_and(|status| status.last_handled_request.as_deref() == Some(RELEASE))
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

/// The request, if there is one that was not answered.
fn unanswered(update: &NodeUpdate) -> Option<String> {
    let request: String = update.annotations().get(REQUEST)?.chars().take(MAX_REQUEST).collect();
    let last = update.status.as_ref().and_then(|s| s.last_handled_request.as_deref()).unwrap_or_default();
    let answered = last == request || last.strip_prefix(&request).is_some_and(|rest| rest.starts_with(':'));
    (!answered && !request.is_empty()).then_some(request)
}

/// Uncordons the node and takes our marks off, if it is ours; says what was done.
async fn give_back(ctx: &Context, update: &NodeUpdate, now: Timestamp) -> Result<String, ReconcileError> {
    // One with an impossible spec has touched nothing.
    let Ok(intent) = Intent::parse(update) else { return Ok("nothing was touched".to_owned()) };
    let shown = Stores::get(&ctx.stores.nodes, &intent.node.name).map(|node| observe::node::read(&node));
    let node = observe::node::seen(&intent.node, shown);
    let history = History::default();
    let key = StepKey { node_update_uid: intent.uid.clone(), step: Step::Uncordon, round: 1, attempt: 1 };
    let act = ActContext { means: &ctx.means, intent: &intent, history: &history, node: &node, now };
    match act::run(&act, &key).await? {
        StepResult::Done { message, .. } | StepResult::Failed { message, .. } => Ok(message),
        StepResult::Pending { on, .. } => Ok(format!("waiting on {on}")),
    }
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
    fn a_request_is_answered_once() {
        let cases = [
            (None, None, None),
            (Some("release"), None, Some("release")),
            (Some("release"), Some("release"), None),
            (Some("accept"), Some("accept: unknown, use release or retry"), None),
            (Some("release"), Some("accept: unknown, use release or retry"), Some("release")),
            (Some("retry"), Some("retry"), None),
            (Some("rel"), Some("release"), Some("rel")),
            (Some(""), None, None),
        ];
        for (request, handled, expect) in cases {
            assert_eq!(unanswered(&update(request, handled)).as_deref(), expect, "{request:?} after {handled:?}");
        }
    }
}
