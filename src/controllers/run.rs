//! Starts and stops the controllers.

use super::again::Again;
use super::context::{Context, Settings};
use super::error::ReconcileError;
use super::guard::{Pass, after_failure, guarded};
use super::route::{Queues, route};
use super::{approval, node_update, rollout, snapshot, snapshot_class};
use crate::act::{ActConfig, Clients, Means, Memory, PodStores};
use crate::api::{Guarded, crds};
use crate::observe::{Change, Stores, StoresError};
use crate::ports::{Clock, Monitoring, SnapshotProviders};
use crate::record::Events;
use crate::telemetry::Metrics;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::controller::{self, Action, Controller, Error};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How many node updates, snapshots and their classes are looked at at once.
const CONCURRENCY: u16 = 16;
/// How many controllers there are.
const CONTROLLERS: usize = 5;
/// How long the custom resources may take to be served.
const SERVED: Duration = Duration::from_mins(5);

/// The controllers could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The custom resources are not there.
    #[error("{kind} is not served within {}s: {why}; install the chart windlass-crds", SERVED.as_secs())]
    NotServed {
        /// The kind.
        kind: String,
        /// The API server's words.
        why: String,
    },
    /// The stores could not be filled.
    #[error(transparent)]
    Stores(#[from] StoresError),
}

/// Waits until the API server serves all kinds of ours to this operator.
///
/// # Errors
/// [`StartError::NotServed`], naming the first that it does not, after five minutes.
pub async fn resources_served(client: &Client) -> Result<(), StartError> {
    let until = Instant::now() + SERVED;
    for crd in crds() {
        let kind = crd.spec.names.kind;
        let resource = ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(crate::api::GROUP, crate::api::VERSION, &kind),
            &crd.spec.names.plural,
        );
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let mut told = false;
        while let Err(error) = api.list(&ListParams::default().limit(1)).await {
            if Instant::now() >= until {
                return Err(StartError::NotServed { kind, why: error.to_string() });
            }
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(kind, %error, "waiting for the API server to serve it");
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }
    Ok(())
}

/// The controllers at work.
pub struct Controllers {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// Makes the registry of providers over the watched stores.
pub type MakeProviders = Box<dyn FnOnce(&Stores) -> Arc<dyn SnapshotProviders> + Send>;

/// What the controllers are started with.
pub struct Parts {
    /// How to speak to the API server.
    pub clients: Clients,
    /// Settings of the effects.
    pub act: ActConfig,
    /// Settings of the controllers.
    pub settings: Settings,
    /// This instance's name.
    pub instance: String,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Makes the registry of providers over the watched SnapshotClasses.
    pub providers: MakeProviders,
    /// Who answers queries of probes.
    pub monitoring: Arc<dyn Monitoring>,
    /// The time.
    pub clock: Clock,
}

impl Controllers {
    /// Fills the stores, then starts the controllers.
    ///
    /// # Errors
    /// [`StartError::Stores`].
    pub async fn start(parts: Parts) -> Result<Self, StartError> {
        let mut tasks = JoinSet::new();
        let (teller, changes) = unbounded();
        let witness = Arc::clone(&parts.metrics) as Arc<dyn crate::observe::Witness>;
        let namespaces = (parts.act.agents_namespace.as_str(), parts.act.probes_namespace.as_str());
        let stores = Stores::start(&parts.clients.read, namespaces, teller, witness, &mut tasks);
        stores.ready().await?;
        Ok(Self::over(parts, stores, changes, tasks))
    }

    /// Starts the controllers over stores that are filled already; `changes` tells what changes in them, and `tasks` are
    /// those that fill them.
    pub fn over(parts: Parts, stores: Stores, changes: UnboundedReceiver<Change>, mut tasks: JoinSet<()>) -> Self {
        let ctx = context(parts, &stores);
        let (stop, told) = watch::channel(false);
        let (updates, update_queue) = unbounded();
        let (rollouts, rollout_queue) = unbounded();
        let (snapshots, snapshot_queue) = unbounded();
        let (classes, class_queue) = unbounded();
        let (approvals, approval_queue) = unbounded();
        tasks.spawn(route(changes, stores.clone(), Queues { updates, rollouts, snapshots, classes, approvals }));
        let mut run = Runner { ctx, told, tasks: &mut tasks };
        run.start(node_update::NAME, CONCURRENCY, stores.updates, update_queue, |ctx, o| {
            node_update::reconcile(ctx, o).boxed()
        });
        // One at a time: there is one writer of budgets.
        run.start(rollout::NAME, 1, stores.rollouts, rollout_queue, |ctx, o| rollout::reconcile(ctx, o).boxed());
        run.start(snapshot::NAME, CONCURRENCY, stores.snapshots, snapshot_queue, |ctx, o| {
            snapshot::reconcile(ctx, o).boxed()
        });
        run.start(snapshot_class::NAME, CONCURRENCY, stores.classes, class_queue, |ctx, o| {
            snapshot_class::reconcile(ctx, o).boxed()
        });
        run.start(approval::NAME, 1, stores.approvals, approval_queue, |ctx, o| approval::reconcile(ctx, o).boxed());
        Self { tasks, stop }
    }

