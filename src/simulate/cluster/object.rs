//! The kinds of objects that the simulated API server keeps, each with its own type: what is typed needs no parsing.

use super::Tables;
use super::table::Table;
use crate::api::{
    NodeSnapshot, NodeUpdate, NodeUpdateStatus, SnapshotClass, SnapshotClassStatus, UpdateApproval,
    UpdateApprovalStatus, UpdateHold, UpdatePolicy, UpdateRing, UpdateRollout, UpdateRolloutStatus,
};
use k8s_openapi::api::core::v1::{Node, NodeStatus, Pod, PodStatus};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use kube::Resource;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::sync::Arc;

/// An object of any kind.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named as the kinds are")]
pub enum Object {
    Node(Arc<Node>),
    Pod(Arc<Pod>),
    Policy(Arc<UpdatePolicy>),
    Ring(Arc<UpdateRing>),
    Rollout(Arc<UpdateRollout>),
    Class(Arc<SnapshotClass>),
    Hold(Arc<UpdateHold>),
    Approval(Arc<UpdateApproval>),
    NodeUpdate(Arc<NodeUpdate>),
    Snapshot(Arc<NodeSnapshot>),
    Budget(Arc<PodDisruptionBudget>),
}

/// A kind that is kept.
pub trait Kept: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Its status; of a kind without one, nothing.
    type Status: DeserializeOwned;

    /// Its objects.
    fn table(tables: &Tables) -> &Table<Self>;

    /// Its objects, to be changed.
    fn table_mut(tables: &mut Tables) -> &mut Table<Self>;

    /// An object of it as one of any kind.
    fn object(this: &Arc<Self>) -> Object;

    /// Takes another status.
    fn set_status(&mut self, status: Option<Self::Status>);

    /// Whether the spec of another state of the object is the same.
    fn same_spec(&self, other: &Self) -> bool;
}

macro_rules! kept {
    ($($kind:ty, $variant:ident, $table:ident, $status:tt;)*) => {$(
        impl Kept for $kind {
            kept!(@status $status);

            fn table(tables: &Tables) -> &Table<Self> {
                &tables.$table
            }

            fn table_mut(tables: &mut Tables) -> &mut Table<Self> {
                &mut tables.$table
            }

            fn object(this: &Arc<Self>) -> Object {
                Object::$variant(Arc::clone(this))
            }

            fn same_spec(&self, other: &Self) -> bool {
                self.spec == other.spec
            }
        }
    )*};
    (@status none) => {
        type Status = IgnoredAny;

        fn set_status(&mut self, _: Option<IgnoredAny>) {}
    };
    (@status $status:tt) => {
        type Status = $status;

        fn set_status(&mut self, status: Option<$status>) {
            self.status = status;
        }
    };
}

kept! {
    Node, Node, nodes, NodeStatus;
    Pod, Pod, pods, PodStatus;
    UpdatePolicy, Policy, policies, none;
    UpdateRing, Ring, rings, none;
    UpdateRollout, Rollout, rollouts, UpdateRolloutStatus;
    SnapshotClass, Class, classes, SnapshotClassStatus;
    UpdateHold, Hold, holds, none;
    UpdateApproval, Approval, approvals, UpdateApprovalStatus;
    NodeUpdate, NodeUpdate, updates, NodeUpdateStatus;
    NodeSnapshot, Snapshot, snapshots, none;
    PodDisruptionBudget, Budget, budgets, PodDisruptionBudgetStatus;
}
