//! Says of each approval what has come of it. The gate itself is opened by the rollout's own pass.

use super::admission;
use super::again::Again;
use super::context::Context;
use super::error::ReconcileError;
use super::invalid;
use crate::api::{ApprovalState, Guarded, UpdateApproval, UpdateApprovalStatus};
use crate::observe::Stores;
use crate::plan::approve::{Verdict, judge};
use crate::plan::conditions::approval;
use kube::ResourceExt;
use std::sync::Arc;
use std::time::Duration;

/// Name of this controller in logs and metrics.
pub const NAME: &str = "approval";

/// How often one that opens its gate is looked at until it has; the rollout's own change comes earlier.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// Longest message, in characters: the schema's bound.
const MAX_MESSAGE: usize = 512;

/// One pass over one approval.
///
/// # Errors
/// [`ReconcileError`].
pub async fn reconcile(ctx: &Context, shown: &Guarded<UpdateApproval>) -> Result<Again, ReconcileError> {
    let object = match &shown.0 {
        Ok(approval) => ctx.approvals.latest(Arc::clone(approval)),
        Err(error) => {
            invalid::tell::<UpdateApproval>(ctx, error, true).await;
            return Ok(Again::on_change());
        }
    };
    // What has come to an end stays as it ended, whatever becomes of its rollout.
    if object.status.as_ref().is_some_and(|status| status.state != ApprovalState::Waiting) {
        return Ok(Again::on_change());
    }
    let now = ctx.clock.now();
    // What we wrote a moment ago counts, whether the store shows it or not.
    let shown = Stores::get(&ctx.stores.rollouts, &object.spec.rollout_name);
    let rollout = shown.map(|rollout| ctx.rollouts.ledger().latest(rollout));
    let (state, message) = match judge(&object, rollout.as_deref(), now) {
        Verdict::Used => (ApprovalState::Used, "the gate was opened".to_owned()),
        Verdict::Refused(why) => (ApprovalState::Refused, why),
        Verdict::Waits(on) => (ApprovalState::Waiting, on),
        Verdict::Opens => match admission::doubt(ctx, &object).await? {
            Some(doubt) => (ApprovalState::Refused, format!("it is ignored: {doubt}")),
            None => (ApprovalState::Waiting, "it opens the gate in a moment".to_owned()),
        },
    };
    let message: String = message.chars().take(MAX_MESSAGE).collect();
    let seen = object.status.clone().unwrap_or_default();
    let generation = object.metadata.generation;
    let conditions = approval(&seen.conditions, (state, &message), generation, now);
    let status = UpdateApprovalStatus { observed_generation: generation, state, message, conditions };
    if status != seen {
        tracing::info!(name = object.name_any(), ?state, message = status.message, "approval");
        ctx.approvals.replace_status(UpdateApproval { status: Some(status), ..(*object).clone() }).await?;
    }
    Ok(if state == ApprovalState::Waiting { Again::after(LOOK_AGAIN) } else { Again::on_change() })
}
