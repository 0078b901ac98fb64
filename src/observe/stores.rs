//! The stores: one of each kind, filled by one watch.

use super::change::{Change, Watched};
use super::follow::{Feed, Witness, follow};
use super::node;
use super::phases::Phases;
use crate::api::{
    Guarded, NodeSnapshot, NodeUpdate, SnapshotClass, UpdateApproval, UpdateHold, UpdatePolicy, UpdateRing,
    UpdateRollout,
};
use futures::channel::mpsc::UnboundedSender;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::core::error_boundary::InvalidObject;
use kube::runtime::{reflector::Store, watcher};
use kube::{Api, Client, Resource, runtime::reflector::ObjectRef};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long the stores may take to be filled at the start.
const FIRST_LIST: Duration = Duration::from_mins(2);

/// A store of shared objects: one that does not parse is kept as its error and stops nothing else.
pub type Parsed<K> = Store<Guarded<K>>;

/// All that is watched.
#[derive(Clone)]
pub struct Stores {
    /// The Windows nodes, without what no decision reads.
    pub nodes: Parsed<Node>,
    /// Update policies.
    pub policies: Parsed<UpdatePolicy>,
    /// Update rings.
    pub rings: Parsed<UpdateRing>,
    /// Update rollouts.
    pub rollouts: Parsed<UpdateRollout>,
    /// Snapshot classes.
    pub classes: Parsed<SnapshotClass>,
    /// Update approvals.
    pub approvals: Parsed<UpdateApproval>,
    /// Update holds.
    pub holds: Parsed<UpdateHold>,
    /// Node updates.
    pub updates: Parsed<NodeUpdate>,
    /// Node snapshots.
    pub snapshots: Parsed<NodeSnapshot>,
    /// Pods in the agents' namespace.
    pub agent_pods: Parsed<Pod>,
    /// Pods in the probes' namespace.
    pub probe_pods: Parsed<Pod>,
    /// Phases of the pods in the agents' namespace.
    pub agent_phases: Phases,
    /// Phases of the pods in the probes' namespace.
    pub probe_phases: Phases,
}

/// The stores were not filled in time.
#[derive(Debug, thiserror::Error)]
#[error("{kind} could not be listed within {} s; see the warnings above", FIRST_LIST.as_secs())]
pub struct StoresError {
    kind: &'static str,
}

/// The feeds of [`Stores`] that no watch fills: whoever has them says what the API server would.
#[expect(missing_docs, reason = "named as the stores are")]
pub struct Feeds {
    pub nodes: Feed<Guarded<Node>>,
    pub policies: Feed<Guarded<UpdatePolicy>>,
    pub rings: Feed<Guarded<UpdateRing>>,
    pub rollouts: Feed<Guarded<UpdateRollout>>,
    pub classes: Feed<Guarded<SnapshotClass>>,
    pub approvals: Feed<Guarded<UpdateApproval>>,
    pub holds: Feed<Guarded<UpdateHold>>,
    pub updates: Feed<Guarded<NodeUpdate>>,
    pub snapshots: Feed<Guarded<NodeSnapshot>>,
    pub agent_pods: Feed<Guarded<Pod>>,
    pub probe_pods: Feed<Guarded<Pod>>,
}

/// Starts watches and keeps them.
struct Watches<'a> {
    client: &'a Client,
    changes: UnboundedSender<Change>,
    witness: Arc<dyn Witness>,
    tasks: &'a mut JoinSet<()>,
}

impl Stores {
    /// Starts the watches as tasks of `tasks`; what changes is told to `changes`, from the first list on.
    pub fn start(
        client: &Client,
        (agents_namespace, probes_namespace): (&str, &str),
        changes: UnboundedSender<Change>,
        witness: Arc<dyn Witness>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let mut watches = Watches { client, changes, witness, tasks };
        let windows = watcher::Config::default().labels("kubernetes.io/os=windows");
        let (agent_pods, agent_phases) = watches.pods(agents_namespace);
        let (probe_pods, probe_phases) = watches.pods(probes_namespace);
        Self {
            nodes: watches.follow(Api::all(client.clone()), windows, trim_node).0,
            policies: watches.ours(),
            rings: watches.ours(),
            rollouts: watches.ours(),
            classes: watches.ours(),
            approvals: watches.ours(),
            holds: watches.ours(),
            updates: watches.ours(),
            snapshots: watches.ours(),
            agent_pods,
            probe_pods,
            agent_phases,
            probe_phases,
        }
    }

