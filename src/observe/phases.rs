//! The phases of node updates' pods, by node update: one that asks after its own pods need not look through all there are.

use crate::api::NODE_UPDATE_LABEL;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Pods by name, with their phases.
type Pods = BTreeMap<String, Option<String>>;

/// The pods of a store that belong to node updates, by the node update's UID. Whoever fills the store keeps this.
#[derive(Clone, Debug, Default)]
pub struct Phases(Arc<Mutex<HashMap<String, Pods>>>);

impl Phases {
    /// A number for names and phases of the pods of a node update.
    pub fn fingerprint(&self, uid: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.lock().get(uid).hash(&mut hasher);
        hasher.finish()
    }

    /// A pod is there, or is not any more.
    pub(super) fn note(&self, pod: &Pod, gone: bool) {
        let Some(uid) = pod.labels().get(NODE_UPDATE_LABEL) else { return };
        let mut all = self.lock();
        let pods = all.entry(uid.clone()).or_default();
        if gone {
            pods.remove(&pod.name_any());
        } else {
            let phase = pod.status.as_ref().and_then(|s| s.phase.clone());
            pods.insert(pod.name_any(), phase);
        }
        if pods.is_empty() {
            all.remove(uid);
        }
    }

    /// These pods are there and no others.
    pub(super) fn renew<'a>(&self, pods: impl Iterator<Item = &'a Pod>) {
        self.lock().clear();
        pods.for_each(|pod| self.note(pod, false));
    }

    /// The map is whole even if a thread panicked while holding it.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Pods>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, update: &str, phase: &str) -> Pod {
        let labels = serde_json::json!({NODE_UPDATE_LABEL: update});
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": name, "labels": labels}, "status": {"phase": phase},
        }))
        .expect("a pod")
    }

    #[test]
    fn a_node_updates_pods_are_told_by_name_and_phase_and_no_others() {
        let phases = Phases::default();
        let none = phases.fingerprint("u");
        phases.note(&pod("b", "other", "Pending"), false);
        assert_eq!(phases.fingerprint("u"), none);
        phases.note(&pod("a", "u", "Pending"), false);
        let pending = phases.fingerprint("u");
        assert_ne!(pending, none);
        phases.note(&pod("a", "u", "Running"), false);
        assert!(![none, pending].contains(&phases.fingerprint("u")));
        phases.note(&pod("a", "u", "Running"), true);
        assert_eq!(phases.fingerprint("u"), none);
        phases.note(&pod("c", "u", "Pending"), false);
        phases.renew([pod("a", "u", "Pending")].iter());
        assert_eq!(phases.fingerprint("u"), pending, "what is not listed any more is gone");
    }
}
