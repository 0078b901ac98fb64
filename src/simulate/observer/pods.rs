//! The pods that have to be off a node before its machine is touched.

use super::Change;
use super::fleet::steps;
use crate::api::{NodeUpdate, Step, StepPhase};
use crate::simulate::cluster::{AGENTS, PROBES, key_of};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The times of objects are whole seconds.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// When the pods on each node that have to leave it were made, by their keys.
#[derive(Debug, Default)]
pub struct Pods(HashMap<String, BTreeMap<String, Timestamp>>);

impl Pods {
    /// A Pod was written.
    pub fn wrote(&mut self, change: Change<'_, Pod>) {
        let Some((pod, node)) = change.1.or(change.0).and_then(|pod| Some((pod, node(pod)?))) else { return };
        if change.1.is_some() && has_to_leave(pod) {
            let made = pod.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |time| time.0);
            self.0.entry(node.to_owned()).or_default().insert(key_of(pod.as_ref()), made);
        } else if let Some(there) = self.0.get_mut(node) {
            there.remove(&key_of(pod.as_ref()));
            if there.is_empty() {
                self.0.remove(node);
            }
        }
    }

    /// Why the machine of an update may not be touched: a pod is on it still that was there when it was drained. One that
    /// came later came by a person's hand, or past a cordon that somebody took off.
    pub fn left(&self, update: &NodeUpdate) -> Option<String> {
        let drained = steps(update).iter().rfind(|r| r.step == Step::Drain && r.phase == StepPhase::Succeeded);
        let drained = drained.and_then(|record| record.finished_at.as_ref()).map_or(Timestamp::MAX, |time| time.0);
        let node = &update.spec.node_name;
        let (pod, _) = self.0.get(node)?.iter().find(|(_, made)| made.duration_until(drained) >= SECOND)?;
        Some(format!("{node} is worked on with pod {pod} on it"))
    }
}

fn node(pod: &Arc<Pod>) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// Whether a pod has to leave its node: one that has ended, that its kubelet or a DaemonSet would start again there, or that
/// is the operator's own, has not.
fn has_to_leave(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let ended = phase == Some("Succeeded") || phase == Some("Failed");
    let mirror =
        pod.metadata.annotations.as_ref().is_some_and(|notes| notes.contains_key("kubernetes.io/config.mirror"));
    let of_node = pod.metadata.owner_references.iter().flatten().any(|owner| owner.kind == "DaemonSet");
    let critical = pod.spec.as_ref().and_then(|spec| spec.priority_class_name.as_deref());
    let ours = pod.metadata.namespace.as_deref().is_some_and(|name| name == AGENTS || name == PROBES);
    !(ended || mirror || of_node || ours || critical == Some("system-node-critical"))
}
