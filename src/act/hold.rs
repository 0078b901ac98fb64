//! `Hold` (needs a client): keeps the node out of service for a person to look at; claimed, cordoned and tainted.
//!
//! It is done to the machine that is there, even if that registered anew as another Node object meanwhile. Undo: a
//! person's `release`.

use super::claim::{Change, change};
use super::{ActContext, ActError, node_patch};
use crate::domain::StepResult;

pub(super) async fn run(ctx: &ActContext<'_>) -> Result<StepResult, ActError> {
    let uid = ctx.intent.uid.as_str();
    let held = || StepResult::done("kept out of service, for a person to look at");
    change(ctx, |node| match node_patch::holder(node) {
        Some(holder) if holder != uid => {
            Change::Nothing(StepResult::done(format!("left as it is: claimed by node update {holder}")))
        }
        _ if node_patch::is_held(node, uid) => Change::Nothing(held()),
        _ => Change::Patch(node_patch::hold(node, uid), held()),
    })
    .await
}
