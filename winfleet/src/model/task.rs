//! Snapshots and asynchronous tasks, as the hypervisor keeps them.

use super::Disk;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaskKind {
    /// Takes a snapshot.
    Snapshot,
    /// Puts a snapshot in the place of the disk.
    Restore,
    /// Changes the power.
    Power,
}

/// How a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaskState {
    /// Begun.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly; `error` says why.
    Failed,
}

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Code {
    /// The hypervisor failed.
    Internal,
    /// The machine has another task under way.
    Busy,
    /// There is no such machine, snapshot or task.
    NotFound,
    /// The machine has no system disk any more.
    Detached,
    /// There may be no more snapshots.
    Quota,
    /// The task ran out of time; what it began may exist.
    TimedOut,
    /// The request contradicts what is there.
    Conflict,
    /// The request is not one the hypervisor understands.
    Invalid,
    /// Too many requests.
    Throttled,
    /// The hypervisor does not answer now.
    Unavailable,
}

/// Why a task or a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct Refusal {
    /// What kind of thing went wrong.
    pub code: Code,
    /// One sentence.
    pub message: String,
}

/// A change of power that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PowerRequest {
    /// Power on; a machine that has power is left alone.
    On,
    /// Power off at once.
    Off,
    /// Power off and on.
    Reset,
}

/// One asynchronous task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// The caller's key: the same key again is the same task.
    pub key: String,
    /// What it does.
    pub kind: TaskKind,
    /// The machine it is for.
    pub machine: String,
    /// How it stands.
    pub state: TaskState,
    /// The snapshot it makes or uses.
    pub snapshot_id: Option<String>,
    /// Why it failed.
    pub error: Option<Refusal>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What is asked of the power, for a task of that kind.
    pub want: Option<PowerRequest>,
    /// When it will end.
    pub(super) ends: Timestamp,
}

/// How a snapshot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SnapshotState {
    /// Being made.
    Creating,
    /// Captured.
    Ready,
    /// Not made.
    Failed,
}

/// One snapshot of a system disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id.
    pub id: String,
    /// The machine it is of.
    pub machine: String,
    /// The caller's key.
    pub key: String,
    /// How it stands.
    pub state: SnapshotState,
    /// When it was asked for: the moment that it captures.
    pub created_at: Timestamp,
    /// From when a machine can be restored from it; none before it is captured.
    pub restorable_from: Option<Timestamp>,
    /// Until when a machine can be restored from it; none is for ever.
    pub restorable_until: Option<Timestamp>,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The caller's tags.
    pub tags: BTreeMap<String, String>,
    /// The machine's generation then: a replacement's disk is not of this lineage.
    pub(super) generation: u32,
    pub(super) disk: Disk,
}

impl Snapshot {
    /// Whether a machine can be restored from it at `now`.
    pub fn restorable(&self, now: Timestamp) -> bool {
        self.state == SnapshotState::Ready
            && self.restorable_from.is_some_and(|from| from <= now)
            && self.restorable_until.is_none_or(|until| now < until)
    }

    /// The next moment at which it begins or ceases to be restorable.
    pub(super) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        [self.restorable_from, self.restorable_until].into_iter().flatten().filter(|at| *at > now).min()
    }
}
