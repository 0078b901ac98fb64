//! Takes off what the agent put on a machine (needs a client): its task, its downloads, the policy value it holds.
//!
//! On the way that goes well the agent does so by itself, at its end. After a failure, an abort or a restore nobody
//! would: the machine would keep automatic updates off for ever.

use super::agent::{Asked, READ_AGAIN, ask_patiently, doing};
use super::{ActContext, ActError, report, wait};
use crate::domain::{StepKey, StepResult, WaitingOn};
use std::time::Duration;
use windlass_protocol::{Command, Progress};

/// How long an agent is waited for that does not start: ours, below what giving a node back may take. A machine that
/// starts no pods is given back as it is, and that is said.
const PATIENCE: Duration = Duration::from_mins(2);

/// What came of it.
pub(super) enum Reset {
    /// Not yet.
    Wait(StepResult),
    /// It is over; where it was not done, why.
    Over(Option<String>),
}

/// Asks the agent to take its things off, where it may have left any.
///
/// # Errors
/// [`ActError::CreatePod`]; one that is refused no longer than an agent is waited for that does not start.
pub(super) async fn reset(ctx: &ActContext<'_>, key: &StepKey) -> Result<Reset, ActError> {
    if !ctx.history.agent_left_things() || ctx.node.here().is_none() {
        return Ok(Reset::Over(None));
    }
    let waiting = |why| {
        let doing = doing("taking off what it put on the machine", why);
        Reset::Wait(wait(WaitingOn::Agent { doing }, READ_AGAIN))
    };
    // Outside a step, on a person's request, no record says since when.
    let since =
        ctx.history.open().map_or_else(|| ctx.means.memory.missed_since(key, "reset", ctx.now), |_| ctx.begun());
    let late = ctx.passed_since(since) >= PATIENCE;
    let asked = match ask_patiently(ctx, key, "reset", Command::Reset {}).await {
        // A pod that may not be made starts no more than one that can not: a node is not held for that.
        Err(error) if late && error.is_refused() => return Ok(Reset::Over(Some(error.to_string()))),
        other => other?,
    };
    Ok(match asked {
        Asked::Pending(why) if late => Reset::Over(Some(why.unwrap_or_else(|| "it has not ended".to_owned()))),
        Asked::Pending(why) => waiting(why),
        Asked::Unread(_) if late => Reset::Over(Some("its log can not be read".to_owned())),
        Asked::Unread(_) => waiting(None),
        Asked::Report(answer) if answer.progress == Progress::Done => Reset::Over(None),
        Asked::Report(answer) => Reset::Over(Some(report::reason(&answer))),
        Asked::Lost(why) => Reset::Over(Some(why)),
    })
}
