//! Why a provider did not do what it was asked.

use std::time::Duration;

/// Why a provider did not do what it was asked. The meaning is part of the contract: it decides what happens next.
///
/// No text of an error holds a credential, or anything that changes from one try to the next (a request's id, a time):
/// the texts are written to status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// May pass: the same call with the same key is made again, until the step's deadline.
    #[error("{0}")]
    Transient(String),
    /// Too many requests: as [`Self::Transient`], but not before this time.
    #[error("too many requests, to be asked again in {}s", retry_after.as_secs())]
    Throttled {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The provider knows us and forbids it, or does not know us. A person may mend it: it is waited for until the
    /// step's deadline, with this text shown. It names what was denied.
    #[error("denied: {0}")]
    Denied(String),
    /// No room for another snapshot. It does not pass by itself: the step fails.
    #[error("quota exceeded: {0}")]
    Quota(String),
    /// The work of this key ended badly. Another attempt, under another key, may succeed.
    #[error("{0}")]
    Failed(String),
    /// Would not pass by trying again: what was asked makes no sense, or contradicts what is there.
    #[error("{0}")]
    Permanent(String),
    /// The machine or the snapshot is not there.
    #[error("{0}")]
    NotFound(String),
    /// The machine was left without its system disk. Another restore gives it one.
    #[error("{0}")]
    RootDetached(String),
}

impl ProviderError {
    /// The same error with its text changed.
    #[must_use]
    pub fn map_text(self, change: impl FnOnce(&str) -> String) -> Self {
        match self {
            Self::Transient(text) => Self::Transient(change(&text)),
            Self::Throttled { retry_after } => Self::Throttled { retry_after },
            Self::Denied(text) => Self::Denied(change(&text)),
            Self::Quota(text) => Self::Quota(change(&text)),
            Self::Failed(text) => Self::Failed(change(&text)),
            Self::Permanent(text) => Self::Permanent(change(&text)),
            Self::NotFound(text) => Self::NotFound(change(&text)),
            Self::RootDetached(text) => Self::RootDetached(change(&text)),
        }
    }
}
