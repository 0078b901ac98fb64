//! What effects work with: clients, settings, providers, and what this process remembers of its own writes.

use super::tenants::Tenants;
use crate::api::Step;
use crate::domain::StepKey;
use crate::observe::Parsed;
use crate::ports::{Monitoring, SnapshotProviders};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, ResourceExt, runtime::reflector::ObjectRef};
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
    /// Who answers queries of probes.
    pub monitoring: Arc<dyn Monitoring>,
    /// The Windows nodes, watched.
    pub nodes: Parsed<Node>,
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
    pub agents: Parsed<Pod>,
    /// Those in the probes' namespace.
    pub probes: Parsed<Pod>,
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
        let shown = store.get(&id).and_then(|guard| guard.parsed().cloned());
        shown.or_else(|| self.memory.pod(&id.to_string(), now))
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
    lines: Mutex<HashMap<String, (String, Timestamp)>>,
    missed: Mutex<HashMap<(StepKey, String), Timestamp>>,
    tenants: Mutex<HashMap<String, Arc<Tenants>>>,
}

/// How long a watch may lag behind our own write before it is believed that the pod was deleted meanwhile.
const LAG: SignedDuration = SignedDuration::from_secs(30);
/// How long a look at a claim counts for the step that follows.
const FRESH: SignedDuration = SignedDuration::from_secs(5);
/// How long the last line of a pod's log is kept: longer than the probes of one step mostly take.
const KEEP_LINE: SignedDuration = SignedDuration::from_mins(15);
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

    /// Whether the claim was seen for this very attempt, or a moment ago for the step before it. What changes the
    /// machine's disk has a look of its own.
    pub(super) fn claim_checked(&self, key: &StepKey, now: Timestamp) -> bool {
        let mut checks = lock(&self.checks);
        let Some((checked, at)) = checks.get_mut(&key.node_update_uid) else { return false };
        let looks_itself = matches!(key.step, Step::Install | Step::Restore);
        if checked != key && !looks_itself && now.duration_since(*at) < FRESH {
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

    /// The last line of the log of the pod with this UID, if it was read.
    pub(super) fn line(&self, pod_uid: &str) -> Option<String> {
        lock(&self.lines).get(pod_uid).map(|(line, _)| line.clone())
    }

    /// Notes the last line of the log of a pod that ended.
    pub(super) fn note_line(&self, pod_uid: String, line: &str, now: Timestamp) {
        let mut lines = lock(&self.lines);
        lines.retain(|_, (_, at)| now.duration_since(*at) < KEEP_LINE);
        lines.insert(pod_uid, (line.to_owned(), now));
    }

    /// Since when the answer to this question of a step is missed, as far as this process knows: now, if it was not before.
    pub(super) fn missed_since(&self, key: &StepKey, purpose: &str, now: Timestamp) -> Timestamp {
        let mut missed = lock(&self.missed);
        missed.retain(|_, at| now.duration_since(*at) < KEEP_LINE);
        *missed.entry((key.clone(), purpose.to_owned())).or_insert(now)
    }

    /// The pods of the node that this node update drains, if they are followed.
    pub(super) fn tenants(&self, node_update_uid: &str) -> Option<Arc<Tenants>> {
        lock(&self.tenants).get(node_update_uid).filter(|tenants| tenants.is_followed()).cloned()
    }

    /// Notes that the pods of the node that this node update drains are followed.
    pub(super) fn note_tenants(&self, node_update_uid: String, tenants: Arc<Tenants>) {
        let mut all = lock(&self.tenants);
        all.retain(|_, tenants| tenants.is_followed());
        all.insert(node_update_uid, tenants);
    }

    /// Ends the following of the pods of a node that is drained.
    pub(super) fn forget_tenants(&self, node_update_uid: &str) {
        lock(&self.tenants).remove(node_update_uid);
    }
}

/// A map of this kind is whole even if a thread panicked while holding it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_the_claim_counts_for_the_next_step_but_not_for_what_changes_the_disk() {
        let key = |step| StepKey { node_update_uid: "u".into(), step, round: 1, attempt: 1 };
        let now = |second| Timestamp::from_second(second).expect("a time");
        let looked = || {
            let memory = Memory::default();
            memory.note_claim(&key(Step::Drain), now(0));
            memory
        };
        assert!(looked().claim_checked(&key(Step::Drain), now(600)));
        assert!(looked().claim_checked(&key(Step::Snapshot), now(4)));
        assert!(!looked().claim_checked(&key(Step::Snapshot), now(5)));
        assert!(!looked().claim_checked(&key(Step::Install), now(1)));
        assert!(!looked().claim_checked(&key(Step::Restore), now(1)));
    }

    #[test]
    fn an_answer_is_missed_since_the_first_time() {
        let key = |attempt| StepKey { node_update_uid: "u".into(), step: Step::Install, round: 1, attempt };
        let now = |second| Timestamp::from_second(second).expect("a time");
        let memory = Memory::default();
        assert_eq!(memory.missed_since(&key(1), "arm", now(10)), now(10));
        assert_eq!(memory.missed_since(&key(1), "arm", now(70)), now(10));
        assert_eq!(memory.missed_since(&key(2), "arm", now(70)), now(70), "another attempt asks anew");
        assert_eq!(memory.missed_since(&key(1), "arm-2", now(70)), now(70), "and so does another question");
    }
}
