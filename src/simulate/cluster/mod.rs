//! The simulated cluster: what an API server keeps, the machines under it, and what Kubernetes itself does.
//!
//! Everything is behind one lock and happens at a virtual time that is an argument. A write goes through one place,
//! [`Cluster::put`] or [`Cluster::remove`]: from there it reaches observers, stores, watches, kubelets and the books.

mod answer;
mod deployment;
mod evict;
mod feeds;
mod object;
mod request;
mod selector;
mod serve;
mod table;
mod terminated;
mod verbs;
mod watch;

pub use answer::Answer;
pub use feeds::Subscriber;
pub use object::{Kept, Object};
pub use request::Request;
pub use selector::Labels;
pub use serve::Served;
pub use table::{Table, key, key_of};
pub use terminated::{Terminated, has_ended};
pub use watch::Watches;

use super::agenda::{Agenda, Due};
use super::books::Books;
use super::calls::Calls;
use super::machines::Fleet;
use super::trace::{Actor, Event, Observer, View};
use super::workloads::Workloads;
use crate::api::{
    NodeSnapshot, NodeUpdate, SnapshotClass, UpdateApproval, UpdateHold, UpdatePolicy, UpdateRing, UpdateRollout,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use winfleet::model::World;
use winfleet::scenario::Metric;

/// The namespace of agents.
pub const AGENTS: &str = "windlass-agents";
/// The namespace of probes.
pub const PROBES: &str = "windlass-probes";

/// What the API server keeps.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "named as the kinds are")]
pub struct Tables {
    pub nodes: Table<Node>,
    pub pods: Table<Pod>,
    pub policies: Table<UpdatePolicy>,
    pub rings: Table<UpdateRing>,
    pub rollouts: Table<UpdateRollout>,
    pub classes: Table<SnapshotClass>,
    pub holds: Table<UpdateHold>,
    pub approvals: Table<UpdateApproval>,
    pub updates: Table<NodeUpdate>,
    pub snapshots: Table<NodeSnapshot>,
    pub budgets: Table<PodDisruptionBudget>,
    /// Objects of kinds that nothing here works with, by `apiVersion/plural/key`: a CEL probe may read them.
    pub others: BTreeMap<String, Value>,
}

impl Tables {
    /// Keeps an object of a kind that nothing here works with.
    pub fn keep_other(&mut self, key: &str, object: Value) {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")));
        self.others.insert(format!("{}/{}/{key}", resource.api_version, resource.plural), object);
    }
}

/// The cluster.
pub struct Cluster {
    /// What the API server keeps.
    pub tables: Tables,
    /// The machines and the hypervisor.
    pub world: World,
    /// The kubelets.
    pub fleet: Fleet,
    /// What can be asked of how well it all works.
    pub metrics: Vec<Metric>,
    /// What runs on the nodes, and has to run on.
    pub workloads: Workloads,
    /// What is due.
    pub agenda: Agenda<Due>,
    /// The operators' stores.
    pub subscribers: Vec<Subscriber>,
    /// Watches of single requests.
    pub watches: Watches,
    /// Pods that have ended.
    pub terminated: Terminated,
    /// What the report is made of.
    pub books: Books,
    /// The calls that operators make, and what happens to them.
    pub calls: Calls,
    /// Requests that nobody here knows how to answer: a simulation that meets one is not believed.
    pub unknown: Vec<String>,
    observers: Vec<Box<dyn Observer>>,
    version: u64,
    serial: u64,
    seed: u64,
}

impl Cluster {
    /// A cluster without objects over these machines.
    pub fn new(world: World, seed: u64, calls: Calls, observers: Vec<Box<dyn Observer>>) -> Self {
        Self {
            tables: Tables::default(),
            fleet: Fleet::new(&world),
            world,
            metrics: Vec::new(),
            workloads: Workloads::default(),
            agenda: Agenda::default(),
            subscribers: Vec::new(),
            watches: Watches::default(),
            terminated: Terminated::default(),
            books: Books::default(),
            calls,
            unknown: Vec::new(),
            observers,
            version: 1,
            serial: 0,
            seed,
        }
    }

    /// The version of the last write.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Makes an object: gives it its identity.
    pub fn make<K: Kept>(&mut self, actor: Actor, mut object: K, now: Timestamp) -> Arc<K> {
        self.serial += 1;
        let meta = object.meta_mut();
        meta.uid = Some(format!("{:08x}-0000-4000-8000-{:012x}", self.seed & 0xffff_ffff, self.serial));
        meta.creation_timestamp = Some(Time(whole_second(now)));
        meta.generation = Some(1);
        self.put(actor, object, now)
    }

    /// Writes an object, with a new version.
    pub fn put<K: Kept>(&mut self, actor: Actor, mut object: K, now: Timestamp) -> Arc<K> {
        self.version += 1;
        object.meta_mut().resource_version = Some(self.version.to_string());
        let object = Arc::new(object);
        let before = K::table_mut(&mut self.tables).insert(Arc::clone(&object));
        self.changed(actor, before.as_ref().map(K::object).as_ref(), Some(&K::object(&object)), now);
        object
    }

    /// Removes an object for good, with what it owns.
    pub fn remove<K: Kept>(&mut self, actor: Actor, key: &str, now: Timestamp) -> Option<Arc<K>> {
        let gone = K::table_mut(&mut self.tables).remove(key)?;
        self.version += 1;
        self.changed(actor, Some(&K::object(&gone)), None, now);
        self.collect_garbage(&gone.uid().unwrap_or_default(), &K::object(&gone), now);
        Some(gone)
    }

    /// Tells observers what happened.
    pub fn tell(&mut self, now: Timestamp, event: &Event<'_>) {
        if self.observers.is_empty() {
            return;
        }
        let mut observers = std::mem::take(&mut self.observers);
        let view = View { world: &self.world, tables: &self.tables };
        for observer in &mut observers {
            observer.see(now, event, &view);
        }
        self.observers = observers;
    }

    /// The observers, at the end.
    pub fn take_observers(&mut self) -> Vec<Box<dyn Observer>> {
        std::mem::take(&mut self.observers)
    }

    fn changed(&mut self, actor: Actor, before: Option<&Object>, after: Option<&Object>, now: Timestamp) {
        self.tell(now, &Event::Wrote { actor, before, after });
        self.books.note(now, before, after);
        if let Some(object) = after.or(before) {
            self.publish(object, after.is_none(), now);
            if let Object::Pod(pod) = object {
                self.count_terminated(pod, after.is_none(), now);
            }
        }
        match (before, after) {
            (before, Some(Object::Pod(pod))) => self.pod_changed(before.is_none(), pod, now),
            (Some(Object::Pod(pod)), None) => self.pod_gone(pod, now),
            (_, Some(Object::Node(_))) | (Some(Object::Node(_)), None) => self.node_changed(now),
            (_, Some(Object::Budget(_))) | (Some(Object::Budget(_)), None) => self.budgets_changed(),
            _ => {}
        }
    }

    /// What was owned by an object that is gone goes with it.
    fn collect_garbage(&mut self, owner: &str, gone: &Object, now: Timestamp) {
        fn owned<K: Kept>(table: &Table<K>, owner: &str) -> Vec<String> {
            let of = |object: &&Arc<K>| object.owner_references().iter().any(|o| o.uid == owner);
            table.all().filter(of).map(|object| key_of(object.as_ref())).collect()
        }
        if !matches!(gone, Object::Rollout(_) | Object::NodeUpdate(_)) {
            return;
        }
        for key in owned(&self.tables.updates, owner) {
            self.delete::<NodeUpdate>(Actor::Kubernetes, &key, now);
        }
        for key in owned(&self.tables.pods, owner) {
            self.delete_pod(Actor::Kubernetes, &key, None, now);
        }
    }
}

/// The API server writes whole seconds.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
