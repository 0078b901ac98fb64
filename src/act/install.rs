//! `Install` (needs a client): the agent is armed, and installs the pinned set.
//!
//! Its pod dies with the reboot that it asks for, so the node itself is looked at as well: one that booted since this
//! step was begun is asked how it went, not armed again. Undo: `Restore`.

use super::agent::{Asked, LOOK_AGAIN, ask_for, ask_patiently, waiting};
use super::claim::{Claim, check};
use super::{ActContext, ActError, report, wait};
use crate::api::Install;
use crate::domain::{NodeState, StepKey, StepResult, WaitingOn};
use jiff::SignedDuration;
use std::time::Duration;
use windlass_protocol::{Command, PinnedUpdate, Source, exit};

/// How soon a boot shows in the Node object: 15 s. A kubelet tells its node's state as it starts, and each 10 s
/// (`nodeStatusUpdateFrequency`).
pub(super) const BOOT_SHOWS: Duration = Duration::from_secs(15);

pub(super) async fn run(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    let Some(node) = ctx.node.here() else { return Ok(boot(ctx)) };
    if booted_since(ctx, key, node) {
        return after_boot(ctx, key, node).await;
    }
    if let Claim::NotOurs(result) = check(ctx, key).await? {
        return Ok(result);
    }
    let arm = arm(ctx, key, ctx.intent.updates.clone());
    Ok(match ask_for(ctx, key, "arm", arm).await? {
        // The agent says so only when it has asked for the reboot: the machine is going down, and took the log along.
        Asked::Unread(Some(exit::IN_PROGRESS)) => StepResult::done("installed up to a reboot"),
        Asked::Pending(_) | Asked::Unread(_) | Asked::Lost(_) if !node.readiness.is_ready() => boot(ctx),
        asked @ (Asked::Pending(_) | Asked::Unread(_)) => installing(ctx, asked),
        Asked::Report(answer) => report::installed(&answer, is_last(ctx, key)),
        Asked::Lost(_) if !boot_would_show(ctx, key, "arm") => wait(to_boot(ctx), BOOT_SHOWS),
        Asked::Lost(why) => collect(ctx, key, false, &why).await?,
    })
}

/// What came of an installation whose machine booted meanwhile. One update that gave the build it was pinned for is
/// installed; of several, only the agent knows.
async fn after_boot(ctx: &ActContext<'_>, key: &StepKey, node: &NodeState) -> Result<StepResult, ActError> {
    if !node.readiness.is_ready() {
        return Ok(boot(ctx));
    }
    if has_build(ctx, node) {
        return Ok(StepResult::done("installed, the machine has booted"));
    }
    collect(ctx, key, true, "the machine booted").await
}

/// Asks what the state on the disk says, and waits there for the work to come to an end.
async fn collect(ctx: &ActContext<'_>, key: &StepKey, rebooted: bool, why: &str) -> Result<StepResult, ActError> {
    let purpose = if rebooted { "collect-booted" } else { "collect" };
    Ok(match ask_patiently(ctx, key, purpose, Command::Collect { follow: true }).await? {
        asked @ (Asked::Pending(_) | Asked::Unread(_)) => installing(ctx, asked),
        Asked::Report(answer) => report::installed(&answer, is_last(ctx, key)),
        Asked::Lost(again) => StepResult::retriable(format!("{again}; before that: {why}")),
    })
}

/// The command that installs these updates, or with none of them only reboots.
pub(super) fn arm(ctx: &ActContext<'_>, key: &StepKey, updates: Vec<PinnedUpdate>) -> Command {
    let (install, extra) = (install_policy(ctx), ctx.intent.policy.verify.extra_reboots);
    let (_, nonce_b) = report::nonces(&key.node_update_uid);
    let leave = install.timeout.get() + install.reboot_timeout.get();
    // Counted from the step's record: a repeated pass asks for exactly the same.
    let reboot_not_after = ctx.begun().checked_add(SignedDuration::try_from(leave).unwrap_or_default()).ok();
    Command::Arm {
        source: Source::WindowsUpdate,
        updates,
        nonce_b,
        reboot_not_after,
        max_reboots: u32::try_from(install.max_reboots + extra).unwrap_or(1),
        timeout_seconds: install.timeout.get().as_secs(),
    }
}

/// Whether the node booted since the installation of this round was begun.
pub(super) fn booted_since(ctx: &ActContext<'_>, key: &StepKey, node: &NodeState) -> bool {
    ctx.history.boot_id_before(key.round).is_some_and(|before| before != node.boot_id)
}

/// Whether the node's build alone says that the whole pinned set is installed.
pub(super) fn has_build(ctx: &ActContext<'_>, node: &NodeState) -> bool {
    let intent = ctx.intent;
    intent.updates.len() <= 1 && node.build.is_some_and(|build| build.same_os(intent.to) && build >= intent.to)
}

/// Whether the Node object would show the boot by now that the answer to a question was lost with. A pod that asked then would
/// wait for that boot and often tell what the build tells as well.
pub(super) fn boot_would_show(ctx: &ActContext<'_>, key: &StepKey, purpose: &str) -> bool {
    ctx.passed_since(ctx.means.memory.missed_since(key, purpose, ctx.now)) >= BOOT_SHOWS
}

/// Waiting for the machine to be back.
pub(super) fn boot(ctx: &ActContext<'_>) -> StepResult {
    wait(to_boot(ctx), LOOK_AGAIN)
}

pub(super) fn to_boot(ctx: &ActContext<'_>) -> WaitingOn {
    WaitingOn::Boot { node: ctx.intent.node.name.clone() }
}

fn installing(ctx: &ActContext<'_>, asked: Asked) -> StepResult {
    waiting(&format!("installing {}", report::kbs(ctx.intent)), asked)
}

fn is_last(ctx: &ActContext<'_>, key: &StepKey) -> bool {
    i32::try_from(key.attempt).is_ok_and(|attempt| attempt >= install_policy(ctx).attempts)
}

fn install_policy(ctx: &ActContext<'_>) -> Install {
    ctx.intent.policy.strategy.in_place.as_ref().map(|p| p.install.clone()).unwrap_or_default()
}
