//! What the controllers work with.

use super::attention::Attention;
use super::backoff::Backoff;
use super::error::ReconcileError;
use super::missing::{self, Missing};
use super::pace::Pace;
use super::rollout::Memories;
use super::snapshot_class::Looks;
use crate::act::Means;
use crate::api::{NodeSnapshot, SnapshotClass, UpdateApproval};
use crate::domain::{NodeRef, NodeSeen};
use crate::observe::{Stores, Witness};
use crate::ports::Clock;
use crate::record::{Events, Ledger, NodeUpdateLog, RolloutLog};
use crate::telemetry::Metrics;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Settings of the controllers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the node that the operator runs on.
    pub operator_node: Option<String>,
    /// How long a Node object that we work on may be missing before it is believed to be gone.
    pub node_gone_after: Duration,
}

/// What the controllers work with, made once when this instance begins to lead.
pub struct Context {
    /// Settings.
    pub settings: Settings,
    /// What is watched.
    pub stores: Stores,
    /// What effects work with.
    pub means: Means,
    /// Writes node updates.
    pub updates: NodeUpdateLog,
    /// Writes rollouts.
    pub rollouts: RolloutLog,
    /// Writes node snapshots.
    pub snapshots: Ledger<NodeSnapshot>,
    /// Writes snapshot classes.
    pub classes: Ledger<SnapshotClass>,
    /// Writes approvals.
    pub approvals: Ledger<UpdateApproval>,
    /// Publishes events.
    pub events: Events,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Clock,
    /// Growing waits of what fails.
    pub(super) failures: Backoff,
    /// When passes are due.
    pub(super) pace: Pace,
    /// What is known of rollouts beyond their status.
    pub(super) memories: Memories,
    /// What is known of snapshot classes.
    pub(super) looks: Looks,
    /// Nodes in work whose Node object is missing.
    pub(super) missing: Missing,
    /// Since when steps in work are looked at.
    pub(super) attention: Attention,
    /// What is told once, by what tells it from all else.
    told: Mutex<HashSet<String>>,
}

impl Context {
    /// A context; nothing is remembered yet.
    pub fn new(
        settings: Settings,
        stores: Stores,
        means: Means,
        events: Events,
        (metrics, clock): (Arc<Metrics>, Clock),
    ) -> Self {
        let act = means.clients.act.clone();
        Self {
            missing: Missing::new(settings.node_gone_after),
            attention: Attention::default(),
            settings,
            stores,
            updates: NodeUpdateLog::new(act.clone()),
            rollouts: RolloutLog::new(act.clone()),
            snapshots: Ledger::new(act.clone()),
            classes: Ledger::new(act.clone()),
            approvals: Ledger::new(act),
            means,
            events,
            metrics,
            clock,
            failures: Backoff::default(),
            pace: Pace::default(),
            memories: Memories::default(),
            looks: Looks::default(),
            told: Mutex::default(),
        }
    }

    /// What there is under the name of a node; see [`missing::look`].
    ///
    /// # Errors
    /// [`ReconcileError::Api`].
    pub(super) async fn look_for(&self, meant: &NodeRef) -> Result<NodeSeen, ReconcileError> {
        missing::look(&self.stores, self.means.clients.read.clone(), meant).await
    }

    /// Whether nobody was told of this yet; from now on somebody was. `what` begins with the UID of what it is about.
    pub(super) fn is_news(&self, what: String) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(what)
    }
}

impl Witness for Metrics {
    fn synced(&self, kind: &str) {
        self.store_synced(kind);
    }

    fn failed(&self, kind: &str) {
        self.watch_failed(kind);
    }
}
