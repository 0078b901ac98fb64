//! The pods of one node: each change of theirs, of the machine or of time makes a pass over them.
//!
//! A pass asks the pure `lifecycle` what to do until it says to wait, then writes the status if it is not the one that
//! was written last. A failed write is tried again with growing waits; the pods of other nodes do not notice.

use super::{
    api::{ApiServer, RequestError},
    dispatch::Inbox,
    events,
    lifecycle::{PodAction, PodTimings, State, decide},
    logs::LogStore,
    machine::{MachineFacts, MachineIdentity},
    pod::PodView,
    pod_status,
    process::Process,
    program::Program,
    tracked::Tracked,
};
use crate::hypervisor::SharedWorld;
use crate::wine::Wine;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodStatus;
use kube::{
    api::{DeleteParams, Patch, PatchParams, Preconditions},
    runtime::events::Recorder,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// First and last slot of pod addresses on a machine; 1 is the gateway's.
const IP_SLOTS: std::ops::RangeInclusive<u8> = 2..=127;

/// The pods' part of one kubelet.
pub struct PodWorker {
    /// The machine.
    pub identity: MachineIdentity,
    /// What the kubelet sees of it.
    pub facts: watch::Receiver<MachineFacts>,
    /// News about its pods.
    pub inbox: Arc<Inbox>,
    /// The API server.
    pub api: Arc<ApiServer>,
    /// Events about its pods.
    pub events: Recorder,
    /// The model, for the agent.
    pub world: SharedWorld,
    /// Where containers print.
    pub logs: Arc<LogStore>,
    /// How long pods take.
    pub timings: PodTimings,
    /// How the real agent is started, where this machine runs it.
    pub wine: Option<Wine>,
}

impl PodWorker {
    /// Runs for ever.
    pub async fn run(mut self) {
        let mut pods = BTreeMap::new();
        loop {
            let facts = self.facts.borrow_and_update().clone();
            self.take_news(&mut pods, &facts);
            let wake = self.pass(&mut pods, &facts).await;
            tokio::select! {
                () = self.inbox.changed() => {}
                changed = self.facts.changed() => if changed.is_err() { return },
                () = sleep_until(wake) => {}
            }
        }
    }

    fn take_news(&self, pods: &mut BTreeMap<String, Tracked>, facts: &MachineFacts) {
        for (uid, news) in self.inbox.take() {
            match (news, pods.get_mut(&uid)) {
                (Some(pod), Some(tracked)) => tracked.pod = pod,
                (Some(pod), None) => {
                    let ip = self.address(&pod, pods);
                    pods.insert(uid, Tracked::new(pod, facts, ip));
                }
                (None, Some(tracked)) => tracked.gone = true,
                (None, None) => {}
            }
        }
    }

    /// The address of a pod: the host's, the one it has, or a free one.
    fn address(&self, pod: &PodView, pods: &BTreeMap<String, Tracked>) -> String {
        if pod.host_network {
            return pod_status::HOST_IP.into();
        }
        let free = |ip: &String| pods.values().all(|t| t.ip != *ip);
        let mut slots = IP_SLOTS.map(|slot| pod_status::pod_ip(self.identity.index, slot));
        // More pods than slots is more than the node's capacity: only pods bound by hand come to share the last one.
        let last = || pod_status::pod_ip(self.identity.index, *IP_SLOTS.end());
        pod.ip.clone().or_else(|| slots.find(free)).unwrap_or_else(last)
    }

    /// Makes one pass over the pods and returns when the next one is due.
    async fn pass(&self, pods: &mut BTreeMap<String, Tracked>, facts: &MachineFacts) -> Option<Timestamp> {
        let mut wake: Option<Timestamp> = None;
        let mut left = Vec::new();
        for (uid, tracked) in pods.iter_mut() {
            match self.step(tracked, facts).await {
                Ok(Some(next)) => wake = Some(wake.map_or(next, |w| w.min(next))),
                Ok(None) => {}
                Err(Left) => left.push(uid.clone()),
            }
        }
        for uid in left {
            if let Some(tracked) = pods.remove(&uid) {
                self.logs.remove(tracked.owner());
            }
        }
        wake
    }

    /// Does for one pod what is to be done now.
    async fn step(&self, tracked: &mut Tracked, facts: &MachineFacts) -> Result<Option<Timestamp>, Left> {
        if tracked.gone && facts.kubelet_up {
            return Err(Left);
        }
        if tracked.deleted {
            return Ok(None);
        }
        let mut look_again = self.look(tracked, facts).await;
        let now = Timestamp::now();
        let mut rest = self.settle(tracked, facts, now);
        if rest.started {
            look_again = self.look(tracked, facts).await;
            rest = self.settle(tracked, facts, now);
        }
        if !facts.kubelet_up {
            return Ok(look_again);
        }
        self.tell(tracked).await;
        let written = self.write(tracked, rest.remove, now).await?;
        Ok([rest.wait, look_again, written].into_iter().flatten().min())
    }

    /// Acts on the pod until there is nothing to do but to wait, or to remove it.
    fn settle(&self, tracked: &mut Tracked, facts: &MachineFacts, now: Timestamp) -> Rest {
        let mut rest = Rest::default();
        loop {
            match decide(&tracked.pod, &tracked.containers, facts, tracked.exit, self.timings, now) {
                PodAction::Wait(wait) => return Rest { wait, ..rest },
                PodAction::Remove => return Rest { remove: true, ..rest },
                action => {
                    rest.started |= action == PodAction::Start;
                    self.effect(tracked, &action, facts, now);
                    tracked.containers.apply(action, &tracked.pod, now);
                }
            }
        }
    }

    /// Looks at the pod's program; a machine that is down, or booted since, runs it no more.
    async fn look(&self, tracked: &mut Tracked, facts: &MachineFacts) -> Option<Timestamp> {
        if !facts.os_up || tracked.containers.boot != Some(facts.boot) {
            tracked.kill(&self.logs);
        }
        let process = tracked.process.as_mut()?;
        let now = Timestamp::now();
        let look = process.look(&tracked.pod, facts, &self.world, now).await;
        for line in &look.lines {
            self.logs.append(tracked.owner(), now, line);
        }
        if look.exit.is_some() {
            tracked.exit = look.exit;
            tracked.kill(&self.logs);
        }
        look.again
    }

    /// What an action does on the machine, beside its mark on the record.
    fn effect(&self, tracked: &mut Tracked, action: &PodAction, facts: &MachineFacts, now: Timestamp) {
        match action {
            PodAction::Start => {
                let names = tracked.pod.containers.iter().map(|c| c.name.clone()).collect();
                self.logs.open(tracked.owner(), &self.identity.name, names);
                tracked.exit = None;
                tracked.process = Some(self.start(&tracked.pod, facts, now));
            }
            PodAction::Lose { .. } | PodAction::End(_) | PodAction::Fail(_) | PodAction::BackOff { .. } => {
                tracked.kill(&self.logs);
                tracked.exit = None;
            }
            PodAction::Wait(_) | PodAction::Block | PodAction::Create { .. } | PodAction::Stop | PodAction::Remove => {}
        }
    }

    fn start(&self, pod: &PodView, facts: &MachineFacts, now: Timestamp) -> Process {
        match (&self.wine, &pod.program) {
            (Some(wine), Program::Agent(args)) => Process::start_wine(wine, args, pod, facts, &self.world),
            _ => Process::start(pod, facts, self.timings.runs, now),
        }
    }

    /// Tells, now and then, of a sandbox that can not be made.
    async fn tell(&self, tracked: &mut Tracked) {
        let due = tracked.told.is_none_or(|at| at.elapsed() >= events::SANDBOX_EVENT_EVERY);
        if tracked.containers.state == State::Blocked && due {
            tracked.told = Some(Instant::now());
            events::sandbox_failed(&self.api, &self.events, &tracked.pod).await;
        }
    }

    /// Writes the status if it is due, then deletes the object if that is due; returns when to try again.
    async fn write(&self, tracked: &mut Tracked, remove: bool, now: Timestamp) -> Result<Option<Timestamp>, Left> {
        if now < tracked.retry_at {
            return Ok(Some(tracked.retry_at));
        }
        let never_ran = remove && tracked.containers.state != State::Ended;
        let (status, due) = if never_ran { (None, None) } else { tracked.status_due() };
        let result = match status {
            Some(status) => self.write_status(tracked, status).await,
            None => Ok(()),
        };
        let result = match result {
            Ok(()) if remove => self.delete(tracked).await,
            other => other,
        };
        match result {
            Ok(()) => {
                tracked.failures = 0;
                Ok(due)
            }
            Err(Stop::Left) => Err(Left),
            Err(Stop::Failed(error)) => {
                if tracked.failures == 0 {
                    let pod = format!("{}/{}", tracked.pod.namespace, tracked.pod.name);
                    tracing::warn!(node = self.identity.name, pod, %error, "pod not written, trying again");
                }
                Ok(Some(tracked.failed(now)))
            }
        }
    }

    async fn write_status(&self, tracked: &mut Tracked, status: PodStatus) -> Result<(), Stop> {
        let patch = Patch::Strategic(json!({"metadata": {"uid": tracked.pod.uid}, "status": status}));
        let pods = self.api.pods(&tracked.pod.namespace);
        self.api.request(pods.patch_status(&tracked.pod.name, &PatchParams::default(), &patch)).await?;
        tracked.written = Some((status, Instant::now()));
        Ok(())
    }

    /// Deletes the object for good, as a kubelet does once nothing of the pod is left.
    async fn delete(&self, tracked: &mut Tracked) -> Result<(), Stop> {
        let preconditions = Some(Preconditions { uid: Some(tracked.pod.uid.clone()), resource_version: None });
        let params = DeleteParams { grace_period_seconds: Some(0), preconditions, ..DeleteParams::default() };
        let pods = self.api.pods(&tracked.pod.namespace);
        self.api.request(pods.delete(&tracked.pod.name, &params)).await?;
        tracked.deleted = true;
        Ok(())
    }
}

/// Where a pod came to rest.
#[derive(Debug, Default)]
struct Rest {
    /// When there is something to do again.
    wait: Option<Timestamp>,
    /// Whether nothing of it is left, so that its object is to be deleted.
    remove: bool,
    /// Whether its program was started on the way.
    started: bool,
}

/// The pod is no longer this kubelet's concern.
#[derive(Debug)]
struct Left;

/// Why writing a pod stopped.
#[derive(Debug)]
enum Stop {
    /// The object is gone. Of one whose name is another pod's by now, the watch says so.
    Left,
    Failed(RequestError),
}

impl From<RequestError> for Stop {
    fn from(error: RequestError) -> Self {
        if error.is_not_found() { Self::Left } else { Self::Failed(error) }
    }
}

async fn sleep_until(wake: Option<Timestamp>) {
    match wake {
        Some(wake) => {
            let left = wake.duration_since(Timestamp::now());
            tokio::time::sleep(Duration::try_from(left).unwrap_or(Duration::ZERO)).await;
        }
        None => std::future::pending().await,
    }
}
