//! The controllers without their loops: whoever has them says which object is looked at, and when. A simulation does, in
//! an order of its own: kube's loops take what is due at the same time in the order of a hash.

use super::again::Again;
use super::context::Context;
use super::guard::{Pass, after_failure, guarded};
use super::route::targets;
use super::run::{Parts, Reconcile, context};
use super::{approval, node_update, rollout, snapshot, snapshot_class};
use crate::observe::{Change, Parsed, Stores};
use futures::FutureExt;
use futures::future::BoxFuture;
use kube::runtime::reflector::ObjectRef;
use std::sync::Arc;
use std::time::Duration;

/// An object that a controller looks at, by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A rollout; one at a time, there is one writer of budgets.
    Rollout(String),
    /// A node update.
    NodeUpdate(String),
    /// A snapshot.
    Snapshot(String),
    /// A snapshot class.
    SnapshotClass(String),
    /// An approval.
    Approval(String),
}

impl Target {
    /// Whether another is of the same kind.
    pub fn is_alike(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// One of its kind that comes before all others.
    #[must_use]
    pub fn first(&self) -> Self {
        match self {
            Self::Rollout(_) => Self::Rollout(String::new()),
            Self::NodeUpdate(_) => Self::NodeUpdate(String::new()),
            Self::Snapshot(_) => Self::Snapshot(String::new()),
            Self::SnapshotClass(_) => Self::SnapshotClass(String::new()),
            Self::Approval(_) => Self::Approval(String::new()),
        }
    }
}

/// The controllers.
#[derive(Clone)]
pub struct ByHand {
    ctx: Arc<Context>,
}

impl ByHand {
    /// Controllers over these stores; nothing is looked at yet.
    pub fn new(parts: Parts, stores: &Stores) -> Self {
        Self { ctx: context(parts, stores) }
    }

    /// What is to be looked at after these changes.
    pub fn affected(&self, changes: &[Change]) -> Vec<Target> {
        let targets = targets(changes, &self.ctx.stores);
        let rollouts = targets.rollouts.into_iter().map(Target::Rollout);
        let updates = targets.updates.into_iter().map(Target::NodeUpdate);
        let approvals = targets.approvals.into_iter().map(Target::Approval);
        let snapshots = targets.snapshots.into_iter().map(Target::Snapshot);
        let classes = targets.classes.into_iter().map(Target::SnapshotClass);
        rollouts.chain(updates).chain(snapshots).chain(classes).chain(approvals).collect()
    }

    /// Looks at an object; gives it back with the time after which it is to be looked at again, if any.
    pub fn look(&self, target: Target) -> BoxFuture<'static, (Target, Option<Duration>)> {
        let ctx = Arc::clone(&self.ctx);
        async move {
            let (ctx, stores) = (&*ctx, &ctx.stores);
            let again = match &target {
                Target::Rollout(name) => {
                    pass(ctx, rollout::NAME, &stores.rollouts, name, |ctx, o| rollout::reconcile(ctx, o).boxed()).await
                }
                Target::NodeUpdate(name) => {
                    pass(ctx, node_update::NAME, &stores.updates, name, |ctx, o| node_update::reconcile(ctx, o).boxed())
                        .await
                }
                Target::Approval(name) => {
                    pass(ctx, approval::NAME, &stores.approvals, name, |ctx, o| approval::reconcile(ctx, o).boxed())
                        .await
                }
                Target::SnapshotClass(name) => {
                    pass(ctx, snapshot_class::NAME, &stores.classes, name, |ctx, o| {
                        snapshot_class::reconcile(ctx, o).boxed()
                    })
                    .await
                }
                Target::Snapshot(name) => {
                    pass(ctx, snapshot::NAME, &stores.snapshots, name, |ctx, o| snapshot::reconcile(ctx, o).boxed())
                        .await
                }
            };
            (target, again.wait())
        }
        .boxed()
    }
}

async fn pass<K>(
    ctx: &Context,
    controller: &'static str,
    store: &Parsed<K>,
    name: &str,
    reconcile: Reconcile<K>,
) -> Again
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    let Some(object) = store.get(&ObjectRef::new(name)) else { return Again::on_change() };
    let pass = Pass { controller, name: name.to_owned() };
    match guarded(ctx, &pass, reconcile(ctx, &object)).await {
        Ok(again) => again,
        Err(error) => after_failure(ctx, &pass, &error),
    }
}
