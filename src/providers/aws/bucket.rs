//! A token bucket per account and region: AWS counts requests so, and so do we, below its limit.
//!
//! A token is for one request, a turn for one piece of work, which makes up to six. There are only so many turns that
//! whoever has one gets all its tokens before its call is over: none are spent on work that then has to be given up.

use crate::ports::ProviderError;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Longest wait for a turn; who would have to wait longer is sent away, so that every call ends soon.
const PATIENCE: Duration = Duration::from_secs(5);
/// Turns at once, in seconds' worth of tokens: six requests each are answered within 18 s.
const TURNS: u32 = 3;

/// The buckets of a process: classes with the same account and region share one.
#[derive(Debug, Default)]
pub(super) struct Buckets(Mutex<HashMap<(String, String), Shared>>);

/// A bucket, and the rates of those who share it.
#[derive(Debug)]
struct Shared {
    bucket: Arc<Bucket>,
    rates: Vec<Weak<Rate>>,
}

impl Buckets {
    /// The bucket of an account in a region. It has the smallest rate and burst of all who have asked for it and still hold
    /// their rate: a class that was changed or is gone does not, and counts no more.
    pub(super) fn of(&self, account: &str, region: &str, rate: &Arc<Rate>) -> Arc<Bucket> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = (account.to_owned(), region.to_owned());
        let new = || Shared { bucket: Arc::new(Bucket::new(**rate)), rates: Vec::new() };
        let Shared { bucket, rates } = buckets.entry(id).or_insert_with(new);
        rates.retain(|held| held.strong_count() > 0);
        if !rates.iter().any(|held| std::ptr::eq(held.as_ptr(), Arc::as_ptr(rate))) {
            rates.push(Arc::downgrade(rate));
        }
        bucket.keep_to(rates.iter().filter_map(Weak::upgrade).fold(**rate, |least, held| least.min(*held)));
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

impl Rate {
    /// The smaller of both, number by number.
    fn min(self, other: Self) -> Self {
        Self { per_second: self.per_second.min(other.per_second), burst: self.burst.min(other.burst) }
    }

    fn turns(self) -> usize {
        usize::try_from(self.per_second.max(1) * TURNS).unwrap_or(usize::MAX)
    }
}

/// Tokens and turns.
#[derive(Debug)]
pub(super) struct Bucket {
    state: Mutex<State>,
    turns: Arc<Semaphore>,
}

/// A token bucket that holds one time instead of a count (GCRA): when it would be full again.
#[derive(Debug)]
struct State {
    rate: Rate,
    full_at: Instant,
    /// How many turns there are, taken or not.
    turns: usize,
}

impl State {
    /// Takes a token and says how long to wait until it counts.
    fn take(&mut self, now: Instant) -> Duration {
        let each = Duration::from_secs(1) / self.rate.per_second.max(1);
        self.full_at = self.full_at.max(now) + each;
        self.full_at.duration_since(now).saturating_sub(each * self.rate.burst.max(1))
    }
}

impl Bucket {
    fn new(rate: Rate) -> Self {
        let turns = Arc::new(Semaphore::new(rate.turns()));
        Self { state: Mutex::new(State { rate, full_at: Instant::now(), turns: rate.turns() }), turns }
    }

    fn keep_to(&self, rate: Rate) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (turns, wanted) = (state.turns, rate.turns());
        self.turns.add_permits(wanted.saturating_sub(turns));
        // Turns that are taken now can not be taken away: whoever asks next finds them back, and takes them away then.
        let forgotten = self.turns.forget_permits(turns.saturating_sub(wanted));
        state.turns = turns.max(wanted) - forgotten;
        state.rate = rate;
    }

