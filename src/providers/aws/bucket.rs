//! A token bucket per account and region: AWS counts requests so, and so do we, below its limit.

use crate::ports::ProviderError;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for a token inside a call; who would have to wait longer is sent away, so that every call ends soon.
const PATIENCE: Duration = Duration::from_secs(5);

/// The buckets of a process: classes with the same account and region share one.
#[derive(Debug, Default)]
pub(super) struct Buckets(Mutex<HashMap<(String, String), Arc<Bucket>>>);

impl Buckets {
    /// The bucket of an account in a region. Whoever asks for it with a smaller rate or burst makes it smaller for all.
    pub(super) fn of(&self, account: &str, region: &str, rate: Rate) -> Arc<Bucket> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = (account.to_owned(), region.to_owned());
        let bucket = buckets.entry(id).or_insert_with(|| Arc::new(Bucket::new(rate)));
        bucket.at_most(rate);
        Arc::clone(bucket)
    }
}

/// How fast requests may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// Requests per second, at least 1.
    pub per_second: u32,
    /// Requests at once, at least 1.
    pub burst: u32,
}

/// A token bucket. It holds one time instead of a count (GCRA): when it would be full again.
#[derive(Debug)]
pub(super) struct Bucket(Mutex<State>);

#[derive(Debug)]
struct State {
    rate: Rate,
    full_at: Instant,
}

impl State {
    /// Takes a token and says how long to wait until it counts; or takes none and says when to come again.
    fn take(&mut self, now: Instant) -> Result<Duration, Duration> {
        let each = Duration::from_secs(1) / self.rate.per_second.max(1);
        let full_at = self.full_at.max(now) + each;
        let wait = full_at.duration_since(now).saturating_sub(each * self.rate.burst.max(1));
        if wait > PATIENCE {
            return Err(wait);
        }
        self.full_at = full_at;
        Ok(wait)
    }
}

impl Bucket {
    fn new(rate: Rate) -> Self {
        Self(Mutex::new(State { rate, full_at: Instant::now() }))
    }

    fn at_most(&self, Rate { per_second, burst }: Rate) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.rate = Rate { per_second: state.rate.per_second.min(per_second), burst: state.rate.burst.min(burst) };
    }

    /// Waits for a token.
    ///
    /// # Errors
    /// [`ProviderError::Throttled`] when that would take too long for one call. Callers that are sent away at the same
    /// time are told different times to come again.
    pub(super) async fn take(&self) -> Result<(), ProviderError> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        match taken {
            Ok(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            Err(wait) => Err(ProviderError::Throttled { retry_after: wait.mul_f64(1.0 + fastrand::f64()) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 5, burst: 10 };

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let (bucket, start) = (Bucket::new(RATE), Instant::now());
        for _ in 0..10 {
            bucket.take().await.expect("a token");
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for _ in 0..10 {
            bucket.take().await.expect("a token");
        }
        assert_eq!(start.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_long_is_sent_away_and_takes_no_token() {
        let bucket = Bucket::new(RATE);
        let now = Instant::now();
        let mut sent_away = 0;
        for _ in 0..200 {
            sent_away += usize::from(bucket.0.lock().expect("a lock").take(now).is_err());
        }
        // 10 at once, and 5 s of waiting at 5 a second.
        assert_eq!(sent_away, 200 - 10 - 25);
        let error = bucket.take().await.expect_err("no token");
        assert!(matches!(error, ProviderError::Throttled { retry_after } if retry_after > PATIENCE), "{error}");
        tokio::time::advance(Duration::from_secs(7)).await;
        bucket.take().await.expect("a token");
    }

    #[tokio::test(start_paused = true)]
    async fn classes_of_one_account_and_region_share_the_smallest_bucket() {
        let buckets = Buckets::default();
        let first = buckets.of("1", "eu-central-1", RATE);
        let second = buckets.of("1", "eu-central-1", Rate { per_second: 9, burst: 2 });
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(first.0.lock().expect("a lock").rate, Rate { per_second: 5, burst: 2 });
        assert!(!Arc::ptr_eq(&first, &buckets.of("2", "eu-central-1", RATE)));
        assert!(!Arc::ptr_eq(&first, &buckets.of("1", "us-east-1", RATE)));
    }
}
