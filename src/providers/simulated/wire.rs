//! What the hypervisor answers, and what it means to the contract. Fields that are not used are not read.

use crate::ports::{Found, Handle, Power, Progress, ProviderError};
use crate::providers::tags;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The answer to what starts something.
#[derive(Debug, Deserialize)]
pub(super) struct TaskBody {
    pub task: Task,
}

/// An asynchronous task.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Task {
    pub id: String,
    pub state: TaskState,
    #[serde(default)]
    pub snapshot_id: Option<String>,
    #[serde(default)]
    pub error: Option<Refusal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum TaskState {
    Queued,
    Running,
    Succeeded,
    Failed,
}

/// Why a task or a request failed.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Refusal {
    pub code: String,
    pub message: String,
}

/// The body of a refusal.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorBody {
    pub error: Refusal,
}

/// Tasks; that they are there is all that is read.
#[derive(Debug, Deserialize)]
pub(super) struct TaskList {
    #[serde(rename = "tasks")]
    _tasks: Vec<Task>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SnapshotList {
    pub snapshots: Vec<Snapshot>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Snapshot {
    pub id: String,
    pub machine: String,
    pub key: String,
    pub state: SnapshotState,
    pub created_at: Timestamp,
    pub restorable: bool,
    #[serde(default)]
    pub restorable_until: Option<Timestamp>,
    pub size_bytes: u64,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

impl Snapshot {
    /// As the sweep wants it.
    pub(super) fn found(self) -> Found {
        tags::found(Handle::new(self.id), &self.tags, self.created_at, Some(self.size_bytes))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum SnapshotState {
    Creating,
    Ready,
    Failed,
}

#[derive(Debug, Deserialize)]
pub(super) struct Console {
    pub power: Switch,
    pub state: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum Switch {
    On,
    Off,
}

impl From<Switch> for Power {
    fn from(switch: Switch) -> Self {
        match switch {
            Switch::On => Self::On,
            Switch::Off => Self::Off,
        }
    }
}

impl Task {
    /// Whether it failed with this code.
    pub(super) fn failed_with(&self, code: &str) -> bool {
        self.state == TaskState::Failed && self.error.as_ref().is_some_and(|e| e.code == code)
    }

    /// How far it is.
    ///
    /// # Errors
    /// Of a task that failed, what may be done about it.
    pub(super) fn progress(self, doing: &str) -> Result<Progress, ProviderError> {
        match self.state {
            TaskState::Queued | TaskState::Running => Ok(Progress::Running { message: doing.to_owned() }),
            TaskState::Succeeded => Ok(Progress::Done { handle: self.snapshot_id.map(Handle::new) }),
            TaskState::Failed => Err(match self.error {
                Some(error) => error.of_task(),
                None => ProviderError::Failed(format!("task {} failed and does not say why", self.id)),
            }),
        }
    }
}

impl Refusal {
    /// What the refusal of a request means.
    pub(super) fn meaning(self) -> ProviderError {
        match self.code.as_str() {
            "NotFound" => ProviderError::NotFound(self.message),
            "Detached" => ProviderError::RootDetached(self.message),
            "Quota" => ProviderError::Quota(self.message),
            "Denied" => ProviderError::Denied(self.message),
            "Busy" | "Unavailable" | "Internal" | "TimedOut" => ProviderError::Transient(self.message),
            _ => ProviderError::Permanent(format!("{}: {}", self.code, self.message)),
        }
    }

    /// What the failure of a task means: the task of this key stays failed, another key's may not.
    fn of_task(self) -> ProviderError {
        match self.code.as_str() {
            "Internal" | "TimedOut" | "Busy" => ProviderError::Failed(self.message),
            _ => self.meaning(),
        }
    }
}
