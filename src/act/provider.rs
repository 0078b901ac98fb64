//! What a provider's answers mean for a step.

use super::{ActContext, wait};
use crate::domain::{StepResult, WaitingOn};
use crate::ports::{ProviderError, SnapshotProvider};
use std::{sync::Arc, time::Duration};

/// How soon to ask again what was denied: a person has to do something first.
const DENIED_AGAIN: Duration = Duration::from_secs(30);
/// How soon to ask a provider again that did not answer as it should.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// The provider of the intent's SnapshotClass.
pub(super) fn of(ctx: &ActContext<'_>) -> Result<Arc<dyn SnapshotProvider>, StepResult> {
    ctx.means.providers.of_class(&ctx.intent.snapshot_class).map_err(|error| refused(&error))
}

/// What an error means: whatever may pass is waited for under the same key, what ended is tried again under another.
pub(super) fn refused(error: &ProviderError) -> StepResult {
    let message = error.to_string();
    match error {
        ProviderError::Transient(_) => wait(WaitingOn::ProviderRetry(message), ASK_AGAIN),
        ProviderError::Throttled { retry_after } => {
            wait(WaitingOn::ProviderRetry("too many requests".to_owned()), ASK_AGAIN.max(*retry_after))
        }
        ProviderError::Denied(_) => wait(WaitingOn::ProviderRetry(message), DENIED_AGAIN),
        ProviderError::Failed(_) | ProviderError::RootDetached(_) => StepResult::retriable(message),
        ProviderError::Permanent(_) | ProviderError::Quota(_) | ProviderError::NotFound(_) => {
            StepResult::failed(message)
        }
    }
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
        let waits = |e| matches!(refused(&e), StepResult::Pending { on: WaitingOn::ProviderRetry(_), .. });
        assert!(waits(ProviderError::Transient(text())) && waits(ProviderError::Denied(text())));
        let later = refused(&ProviderError::Throttled { retry_after: Duration::from_mins(1) });
        assert!(matches!(later, StepResult::Pending { after, .. } if after == Duration::from_mins(1)));
        let detail = |e| match refused(&e) {
            StepResult::Failed { detail, .. } => detail,
            other => panic!("{other:?}"),
        };
        assert_eq!(detail(ProviderError::Failed(text())), Some(StepDetail::Retriable));
        assert_eq!(detail(ProviderError::RootDetached(text())), Some(StepDetail::Retriable));
        assert_eq!(detail(ProviderError::Permanent(text())), None);
        assert_eq!(detail(ProviderError::Quota(text())), None);
        assert_eq!(detail(ProviderError::NotFound(text())), None);
    }
}
