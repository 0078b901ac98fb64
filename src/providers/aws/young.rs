//! What this process has made or seen lately. EC2 is eventually consistent: what was made may not be found for a while.
//! It saves mistakes only; after a restart, what is found by its tag is all that counts.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long something that is known to exist may stay invisible.
pub(super) const SURE: Duration = Duration::from_mins(2);
/// How long something that may exist is waited for: its request was sent, and the answer was lost. A double that comes of
/// a shorter wait is found and removed.
pub(super) const UNSURE: Duration = Duration::from_secs(10);

/// Names, each until a time.
#[derive(Debug, Default)]
pub(super) struct Young(Mutex<HashMap<String, Instant>>);

impl Young {
    /// Notes a name for this long.
    pub(super) fn note(&self, name: &str, lasts: Duration) {
        let now = Instant::now();
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.retain(|_, until| *until > now);
        names.insert(name.to_owned(), now + lasts);
    }

    /// Forgets a name.
    pub(super) fn forget(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Whether a name was noted and its time is not over.
    pub(super) fn has(&self, name: &str) -> bool {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(name).is_some_and(|until| *until > Instant::now())
    }
}
