//! The contract of a snapshot provider; docs/providers.md has it in full, with the suite that checks it.
//!
//! * Every call ends within seconds. What takes longer is started by the call and polled by repeating it.
//! * A call with the same key is the same piece of work: repeated after a crash or a lost answer, it finds the first
//!   one by its tag and never starts a second. Another key is another piece of work. A provider remembers nothing that
//!   it could not find again.
//! * A refusal says what may be done about it: see [`ProviderError`].

use super::ProviderError;
use crate::api::DeletionPolicy;
use crate::domain::{Capabilities, NodeRef, StepKey};
use futures::future::BoxFuture;
use jiff::Timestamp;
use std::{fmt, sync::Arc};

/// What a call to a provider gives.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, ProviderError>>;

/// Takes and restores snapshots of machines' system disks.
pub trait SnapshotProvider: Send + Sync {
    /// What its snapshots can do. The same for the life of a provider.
    fn capabilities(&self) -> Capabilities;

    /// Whether this machine is one of its own, as far as its name tells: scheme, region, form. Nothing is asked.
    ///
    /// # Errors
    /// [`ProviderError::Permanent`], naming the node, its providerID and what is expected.
    fn accepts(&self, node: &NodeRef) -> Result<(), ProviderError>;

    /// Whether it can work at all: credentials are there and known, the provider answers. Nothing is changed.
    ///
    /// # Errors
    /// [`ProviderError::Denied`] and [`ProviderError::Permanent`] are a person's to mend: no node starts.
    fn ready(&self) -> Answer<'_, ()>;

    /// Whether the machine is there, is the node's, and has a system disk of a kind that can be snapshotted: asked before
    /// a node is touched, once. One request, and nothing is changed. What a machine is at just now does not count.
    fn examine<'a>(&'a self, node: &'a NodeRef) -> Answer<'a, ()>;

    /// Takes a snapshot of the machine's system disk, or finds the one that was taken for this key.
    fn ensure<'a>(&'a self, order: &'a Order<'a>) -> Answer<'a, Progress>;

    /// Puts the snapshot in the place of the machine's system disk and switches the machine on. What runs on the
    /// machine is not asked first. A snapshot of another machine is refused.
    fn restore<'a>(&'a self, node: &'a NodeRef, handle: &'a Handle, key: &'a StepKey) -> Answer<'a, Progress>;

    /// Says what a snapshot is good for.
    fn inspect<'a>(&'a self, handle: &'a Handle) -> Answer<'a, SnapshotFacts>;

    /// Deletes a snapshot. One that is not there is a success.
    fn delete<'a>(&'a self, handle: &'a Handle) -> Answer<'a, ()>;

    /// All snapshots that carry this installation's tag, whoever still knows of them.
    fn list(&self) -> Answer<'_, Vec<Found>>;

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

    /// What becomes of snapshots of this class when their record is deleted; as by default where classes say nothing.
    fn deletion_policy(&self, _class: &str) -> DeletionPolicy {
        DeletionPolicy::default()
    }

    /// Where snapshots of this class are made, as [`place`](crate::api::Provider::place) has it; empty where classes do not
    /// say.
    fn place(&self, _class: &str) -> Vec<String> {
        Vec::new()
    }
}

/// Asks for a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The machine.
    pub node: &'a NodeRef,
    /// The piece of work. The snapshot carries it as a tag, beside the installation's.
    pub key: &'a StepKey,
    /// From when on nobody will want the snapshot any more, whatever becomes of us: a tag, read by the orphan sweep.
    /// `None`: it is kept for ever (`deletionPolicy: Retain`), and has no such tag. The same for all calls of a key.
    pub expires_at: Option<Timestamp>,
}

/// A provider's own name of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// Size in bytes that the provider charges for, or its upper bound; `None` where it does not say.
    pub size_bytes: Option<u64>,
    /// What state the disk was caught in.
    pub consistency: Consistency,
    /// What the provider remarks on it (`NoGuestAgent`), sorted; its own words, for people.
    pub indications: Vec<String>,
}

/// What state a disk was caught in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consistency {
    /// As a power cut leaves it. Journalling file systems replay their journals at the next boot.
    Crash,
    /// The file systems were frozen and flushed.
    FileSystem,
}

/// A snapshot that carries this installation's tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The snapshot.
    pub handle: Handle,
    /// Name of the node that it was taken of, from its tag.
    pub node: String,
    /// UID of the NodeUpdate that asked for it, from its tag.
    pub node_update_uid: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// [`Order::expires_at`], from its tag; `None` when there is no such tag or it does not parse: nobody sweeps it then.
    pub expires_at: Option<Timestamp>,
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

impl ConsoleFacts {
    /// Whether the node's machine has a system disk that can be snapshotted.
    ///
    /// # Errors
    /// [`ProviderError::RootDetached`], with the node's name.
    pub fn has_root(&self, node: &NodeRef) -> Result<(), ProviderError> {
        let detached = || ProviderError::RootDetached(format!("{} has no system disk", node.name));
        self.root_attached.then_some(()).ok_or_else(detached)
    }
}
