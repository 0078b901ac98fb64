//! A kubelet's side of its Node: registration, Lease, status. When the machine or the kubelet is down nothing is written
//! at all, and the real node-lifecycle controller draws its conclusions.

use super::{
    api::{ApiServer, RequestError},
    dispatch::NodeSeen,
    events,
    machine::{MachineFacts, MachineIdentity},
    node_object::{self, KubeletInfo},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{
    Resource,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    runtime::events::Recorder,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

/// Wait after a failed request, as between a kubelet's renewals of its Lease it goes up to 7 s (client-go `maxBackoff`);
/// with the jitter the fleet does not come back as one.
const RETRY: Duration = Duration::from_secs(2);

/// How often a kubelet writes, from the scenario.
#[derive(Clone, Copy, Debug)]
pub struct HeartbeatTimings {
    /// Between two renewals of the Lease.
    pub lease: Duration,
    /// Between two reports of an unchanged status.
    pub status: Duration,
}

/// The heartbeat of one node.
pub struct Heartbeat {
    /// The machine.
    pub identity: MachineIdentity,
    /// What the kubelet sees of it.
    pub facts: watch::Receiver<MachineFacts>,
    /// The Node object as the API server has it.
    pub node: watch::Receiver<Option<NodeSeen>>,
    /// The API server.
    pub api: Arc<ApiServer>,
    /// Events about the node.
    pub events: Recorder,
    /// Version and port.
    pub kubelet: KubeletInfo,
    /// How often to write.
    pub timings: HeartbeatTimings,
}

/// One run of the kubelet, from its registration until it or its machine goes down.
#[derive(Debug)]
struct Session {
    uid: String,
    boot: Timestamp,
    generation: u32,
    ready_since: Timestamp,
    /// Whether the Lease is there, as far as is known.
    lease_made: bool,
    lease_due: Instant,
    status_due: Instant,
    /// Whether the watch showed the Node object since the registration.
    seen: bool,
}

impl Heartbeat {
    /// Runs for ever; says on `registered` when the node is registered for the first time.
    pub async fn run(mut self, registered: mpsc::Sender<()>) {
        let mut generation = self.facts.borrow().generation;
        let mut session = None;
        let mut registered = Some(registered);
        let mut failing = false;
        loop {
            let facts = self.facts.borrow_and_update().clone();
            let beat = self.beat(&facts, &mut generation, &mut session).await;
            let wake = self.next_beat(beat, &mut failing);
            if session.is_some()
                && let Some(registered) = registered.take()
            {
                registered.send(()).await.ok();
            }
            tokio::select! {
                changed = self.facts.changed() => if changed.is_err() { return },
                changed = self.node.changed() => if changed.is_err() { return },
                () = sleep_until(wake) => {}
            }
        }
    }

    /// When to go on, after a failure too; only the first failure of a series is logged.
    fn next_beat(&self, beat: Result<Option<Instant>, RequestError>, failing: &mut bool) -> Option<Instant> {
        let was_failing = std::mem::replace(failing, beat.is_err());
        let error = match beat {
            Ok(wake) => return wake,
            Err(error) => error,
        };
        if !was_failing {
            tracing::warn!(node = self.identity.name, %error, "node not written, trying again");
        }
        Some(Instant::now() + RETRY.mul_f64(0.5 + 0.5 * fastrand::f64()))
    }

    /// Does what is due and returns when the next thing will be; `None`: when the facts change.
    async fn beat(
        &mut self,
        facts: &MachineFacts,
        generation: &mut u32,
        session: &mut Option<Session>,
    ) -> Result<Option<Instant>, RequestError> {
        if *generation != facts.generation {
            *session = None;
            self.delete_node().await?;
            *generation = facts.generation;
        }
        if !facts.kubelet_up {
            *session = None;
            return Ok(None);
        }
        if session.as_ref().is_none_or(|s| s.boot != facts.boot || s.generation != facts.generation) {
            *session = Some(self.register(facts).await?);
        }
        match session {
            Some(session) => self.keep_alive(facts, session).await,
            None => Ok(None),
        }
    }

    /// As a cloud's controller does with the Node object of an instance that is no more.
    async fn delete_node(&self) -> Result<(), RequestError> {
        let Some(seen) = self.node.borrow().clone() else { return Ok(()) };
        let preconditions = Some(Preconditions { uid: Some(seen.uid), resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        match self.api.request(self.api.nodes().delete(&self.identity.name, &params)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes the Node object, or takes on the one that is there: labels, annotations, taints and cordon of others stay.
    async fn register(&self, facts: &MachineFacts) -> Result<Session, RequestError> {
        let (nodes, now) = (self.api.nodes(), Timestamp::now());
        let node = node_object::node(&self.identity, facts, &self.kubelet, now, now);
        let (node, new) = match self.api.request(nodes.create(&PostParams::default(), &node)).await {
            Ok(node) => (node, true),
            Err(error) if error.is_conflict() => {
                let found = self.api.request(nodes.get(&self.identity.name)).await?;
                self.take_on(facts, &found).await?;
                (found, false)
            }
            Err(error) => return Err(error),
        };
        let seen = NodeSeen::from_node(&node);
        let start = Instant::now();
        Ok(Session {
            uid: seen.uid,
            boot: facts.boot,
            generation: facts.generation,
            ready_since: seen.ready_since.unwrap_or(now),
            lease_made: !new,
            lease_due: start,
            // A new object was made with its status.
            status_due: if new { start + self.timings.status } else { start },
            seen: false,
        })
    }

    /// Corrects the labels that are the kubelet's own, and tells of a reboot.
    async fn take_on(&self, facts: &MachineFacts, found: &Node) -> Result<(), RequestError> {
        let wanted = node_object::default_labels(&self.identity.name, facts.build);
        let labels = found.metadata.labels.clone().unwrap_or_default();
        if wanted.iter().any(|(key, value)| labels.get(key) != Some(value)) {
            let patch = Patch::Strategic(json!({"metadata": {"labels": wanted}}));
            let nodes = self.api.nodes();
            self.api.request(nodes.patch(&self.identity.name, &PatchParams::default(), &patch)).await?;
        }
        let before = found.status.as_ref().and_then(|s| s.node_info.as_ref()).map(|i| i.boot_id.as_str());
        if before.is_some_and(|id| id != facts.boot_id) {
            events::rebooted(&self.api, &self.events, &found.object_ref(&()), &facts.boot_id).await;
        }
        Ok(())
    }

    /// Renews the Lease and reports the status, each when it is due.
    async fn keep_alive(&self, facts: &MachineFacts, session: &mut Session) -> Result<Option<Instant>, RequestError> {
        let node = self.node.borrow().clone();
        let same = node.as_ref().is_some_and(|n| n.uid == session.uid);
        if session.seen && !same {
            // Somebody deleted the Node object: as a real kubelet, this one registers again when it next starts.
            return Ok(None);
        }
        session.seen |= same;
        let doubted = session.seen && node.is_some_and(|n| n.ready_since.is_none());
        let now = Instant::now();
        if doubted || now >= session.status_due {
            self.report(facts, session, doubted).await?;
            session.status_due = now + self.timings.status;
        }
        if now >= session.lease_due {
            self.renew(session).await?;
            // A tenth of jitter spreads the fleet's renewals.
            session.lease_due = now + self.timings.lease.mul_f64(0.9 + 0.1 * fastrand::f64());
        }
        Ok(Some(session.status_due.min(session.lease_due)))
    }

    /// Reports the status; `doubted`: the API server holds the node for not ready.
    async fn report(&self, facts: &MachineFacts, session: &mut Session, doubted: bool) -> Result<(), RequestError> {
        let now = Timestamp::now();
        if doubted {
            session.ready_since = now;
        }
        let status = node_object::status(&self.identity, facts, &self.kubelet, session.ready_since, now);
        let patch = Patch::Strategic(json!({"metadata": {"uid": session.uid}, "status": status}));
        let nodes = self.api.nodes();
        let params = PatchParams::default();
        self.api.heartbeat(nodes.patch_status(&self.identity.name, &params, &patch)).await.map(drop)
    }

    /// Renews the Lease, or makes it; when it turns out otherwise, the other is tried at once.
    async fn renew(&self, session: &mut Session) -> Result<(), RequestError> {
        match self.write_lease(session).await {
            Err(error) if session.lease_made && error.is_not_found() => session.lease_made = false,
            Err(error) if !session.lease_made && error.is_conflict() => session.lease_made = true,
            result => {
                session.lease_made |= result.is_ok();
                return result;
            }
        }
        self.write_lease(session).await
    }

    async fn write_lease(&self, session: &Session) -> Result<(), RequestError> {
        let lease = node_object::lease(&self.identity.name, &session.uid, Timestamp::now());
        let leases = self.api.leases();
        let result = if session.lease_made {
            let (params, patch) = (PatchParams::default(), Patch::Merge(&lease));
            self.api.heartbeat(leases.patch(&self.identity.name, &params, &patch)).await
        } else {
            self.api.heartbeat(leases.create(&PostParams::default(), &lease)).await
        };
        result.map(drop)
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
