//! What the API server has, watched: waiting for it costs no requests, however many stories wait.

use super::Sight;
use anyhow::{Result, bail};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::runtime::reflector::{self, Lookup, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use windlass::api::{NodeSnapshot, NodeUpdate, UpdateRollout};

/// The kinds that stories wait for, as they are now.
pub struct Lookout {
    nodes: Store<Node>,
    rollouts: Store<UpdateRollout>,
    updates: Store<NodeUpdate>,
    snapshots: Store<NodeSnapshot>,
    changed: watch::Receiver<u64>,
}

impl Lookout {
    /// Begins to watch; the tasks end with the runtime.
    pub fn new(client: &Client) -> Self {
        let (sender, changed) = watch::channel(0);
        let sender = Arc::new(sender);
        Self {
            nodes: keep(client, &sender),
            rollouts: keep(client, &sender),
            updates: keep(client, &sender),
            snapshots: keep(client, &sender),
            changed,
        }
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<Arc<Node>> {
        self.nodes.find(|node| node.name_any() == name)
    }

    /// The rollout of this name.
    pub fn rollout(&self, name: &str) -> Option<Arc<UpdateRollout>> {
        self.rollouts.find(|rollout| rollout.name_any() == name)
    }

    /// The node updates of the rollout of this name, by name.
    pub fn updates(&self, rollout: &str) -> Vec<Arc<NodeUpdate>> {
        let mut updates = self.updates.state_filter(|update| update.spec.rollout_name == rollout);
        updates.sort_by_key(|update| update.name_any());
        updates
    }

    /// The update of this node by the rollout of this name. The latest, should there be two.
    pub fn update(&self, rollout: &str, node: &str) -> Option<Arc<NodeUpdate>> {
        let of_node = self.updates(rollout).into_iter().filter(|update| update.spec.node_name == node);
        of_node.max_by_key(|update| update.creation_timestamp())
    }

    /// The snapshots of this node.
    pub fn snapshots(&self, node: &str) -> Vec<Arc<NodeSnapshot>> {
        self.snapshots.state_filter(|snapshot| snapshot.spec.node_name == node)
    }

    /// Looks now and after every change, until it is seen.
    ///
    /// # Errors
    /// It is not seen within `patience`: with `what`, and what was seen last.
    pub async fn until<T>(&self, what: &str, patience: Duration, look: impl Fn(&Self) -> Sight<T>) -> Result<T> {
        let deadline = Instant::now() + patience;
        let mut changed = self.changed.clone();
        loop {
            changed.mark_unchanged();
            let last = match look(self) {
                Sight::Break(value) => return Ok(value),
                Sight::Continue(instead) => instead,
            };
            if timeout_at(deadline, changed.changed()).await.is_err() {
                bail!("not within {} s: {what}; last seen: {last}", patience.as_secs());
            }
        }
    }

    /// Sees to it that this stays true for a while.
    ///
    /// # Errors
    /// It is not true at some moment: with what was seen instead.
    pub async fn throughout(&self, while_: Duration, look: impl Fn(&Self) -> Result<()>) -> Result<()> {
        let end = Instant::now() + while_;
        let mut changed = self.changed.clone();
        loop {
            changed.mark_unchanged();
            look(self)?;
            if timeout_at(end, changed.changed()).await.is_err() {
                return Ok(());
            }
        }
    }
}

fn keep<K>(client: &Client, changes: &Arc<watch::Sender<u64>>) -> Store<K>
where
    K: Resource<Scope = kube::core::ClusterResourceScope>
        + Lookup
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
    <K as Resource>::DynamicType: Default + Eq + Hash + Clone + Send + Sync,
    <K as Lookup>::DynamicType: Default + Eq + Hash + Clone + Send + Sync,
    K: Resource<DynamicType = <K as Lookup>::DynamicType>,
{
    let (store, writer) = reflector::store::<K>();
    let events = watcher(Api::<K>::all(client.clone()), watcher::Config::default()).default_backoff().reflect(writer);
    let changes = Arc::clone(changes);
    tokio::spawn(events.for_each(move |_| {
        changes.send_modify(|count| *count += 1);
        std::future::ready(())
    }));
    store
}
