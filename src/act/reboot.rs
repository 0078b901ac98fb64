//! `Reboot` (needs a client): the machine boots and its node is Ready again.
//!
//! After an installation the agent reboots by itself, with the leave it was given when it was armed. Where nothing was
//! installed in this round (a reboot that was due before we came, or an extra one) it is armed for the reboot alone.
//! Undo: `Restore`, once there is a snapshot.

use super::agent::{Asked, TRIES, ask_for, ask_patiently, waiting};
use super::claim::{Claim, check};
use super::install::{BOOT_SHOWS, arm, boot, boot_would_show, booted_since, has_build, to_boot};
use super::{ActContext, ActError, report, wait};
use crate::domain::{NodeState, StepKey, StepResult};
use windlass_protocol::{AgentPhase, Command, Progress, Report};

pub(super) async fn run(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    let Some(node) = ctx.node.here() else { return Ok(boot(ctx)) };
    let installs = ctx.history.installs_in(key.round);
    if !booted_since(ctx, key, node) {
        return if installs { Ok(boot(ctx)) } else { ask_to_reboot(ctx, key, node).await };
    }
    if !node.readiness.is_ready() {
        return Ok(boot(ctx));
    }
    match (installs, host_is_probed_next(ctx)) {
        (true, true) if has_build(ctx, node) => Ok(StepResult::done(format!("booted, build {}", ctx.intent.to))),
        // Round 0 comes before all work: the agent, asked to stage next, looks by itself.
        (false, probed) if probed || key.round == 0 => Ok(StepResult::done("booted")),
        _ => look(ctx, key, node).await,
    }
}

/// What the work came to, once the armed task is through with it. A build says what is installed, not that nobody is at work
/// any more: a node whose task still searches may be rebooted by it in service.
async fn look(ctx: &ActContext<'_>, key: &StepKey, node: &NodeState) -> Result<StepResult, ActError> {
    // Asked once in each boot: an answer of the boot before may have been that another one comes.
    let purpose = format!("collect-{}", node.boot_id);
    Ok(match ask_patiently(ctx, key, &purpose, Command::Collect { follow: true }).await? {
        asked @ (Asked::Pending(_) | Asked::Unread(_)) => waiting("looking for what is still missing", asked),
        Asked::Report(answer) => report::rebooted(&answer).unwrap_or_else(|| boot(ctx)),
        Asked::Lost(why) => StepResult::failed(format!("booted, but nobody can tell what was installed: {why}")),
    })
}

/// Whether `Verify` asks the agent, and so waits by itself for one that is at work.
fn host_is_probed_next(ctx: &ActContext<'_>) -> bool {
    ctx.intent.policy.verify.probes.iter().any(|probe| probe.host.is_some())
}

/// Asks for the reboot, again where an answer was lost and no boot came with it: the pod may never have run. That is safe, as
/// the agent finds by the ticket what it was asked for before.
async fn ask_to_reboot(ctx: &ActContext<'_>, key: &StepKey, node: &NodeState) -> Result<StepResult, ActError> {
    const DOING: &str = "rebooting the machine";
    if let Claim::NotOurs(result) = check(ctx, key).await? {
        return Ok(result);
    }
    let mut lost = None;
    for number in 1..=TRIES {
        let purpose = if number == 1 { "reboot".to_owned() } else { format!("reboot-{number}") };
        match ask_for(ctx, key, &purpose, arm(ctx, key, Vec::new())).await? {
            asked @ Asked::Pending(_) => return Ok(waiting(DOING, asked)),
            // The pod ran, and most likely goes down with its machine, which is what was asked for.
            Asked::Unread(_) => return Ok(boot(ctx)),
            Asked::Report(answer) if reboots(&answer) => return Ok(boot(ctx)),
            Asked::Report(answer) => return Ok(StepResult::failed(report::reason(&answer))),
            Asked::Lost(_) if !node.readiness.is_ready() => return Ok(boot(ctx)),
            Asked::Lost(_) if !boot_would_show(ctx, key, &purpose) => return Ok(wait(to_boot(ctx), BOOT_SHOWS)),
            Asked::Lost(why) => lost = Some(why),
        }
    }
    Ok(waiting(DOING, Asked::Pending(lost)))
}

/// Whether the machine goes down, by the agent's answer, or has been up again since: then the Node object will say so, too.
fn reboots(answer: &Report) -> bool {
    use AgentPhase::{Done, MoreToInstall, PostBoot, RebootRequested, Rescan};
    match answer.progress {
        Progress::InProgress => matches!(answer.phase, RebootRequested | PostBoot | Rescan),
        Progress::Done => matches!(answer.phase, Done | MoreToInstall),
        Progress::RebootNeeded | Progress::Failed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn an_answer_says_whether_the_machine_reboots() {
        use AgentPhase::{Done, Failed, Idle, PostBoot, RebootRequested};
        for (progress, phase, expected) in [
            (Progress::InProgress, RebootRequested, true),
            (Progress::InProgress, PostBoot, true),
            (Progress::Done, Done, true),
            (Progress::Done, Idle, false),
            // Its leave ran out.
            (Progress::RebootNeeded, RebootRequested, false),
            (Progress::Failed, Failed, false),
        ] {
            assert_eq!(reboots(&report(progress, phase)), expected, "{progress:?} {phase:?}");
        }
    }
}
