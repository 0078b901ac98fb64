//! `Stage` (needs a client): the agent finds and downloads the pinned set, and writes baseline and nonce A.
//!
//! Nothing on the machine is changed and the agent is not armed. Where the machine could not be restored for as long as its
//! update may take, it ends here, with the node in service. Undo: none needed, a download is left behind.

use super::agent::{Asked, LOOK_AGAIN, READ_AGAIN, ask_for, doing};
use super::{ActContext, ActError, report, wait};
use crate::domain::{StepKey, StepResult, WaitingOn};
use std::time::Duration;

pub(super) async fn run(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    Ok(match ask_for(ctx, key, "stage", report::stage(ctx.intent)).await? {
        Asked::Pending(why) => downloading(ctx, why, LOOK_AGAIN),
        Asked::Unread(_) => downloading(ctx, None, READ_AGAIN),
        Asked::Report(answer) => report::staged(&answer, ctx.intent, ctx.now),
        Asked::Lost(why) => StepResult::retriable(why),
    })
}

fn downloading(ctx: &ActContext<'_>, why: Option<String>, after: Duration) -> StepResult {
    let doing = doing(&format!("downloading {}", report::kbs(ctx.intent)), why);
    wait(WaitingOn::Agent { doing }, after)
}
