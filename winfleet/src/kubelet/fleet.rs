//! Wires the kubelets of a fleet together.

use super::{
    api::ApiServer,
    dispatch::{Inbox, NodeMail, dispatch},
    driver::drive,
    events,
    heartbeat::{Heartbeat, HeartbeatTimings},
    lifecycle::PodTimings,
    logs::LogStore,
    machine::{MachineFacts, MachineIdentity},
    node_object::KubeletInfo,
    pods::PodWorker,
    server::{self, Served},
};
use crate::{hypervisor::SharedWorld, model::Machine, wine::WineMachines};
use anyhow::Context;
use std::{collections::HashMap, path::PathBuf, sync::Arc};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};

/// What a fleet needs beside its model.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    /// Kubeconfig of the fleet.
    pub kubeconfig: PathBuf,
    /// Serving certificate of the kubelets, PEM.
    pub kubelet_cert: PathBuf,
    /// Its key, PEM.
    pub kubelet_key: PathBuf,
    /// Requests per second to the API server, for the whole fleet.
    pub requests_per_second: u32,
    /// The machines that run the real agent.
    pub wine: WineMachines,
}

/// The kubelets of all machines of a world, ready to run.
pub struct Fleet {
    world: SharedWorld,
    api: Arc<ApiServer>,
    logs: Arc<LogStore>,
    kubelet: KubeletInfo,
    heartbeat: HeartbeatTimings,
    pods: PodTimings,
    wine: WineMachines,
}

/// A running fleet. It ends when it is dropped.
pub struct Running {
    /// Ends only when a part of the fleet does, which is an error.
    pub tasks: JoinSet<()>,
    /// Port of the kubelets.
    pub kubelet_port: u16,
    nodes: usize,
    registered: mpsc::Receiver<()>,
}

impl Running {
    /// Waits until the Node of each machine is registered.
    ///
    /// # Errors
    /// A node's task ended before.
    pub async fn all_registered(&mut self) -> anyhow::Result<()> {
        for done in 0..self.nodes {
            self.registered.recv().await.with_context(|| format!("{done} of {} nodes registered", self.nodes))?;
        }
        Ok(())
    }
}

impl Fleet {
    /// Connects to the API server and starts everything.
    ///
    /// # Errors
    /// The kubeconfig, the certificate or the port can not be used, or the API server does not answer.
    pub async fn start(world: SharedWorld, options: &FleetOptions) -> anyhow::Result<Running> {
        let api = ApiServer::connect(&options.kubeconfig, options.requests_per_second)
            .await
            .with_context(|| format!("--kubeconfig {}", options.kubeconfig.display()))?;
        let tls = server::tls(&options.kubelet_cert, &options.kubelet_key)?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for the kubelets")?;
        let port = listener.local_addr()?.port();
        let client = api.client();
        let version = api.request(client.apiserver_version()).await.context("the API server does not answer")?;
        let (heartbeat, pods) = timings(&world);
        let fleet = Self {
            world,
            api: Arc::new(api),
            logs: Arc::default(),
            kubelet: KubeletInfo { version: version.git_version, port },
            heartbeat,
            pods,
            wine: options.wine.clone(),
        };
        Ok(fleet.spawn(listener, tls))
    }

    fn spawn(self, listener: TcpListener, tls: tokio_rustls::TlsAcceptor) -> Running {
        let machines = self.machines();
        let nodes = machines.len();
        let (registered_tx, registered) = mpsc::channel(nodes.max(1));
        let mut tasks = JoinSet::new();
        let (mut mail, mut senders, mut receivers) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (identity, facts) in machines {
            let name = identity.name.clone();
            let (sender, facts) = watch::channel(facts);
            let (node, seen) = watch::channel(None);
            let inbox = Arc::<Inbox>::default();
            tasks.spawn(self.heartbeat(identity.clone(), facts.clone(), seen).run(registered_tx.clone()));
            tasks.spawn(self.pod_worker(identity, facts.clone(), inbox.clone()).run());
            mail.insert(name.clone(), NodeMail { inbox, node });
            senders.insert(name.clone(), sender);
            receivers.insert(name, facts);
        }
        let served = Served { logs: self.logs.clone(), machines: Arc::new(receivers) };
        tasks.spawn(dispatch(self.api.client(), mail));
        tasks.spawn(drive(self.world.clone(), self.wine.clone(), senders));
        tasks.spawn(server::serve(listener, tls, served));
        Running { tasks, kubelet_port: self.kubelet.port, nodes, registered }
    }

    fn machines(&self) -> Vec<(MachineIdentity, MachineFacts)> {
        let of = |(machine, index): (&Machine, u16)| (MachineIdentity::of(machine, index), MachineFacts::of(machine));
        self.world.with(|world, _| world.machines().zip(0..=u16::MAX).map(of).collect())
    }

    fn heartbeat(
        &self,
        identity: MachineIdentity,
        facts: watch::Receiver<MachineFacts>,
        node: watch::Receiver<Option<super::dispatch::NodeSeen>>,
    ) -> Heartbeat {
        Heartbeat {
            events: events::recorder(&self.api, &identity.name),
            identity,
            facts,
            node,
            api: self.api.clone(),
            kubelet: self.kubelet.clone(),
            timings: self.heartbeat,
        }
    }

    fn pod_worker(
        &self,
        identity: MachineIdentity,
        facts: watch::Receiver<MachineFacts>,
        inbox: Arc<Inbox>,
    ) -> PodWorker {
        PodWorker {
            wine: self.wine.of_machine(&identity.name).cloned(),
            events: events::recorder(&self.api, &identity.name),
            identity,
            facts,
            inbox,
            api: self.api.clone(),
            world: self.world.clone(),
            logs: self.logs.clone(),
            timings: self.pods,
        }
    }
}

/// The scenario's timings, as far as they are the kubelets'.
fn timings(world: &SharedWorld) -> (HeartbeatTimings, PodTimings) {
    let timings = world.with(|world, _| world.timings().clone());
    let heartbeat = HeartbeatTimings { lease: timings.lease_renew.to_std(), status: timings.node_status.to_std() };
    let pods = PodTimings {
        start: timings.pod_start.to_std(),
        runs: timings.pod_runs.to_std(),
        stop: timings.pod_stop.to_std(),
    };
    (heartbeat, pods)
}
