//! `Stage` (needs a client): the agent finds and downloads the pinned set, and writes baseline and nonce A.
//!
//! Nothing on the machine is changed and the agent is not armed. Where the machine could not be restored for as long as its
//! update may take, it ends here, with the node in service. Undo: none needed, a download is left behind.

use super::agent::{Asked, ask_for, waiting};
use super::{ActContext, ActError, report};
use crate::domain::{StepKey, StepResult};

pub(super) async fn run(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    Ok(match ask_for(ctx, key, "stage", report::stage(ctx.intent)).await? {
        asked @ (Asked::Pending(_) | Asked::Unread(_)) => {
            waiting(&format!("downloading {}", report::kbs(ctx.intent)), asked)
        }
        Asked::Report(answer) => report::staged(&answer, ctx.intent, ctx.now),
        Asked::Lost(why) => StepResult::retriable(why),
    })
}
