//! The kubelets of the simulated machines, above winfleet's pure parts: each is looked at when something of it is due.

mod faults;
mod node;
mod pods;
mod process;

pub use node::ready_since;

use super::agenda::Due;
use super::books::Health;
use super::cluster::{Cluster, key_of};
use super::trace::Event;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use pods::Run;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use winfleet::agent_host::ArmedTasks;
use winfleet::kubelet::lifecycle::PodTimings;
use winfleet::kubelet::machine::{MachineFacts, MachineIdentity};
use winfleet::kubelet::pod::PodView;
use winfleet::model::{Machine, MachineState, World};
use winfleet::scenario::Fault;

/// How long a kubelet may be silent before the node counts as lost (kube-controller-manager,
/// `--node-monitor-grace-period`).
const GRACE: SignedDuration = SignedDuration::from_secs(50);
/// How long after that pods are told to leave (the default toleration of `node.kubernetes.io/unreachable`).
const EVACUATE: SignedDuration = SignedDuration::from_secs(300);

/// All kubelets.
pub struct Fleet {
    kubelets: Vec<Kubelet>,
    by_name: HashMap<Arc<str>, usize>,
    tasks: ArmedTasks,
    timings: PodTimings,
}

/// One kubelet.
struct Kubelet {
    name: Arc<str>,
    identity: MachineIdentity,
    /// What it saw of its machine when it last looked.
    facts: MachineFacts,
    /// How its machine was for the pods on it then: more than what the kubelet sees.
    health: Health,
    /// The faults on its machine that were told of, each with whether it goes on.
    faults: BTreeMap<String, bool>,
    /// The pods that are bound to its node, by key; boxed, as a map has room for some more of them than there are.
    pods: BTreeMap<String, Box<Run>>,
    /// Since when its node is Ready, while it is.
    ready_since: Option<Timestamp>,
}

impl Fleet {
    /// The kubelets of these machines; their nodes are not registered yet.
    pub fn new(world: &World) -> Self {
        let kubelet = |(index, machine): (usize, &Machine)| Kubelet {
            name: machine.name().into(),
            identity: MachineIdentity::of(machine, u16::try_from(index).unwrap_or(u16::MAX)),
            facts: MachineFacts::of(machine),
            health: machine_health(machine),
            faults: BTreeMap::new(),
            pods: BTreeMap::new(),
            ready_since: None,
        };
        let kubelets: Vec<_> = world.machines().enumerate().map(kubelet).collect();
        let timings = world.timings();
        Self {
            by_name: kubelets.iter().enumerate().map(|(index, kubelet)| (kubelet.name.clone(), index)).collect(),
            kubelets,
            tasks: ArmedTasks::default(),
            timings: PodTimings {
                start: timings.pod_start.to_std(),
                runs: timings.pod_runs.to_std(),
                stop: timings.pod_stop.to_std(),
            },
        }
    }

    /// The number of the machine of this name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// How many machines there are.
    pub fn len(&self) -> usize {
        self.kubelets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kubelets.is_empty()
    }

    /// Name and labels of a machine.
    pub fn identity(&self, index: usize) -> &MachineIdentity {
        &self.kubelets[index].identity
    }

    /// The name of a machine.
    pub fn name(&self, index: usize) -> &str {
        &self.kubelets[index].name
    }

    /// The keys of the pods that are bound to a node.
    pub fn pods_on(&self, node: &str) -> Vec<String> {
        self.index(node).map(|index| self.kubelets[index].pods.keys().cloned().collect()).unwrap_or_default()
    }

    /// The last line that a pod printed.
    ///
    /// # Errors
    /// Why it can not be read: its kubelet does not answer, or has no such log.
    pub fn last_line(&self, world: &World, pod: &Pod) -> Result<&str, String> {
        let node = pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or_default();
        let kubelet = self.index(node).map(|index| &self.kubelets[index]);
        let kubelet = kubelet.filter(|_| world.machine(node).is_some_and(Machine::kubelet_up));
        let Some(kubelet) = kubelet else { return Err("the machine's kubelet does not answer".to_owned()) };
        let run = kubelet.pods.get(&key_of(pod)).ok_or("there is no log")?;
        Ok(&run.line)
    }
}

impl Cluster {
    /// Lets a machine, its agent and its kubelet do what is due.
    pub fn tick_machine(&mut self, index: usize, now: Timestamp) {
        let name = Arc::clone(&self.fleet.kubelets[index].name);
        self.world.tick_machine(&name, now);
        self.fleet.tasks.tick_machine(&mut self.world, &name, now);
        self.tell_faults(index, &name, now);
        self.look_at_machine(index, &name, now);
        self.tick_pods(index, now);
        self.fleet.tasks.tick_machine(&mut self.world, &name, now);
        self.tell_faults(index, &name, now);
        self.wake_touched(now);
        self.schedule_machine(index, &name, now);
    }

