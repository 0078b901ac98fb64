//! The operator itself: the very controllers that run in a cluster, started, killed and started again.

use super::agenda::Agenda;
use super::cluster::{AGENTS, PROBES};
use super::door::Door;
use super::monitoring::Prometheus;
use super::provider::Hypervisor;
use super::shared::{Shared, Time};
use super::trace::Event;
use crate::act::{ActConfig, Clients};
use crate::controllers::{ByHand, Parts, Settings, Target};
use crate::observe::{Change, Stores};
use crate::ports::SnapshotProviders;
use crate::telemetry::Metrics;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::future::{BoxFuture, select};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;

/// How many objects of a kind are looked at at once, rollouts aside; as the operator's own loops have it.
const AT_ONCE: usize = 16;
/// How long nobody looks where nothing is due and nothing changes.
const NOTHING_DUE: SignedDuration = SignedDuration::from_hours(24);
/// How long a machine's Node object may be missing (the flag's default).
const NODE_GONE_AFTER: Duration = Duration::from_mins(10);

/// Runs one operator for ever: each time it is killed, another takes its place that knows nothing.
pub async fn operate(shared: Shared, instance: usize) {
    loop {
        let (run, killed) = start(&shared, instance);
        select(killed.notified().boxed(), run.go_on().boxed()).await;
        let down_for = shared.with(|cluster, now| {
            cluster.unsubscribe(instance);
            cluster.books.tell(now, || format!("operator {instance}: killed"));
            cluster.tell(now, &Event::Killed { instance });
            cluster.calls.down_for(instance)
        });
        tokio::time::sleep(down_for).await;
    }
}

/// One run of an operator: its controllers, and what they have to look at.
struct Run {
    controllers: ByHand,
    changes: UnboundedReceiver<Change>,
    time: Time,
    queue: Agenda<Target>,
    running: FuturesUnordered<BoxFuture<'static, (Target, Option<Duration>)>>,
    /// What is being looked at.
    busy: BTreeSet<Target>,
    /// What is due and has to wait for something that is being looked at.
    held: BTreeSet<Target>,
}

/// What a run waits for.
enum Happened {
    Looked(Target, Option<Duration>),
    Changed(Vec<Change>),
    Due,
}

impl Run {
    /// Looks at what is due, for ever.
    async fn go_on(mut self) {
        loop {
            let now = self.time.now();
            while let Some(target) = self.queue.take(now) {
                self.look(target);
            }
            match self.wait(now).await {
                Happened::Due => {}
                Happened::Changed(changes) => {
                    let now = self.time.now();
                    for target in self.controllers.affected(&changes) {
                        self.queue.not_after(target, now);
                    }
                }
                Happened::Looked(target, again) => self.looked(&target, again),
            }
        }
    }

    fn look(&mut self, target: Target) {
        let alike = |other: &&Target| other.is_alike(&target);
        let at_once = if matches!(target, Target::Rollout(_)) { 1 } else { AT_ONCE };
        if self.busy.contains(&target) || self.busy.iter().filter(alike).count() >= at_once {
            self.held.insert(target);
            return;
        }
        self.busy.insert(target.clone());
        self.running.push(self.controllers.look(target));
    }

    fn looked(&mut self, target: &Target, again: Option<Duration>) {
        let now = self.time.now();
        self.busy.remove(target);
        if let Some(wait) = again {
            self.queue.not_after(target.clone(), now + SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX));
        }
        // There is room for one more of its kind: whoever comes first of those that wait for it, or itself once more.
        let next = self.held.range(target.first()..).take_while(|other| other.is_alike(target));
        if let Some(next) = next.into_iter().find(|other| !self.busy.contains(other)).cloned() {
            self.held.remove(&next);
            self.queue.not_after(next, now);
        }
    }

    async fn wait(&mut self, now: Timestamp) -> Happened {
        let until = self.time.instant(self.queue.next().unwrap_or(now + NOTHING_DUE));
        let mut due = pin!(tokio::time::sleep_until(until));
        poll_fn(|cx| {
            if let Poll::Ready(Some((target, again))) = self.running.poll_next_unpin(cx) {
                return Poll::Ready(Happened::Looked(target, again));
            }
            let mut changes = Vec::new();
            while let Poll::Ready(Some(change)) = self.changes.poll_next_unpin(cx) {
                changes.push(change);
            }
            if !changes.is_empty() {
                return Poll::Ready(Happened::Changed(changes));
            }
            due.as_mut().poll(cx).map(|()| Happened::Due)
        })
        .await
    }
}

fn start(shared: &Shared, instance: usize) -> (Run, Arc<Notify>) {
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
        monitoring: Arc::new(Prometheus(shared.clone())),
        clock: shared.time().clock(),
    };
    let run = Run {
        controllers: ByHand::new(parts, &stores),
        changes,
        time: shared.time(),
        queue: Agenda::default(),
        running: FuturesUnordered::new(),
        busy: BTreeSet::new(),
        held: BTreeSet::new(),
    };
    (run, killed)
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