    /// Stores that somebody else fills: a simulation.
    pub fn fed(changes: &UnboundedSender<Change>) -> (Self, Feeds) {
        macro_rules! fed {
            ($($name:ident),*) => {{
                $(let $name = Feed::new(changes.clone());)*
                let feeds = Feeds { $($name: $name.1),* };
                let (agent_phases, probe_phases) = (feeds.agent_pods.phases(), feeds.probe_pods.phases());
                (Self { $($name: $name.0,)* agent_phases, probe_phases }, feeds)
            }};
        }
        fed!(nodes, policies, rings, rollouts, classes, approvals, holds, updates, snapshots, agent_pods, probe_pods)
    }

    /// Waits until all stores have been filled once.
    ///
    /// # Errors
    /// [`StoresError`], naming the first kind that was not, after two minutes.
    pub async fn ready(&self) -> Result<(), StoresError> {
        let until = tokio::time::Instant::now() + FIRST_LIST;
        filled(&self.nodes, "Windows nodes", until).await?;
        filled(&self.policies, "UpdatePolicies", until).await?;
        filled(&self.rings, "UpdateRings", until).await?;
        filled(&self.rollouts, "UpdateRollouts", until).await?;
        filled(&self.classes, "SnapshotClasses", until).await?;
        filled(&self.approvals, "UpdateApprovals", until).await?;
        filled(&self.holds, "UpdateHolds", until).await?;
        filled(&self.updates, "NodeUpdates", until).await?;
        filled(&self.snapshots, "NodeSnapshots", until).await?;
        filled(&self.agent_pods, "pods in the agents' namespace", until).await?;
        filled(&self.probe_pods, "pods in the probes' namespace", until).await
    }

    /// The objects of a kind that parse, in the order of their names: a store itself has none, and what is decided must not
    /// depend on chance.
    pub fn all<K>(store: &Parsed<K>) -> Vec<Arc<K>>
    where
        K: Resource<DynamicType = ()> + Clone,
    {
        let mut all = Self::select(store, |_| true);
        all.sort_unstable_by(|a, b| a.meta().name.cmp(&b.meta().name));
        all
    }

    /// The objects of a kind that parse and are wanted, in no order.
    pub fn select<K>(store: &Parsed<K>, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>>
    where
        K: Resource<DynamicType = ()> + Clone,
    {
        let found = store.state_filter(|guard| guard.parsed().is_some_and(|object| wanted(object)));
        found.iter().filter_map(|guard| guard.parsed().cloned()).collect()
    }

    /// The object of that name, if it is there and parses.
    pub fn get<K>(store: &Parsed<K>, name: &str) -> Option<Arc<K>>
    where
        K: Resource<DynamicType = ()> + Clone,
    {
        store.get(&ObjectRef::new(name))?.parsed().cloned()
    }

    /// Why the object of that name can not be read, if it is there and does not parse.
    pub fn invalid<K>(store: &Parsed<K>, name: &str) -> Option<InvalidObject>
    where
        K: Resource<DynamicType = ()> + Clone,
    {
        store.get(&ObjectRef::new(name))?.0.as_ref().err().cloned()
    }

    /// The names of the objects of a kind that do not parse, in order.
    pub fn unreadable<K>(store: &Parsed<K>) -> Vec<String>
    where
        K: Resource<DynamicType = ()> + Clone,
    {
        let found = store.state_filter(|guard| guard.0.is_err());
        let mut names: Vec<_> = found.iter().filter_map(|guard| guard.meta().name.clone()).collect();
        names.sort_unstable();
        names
    }
}

impl Watches<'_> {
    fn ours<K>(&mut self) -> Parsed<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>,
        K: DeserializeOwned + Clone + Debug + Send + Sync + 'static,
        Guarded<K>: Watched,
    {
        let unmanaged = |object: &mut Guarded<K>| object.meta_mut().managed_fields = None;
        self.follow(Api::all(self.client.clone()), watcher::Config::default(), unmanaged).0
    }

    fn pods(&mut self, namespace: &str) -> (Parsed<Pod>, Phases) {
        let api = Api::namespaced(self.client.clone(), namespace);
        self.follow(api, watcher::Config::default(), |object| object.meta_mut().managed_fields = None)
    }

    fn follow<K>(&mut self, api: Api<K>, config: watcher::Config, trim: fn(&mut K)) -> (Store<K>, Phases)
    where
        K: Watched + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let (store, feed) = Feed::new(self.changes.clone());
        let phases = feed.phases();
        self.tasks.spawn(follow(feed, api, config, trim, Arc::clone(&self.witness)));
        (store, phases)
    }
}

fn trim_node(node: &mut Guarded<Node>) {
    if let Ok(node) = &mut node.0 {
        node::trim(Arc::make_mut(node));
    }
}

async fn filled<K>(store: &Store<K>, kind: &'static str, until: tokio::time::Instant) -> Result<(), StoresError>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    match tokio::time::timeout_at(until, store.wait_until_ready()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(StoresError { kind }),
    }
}
