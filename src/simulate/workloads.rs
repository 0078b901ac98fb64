//! What runs on the nodes: pods of Deployments, which come back elsewhere when they are told to leave, as far as there is
//! room, and the disruption budgets that count them.

use super::agenda::{Agenda, Due};
use super::cluster::{Cluster, key_of};
use super::machines::ready_since;
use super::trace::Actor;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Node, Pod, PodSpec};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use kube::api::ObjectMeta;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use winfleet::kubelet::TERMINATES_AFTER;

/// How soon pods that found no place are looked at again.
const AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// What has to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// How many pods.
    pub replicas: usize,
    /// Labels of its pods.
    pub labels: BTreeMap<String, String>,
    /// Annotations of its pods.
    pub annotations: BTreeMap<String, String>,
    /// Labels that its nodes must have.
    pub node_selector: BTreeMap<String, String>,
    /// How many of them its disruption budget wants to work; none without one.
    pub min_available: Option<usize>,
    /// Seconds that its pods have to end.
    pub grace: i64,
}

/// How many pods a workload has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// As many as it wants.
    pub wanted: usize,
    /// Those that were not told to end.
    pub live: usize,
    /// Those that work.
    pub healthy: usize,
}

/// All workloads, and where their pods are.
#[derive(Debug, Default)]
pub struct Workloads {
    all: Vec<Running>,
    /// Pods by key: the workload, the node's number, whether it works.
    pods: BTreeMap<String, Place>,
    /// Nodes by the number of pods on them.
    loads: BTreeSet<(usize, usize)>,
    load: Vec<usize>,
    serial: u64,
}

#[derive(Debug)]
struct Running {
    wanted: Workload,
    /// Pods that were not told to end.
    live: usize,
    /// Pods that work.
    healthy: usize,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    workload: usize,
    node: usize,
    healthy: bool,
    live: bool,
}

impl Workload {
    /// A workload of a scenario.
    pub fn of(spec: &winfleet::scenario::Workload) -> Self {
        let stops = spec.stops_after.map(|after| (TERMINATES_AFTER.to_owned(), after.to_string()));
        Self {
            namespace: spec.namespace.clone(),
            name: spec.name.clone(),
            replicas: usize::try_from(spec.replicas).unwrap_or(usize::MAX),
            labels: BTreeMap::from([("app".to_owned(), spec.name.clone())]),
            annotations: stops.into_iter().collect(),
            node_selector: spec.node_selector.clone(),
            min_available: None,
            grace: 30,
        }
    }

