//! What effects work with: clients, settings, providers, and what this process remembers of its own writes.

use crate::api::Step;
use crate::domain::StepKey;
use crate::ports::SnapshotProviders;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    runtime::reflector::{ObjectRef, Store},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What effects work with, made once at the start.
pub struct Means {
    /// How to speak to the API server.
    pub clients: Clients,
    /// Settings.
    pub config: ActConfig,
    /// Who takes and restores snapshots.
    pub providers: Arc<dyn SnapshotProviders>,
    /// Agent and probe pods.
    pub pods: PodStores,
    /// What this process did lately.
    pub memory: Memory,
}

/// The two ways to speak to the API server. They are apart because the default client repeats a refused eviction by
/// itself for minutes.
#[derive(Clone)]
pub struct Clients {
    /// For reading; repeats by itself what the server was too busy for.
    pub read: Client,
    /// For writing; made with `Config::default_retry = false`.
    pub act: Client,
}

/// Settings of the effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActConfig {
    /// Namespace of agent pods, the only one where HostProcess pods of ours run.
    pub agents_namespace: String,
    /// Namespace of probe pods.
    pub probes_namespace: String,
    /// Image of the agent.
    pub agent_image: String,
    /// Image of the pods that ask a URL.
    pub probe_image: String,
    /// `imagePullPolicy` of these pods: `IfNotPresent`, `Always` or `Never`.
    pub image_pull_policy: String,
}

/// Pods in the two namespaces of ours, watched; the only pods that are.
#[derive(Clone)]
pub struct PodStores {
    /// Those in the agents' namespace.
    pub agents: Store<Pod>,
    /// Those in the probes' namespace.
    pub probes: Store<Pod>,
}

/// Where a pod of ours runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// HostProcess pods, privileged.
    Agents,
    /// Pods of probes, restricted.
    Probes,
}

impl Means {
    pub(super) fn namespace(&self, place: Place) -> &str {
        match place {
            Place::Agents => &self.config.agents_namespace,
            Place::Probes => &self.config.probes_namespace,
        }
    }

    pub(super) fn reading(&self, place: Place) -> Api<Pod> {
        Api::namespaced(self.clients.read.clone(), self.namespace(place))
    }

    pub(super) fn writing(&self, place: Place) -> Api<Pod> {
        Api::namespaced(self.clients.act.clone(), self.namespace(place))
    }

    /// The pod of this name, as the watch shows it, or as we made it a moment ago.
    pub(super) fn pod(&self, place: Place, name: &str, now: Timestamp) -> Option<Arc<Pod>> {
        let store = match place {
            Place::Agents => &self.pods.agents,
            Place::Probes => &self.pods.probes,
        };
        let id = ObjectRef::new(name).within(self.namespace(place));
        store.get(&id).or_else(|| self.memory.pod(&id.to_string(), now))
    }

    /// Remembers a pod that was made, until the watch shows it.
    pub(super) fn made(&self, place: Place, pod: Pod, now: Timestamp) -> Arc<Pod> {
        let id: ObjectRef<Pod> = ObjectRef::new(&pod.name_any()).within(self.namespace(place));
        self.memory.made(id.to_string(), pod, now)
    }
}

/// What this process did lately. It saves requests only: without it, after a restart, the same is done once more, and
/// finds that it was done.
#[derive(Debug, Default)]
pub struct Memory {
    pods: Mutex<HashMap<String, (Arc<Pod>, Timestamp)>>,
    checks: Mutex<HashMap<String, (StepKey, Timestamp)>>,
}

/// How long a watch may lag behind our own write before it is believed that the pod was deleted meanwhile.
const LAG: SignedDuration = SignedDuration::from_secs(30);
/// How long a look at a claim counts for the step that follows.
const FRESH: SignedDuration = SignedDuration::from_secs(5);
/// How long a check is kept: longer than any step may take.
const KEEP: SignedDuration = SignedDuration::from_hours(24);

impl Memory {
    fn pod(&self, id: &str, now: Timestamp) -> Option<Arc<Pod>> {
        lock(&self.pods).get(id).filter(|(_, at)| now.duration_since(*at) < LAG).map(|(pod, _)| pod.clone())
    }

    fn made(&self, id: String, pod: Pod, now: Timestamp) -> Arc<Pod> {
        let pod = Arc::new(pod);
        let mut pods = lock(&self.pods);
        pods.retain(|_, (_, at)| now.duration_since(*at) < LAG);
        pods.insert(id, (pod.clone(), now));
        pod
    }

    /// Whether the claim was seen for this very attempt, or a moment ago for the step before it. (Not for a restore,
    /// which has more to do before it begins.)
    pub(super) fn claim_checked(&self, key: &StepKey, now: Timestamp) -> bool {
        let mut checks = lock(&self.checks);
        let Some((checked, at)) = checks.get_mut(&key.node_update_uid) else { return false };
        if checked != key && key.step != Step::Restore && now.duration_since(*at) < FRESH {
            checked.clone_from(key);
        }
        checked == key
    }

    /// Notes that the claim was seen for this attempt.
    pub(super) fn note_claim(&self, key: &StepKey, now: Timestamp) {
        let mut checks = lock(&self.checks);
        checks.retain(|_, (_, at)| now.duration_since(*at) < KEEP);
        checks.insert(key.node_update_uid.clone(), (key.clone(), now));
    }
}

/// A map of this kind is whole even if a thread panicked while holding it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
