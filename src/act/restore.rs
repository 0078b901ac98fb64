//! `Restore` (needs a client): the machine's disk is put back as it was in the snapshot.
//!
//! The agent is not needed, and the node need not answer; nor need its Node object be there: a cloud may take it away while the
//! machine is down. Pods of ours are deleted first: the restored machine must not
//! find one to run again. Undo: none; a node that can not be restored is held.

use super::claim::{Claim, check};
use super::clean_up::{Whose, clean_up};
use super::{ActContext, ActError, provider};
use crate::domain::{History, NodeSeen, StepKey, StepResult};
use crate::ports::{Handle, Power, Progress, ProviderError, SnapshotProvider};

pub(super) async fn run(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    let Some(handle) = ctx.history.snapshot_handle().map(Handle::new) else {
        return Ok(StepResult::failed("there is no snapshot to restore"));
    };
    if let Some(why) = too_late(ctx.history) {
        return Ok(StepResult::failed(format!("snapshot {handle} does not count any more: {why}")));
    }
    if !ctx.means.memory.claim_checked(key, ctx.now) {
        clean_up(ctx.means, Whose::NodeUpdate(&ctx.intent.uid)).await?;
        // Of a node that is not there, nobody else takes hold.
        let missing = matches!(ctx.node, NodeSeen::Missing { .. });
        if !missing && let Claim::NotOurs(result) = check(ctx, key).await? {
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
        Err(error) => provider::refused(ctx, &error),
    })
}

/// Why a machine that is restored would be let in by nobody. What was begun in time is brought to its end.
fn too_late(history: &History) -> Option<String> {
    let (end, begun) = (history.identity_expiry()?, history.restore_begun()?);
    (begun >= end.at).then(|| format!("{}, and a restored machine would not be let in", end.words()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Step, StepPhase, StepRecord};
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    #[test]
    fn a_restore_that_begins_after_the_snapshots_end_is_refused_and_one_that_began_before_goes_on() {
        let at = |second: i64| MicroTime(Timestamp::from_second(second).expect("a time"));
        let record = |step, attempt, second: i64, handle: Option<&str>| StepRecord {
            step,
            phase: StepPhase::Succeeded,
            round: 1,
            attempt,
            started_at: at(second),
            finished_at: Some(at(second)),
            detail: None,
            handle: handle.map(str::to_owned),
            message: String::new(),
        };
        let end = Some("MachinePassword 1970-01-01T00:01:40Z");
        let late = |end, begun: &[i64]| {
            let restores = begun.iter().zip(1..).map(|(second, attempt)| record(Step::Restore, attempt, *second, None));
            let log: Vec<_> = [record(Step::Stage, 1, 1, end)].into_iter().chain(restores).collect();
            too_late(&History::default().with(&log))
        };
        assert_eq!(late(end, &[99]), None);
        let why = late(end, &[100]).expect("too late");
        assert!(why.contains("password") && why.contains("1970-01-01T00:01:40Z"), "{why}");
        assert_eq!(late(end, &[99, 200]), None, "its first attempt was begun in time");
        assert_eq!(late(None, &[1_000_000]), None, "nothing ends");
    }
}
