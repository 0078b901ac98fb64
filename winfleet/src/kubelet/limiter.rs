//! One token bucket for all requests of the fleet, so that hundreds of kubelets do not ask more than a few nodes' worth.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How far heartbeats may draw on the future: more debt would starve pods when there are too many nodes for the rate.
const LONGEST_DEBT: Duration = Duration::from_secs(1);

/// A token bucket, kept as the time at which the next token is due (generic cell rate algorithm).
#[derive(Debug)]
pub struct Limiter {
    interval: Duration,
    burst: Duration,
    next: Mutex<Instant>,
}

impl Limiter {
    /// Makes a bucket that gives `per_second` tokens a second (at least 1) and holds as many.
    pub fn new(per_second: u32) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.max(1),
            burst: Duration::from_secs(1),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Takes a token, waiting for it in the order of arrival.
    pub async fn acquire(&self) {
        let due = self.reserve(Instant::now(), Duration::MAX);
        tokio::time::sleep_until(due).await;
    }

    /// Takes a token without waiting: for heartbeats, which must not stand in the queue of pods.
    pub fn charge(&self) {
        self.reserve(Instant::now(), LONGEST_DEBT);
    }

    /// Takes the next token and returns when it is due, which is in the past while the bucket is not empty.
    fn reserve(&self, now: Instant, longest_debt: Duration) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let full = now.checked_sub(self.burst).unwrap_or(now);
        let due = (*next).max(full);
        let after = due + self.interval;
        // A debt that others already ran up is not forgiven.
        *next = now.checked_add(longest_debt).map_or(after, |bound| after.min(bound.max(due)));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A bucket of ten a second, and a time at which it is full.
    fn full() -> (Limiter, Instant) {
        let limiter = Limiter::new(10);
        (limiter, Instant::now() + 10 * SECOND)
    }

    #[test]
    fn gives_a_burst_and_then_the_rate() {
        let (limiter, now) = full();
        let due: Vec<_> = (0..30).map(|_| limiter.reserve(now, Duration::MAX)).collect();
        assert!(due[..11].iter().all(|due| *due <= now), "ten tokens held, and the one that is due now");
        assert_eq!(due[20].duration_since(now), SECOND, "then ten a second");
        assert!(due.is_sorted(), "in the order of arrival");
        let later = now + 10 * SECOND;
        assert!(limiter.reserve(later, Duration::MAX) <= later, "it fills up again");
    }

    #[test]
    fn heartbeats_do_not_starve_pods() {
        let (limiter, now) = full();
        for _ in 0..1000 {
            limiter.reserve(now, LONGEST_DEBT);
        }
        assert_eq!(limiter.reserve(now, Duration::MAX).duration_since(now), LONGEST_DEBT);
    }
}
