//! What a provider brings with it to be tried.

use crate::Proxy;
use anyhow::Result;
use futures::future::BoxFuture;
use std::sync::Arc;
use windlass::domain::NodeRef;
use windlass::ports::{Handle, SnapshotProvider};

/// A provider and the world it works in.
pub trait World: Send + Sync {
    /// The provider's name in the table.
    fn name(&self) -> &'static str;

    /// The provider as the operator makes it at its start: it remembers nothing of one that was made before.
    fn provider(&self) -> Arc<dyn SnapshotProvider>;

    /// The same provider in the hands of another installation.
    fn stranger(&self) -> Arc<dyn SnapshotProvider>;

    /// What stands between the provider and its world.
    fn proxy(&self) -> &Proxy;

    /// Makes a machine of its own, running, with a system disk. Not through the proxy.
    fn machine(&self) -> BoxFuture<'_, Result<NodeRef>>;

    /// Writes a text on the machine's system disk, in place of what was written before.
    fn write<'a>(&'a self, node: &'a NodeRef, text: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Reads the text; empty when there was none.
    fn read<'a>(&'a self, node: &'a NodeRef) -> BoxFuture<'a, Result<String>>;

    /// How many snapshots of the machine there really are, whatever their state.
    fn snapshots<'a>(&'a self, node: &'a NodeRef) -> BoxFuture<'a, Result<usize>>;

    /// Makes something happen behind the provider's back.
    fn happen<'a>(&'a self, event: Event<'a>) -> BoxFuture<'a, Result<Happened>>;

    /// The node as it would tell of itself if it ran on another machine than the one that its providerID names; `None` where
    /// the provider knows of a machine only what that names.
    fn impostor(&self, _node: &NodeRef) -> Option<NodeRef> {
        None
    }

    /// A node whose machine is not there, by a providerID as this world's are.
    fn absent(&self, node: &NodeRef) -> NodeRef {
        // No world has so many.
        NodeRef { provider_id: format!("{}00000", node.provider_id), ..node.clone() }
    }

    /// The node as it is registered now: a machine in the place of another may have another providerID.
    fn registered(&self, node: &NodeRef) -> NodeRef {
        node.clone()
    }

    /// What the provider has been told to keep to, if it counts requests itself.
    fn rate_limit(&self) -> Option<Limit> {
        None
    }
}

/// A limit of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// In a second.
    pub per_second: u32,
    /// At once, before the rate counts.
    pub burst: u32,
}

/// Something that happens in the world.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Another machine takes the place and the name of this one.
    Replaced(&'a NodeRef),
    /// A volume of a pod is attached to the machine.
    VolumeAttached(&'a NodeRef),
    /// All volumes of pods are detached from it.
    VolumesDetached(&'a NodeRef),
    /// The machine gets another disk of its own.
    DiskAdded(&'a NodeRef),
    /// The next snapshot of the machine fails, once.
    NextSnapshotFails(&'a NodeRef),
    /// The next snapshot of the machine is reported as out of time, and is there and good.
    NextSnapshotLies(&'a NodeRef),
    /// The next snapshots of the machine are called good, and its system disk is not in them.
    SnapshotsLackTheDisk(&'a NodeRef),
    /// The next restore of the machine fails and leaves its disk as it was, once.
    NextRestoreFails(&'a NodeRef),
    /// The next restore of the machine fails and leaves it without a system disk, once.
    NextRestoreDetaches(&'a NodeRef),
    /// The snapshot is deleted by somebody.
    SnapshotDeleted(&'a Handle),
    /// The snapshot's time at the provider is over.
    SnapshotExpired(&'a Handle),
    /// Somebody switches the machine off.
    PoweredOff(&'a NodeRef),
    /// The credentials are replaced by others that count, and the old ones do not any more.
    CredentialsRotated,
    /// The credentials do not count any more.
    CredentialsRevoked,
    /// The credentials count again.
    CredentialsRestored,
}

/// Whether it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It did.
    Yes,
    /// It can not happen here, for this reason.
    Never(&'static str),
}
