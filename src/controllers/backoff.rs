//! Growing waits per object that fails. kube has none, and a status write would cut one short.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// First wait, doubled with each failure in a row.
const BASE: Duration = Duration::from_millis(500);
/// Longest wait.
const CAP: Duration = Duration::from_mins(1);

/// Failures in a row, by object.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<HashMap<String, u32>>);

impl Backoff {
    /// Another failure: how long to wait. Up to a quarter more at random, so that many do not come back together.
    pub fn failed(&self, key: &str) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(key.to_owned()).or_default();
        *count = count.saturating_add(1);
        wait(*count).mul_f64(1.0 + fastrand::f64() / 4.0)
    }

    /// It went well.
    pub fn succeeded(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

fn wait(failures: u32) -> Duration {
    BASE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_are_bounded_and_start_anew() {
        assert_eq!([1, 2, 3, 30].map(wait), [BASE, BASE * 2, BASE * 4, CAP]);
        let backoff = Backoff::default();
        backoff.failed("a");
        assert!(backoff.failed("a") >= BASE * 2);
        assert!(backoff.failed("b") < BASE * 2);
        backoff.succeeded("a");
        assert!(backoff.failed("a") < BASE * 2);
    }
}
