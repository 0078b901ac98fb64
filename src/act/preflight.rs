//! `Preflight` (needs a client of the provider): whether the node's machine is there, and is the node's.
//!
//! Asked when the node is fit as far as its Node object tells, until there is an answer, and before anything is touched:
//! a machine that can not be snapshotted is neither drained nor downloaded to. Undo: none, nothing is changed.

use super::{ActContext, provider};
use crate::domain::StepResult;

pub(super) async fn run(ctx: &ActContext<'_>) -> StepResult {
    let provider = match provider::of(ctx) {
        Ok(provider) => provider,
        Err(result) => return result,
    };
    match provider.examine(&ctx.intent.node).await {
        Ok(()) => StepResult::done("the node is fit, and its machine is there"),
        Err(error) => provider::refused(ctx, &error),
    }
}
