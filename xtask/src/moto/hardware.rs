//! What is under EC2: the disks that volumes stand for, and the power of machines.

use anyhow::Result;
use futures::future::BoxFuture;

/// How far the replacement of a root volume is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not begun.
    Pending,
    /// Under way.
    InProgress,
    /// Done: the disk is that of the snapshot.
    Succeeded,
    /// Ended; the disk is as before.
    Failed,
    /// Ended; the machine has no disk.
    FailedDetached,
}

impl Progress {
    /// Its name at AWS.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in-progress",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::FailedDetached => "failed-detached",
        }
    }

    /// Whether it goes on.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::InProgress)
    }
}

/// What is told of what happens to volumes, and asked how far it is.
pub trait Hardware: Send + Sync {
    /// A snapshot of a root volume was begun.
    fn captured<'a>(&'a self, instance: &'a str, volume: &'a str, snapshot: &'a str) -> BoxFuture<'a, Result<()>>;

    /// The state of a snapshot where it is not `completed` (`pending`, `error`).
    fn state_of<'a>(&'a self, snapshot: &'a str) -> BoxFuture<'a, Result<Option<&'static str>>>;

    /// A volume was made of a snapshot.
    fn made<'a>(&'a self, snapshot: &'a str, volume: &'a str) -> BoxFuture<'a, Result<()>>;

    /// A volume was attached as an instance's root.
    fn attached<'a>(&'a self, instance: &'a str, volume: &'a str) -> BoxFuture<'a, Result<()>>;

    /// The replacement of an instance's root volume was asked for.
    fn replace<'a>(&'a self, task: &'a str, instance: &'a str, snapshot: &'a str) -> BoxFuture<'a, Result<()>>;

    /// How far it is.
    fn progress<'a>(&'a self, task: &'a str) -> BoxFuture<'a, Result<Progress>>;

    /// An instance was started or stopped.
    fn powered<'a>(&'a self, instance: &'a str, on: bool) -> BoxFuture<'a, Result<()>>;
}
