//! The operator itself: the very controllers that run in a cluster, started, killed and started again.

use super::cluster::{AGENTS, PROBES};
use super::door::Door;
use super::provider::Hypervisor;
use super::shared::Shared;
use super::trace::Event;
use crate::act::{ActConfig, Clients};
use crate::controllers::{Controllers, Parts, Settings};
use crate::observe::Stores;
use crate::ports::SnapshotProviders;
use crate::telemetry::Metrics;
use futures::channel::mpsc::unbounded;
use futures::future::{Either, select};
use kube::Client;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// How long a machine's Node object may be missing (the flag's default).
const NODE_GONE_AFTER: Duration = Duration::from_mins(10);
/// How long an operator stays down that ended by itself, which none does.
const AGAIN: Duration = Duration::from_secs(10);

/// Runs one operator for ever: each time it is killed, another takes its place that knows nothing.
pub async fn operate(shared: Shared, instance: usize) {
    loop {
        let (mut controllers, killed) = start(&shared, instance);
        let down_for = match select(pin!(killed.notified()), pin!(controllers.ended())).await {
            Either::Left(_) => shared.with(|cluster, _| cluster.calls.down_for(instance)),
            Either::Right(_) => AGAIN,
        };
        drop(controllers);
        shared.with(|cluster, now| {
            cluster.unsubscribe(instance);
            cluster.books.tell(now, || format!("operator {instance}: killed"));
            cluster.tell(now, &Event::Killed { instance });
        });
        tokio::time::sleep(down_for).await;
    }
}

fn start(shared: &Shared, instance: usize) -> (Controllers, Arc<Notify>) {
    let (teller, changes) = unbounded();
    let (stores, feeds) = Stores::fed(&teller);
    let (life, killed) = shared.with(|cluster, now| {
        let run = cluster.calls.start(instance);
        cluster.subscribe(instance, feeds);
        cluster.books.tell(now, || format!("operator {instance}: started"));
        cluster.tell(now, &Event::Started { instance });
        run
    });
    let door = Door { shared: shared.clone(), instance, life };
    let client = Client::new(door.clone(), "default");
    let parts = Parts {
        clients: Clients { read: client.clone(), act: client },
        act: config(),
        settings: Settings { operator_node: None, node_gone_after: NODE_GONE_AFTER },
        instance: format!("windlass-{instance}"),
        metrics: Arc::new(Metrics::default()),
        providers: Box::new(move |_| Arc::new(Hypervisor(door)) as Arc<dyn SnapshotProviders>),
        clock: shared.time().clock(),
    };
    (Controllers::over(parts, stores, changes, JoinSet::new()), killed)
}

fn config() -> ActConfig {
    ActConfig {
        agents_namespace: AGENTS.to_owned(),
        probes_namespace: PROBES.to_owned(),
        agent_image: "windlass-agent".to_owned(),
        probe_image: "windlass-probe".to_owned(),
        image_pull_policy: "IfNotPresent".to_owned(),
    }
}
