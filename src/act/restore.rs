//! `Restore` (needs a client): the machine's disk is put back as it was in the snapshot.
//!
//! The agent is not needed, and the node need not answer. Pods of ours are deleted first: the restored machine must not
//! find one to run again. Undo: none; a node that can not be restored is held.

use super::claim::{Claim, check};
use super::clean_up::{Whose, clean_up};
use super::{ActContext, ActError, provider};
use crate::domain::{StepKey, StepResult};
use crate::ports::{Handle, Power, Progress, ProviderError, SnapshotProvider};

pub(super) async fn run(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    let Some(handle) = ctx.history.snapshot_handle().map(Handle::new) else {
        return Ok(StepResult::failed("there is no snapshot to restore"));
    };
    if !ctx.means.memory.claim_checked(key, ctx.now) {
        clean_up(ctx.means, Whose::NodeUpdate(&ctx.intent.uid)).await?;
        if let Claim::NotOurs(result) = check(ctx, key).await? {
            return Ok(result);
        }
    }
    let provider = match provider::of(ctx) {
        Ok(provider) => provider,
        Err(result) => return Ok(result),
    };
    Ok(match restore(ctx, key, &handle, provider.as_ref()).await {
        Ok(None) => StepResult::done(format!("restored from snapshot {handle}")),
        Ok(Some(doing)) => provider::working(ctx, &doing),
        Err(error) => provider::refused(&error),
    })
}

/// Restores, and sees to it that the machine has power. Says what is still under way.
async fn restore(
    ctx: &ActContext<'_>,
    key: &StepKey,
    handle: &Handle,
    provider: &dyn SnapshotProvider,
) -> Result<Option<String>, ProviderError> {
    let node = &ctx.intent.node;
    if let Progress::Running { message } = provider.restore(node, handle, key).await? {
        return Ok(Some(message));
    }
    let console = provider.console(node).await?;
    if !console.root_attached {
        return Err(ProviderError::RootDetached(format!("{} has no system disk after its restore", node.name)));
    }
    if console.power == Power::Off {
        let progress = provider.power(node, Power::On, key).await?;
        return Ok(Some(match progress {
            Progress::Running { message } => message,
            Progress::Done { .. } => format!("switching {} on", node.name),
        }));
    }
    Ok(None)
}
