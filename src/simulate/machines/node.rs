//! A kubelet's Node object, and what the node-lifecycle controller does with that of a silent kubelet.

use super::{Cluster, EVACUATE, GRACE};
use crate::simulate::agenda::Due;
use crate::simulate::trace::Actor;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use winfleet::kubelet::machine::MachineFacts;
use winfleet::kubelet::node_object::{self, KubeletInfo};

/// The taint of a node whose kubelet is silent.
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// The version that simulated kubelets have.
const VERSION: &str = "v1.33.0";

impl Cluster {
    /// Registers the nodes of all machines.
    pub fn register_nodes(&mut self, now: Timestamp) {
        for index in 0..self.fleet.len() {
            self.report_node(index, now);
            self.agenda.not_after(Due::Machine(index), now);
        }
    }

    /// What a kubelet does when its machine is not as it was before.
    pub(super) fn node_follows(&mut self, index: usize, before: &MachineFacts, now: Timestamp) {
        let facts = self.fleet.kubelets[index].facts.clone();
        if facts.generation != before.generation {
            self.drop_node(index, now);
        }
        if facts.kubelet_up {
            let kubelet = &self.fleet.kubelets[index];
            let told = |facts: &MachineFacts| (facts.build, facts.boot_id.clone(), facts.generation, facts.boot);
            if kubelet.ready_since.is_none() || told(before) != told(&facts) {
                self.report_node(index, now);
            }
        } else if self.fleet.kubelets[index].ready_since.take().is_some() {
            self.agenda.set(Due::Lost(index), Some(now + GRACE));
        }
    }

    /// A cloud's controller removes the Node of an instance that is no more; its pods go with it.
    fn drop_node(&mut self, index: usize, now: Timestamp) {
        let name = self.fleet.kubelets[index].name.clone();
        self.fleet.kubelets[index].ready_since = None;
        for key in self.fleet.pods_on(&name) {
            self.remove::<Pod>(Actor::Kubernetes, &key, now);
        }
        self.remove::<Node>(Actor::Kubernetes, &name, now);
    }

    /// The kubelet says that its node is Ready.
    fn report_node(&mut self, index: usize, now: Timestamp) {
        self.agenda.set(Due::Lost(index), None);
        self.agenda.set(Due::Evacuate(index), None);
        let kubelet = &mut self.fleet.kubelets[index];
        let info = KubeletInfo { version: VERSION.to_owned(), port: 10250 };
        let stored = self.tables.nodes.get(&kubelet.name).cloned();
        let was_ready = stored.as_ref().and_then(|node| ready_since(node));
        let since = was_ready.unwrap_or(now);
        kubelet.ready_since = Some(since);
        let fresh = node_object::node(&kubelet.identity, &kubelet.facts, &info, since, now);
        match stored {
            None => {
                self.make(Actor::Kubelet, fresh, now);
            }
            Some(stored) => {
                let mut next = stored.as_ref().clone();
                next.status = fresh.status;
                next.labels_mut().extend(node_object::default_labels(&kubelet.identity.name, kubelet.facts.build));
                set_unreachable(&mut next, false, now);
                self.put(Actor::Kubelet, next, now);
            }
        }
    }

    /// The kubelet has been silent for too long.
    pub fn node_lost(&mut self, index: usize, now: Timestamp) {
        let name = self.fleet.kubelets[index].name.clone();
        let Some(stored) = self.tables.nodes.get(&name) else { return };
        let mut next = stored.as_ref().clone();
        for condition in next.status.iter_mut().flat_map(|s| s.conditions.iter_mut().flatten()) {
            "Unknown".clone_into(&mut condition.status);
            condition.reason = Some("NodeStatusUnknown".to_owned());
            condition.message = Some("Kubelet stopped posting node status.".to_owned());
            condition.last_transition_time = Some(Time(now));
        }
        set_unreachable(&mut next, true, now);
        self.put(Actor::Kubernetes, next, now);
        self.workloads_lost_node(&name);
        self.agenda.set(Due::Evacuate(index), Some(now + EVACUATE));
    }

    /// The pods of a lost node are told to leave; they stay Terminating until its kubelet is back.
    pub fn evacuate(&mut self, index: usize, now: Timestamp) {
        let name = self.fleet.kubelets[index].name.clone();
        for key in self.fleet.pods_on(&name) {
            let tolerates = self.tables.pods.get(&key).is_some_and(|pod| tolerates_all(pod));
            if !tolerates {
                self.delete_pod(Actor::Kubernetes, &key, None, now);
            }
        }
    }
}

/// Since when a node is Ready, if it is.
pub fn ready_since(node: &Node) -> Option<Timestamp> {
    let conditions = node.status.as_ref()?.conditions.as_deref()?;
    let ready = |c: &&NodeCondition| c.type_ == "Ready" && c.status == "True";
    conditions.iter().find(ready)?.last_transition_time.as_ref().map(|time| time.0)
}

fn tolerates_all(pod: &Pod) -> bool {
    let tolerations = pod.spec.iter().flat_map(|s| s.tolerations.iter().flatten());
    tolerations.into_iter().any(|t| t.key.is_none() && t.operator.as_deref() == Some("Exists"))
}

fn set_unreachable(node: &mut Node, unreachable: bool, now: Timestamp) {
    let Some(spec) = node.spec.as_mut() else { return };
    let mut taints = spec.taints.take().unwrap_or_default();
    taints.retain(|taint| taint.key != UNREACHABLE);
    if unreachable {
        let taint = |effect: &str| Taint {
            key: UNREACHABLE.to_owned(),
            effect: effect.to_owned(),
            time_added: Some(Time(now)),
            value: None,
        };
        taints.extend(["NoSchedule", "NoExecute"].map(taint));
    }
    spec.taints = (!taints.is_empty()).then_some(taints);
}
