//! `Uncordon` (needs a client): gives the node back as it was found, in one conditional write.
//!
//! What the agent may have left on the machine is taken off first. A node that is not ours, or not any more, is left as
//! it is. Undo: none needed.

use super::claim::{Change, change};
use super::reset::{Reset, reset};
use super::{ActContext, ActError, node_patch};
use crate::domain::{StepKey, StepResult};

pub(super) async fn run(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    let given_back = match reset(ctx, key).await? {
        Reset::Wait(result) => return Ok(result),
        Reset::Over(None) => "given back as it was found".to_owned(),
        Reset::Over(Some(why)) => format!("given back, but the agent did not take its things off: {why}"),
    };
    let uid = ctx.intent.uid.as_str();
    change(ctx, |node| match node_patch::holder(node) {
        Some(holder) if holder == uid => Change::Patch(node_patch::release(node), StepResult::done(given_back.clone())),
        Some(holder) => Change::Nothing(StepResult::done(format!("left as it is: claimed by node update {holder}"))),
        // Somebody took our claim off, and not the cordon that came with it.
        None if node_patch::cordoned_by_us(node) => {
            Change::Patch(node_patch::release(node), StepResult::done(given_back.clone()))
        }
        None => Change::Nothing(StepResult::done(given_back.clone())),
    })
    .await
}
