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
    change(ctx, |node| {
        let holder = node_patch::holder(node);
        if let Some(holder) = holder.filter(|holder| *holder != uid) {
            return Change::Nothing(StepResult::done(format!("left as it is: claimed by node update {holder}")));
        }
        let given_back = StepResult::done(given_back.clone());
        // Where somebody took our claim off, the cordon that came with it is still ours to take off.
        if holder.is_some() || node_patch::cordoned_by_us(node) {
            Change::Patch(node_patch::release(node), given_back)
        } else {
            Change::Nothing(given_back)
        }
    })
    .await
}
