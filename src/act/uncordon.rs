//! `Uncordon` (needs a client): gives the node back as it was found, in one conditional write.
//!
//! A node that is not ours, or not any more, is left as it is. Undo: none needed.

use super::claim::{Change, change};
use super::{ActContext, ActError, node_patch};
use crate::domain::StepResult;

pub(super) async fn run(ctx: &ActContext<'_>) -> Result<StepResult, ActError> {
    let uid = ctx.intent.uid.as_str();
    change(ctx, |node| match node_patch::holder(node) {
        Some(holder) if holder == uid => {
            Change::Patch(node_patch::release(node), StepResult::done("given back as it was found"))
        }
        Some(holder) => Change::Nothing(StepResult::done(format!("left as it is: claimed by node update {holder}"))),
        None => Change::Nothing(StepResult::done("given back as it was found")),
    })
    .await
}