    /// Lets the hypervisor end what is due.
    pub fn tick_hypervisor(&mut self, now: Timestamp) {
        self.world.tick_hypervisor(now);
        self.wake_touched(now);
        self.agenda.set(Due::Hypervisor, self.world.next_task_end());
    }

    /// Something was done to a machine from outside.
    pub fn machine_touched(&mut self, name: &str, now: Timestamp) {
        if let Some(index) = self.fleet.index(name) {
            self.agenda.not_after(Due::Machine(index), now);
        }
        self.agenda.set(Due::Hypervisor, self.world.next_task_end());
    }

    fn wake_touched(&mut self, now: Timestamp) {
        for name in self.world.take_touched() {
            if let Some(index) = self.fleet.index(&name) {
                self.agenda.not_after(Due::Machine(index), now);
            }
        }
    }

    fn look_at_machine(&mut self, index: usize, name: &Arc<str>, now: Timestamp) {
        let Some(machine) = self.world.machine(name) else { return };
        let (facts, health) = (MachineFacts::of(machine), machine_health(machine));
        let kubelet = &mut self.fleet.kubelets[index];
        let seen = facts == kubelet.facts && kubelet.ready_since.is_some() == facts.kubelet_up;
        if seen && health == kubelet.health {
            return;
        }
        kubelet.health = health;
        if !seen {
            let before = std::mem::replace(&mut kubelet.facts, facts);
            self.node_follows(index, &before, now);
        }
        self.books.machine(now, health, name);
        self.tell(now, &Event::Machine { name });
    }

    fn schedule_machine(&mut self, index: usize, name: &str, now: Timestamp) {
        let kubelet = &self.fleet.kubelets[index];
        let machine = self.world.machine(name);
        let due_now = machine.is_some_and(Machine::startup_task_due).then_some(now);
        let pods = kubelet.pods.values().filter_map(|run| run.goes_on(machine, now)).min();
        let own = machine.and_then(Machine::next_event);
        let task = machine.and_then(|machine| self.fleet.tasks.next_event_of(machine, now));
        let next = [due_now, own, task, pods].into_iter().flatten().min();
        if let Some(next) = next {
            self.agenda.not_after(Due::Machine(index), next.max(now));
        }
    }

    /// A pod was made or changed.
    pub fn pod_changed(&mut self, new: bool, pod: &Arc<Pod>, now: Timestamp) {
        let node = pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or_default();
        let Some(index) = self.fleet.index(node) else { return };
        let kubelet = &mut self.fleet.kubelets[index];
        if new {
            let Some(view) = PodView::from_pod(pod) else { return };
            let (boot, slot) = (kubelet.facts.boot, kubelet.pods.len());
            let run = Run::new(view, boot, kubelet.identity.index, slot, now);
            kubelet.pods.insert(key_of(pod.as_ref()), Box::new(run));
        } else if let Some(run) = kubelet.pods.get_mut(&key_of(pod.as_ref())) {
            let ends = pod.metadata.deletion_timestamp.is_some();
            if !ends || run.view.deletion_grace.is_some() {
                return;
            }
            let grace = pod.metadata.deletion_grace_period_seconds.and_then(|s| u64::try_from(s).ok());
            run.view.deletion_grace = Some(std::time::Duration::from_secs(grace.unwrap_or_default()));
            self.workload_lost(pod, now);
        } else {
            return;
        }
        if let Some(run) = self.fleet.kubelets[index].pods.get_mut(&key_of(pod.as_ref())) {
            run.wake = Some(now);
        }
        self.agenda.not_after(Due::Machine(index), now);
    }

    /// A pod's object is gone.
    pub fn pod_gone(&mut self, pod: &Arc<Pod>, now: Timestamp) {
        let node = pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or_default();
        if let Some(index) = self.fleet.index(node) {
            self.fleet.kubelets[index].pods.remove(&key_of(pod.as_ref()));
        }
        if pod.metadata.deletion_timestamp.is_none() {
            self.workload_lost(pod, now);
        }
        self.workload_gone(pod, now);
    }

    /// A Node object was made, changed or removed: what waits for a place may have one.
    pub fn node_changed(&mut self, now: Timestamp) {
        self.workloads.look_again(&mut self.agenda, now);
    }

    /// The names of the machines' nodes, in their order.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.fleet.kubelets.iter().map(|kubelet| kubelet.name.as_ref())
    }
}

/// Whether pods on a machine can work, and whether that is more than the machine restarting.
fn machine_health(machine: &Machine) -> Health {
    match machine.state() {
        // What would be there without any update is nobody's harm.
        _ if machine.broken_by().any(Fault::comes_of_updating) => Health::Broken,
        // It came back with a disk from before an update.
        _ if machine.certificate_ended() => Health::Broken,
        MachineState::BootLoop | MachineState::Hung | MachineState::Detached => Health::Broken,
        MachineState::Running if machine.serves() => Health::Good,
        MachineState::Booting | MachineState::Off | MachineState::Running => Health::Restarting,
    }
}
