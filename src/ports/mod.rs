//! The borders to what is outside Kubernetes: who takes and restores snapshots, and what time it is. Traits and plain
//! values; no adapter of a provider.
//!
//! # The contract of a provider
//! * Every call ends within seconds. What takes longer is started by the call and polled by repeating it.
//! * A call with the same key is the same piece of work: repeated after a crash or a lost answer, it finds the first
//!   one and never starts a second. Another key is another piece of work.
//! * A refusal says what may be done about it: see [`ProviderError`].

mod clock;

pub use clock::Clock;

use crate::domain::{NodeRef, StepKey};
use futures::future::BoxFuture;
use jiff::Timestamp;
use std::{fmt, sync::Arc, time::Duration};

/// What a call to a provider gives.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, ProviderError>>;

/// Takes and restores snapshots of machines' system disks.
pub trait SnapshotProvider: Send + Sync {
    /// What its snapshots can do.
    fn capabilities(&self) -> Capabilities;

    /// Takes a snapshot of the machine's system disk, or finds the one that was taken for this key.
    fn ensure<'a>(&'a self, node: &'a NodeRef, key: &'a StepKey) -> Answer<'a, Progress>;

    /// Puts the snapshot in the place of the machine's system disk and switches the machine on. What runs on the
    /// machine is not asked first.
    fn restore<'a>(&'a self, node: &'a NodeRef, handle: &'a Handle, key: &'a StepKey) -> Answer<'a, Progress>;

    /// Says what a snapshot is good for.
    fn inspect<'a>(&'a self, handle: &'a Handle) -> Answer<'a, SnapshotFacts>;

    /// Deletes a snapshot. One that is not there is a success.
    fn delete<'a>(&'a self, handle: &'a Handle) -> Answer<'a, ()>;

    /// Switches the machine on or off.
    fn power<'a>(&'a self, node: &'a NodeRef, want: Power, key: &'a StepKey) -> Answer<'a, Progress>;

    /// Says what the provider sees of the machine from outside.
    fn console<'a>(&'a self, node: &'a NodeRef) -> Answer<'a, ConsoleFacts>;
}

/// Finds the provider of a SnapshotClass.
pub trait SnapshotProviders: Send + Sync {
    /// The provider that the class of this name stands for.
    ///
    /// # Errors
    /// [`ProviderError::Transient`] when there is no such class (it may be applied again), and
    /// [`ProviderError::Permanent`] when its parameters make no provider.
    fn of_class(&self, class: &str) -> Result<Arc<dyn SnapshotProvider>, ProviderError>;
}

/// What a provider's snapshots can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether a restore gives the same machine its disk back, and not another machine.
    pub in_place: bool,
    /// Whether the machine keeps its identity (providerID, addresses) over a restore.
    pub keeps_identity: bool,
}

/// A provider's own name of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Handle(String);

impl Handle {
    /// The handle of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a piece of work is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// Under way.
    Running {
        /// What is being done, in words.
        message: String,
    },
    /// Done.
    Done {
        /// The snapshot that was made or used; `None` for power.
        handle: Option<Handle>,
    },
}

/// What a snapshot is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFacts {
    /// The moment it captures.
    pub captured_at: Timestamp,
    /// Whether a machine can be restored from it now.
    pub restorable: bool,
    /// Until when; `None` when the provider sets no limit.
    pub restorable_until: Option<Timestamp>,
    /// Size in bytes, where the provider says so.
    pub size_bytes: Option<u64>,
}

/// Whether a machine has power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// It has.
    On,
    /// It has not.
    Off,
}

/// What a provider sees of a machine from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleFacts {
    /// Whether it has power.
    pub power: Power,
    /// Whether its system disk is attached.
    pub root_attached: bool,
    /// What it is at, in words (`Booting`, `BootLoop`).
    pub state: String,
}

/// Why a provider did not do what it was asked. The meaning is part of the contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// May pass: the same call with the same key is made again.
    #[error("{0}")]
    Transient(String),
    /// Too many requests: as [`Self::Transient`], but not before this time.
    #[error("too many requests, to be asked again in {}s", retry_after.as_secs())]
    Throttled {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The work of this key ended badly. Another attempt, under another key, may succeed.
    #[error("{0}")]
    Failed(String),
    /// Would not pass by trying again.
    #[error("{0}")]
    Permanent(String),
    /// The machine or the snapshot is not there.
    #[error("{0}")]
    NotFound(String),
    /// The machine was left without its system disk. Another restore gives it one.
    #[error("{0}")]
    RootDetached(String),
}
