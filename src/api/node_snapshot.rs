//! `NodeSnapshot`: one snapshot at a provider.

use super::{DeletionPolicy, SnapshotConsistency};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One snapshot at a provider, written by the controller in one write when the provider says that it is restorable.
///
/// It has no status subresource on purpose: it has one writer and is complete at its creation.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "windlass.dev",
    version = "v1alpha1",
    kind = "NodeSnapshot",
    plural = "nodesnapshots",
    shortname = "nsnap",
    category = "windlass",
    derive = "PartialEq",
    doc = "One snapshot of a node's disk at a provider, written by the controller. It outlives its rollout by the policy's retain time; deleting it deletes the provider's snapshot, but never before its rollout has ended.",
    printcolumn(name = "Node", type_ = "string", json_path = ".spec.nodeName"),
    printcolumn(name = "Class", type_ = "string", json_path = ".spec.className"),
    printcolumn(name = "Handle", type_ = "string", json_path = ".spec.handle"),
    printcolumn(name = "Build", type_ = "string", json_path = ".spec.build"),
    printcolumn(name = "Restorable", type_ = "boolean", json_path = ".spec.captured.restorable"),
    printcolumn(name = "Until", type_ = "string", json_path = ".spec.captured.restorableUntil"),
    printcolumn(name = "Consistency", type_ = "string", json_path = ".spec.captured.consistency"),
    printcolumn(name = "GiB-Months", type_ = "number", json_path = ".spec.captured.gibMonths", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("a snapshot's record is frozen; delete it to delete the snapshot"))]
pub struct NodeSnapshotSpec {
    /// The node whose disk it is.
    pub node_name: String,
    /// The Node object's UID at the time.
    pub node_uid: String,
    /// The machine at the provider.
    pub provider_id: String,
    /// The SnapshotClass that made it.
    pub class_name: String,
    /// The rollout it was made for.
    pub rollout_name: String,
    /// That rollout's UID.
    pub rollout_uid: String,
    /// The NodeUpdate it was made for.
    pub node_update: String,
    /// The provider's own name of the snapshot.
    #[schemars(length(max = 256))]
    pub handle: String,
    /// The build on the disk.
    pub build: String,
    /// How long it is kept after the rollout ended, in seconds.
    pub retain_seconds: i64,
    /// At most so many snapshots of the node are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_at_most: Option<i32>,
    /// What becomes of the provider's snapshot when this record is deleted; from the class.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Where it was made: the settings of its class's provider, at the time, that lead there. It is deleted there only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub place: Vec<String>,
    /// What was known of it when it was taken.
    pub captured: NodeSnapshotStatus,
}

/// What ends the time in which a machine can be restored from a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum SnapshotLimit {
    /// The provider deletes it.
    ProviderExpiry,
    /// The kubelet's client certificate on it ends: the restored node could not join the cluster.
    KubeletCertificate,
    /// The machine changes its password in the domain: the one on the snapshot is not taken any more.
    MachinePassword,
}

/// What is known of a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSnapshotStatus {
    /// When it was captured.
    pub at: Time,
    /// Whether a machine can be restored from it.
    pub restorable: bool,
    /// Until when; empty when nothing sets a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restorable_until: Option<Time>,
    /// What ends it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restorable_until_by: Option<SnapshotLimit>,
    /// Size in bytes, where the provider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    /// What keeping it for the policy's retain time costs, in GiB-months (2^30 bytes for 30 days), where the provider says
    /// how large it is. The days until its rollout's end come on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gib_months: Option<f64>,
    /// What state the disk was caught in.
    #[serde(default)]
    pub consistency: SnapshotConsistency,
    /// What the provider remarks on it, in its own words (`GuestAgent`, `QuiesceTimeout`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub indications: Vec<String>,
}
