//! `Verify` (needs a client): the probes of the policy pass on the updated node.
//!
//! All probes run at once, after the node was left alone for a while. Undo: `Restore`.

use super::probes::{Expect, Subject, all, host};
use super::{ActContext, ActError, install, wait};
use crate::domain::{NodeState, StepKey, StepResult, WaitingOn};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

pub(super) async fn run(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    let Some(node) = ctx.node.here() else { return Ok(install::boot(ctx)) };
    if let Some(result) = settle(ctx, node, ctx.begun()) {
        return Ok(result);
    }
    let expect = Expect { build: ctx.intent.to, exact: false };
    all(&Subject::of(ctx, node, key, expect), &host::Proof::Updated).await
}

/// Waits until the node is Ready and was left alone for its time, counted from `since`.
pub(super) fn settle(ctx: &ActContext<'_>, node: &NodeState, since: Timestamp) -> Option<StepResult> {
    if !node.readiness.is_ready() {
        return Some(install::boot(ctx));
    }
    let settle = SignedDuration::try_from(ctx.intent.policy.verify.settle.get()).unwrap_or_default();
    let left = settle - ctx.now.duration_since(since);
    let left = Duration::try_from(left).ok().filter(|left| !left.is_zero())?;
    Some(wait(WaitingOn::Settle, left))
}
