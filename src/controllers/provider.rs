//! Whether a provider can work at all, and whose affair it is when it can not.

use crate::ports::{ProviderError, SnapshotProvider};
use std::time::Duration;

/// How long a provider may take to say that it is ready; one that does not is asked again when it is needed.
const READY_WITHIN: Duration = Duration::from_secs(15);

/// Asks the provider whether it can work.
///
/// # Errors
/// What it says; nothing when it is only slow, or busy: it works, and whoever needs it waits for a turn.
pub(super) async fn ready(provider: &dyn SnapshotProvider) -> Result<(), ProviderError> {
    match tokio::time::timeout(READY_WITHIN, provider.ready()).await {
        Ok(Err(ProviderError::Throttled { .. })) | Err(_) => Ok(()),
        Ok(answer) => answer,
    }
}

/// Whether it stays so until a person does something.
pub(super) fn is_for_a_person(error: &ProviderError) -> bool {
    match error {
        ProviderError::Denied(_) | ProviderError::Permanent(_) | ProviderError::Quota(_) => true,
        ProviderError::Transient(_)
        | ProviderError::Throttled { .. }
        | ProviderError::Failed(_)
        | ProviderError::NotFound(_)
        | ProviderError::RootDetached(_) => false,
    }
}
