//! `Reboot` (needs a client): the machine boots and its node is Ready again.
//!
//! After an installation the agent reboots by itself, with the leave it was given when it was armed. Where nothing was
//! installed in this round (a reboot that was due before we came, or an extra one) it is armed for the reboot alone.
//! Undo: `Restore`, once there is a snapshot.

use super::agent::{Asked, ask_for, ask_patiently, waiting};
use super::claim::{Claim, check};
use super::install::{arm, boot, booted_since, has_build};
use super::{ActContext, ActError, report};
use crate::domain::{NodeState, StepKey, StepResult};
use windlass_protocol::{AgentPhase, Command, Progress};

pub(super) async fn run(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    let Some(node) = ctx.node.here() else { return Ok(boot(ctx)) };
    let installs = ctx.history.installs_in(key.round);
    if !booted_since(ctx, key, node) {
        return if installs { Ok(boot(ctx)) } else { ask_to_reboot(ctx, key).await };
    }
    if !node.readiness.is_ready() {
        return Ok(boot(ctx));
    }
    if installs { look(ctx, key, node).await } else { Ok(StepResult::done("booted")) }
}

/// What the installation came to. Its end is on the disk, and the build often says enough.
async fn look(ctx: &ActContext<'_>, key: &StepKey, node: &NodeState) -> Result<StepResult, ActError> {
    if has_build(ctx, node) {
        return Ok(StepResult::done(format!("booted, build {}", ctx.intent.to)));
    }
    Ok(match ask_patiently(ctx, key, "collect", Command::Collect { follow: true }).await? {
        asked @ (Asked::Pending(_) | Asked::Unread(_)) => waiting("looking for what is still missing", asked),
        Asked::Report(answer) => report::rebooted(&answer),
        Asked::Lost(why) => StepResult::failed(format!("booted, but nobody can tell what was installed: {why}")),
    })
}

async fn ask_to_reboot(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    if let Claim::NotOurs(result) = check(ctx, key).await? {
        return Ok(result);
    }
    Ok(match ask_for(ctx, key, "reboot", arm(ctx, key, Vec::new())).await? {
        asked @ Asked::Pending(_) => waiting("rebooting the machine", asked),
        Asked::Report(answer)
            if answer.phase == AgentPhase::RebootRequested && answer.progress == Progress::InProgress =>
        {
            boot(ctx)
        }
        Asked::Report(answer) => StepResult::failed(report::reason(&answer)),
        // The pod went down with its machine, which is what was asked for.
        Asked::Unread(_) | Asked::Lost(_) => boot(ctx),
    })
}
