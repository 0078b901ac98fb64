//! What the API server has, watched: waiting for it costs no requests, however many stories wait.

use super::Sight;
use anyhow::{Result, bail};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::core::{ClusterResourceScope, DeserializeGuard};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use windlass::api::{NodeSnapshot, NodeUpdate, UpdateRollout};

/// The kinds that stories wait for, as they are now.
pub struct Lookout {
    nodes: Shelf<Node>,
    rollouts: Shelf<UpdateRollout>,
    updates: Shelf<NodeUpdate>,
    snapshots: Shelf<NodeSnapshot>,
    changed: watch::Receiver<u64>,
}

impl Lookout {
    /// Begins to watch; the tasks end with the runtime.
    pub fn new(client: &Client) -> Self {
        let (sender, changed) = watch::channel(0);
        let sender = Arc::new(sender);
        Self {
            nodes: Shelf::filled_from(client, &sender),
            rollouts: Shelf::filled_from(client, &sender),
            updates: Shelf::filled_from(client, &sender),
            snapshots: Shelf::filled_from(client, &sender),
            changed,
        }
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<Arc<Node>> {
        self.nodes.get(name)
    }

    /// The rollout of this name.
    pub fn rollout(&self, name: &str) -> Option<Arc<UpdateRollout>> {
        self.rollouts.get(name)
    }

    /// The node updates of the rollout of this name, by name.
    pub fn updates(&self, rollout: &str) -> Vec<Arc<NodeUpdate>> {
        self.updates.all(|update| update.spec.rollout_name == rollout)
    }

    /// The update of this node by the rollout of this name. The latest, should there be two.
    pub fn update(&self, rollout: &str, node: &str) -> Option<Arc<NodeUpdate>> {
        let of_node = self.updates(rollout).into_iter().filter(|update| update.spec.node_name == node);
        of_node.max_by_key(|update| update.creation_timestamp())
    }

    /// The snapshots of this node.
    pub fn snapshots(&self, node: &str) -> Vec<Arc<NodeSnapshot>> {
        self.snapshots.all(|snapshot| snapshot.spec.node_name == node)
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

/// The objects of one kind by name, as the last event left them. Objects that do not parse are left out.
#[derive(Clone)]
struct Shelf<K>(Arc<RwLock<BTreeMap<String, Arc<K>>>>);

impl<K> Shelf<K>
where
    K: Resource<Scope = ClusterResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Default,
{
    fn filled_from(client: &Client, changes: &Arc<watch::Sender<u64>>) -> Self {
        let shelf = Self(Arc::default());
        let api = Api::<DeserializeGuard<K>>::all(client.clone());
        let (filled, changes) = (shelf.clone(), Arc::clone(changes));
        let events = watcher(api, watcher::Config::default()).default_backoff();
        tokio::spawn(events.for_each(move |event| {
            filled.take(event);
            changes.send_modify(|count| *count += 1);
            std::future::ready(())
        }));
        shelf
    }

    fn take(&self, event: watcher::Result<Event<DeserializeGuard<K>>>) {
        let mut objects = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(Event::Init) => objects.clear(),
            Ok(Event::InitApply(DeserializeGuard(Ok(object))) | Event::Apply(DeserializeGuard(Ok(object)))) => {
                objects.insert(object.name_any(), Arc::new(object));
            }
            Ok(Event::Delete(object)) => _ = objects.remove(&object.name_any()),
            Ok(Event::InitDone | Event::InitApply(_) | Event::Apply(_)) | Err(_) => {}
        }
    }

    fn get(&self, name: &str) -> Option<Arc<K>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn all(&self, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let objects = self.0.read().unwrap_or_else(PoisonError::into_inner);
        objects.values().filter(|object| wanted(object)).cloned().collect()
    }
}
