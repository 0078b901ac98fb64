//! The pods of one machine: winfleet's lifecycle decides, and what changes is written at once.

use super::process::Process;
use super::{Cluster, MachineFacts};
use crate::simulate::cluster::has_ended;
use crate::simulate::trace::Actor;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;
use winfleet::agent_host::Idle;
use winfleet::kubelet::lifecycle::{Containers, PodAction, PodTimings, State, decide};
use winfleet::kubelet::pod::PodView;
use winfleet::kubelet::pod_status;
use winfleet::model::{Machine, World};

/// First slot of pod addresses on a machine; 1 is the gateway's.
const FIRST_SLOT: usize = 2;
/// Slots of pod addresses on a machine.
const SLOTS: usize = 126;

/// A pod on its machine.
#[derive(Debug)]
pub struct Run {
    /// The pod, as its kubelet needs it.
    pub view: PodView,
    /// The last line that it printed.
    pub line: String,
    /// When it goes on by itself, its program aside.
    pub wake: Option<Timestamp>,
    /// When its program goes on, and what that waits for: as long as this holds, it does not go on.
    program: Option<(Timestamp, Option<Idle>)>,
    containers: Containers,
    process: Option<Process>,
    exit: Option<i32>,
    ip: String,
    /// The record that the API server has the status of.
    written: Option<Containers>,
}

impl Run {
    /// A pod that was just bound to the machine.
    pub fn new(view: PodView, boot: Timestamp, machine: u16, slot: usize, now: Timestamp) -> Self {
        let slot = u8::try_from(FIRST_SLOT + slot % SLOTS).unwrap_or(u8::MAX);
        let ip = if view.host_network { pod_status::HOST_IP.to_owned() } else { pod_status::pod_ip(machine, slot) };
        let containers = Containers::adopt(&view, boot, now);
        Self {
            view,
            line: String::new(),
            wake: Some(now),
            program: None,
            containers,
            process: None,
            exit: None,
            ip,
            written: None,
        }
    }

    /// When it goes on, if nothing changes on its machine.
    pub fn goes_on(&self, machine: Option<&Machine>, now: Timestamp) -> Option<Timestamp> {
        let program = self.program.map(|(next, idle)| match idle.filter(|idle| idle.holds(machine, now)) {
            Some(idle) => idle.until(),
            None => next,
        });
        [self.wake, program].into_iter().flatten().min()
    }

    /// Does what is due; says whether nothing of it is left, so that its object is to be removed.
    fn step(&mut self, facts: &MachineFacts, world: &mut World, timings: PodTimings, now: Timestamp) -> bool {
        self.program = self.look(facts, world, now);
        let (mut rest, started) = self.settle(facts, timings, now);
        if started {
            self.program = self.look(facts, world, now);
            rest = self.settle(facts, timings, now).0;
        }
        self.wake = match rest {
            PodAction::Wait(wait) => wait,
            _ => None,
        };
        rest == PodAction::Remove
    }

    /// Looks at its program, and says when that goes on; a machine that is down, or booted since, runs it no more.
    fn look(&mut self, facts: &MachineFacts, world: &mut World, now: Timestamp) -> Option<(Timestamp, Option<Idle>)> {
        if !facts.os_up || self.containers.boot != Some(facts.boot) {
            self.process = None;
        }
        let seen = self.process.as_mut()?.look(&self.view, facts, world, now);
        if let Some(line) = seen.line {
            self.line = line;
        }
        if seen.exit.is_some() {
            self.exit = seen.exit;
            self.process = None;
        }
        seen.again.map(|again| (again, seen.idle))
    }

    /// Acts until there is nothing to do but to wait, or to remove it; says whether its program was started.
    fn settle(&mut self, facts: &MachineFacts, timings: PodTimings, now: Timestamp) -> (PodAction, bool) {
        let mut started = false;
        loop {
            let action = decide(&self.view, &self.containers, facts, self.exit, timings, now);
            match &action {
                PodAction::Wait(_) | PodAction::Remove => return (action, started),
                PodAction::Start => {
                    self.exit = None;
                    self.process = Some(Process::start(&self.view, facts, timings.runs, now));
                    started = true;
                }
                PodAction::Lose { .. } | PodAction::End(_) | PodAction::Fail(_) | PodAction::BackOff { .. } => {
                    self.process = None;
                    self.exit = None;
                }
                PodAction::Block | PodAction::Create { .. } | PodAction::Stop => {}
            }
            self.containers.apply(action, &self.view, now);
        }
    }

    /// Whether the API server has another status than it should.
    fn is_news(&self) -> bool {
        self.written.as_ref() != Some(&self.containers)
    }
}

impl Cluster {
    /// Lets the pods of a machine do what is due.
    pub(super) fn tick_pods(&mut self, index: usize, now: Timestamp) {
        let facts = self.fleet.kubelets[index].facts.clone();
        let keys: Vec<String> = self.fleet.kubelets[index].pods.keys().cloned().collect();
        for key in keys {
            self.tick_pod(index, &key, &facts, now);
        }
    }

    fn tick_pod(&mut self, index: usize, key: &str, facts: &MachineFacts, now: Timestamp) {
        let timings = self.fleet.timings;
        let kubelet = &mut self.fleet.kubelets[index];
        let Some(run) = kubelet.pods.get_mut(key) else { return };
        let due = run.goes_on(self.world.machine(&kubelet.name), now).is_some_and(|at| at <= now);
        let changed = run.containers.boot != Some(facts.boot) || !facts.os_up || run.containers.state == State::Blocked;
        if !due && !changed {
            return;
        }
        let remove = run.step(facts, &mut self.world, timings, now);
        if !facts.kubelet_up {
            return;
        }
        let never_ran = remove && run.containers.state != State::Ended;
        let news = run.is_news() && !never_ran;
        if news {
            run.written = Some(run.containers.clone());
            let status = pod_status::of(&run.view, &run.containers, &run.ip);
            self.write_status(key, status, now);
        }
        if remove {
            self.remove::<Pod>(Actor::Kubelet, key, now);
        }
    }

    fn write_status(&mut self, key: &str, status: k8s_openapi::api::core::v1::PodStatus, now: Timestamp) {
        let Some(stored) = self.tables.pods.get(key).map(Arc::clone) else { return };
        // A kubelet never leaves the end of a pod.
        if has_ended(&stored) {
            return;
        }
        let mut next = stored.as_ref().clone();
        next.status = Some(status);
        self.put(Actor::Kubelet, next, now);
        self.workload_moved(key, now);
    }
}
