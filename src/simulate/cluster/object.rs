//! The kinds of objects that the simulated API server keeps, each with its own type: what is typed needs no parsing.

use super::Tables;
use super::table::Table;
use crate::api::{NodeSnapshot, NodeUpdate, SnapshotClass, UpdateHold, UpdatePolicy, UpdateRing, UpdateRollout};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use serde::{Serialize, de::DeserializeOwned};
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
    NodeUpdate(Arc<NodeUpdate>),
    Snapshot(Arc<NodeSnapshot>),
    Budget(Arc<PodDisruptionBudget>),
}

/// A kind that is kept.
pub trait Kept: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Its objects.
    fn table(tables: &Tables) -> &Table<Self>;

    /// Its objects, to be changed.
    fn table_mut(tables: &mut Tables) -> &mut Table<Self>;

    /// An object of it as one of any kind.
    fn object(this: &Arc<Self>) -> Object;

    /// Takes the status of another state of the object.
    fn take_status(&mut self, from: Self);

    /// Whether the spec of another state of the object is the same.
    fn same_spec(&self, other: &Self) -> bool;
}

macro_rules! kept {
    ($($kind:ty, $variant:ident, $table:ident, $status:tt;)*) => {$(
        impl Kept for $kind {
            fn table(tables: &Tables) -> &Table<Self> {
                &tables.$table
            }

            fn table_mut(tables: &mut Tables) -> &mut Table<Self> {
                &mut tables.$table
            }

            fn object(this: &Arc<Self>) -> Object {
                Object::$variant(Arc::clone(this))
            }

            kept!(@status $status);

            fn same_spec(&self, other: &Self) -> bool {
                self.spec == other.spec
            }
        }
    )*};
    (@status status) => {
        fn take_status(&mut self, from: Self) {
            self.status = from.status;
        }
    };
    (@status none) => {
        fn take_status(&mut self, _: Self) {}
    };
}

kept! {
    Node, Node, nodes, status;
    Pod, Pod, pods, status;
    UpdatePolicy, Policy, policies, none;
    UpdateRing, Ring, rings, none;
    UpdateRollout, Rollout, rollouts, status;
    SnapshotClass, Class, classes, none;
    UpdateHold, Hold, holds, none;
    NodeUpdate, NodeUpdate, updates, status;
    NodeSnapshot, Snapshot, snapshots, none;
    PodDisruptionBudget, Budget, budgets, status;
}
