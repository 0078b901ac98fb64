//! Whether a pass has anything to do: something that it reads has changed, or its time has come.
//!
//! Every write of ours comes back as a change, and an early trigger would replace a later requeue. So each pass leaves
//! behind what it had seen and when the next is due; one that would see the same too early does nothing.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What the last passes left behind, by object.
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<String, Left>>);

#[derive(Clone, Copy, Debug)]
struct Left {
    seen: u64,
    due: Instant,
}

impl Pace {
    /// How long to wait still, if a pass that sees this would have nothing to do.
    pub fn early(&self, key: &str, seen: u64) -> Option<Duration> {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = left.get(key).filter(|left| left.seen == seen)?;
        let wait = left.due.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }

    /// A pass has seen this, and the next is due after `wait`.
    pub fn leave(&self, key: &str, seen: u64, wait: Duration) {
        let left = Left { seen, due: Instant::now() + wait };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), left);
    }

    /// The object is done with.
    pub fn forget(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// A number for what was seen.
pub fn fingerprint(seen: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    seen.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_early_only_if_it_sees_the_same_before_its_time() {
        let pace = Pace::default();
        assert_eq!(pace.early("a", 1), None, "never seen");
        pace.leave("a", 1, Duration::from_mins(1));
        assert!(pace.early("a", 1).is_some_and(|wait| wait > Duration::from_secs(50)));
        assert_eq!(pace.early("a", 2), None, "something has changed");
        assert_eq!(pace.early("b", 1), None, "another object");
        pace.leave("a", 1, Duration::ZERO);
        assert_eq!(pace.early("a", 1), None, "its time has come");
        pace.leave("a", 1, Duration::from_mins(1));
        pace.forget("a");
        assert_eq!(pace.early("a", 1), None);
    }
}