    /// The disruption budget of a workload of a scenario, if it has one: of the workload's name.
    pub fn budget_of(spec: &winfleet::scenario::Workload) -> Option<PodDisruptionBudget> {
        let min = i32::try_from(spec.min_available?.of(spec.replicas)).unwrap_or(i32::MAX);
        let labels = Self::of(spec).labels;
        Some(PodDisruptionBudget {
            metadata: ObjectMeta {
                name: Some(spec.name.clone()),
                namespace: Some(spec.namespace.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(PodDisruptionBudgetSpec {
                min_available: Some(IntOrString::Int(min)),
                selector: Some(LabelSelector { match_labels: Some(labels), match_expressions: None }),
                ..PodDisruptionBudgetSpec::default()
            }),
            status: None,
        })
    }
}

impl Workloads {
    /// Takes on workloads, for so many nodes.
    pub fn new(wanted: Vec<Workload>, nodes: usize) -> Self {
        Self {
            all: wanted.into_iter().map(|wanted| Running { wanted, live: 0, healthy: 0 }).collect(),
            loads: (0..nodes).map(|node| (0, node)).collect(),
            load: vec![0; nodes],
            ..Self::default()
        }
    }

    /// Why the eviction of a pod is refused, if it is.
    pub fn refuses(&self, pod: &str) -> Option<String> {
        let place = self.pods.get(pod)?;
        let Running { wanted, healthy, .. } = &self.all[place.workload];
        let min = wanted.min_available?;
        let left = healthy - usize::from(place.healthy);
        let words = || {
            let name = &wanted.name;
            format!("The disruption budget {name} needs {min} healthy pods and has {healthy} currently")
        };
        (left < min).then(words)
    }

    /// Gives each workload what the budgets say.
    pub fn follow_budgets(&mut self, min_available: impl Fn(&Workload) -> Option<usize>) {
        for Running { wanted, .. } in &mut self.all {
            wanted.min_available = min_available(wanted);
        }
    }

    /// Makes sure that what waits for a place is looked at soon.
    pub fn look_again(&self, agenda: &mut Agenda<Due>, now: Timestamp) {
        if self.all.iter().any(|workload| workload.live < workload.wanted.replicas) {
            agenda.not_after(Due::Place, now);
        }
    }

    /// A workload by its name, and its pods.
    pub fn counted(&self, namespace: &str, name: &str) -> Option<(&Workload, Tally)> {
        let named = |one: &&Running| one.wanted.namespace == namespace && one.wanted.name == name;
        let Running { wanted, live, healthy } = self.all.iter().find(named)?;
        Some((wanted, Tally { wanted: wanted.replicas, live: *live, healthy: *healthy }))
    }

    /// How many pods found no place.
    pub fn waiting(&self) -> usize {
        self.all.iter().map(|workload| workload.wanted.replicas.saturating_sub(workload.live)).sum()
    }

    fn set_healthy(&mut self, pod: &str, healthy: bool) {
        let Some(place) = self.pods.get_mut(pod) else { return };
        let count = &mut self.all[place.workload].healthy;
        match (place.healthy, healthy) {
            (false, true) => *count += 1,
            (true, false) => *count -= 1,
            _ => {}
        }
        place.healthy = healthy;
    }

    fn add_load(&mut self, node: usize, more: bool) {
        let Some(load) = self.load.get_mut(node) else { return };
        self.loads.remove(&(*load, node));
        *load = if more { *load + 1 } else { load.saturating_sub(1) };
        self.loads.insert((*load, node));
    }
}

impl Cluster {
    /// Gives every workload its pods, as far as there is room.
    pub fn place_pods(&mut self, now: Timestamp) {
        let mut missing = false;
        for index in 0..self.workloads.all.len() {
            while self.workloads.all[index].live < self.workloads.all[index].wanted.replicas {
                if !self.place(index, now) {
                    missing = true;
                    break;
                }
            }
        }
        if missing {
            self.agenda.not_after(Due::Place, now + AGAIN);
        }
    }

    fn place(&mut self, workload: usize, now: Timestamp) -> bool {
        let wanted = &self.workloads.all[workload].wanted;
        let fits = |(load, node): &&(usize, usize)| {
            let name = self.fleet.name(*node);
            let room =
                self.world.machine(name).is_some_and(|m| u32::try_from(*load).is_ok_and(|l| l < m.spec().group.pods));
            room && self.tables.nodes.get(name).is_some_and(|n| takes(n, wanted))
        };
        let Some((_, node)) = self.workloads.loads.iter().find(fits).copied() else { return false };
        self.workloads.serial += 1;
        let pod = pod(wanted, self.fleet.name(node), self.workloads.serial);
        self.workloads.add_load(node, true);
        self.workloads.all[workload].live += 1;
        self.workloads.pods.insert(key_of(&pod), Place { workload, node, healthy: false, live: true });
        self.make(Actor::Kubernetes, pod, now);
        true
    }

    /// A pod was told to end, or is gone without that: another takes its part.
    pub fn workload_lost(&mut self, pod: &Arc<Pod>, now: Timestamp) {
        let key = key_of(pod.as_ref());
        let Some(place) = self.workloads.pods.get_mut(&key) else { return };
        if std::mem::replace(&mut place.live, false) {
            let workload = place.workload;
            self.workloads.all[workload].live -= 1;
            self.workloads.set_healthy(&key, false);
            self.agenda.not_after(Due::Place, now);
        }
    }

    /// A pod's object is gone, and its room is free.
    pub fn workload_gone(&mut self, pod: &Arc<Pod>, now: Timestamp) {
        let key = key_of(pod.as_ref());
        self.workloads.set_healthy(&key, false);
        let Some(place) = self.workloads.pods.remove(&key) else { return };
        self.workloads.add_load(place.node, false);
        self.workloads.look_again(&mut self.agenda, now);
    }

    /// The status of a pod has changed.
    pub fn workload_moved(&mut self, key: &str, _now: Timestamp) {
        if self.workloads.pods.get(key).is_some_and(|place| place.live) {
            let running = |pod: &Arc<Pod>| {
                let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
                phase == Some("Running")
            };
            let healthy = self.tables.pods.get(key).is_some_and(running);
            self.workloads.set_healthy(key, healthy);
        }
    }

    /// The kubelet of a node is silent: its pods do not count as working.
    pub fn workloads_lost_node(&mut self, node: &str) {
        for key in self.fleet.pods_on(node) {
            self.workloads.set_healthy(&key, false);
        }
    }
}

/// Whether new pods of a workload may be bound to a node.
fn takes(node: &Node, workload: &Workload) -> bool {
    let spec = node.spec.as_ref();
    let cordoned = spec.and_then(|s| s.unschedulable).unwrap_or(false);
    let tainted = spec.and_then(|s| s.taints.as_ref()).is_some_and(|taints| !taints.is_empty());
    let labelled = workload.node_selector.iter().all(|(key, value)| node.labels().get(key) == Some(value));
    !cordoned && !tainted && labelled && ready_since(node).is_some()
}

fn pod(workload: &Workload, node: &str, serial: u64) -> Pod {
    let owner = OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "ReplicaSet".to_owned(),
        name: workload.name.clone(),
        uid: format!("{}/{}", workload.namespace, workload.name),
        controller: Some(true),
        ..OwnerReference::default()
    };
    let container = Container { name: workload.name.clone(), ..Container::default() };
    Pod {
        metadata: ObjectMeta {
            name: Some(format!("{}-{serial:05}", workload.name)),
            namespace: Some(workload.namespace.clone()),
            labels: Some(workload.labels.clone()),
            annotations: (!workload.annotations.is_empty()).then(|| workload.annotations.clone()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            node_name: Some(node.to_owned()),
            termination_grace_period_seconds: Some(workload.grace),
            containers: vec![container],
            ..PodSpec::default()
        }),
        status: None,
    }
}
