//! `SnapshotClass`: who takes and restores snapshots.

use super::Aws;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Who takes and restores the snapshots of a node's disk.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "windlass.dev",
    version = "v1alpha1",
    kind = "SnapshotClass",
    plural = "snapshotclasses",
    shortname = "snapclass",
    category = "windlass",
    derive = "PartialEq",
    doc = "Who takes and restores the snapshots of a node's disk: a provider and its parameters, like a VolumeSnapshotClass.",
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".spec.provider.simulated.endpoint"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct SnapshotClassSpec {
    /// The provider; exactly one block.
    pub provider: Provider,
}

/// One provider and its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.aws), has(self.simulated)].filter(set, set).size() == 1").message("exactly one provider must be set; this version has: aws, simulated").reason(Reason::FieldValueRequired))]
pub struct Provider {
    /// EC2 instances, by snapshots of their EBS root volumes. It takes only nodes whose providerID is
    /// `aws:///<zone>/<instance>` in the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<Aws>,
    /// The simulated hypervisor of winfleet. It takes only nodes whose providerID begins with `simulated://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<Simulated>,
}

/// Parameters of the simulated hypervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Simulated {
    /// Base URL of its HTTP API.
    #[schemars(length(max = 256), regex(pattern = "^https?://[^/\\s]+$"))]
    pub endpoint: String,
}
