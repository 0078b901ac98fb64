//! What a provider's answers mean for a step.

use super::{ActContext, wait};
use crate::domain::{StepResult, WaitingOn, digest};
use crate::ports::{ProviderError, SnapshotProvider};
use std::{sync::Arc, time::Duration};

/// How soon to ask again what was denied: a person has to do something first.
const DENIED_AGAIN: Duration = Duration::from_secs(30);
/// How soon to ask a provider again that did not answer as it should.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// The provider of the intent's SnapshotClass.
pub(super) fn of(ctx: &ActContext<'_>) -> Result<Arc<dyn SnapshotProvider>, StepResult> {
    ctx.means.providers.of_class(&ctx.intent.snapshot_class).map_err(|error| refused(ctx, &error))
}

/// What an error means: whatever may pass is waited for under the same key, what ended is tried again under another.
pub(super) fn refused(ctx: &ActContext<'_>, error: &ProviderError) -> StepResult {
    means(&ctx.intent.uid, error)
}

fn means(update: &str, error: &ProviderError) -> StepResult {
    let message = error.to_string();
    match error {
        ProviderError::Transient(_) => wait(WaitingOn::ProviderRetry(message), ASK_AGAIN),
        ProviderError::Throttled { retry_after } => {
            wait(WaitingOn::ProviderRetry("too many requests".to_owned()), spread(update, ASK_AGAIN.max(*retry_after)))
        }
        ProviderError::Denied(_) => wait(WaitingOn::ProviderRetry(message), DENIED_AGAIN),
        ProviderError::Failed(_) | ProviderError::RootDetached(_) => StepResult::retriable(message),
        ProviderError::Permanent(_) | ProviderError::Quota(_) | ProviderError::NotFound(_) => {
            StepResult::failed(message)
        }
    }
}

/// Up to a quarter longer, as the node update's UID decides: all that were told at once to wait as long do not come back at
/// once, to be refused again.
fn spread(update: &str, wait: Duration) -> Duration {
    let draw = digest(update).bytes().next_back().map_or(0, |byte| u32::from(byte) % 16);
    wait + wait * draw / 64
}

/// Waiting for a task of the provider.
pub(super) fn working(ctx: &ActContext<'_>, doing: &str) -> StepResult {
    wait(WaitingOn::Provider { doing: doing.to_owned() }, ctx.poll())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::StepDetail;

    #[test]
    fn errors_mean_what_the_contract_says() {
        let text = || "because".to_owned();
        let waits = |e| matches!(means("u", &e), StepResult::Pending { on: WaitingOn::ProviderRetry(_), .. });
        assert!(waits(ProviderError::Transient(text())) && waits(ProviderError::Denied(text())));
        let detail = |e| match means("u", &e) {
            StepResult::Failed { detail, .. } => detail,
            other => panic!("{other:?}"),
        };
        assert_eq!(detail(ProviderError::Failed(text())), Some(StepDetail::Retriable));
        assert_eq!(detail(ProviderError::RootDetached(text())), Some(StepDetail::Retriable));
        assert_eq!(detail(ProviderError::Permanent(text())), None);
        assert_eq!(detail(ProviderError::Quota(text())), None);
        assert_eq!(detail(ProviderError::NotFound(text())), None);
    }

    #[test]
    fn nodes_that_are_throttled_together_wait_as_long_as_they_were_told_and_not_all_the_same() {
        let minute = Duration::from_mins(1);
        let wait = |update: &str| match means(update, &ProviderError::Throttled { retry_after: minute }) {
            StepResult::Pending { after, .. } => after,
            other => panic!("{other:?}"),
        };
        let waits: Vec<_> = (0..20).map(|number| wait(&format!("uid-{number}"))).collect();
        assert!(waits.iter().all(|wait| (minute..minute + minute / 4).contains(wait)), "{waits:?}");
        assert!(waits.iter().collect::<std::collections::BTreeSet<_>>().len() > 5, "{waits:?}");
    }
}