    /// Waits until one of the loops has ended, which none does by itself.
    pub async fn ended(&mut self) {
        self.tasks.join_next().await;
    }

    /// Begins nothing more, lets what is under way come to its end for at most this time, then drops it.
    pub async fn stop(mut self, within: Duration) {
        // No receiver: all loops have ended already.
        let _ = self.stop.send(true);
        let controllers = async {
            // The watches and the router never end; the controllers do.
            for _ in 0..CONTROLLERS {
                self.tasks.join_next().await;
            }
        };
        if tokio::time::timeout(within, controllers).await.is_err() {
            tracing::warn!("not all passes came to an end in time, dropped");
        }
        self.tasks.shutdown().await;
    }
}

/// What the controllers work with, over stores that are filled.
pub(super) fn context(parts: Parts, stores: &Stores) -> Arc<Context> {
    let Parts { clients, act, settings, instance, metrics, providers, monitoring, clock } = parts;
    let pods = PodStores { agents: stores.agent_pods.clone(), probes: stores.probe_pods.clone() };
    let events = Events::new(clients.act.clone(), &instance);
    let (nodes, providers) = (stores.nodes.clone(), providers(stores));
    let means = Means { clients, config: act, providers, monitoring, nodes, pods, memory: Memory::default() };
    Arc::new(Context::new(settings, stores.clone(), means, events, (metrics, clock)))
}

/// What is left to do when an object of a controller is not there any more.
fn gone(ctx: &Context, controller: &str, name: &str) {
    if controller == snapshot_class::NAME {
        ctx.metrics.class_is_gone(name);
    }
}

/// A controller's pass over one object.
pub(super) type Reconcile<K> = for<'a> fn(&'a Context, &'a Guarded<K>) -> BoxFuture<'a, Result<Again, ReconcileError>>;

struct Runner<'a> {
    ctx: Arc<Context>,
    told: watch::Receiver<bool>,
    tasks: &'a mut JoinSet<()>,
}

impl Runner<'_> {
    fn start<K>(
        &mut self,
        name: &'static str,
        concurrency: u16,
        store: crate::observe::Parsed<K>,
        queue: UnboundedReceiver<ObjectRef<Guarded<K>>>,
        reconcile: Reconcile<K>,
    ) where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static,
    {
        let mut told = self.told.clone();
        let stop = async move { drop(told.wait_for(|stop| *stop).await) };
        let pass = move |object: &Guarded<K>| Pass { controller: name, name: object.name_any() };
        // Triggers come from the queue alone: what the store is filled with was told there, too.
        let results = Controller::for_stream(stream::pending(), store)
            .with_config(controller::Config::default().concurrency(concurrency))
            .reconcile_on(queue)
            .graceful_shutdown_on(stop)
            .run(
                move |object, ctx: Arc<Context>| async move {
                    guarded(&ctx, &pass(&object), reconcile(&ctx, &object)).await.map(Action::from)
                },
                move |object, error, ctx| after_failure(&ctx, &pass(&object), error).into(),
                Arc::clone(&self.ctx),
            );
        let ctx = Arc::clone(&self.ctx);
        self.tasks.spawn(results.for_each(move |result| {
            match result {
                // Logged and counted where it failed.
                Ok(_) | Err(Error::ReconcilerFailed(..)) => {}
                Err(Error::ObjectNotFound(object)) => {
                    tracing::debug!(controller = name, %object, "gone");
                    gone(&ctx, name, &object.name);
                }
                Err(error @ (Error::QueueError(_) | Error::RunnerError(_))) => {
                    tracing::error!(controller = name, %error, "the controller's queue failed");
                }
            }
            std::future::ready(())
        }));
    }
}
