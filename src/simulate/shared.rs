//! The cluster as all tasks of a simulation share it, and the virtual clock that they share.

use super::cluster::Cluster;
use crate::ports::Clock;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Virtual time: the scenario's start, plus what the paused clock of the runtime says has passed.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    start: Timestamp,
    began: Instant,
}

impl Time {
    /// Time that begins now, at `start`. To be made inside the runtime.
    pub fn beginning(start: Timestamp) -> Self {
        Self { start, began: Instant::now() }
    }

    /// What time it is.
    pub fn now(self) -> Timestamp {
        self.at(Instant::now())
    }

    fn at(self, instant: Instant) -> Timestamp {
        let passed = SignedDuration::try_from(instant.duration_since(self.began)).unwrap_or(SignedDuration::MAX);
        self.start.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// When it will be this late.
    pub fn instant(self, at: Timestamp) -> Instant {
        let left = at.duration_since(self.start);
        self.began + std::time::Duration::try_from(left).unwrap_or_default()
    }

    /// The same as the operator's clock.
    pub fn clock(self) -> Clock {
        Clock::new(move || self.now())
    }
}

/// The cluster, shared.
#[derive(Clone)]
pub struct Shared {
    cluster: Arc<Mutex<Cluster>>,
    time: Time,
    /// Wakes whoever lets things happen, when something is due earlier than it was.
    earlier: Arc<Notify>,
}

impl Shared {
    /// Shares a cluster.
    pub fn new(cluster: Cluster, time: Time) -> Self {
        Self { cluster: Arc::new(Mutex::new(cluster)), time, earlier: Arc::default() }
    }

    /// The time.
    pub fn time(&self) -> Time {
        self.time
    }

    /// Works with the cluster, now.
    pub fn with<T>(&self, work: impl FnOnce(&mut Cluster, Timestamp) -> T) -> T {
        let mut cluster = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        let before = cluster.agenda.next();
        let result = work(&mut cluster, self.time.now());
        if cluster.agenda.next() != before {
            self.earlier.notify_one();
        }
        result
    }

    /// The same for whoever asks what is due next anyway.
    pub fn with_quietly<T>(&self, work: impl FnOnce(&mut Cluster, Timestamp) -> T) -> T {
        work(&mut self.cluster.lock().unwrap_or_else(PoisonError::into_inner), self.time.now())
    }

    /// Waits until something is due earlier than it was.
    pub async fn earlier(&self) {
        self.earlier.notified().await;
    }

    /// The cluster, when nobody else has it any more.
    pub fn into_inner(self) -> Option<Cluster> {
        Arc::into_inner(self.cluster).map(|cluster| cluster.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}