    /// Waits for a turn: it lasts until what is given is dropped.
    ///
    /// # Errors
    /// [`ProviderError::Throttled`] when that takes too long for one call. Callers that are sent away at the same time
    /// are told different times to come again.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, ProviderError> {
        match tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(ProviderError::Throttled { retry_after: PATIENCE.mul_f64(1.0 + fastrand::f64()) }),
        }
    }

    /// Waits for a token.
    pub(super) async fn token(&self) {
        let wait = self.state.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;

    const RATE: Rate = Rate { per_second: 5, burst: 10 };

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let (bucket, start) = (Bucket::new(RATE), Instant::now());
        for _ in 0..10 {
            bucket.token().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for _ in 0..10 {
            bucket.token().await;
        }
        assert_eq!(start.elapsed().as_secs(), 2);
    }

    /// 200 callers with up to six requests each: whoever is let in ends within the time of a call, and not one token is
    /// spent on the others.
    #[tokio::test(start_paused = true)]
    async fn who_has_a_turn_gets_its_tokens_and_who_would_wait_long_is_sent_away_without_one() {
        let (bucket, start) = (Bucket::new(RATE), Instant::now());
        let tokens = std::sync::atomic::AtomicU32::new(0);
        let work = async || {
            let _turn = bucket.turn().await?;
            let begun = Instant::now();
            for _ in 0..6 {
                bucket.token().await;
                tokens.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            Ok::<_, ProviderError>(begun.elapsed())
        };
        let ended = join_all((0..200).map(|_| work())).await;
        let (mut done, mut sent_away) = (0_u32, 0_u32);
        for end in ended {
            match end {
                Ok(took) => {
                    done += 1;
                    assert!(took <= Duration::from_secs(18), "{took:?}");
                }
                Err(ProviderError::Throttled { retry_after }) => {
                    sent_away += 1;
                    assert!(retry_after >= PATIENCE && retry_after <= 2 * PATIENCE, "{retry_after:?}");
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert!(done >= 15 && sent_away > 100, "{done} done, {sent_away} sent away");
        let tokens = tokens.into_inner();
        assert_eq!(tokens, done * 6);
        assert!(f64::from(tokens) <= 10.0 + 5.0 * start.elapsed().as_secs_f64() + 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn classes_of_one_account_and_region_share_the_smallest_bucket() {
        let buckets = Buckets::default();
        let (usual, slow) = (Arc::new(RATE), Arc::new(Rate { per_second: 2, burst: 20 }));
        let first = buckets.of("1", "eu-central-1", &usual);
        let second = buckets.of("1", "eu-central-1", &slow);
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(first.state.lock().expect("a lock").rate, Rate { per_second: 2, burst: 10 });
        assert_eq!(first.turns.available_permits(), 6);
        assert!(!Arc::ptr_eq(&first, &buckets.of("2", "eu-central-1", &usual)));
        assert!(!Arc::ptr_eq(&first, &buckets.of("1", "us-east-1", &usual)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_class_that_was_changed_or_is_gone_slows_nobody_down() {
        let buckets = Buckets::default();
        let (usual, slow) = (Arc::new(RATE), Arc::new(Rate { per_second: 2, burst: 1 }));
        let of = |rate: &Arc<Rate>| buckets.of("1", "eu-central-1", rate);
        let rate = |bucket: &Bucket| bucket.state.lock().expect("a lock").rate;
        let bucket = of(&usual);
        let taken = bucket.turn().await.expect("a turn");
        of(&slow);
        assert_eq!(rate(&of(&usual)), Rate { per_second: 2, burst: 1 }, "it is still there");
        assert_eq!(bucket.turns.available_permits(), 5, "one of six is taken");
        drop(slow);
        assert_eq!(rate(&of(&usual)), RATE);
        drop(taken);
        assert_eq!(bucket.turns.available_permits(), 15);

        // A class that is changed while all turns are taken: they do not become more by it.
        let all = join_all((0..15).map(|_| bucket.turn())).await;
        for _ in 0..3 {
            let slow = Arc::new(Rate { per_second: 2, burst: 1 });
            of(&slow);
            drop(slow);
            of(&usual);
        }
        drop(all);
        of(&usual);
        assert_eq!(bucket.turns.available_permits(), 15);
    }
}
