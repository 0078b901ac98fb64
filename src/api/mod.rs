//! The resources as the API server serves them: what users write, and what the controller answers.
//!
//! Types, schemas and CEL rules; no behaviour. Everything that an API server can refuse is refused here, at the door,
//! with a message that names the field. What these types hold is turned into validated values by [`crate::domain`].
//!
//! Every optional field is left out of the JSON when empty: a `null` would be applied and owned by its writer.

// Each `printcolumn` of a kind has the same keys with other values, which the lint takes for a repetition.
#![allow(clippy::duplicated_attributes)]

mod aws;
mod comparison;
mod frozen;
mod guarded;
mod kubevirt;
mod node_snapshot;
mod node_update;
mod policy;
mod probe;
mod ring;
mod rollout;
mod selector;
mod snapshot_class;
mod update_approval;
mod update_hold;
mod values;

pub use aws::{Aws, ReplacedRootVolume};
pub use comparison::{Comparison, FailWhen, Operator};
pub use frozen::{Frozen, Pool, Pooled};
pub use guarded::Guarded;
pub use kubevirt::KubeVirt;
pub use node_snapshot::{NodeSnapshot, NodeSnapshotSpec, NodeSnapshotStatus, SnapshotLimit};
pub use node_update::{
    NodeUpdate, NodeUpdateSpec, NodeUpdateStatus, Operation, Outcome, Pinned, PinnedUpdate, RELEASED, Step, StepDetail,
    StepPhase, StepRecord,
};
pub use policy::{
    DenyDates, Drain, FailedNode, InPlace, Install, Maintenance, OnFailure, SnapshotConsistency, SnapshotPolicy,
    Strategy, StrategyType, UpdatePolicy, UpdatePolicySpec, Verify, Weekday, Window,
};
pub use probe::{
    BuildProbe, CEL_API_VERSION, CEL_KINDS, CelProbe, HostProbe, HttpProbe, NodeProbe, PodProbe, Probe,
    PrometheusProbe, ResourceRef,
};
pub use ring::{Batch, Promotion, Soak, Spread, SpreadMode, UpdateRing, UpdateRingSpec};
pub use rollout::{
    Classification, ClosedGate, Counts, DesiredState, FailingNode, FrozenRing, OpenedGate, PinnedSet, RingState,
    RingStatus, RolloutState, Source, SourceType, UpdateRollout, UpdateRolloutSpec, UpdateRolloutStatus, Updates,
};
pub use selector::{NodeSelector, Requirement, SelectorOperator};
pub use snapshot_class::{
    DeletionPolicy, Orphans, Price, Provider, Simulated, SnapshotClass, SnapshotClassSpec, SnapshotClassStatus,
};
pub use update_approval::{ApprovalState, Gate, UpdateApproval, UpdateApprovalSpec, UpdateApprovalStatus};
pub use update_hold::{BuildRange, HeldUpdates, HoldScope, UpdateHold, UpdateHoldSpec};
pub use values::{Date, IntOrPercent, Span, TimeOfDay, TimeZone};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// Group of all kinds.
pub const GROUP: &str = "windlass.dev";
/// The served and stored version.
pub const VERSION: &str = "v1alpha1";

/// Annotation on a Node: UID of the NodeUpdate that has claimed it.
pub const CLAIMED_BY: &str = "windlass.dev/claimed-by";
/// Annotation on a Node, beside [`CLAIMED_BY`]: `true` when the node was schedulable before and the cordon is ours.
pub const CORDONED_BY_US: &str = "windlass.dev/cordoned";
/// Annotation that a person sets on a Node that is ours: it is to stay cordoned at the end.
pub const KEEP_CORDONED: &str = "windlass.dev/keep-cordoned";
/// Annotation that a person sets on a Node: leave it alone.
pub const SKIP: &str = "windlass.dev/skip";
/// Annotation that a person sets on a Node: the machine as its SnapshotClass's provider names it (`kubevirt://vm-7`), where
/// `spec.providerID`, which can not be changed, is empty or of another scheme.
pub const PROVIDER_ID: &str = "windlass.dev/provider-id";
/// Annotation that a person sets on a NodeUpdate that has ended: [`RELEASE`] or [`RETRY`].
pub const REQUEST: &str = "windlass.dev/request";
/// The request that gives a held node back as it is.
pub const RELEASE: &str = "release";
/// The request that takes a node along once more.
pub const RETRY: &str = "retry";
/// Taint on a Held node, effect NoSchedule.
pub const QUARANTINE: &str = "windlass.dev/quarantine";
/// Finalizer of UpdateRollouts and NodeUpdates: an unfinished one ends its work first.
pub const FINALIZER: &str = "windlass.dev/finish";
/// Finalizer of NodeSnapshots: the provider's snapshot goes first.
pub const SNAPSHOT_FINALIZER: &str = "windlass.dev/provider-snapshot";
/// Finalizer of SnapshotClasses: one is not gone while snapshots need it to be deleted.
pub const CLASS_FINALIZER: &str = "windlass.dev/snapshots-exist";
/// Label on everything made for a rollout: the rollout's UID.
pub const ROLLOUT_LABEL: &str = "windlass.dev/rollout";
/// Label on everything made for a node update: the NodeUpdate's UID.
pub const NODE_UPDATE_LABEL: &str = "windlass.dev/node-update";
/// Label on NodeUpdates and NodeSnapshots: the node's name.
pub const NODE_LABEL: &str = "windlass.dev/node";

/// All custom resource definitions, in the order they are best applied.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![
        UpdatePolicy::crd(),
        UpdateRing::crd(),
        UpdateRollout::crd(),
        SnapshotClass::crd(),
        UpdateHold::crd(),
        UpdateApproval::crd(),
        NodeUpdate::crd(),
        NodeSnapshot::crd(),
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_kind_makes_a_schema() {
        let names: Vec<_> = super::crds().into_iter().filter_map(|crd| crd.metadata.name).collect();
        assert_eq!(names.len(), 8, "{names:?}");
    }
}
