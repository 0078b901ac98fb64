//! `Cordon` (needs a client): claims the node and makes it unschedulable, in one conditional write.
//!
//! Undo: `Uncordon`.

use super::claim::{Change, change};
use super::{ActContext, ActError, node_patch, wait};
use crate::domain::{StepKey, StepResult, WaitingOn};
use std::time::Duration;

/// How soon to look again at a node that somebody else has claimed.
const CLAIM_AGAIN: Duration = Duration::from_secs(10);

pub(super) async fn run(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    let uid = ctx.intent.uid.as_str();
    let result = change(ctx, |node| match node_patch::holder(node) {
        Some(holder) if holder == uid && node_patch::is_cordoned(node) => {
            Change::Nothing(StepResult::done("claimed and cordoned"))
        }
        Some(holder) if holder != uid => {
            Change::Nothing(wait(WaitingOn::Claim { holder: holder.to_owned() }, CLAIM_AGAIN))
        }
        _ if node_patch::is_cordoned(node) => {
            let message = "claimed; somebody had cordoned it before, it will stay cordoned";
            Change::Patch(node_patch::claim(node, uid), StepResult::done(message))
        }
        _ => Change::Patch(node_patch::claim(node, uid), StepResult::done("claimed and cordoned")),
    })
    .await?;
    if matches!(result, StepResult::Done { .. }) {
        ctx.means.memory.note_claim(key, ctx.now);
    }
    Ok(result)
}
