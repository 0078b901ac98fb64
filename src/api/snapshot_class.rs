//! `SnapshotClass`: who takes and restores snapshots, and what becomes of them.

use super::{Aws, KubeVirt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who takes and restores the snapshots of a node's disk, and what becomes of them.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "windlass.dev",
    version = "v1alpha1",
    kind = "SnapshotClass",
    plural = "snapshotclasses",
    shortname = "snapclass",
    category = "windlass",
    status = "SnapshotClassStatus",
    derive = "PartialEq",
    doc = "Who takes and restores the snapshots of a node's disk: a provider and its parameters, like a VolumeSnapshotClass. Its endpoints are asked with the operator's rights and credentials: only cluster administrators should write one.",
    printcolumn(name = "Deletion", type_ = "string", json_path = ".spec.deletionPolicy"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Orphans", type_ = "string", json_path = ".status.conditions[?(@.type=='Orphans')].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.orphans != 'Delete' || self.deletionPolicy == 'Delete'").message("Delete needs deletionPolicy Delete").field_path(".orphans"))]
pub struct SnapshotClassSpec {
    /// The provider; exactly one block.
    pub provider: Provider,
    /// What becomes of a snapshot at the provider when its NodeSnapshot is deleted, by a person or because its time is
    /// over. Frozen in each NodeSnapshot when it is made.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// What is done about orphans: snapshots of this cluster at the provider that no NodeSnapshot knows, that no node
    /// update in work waits for, and whose time is over.
    #[serde(default)]
    pub orphans: Orphans,
    /// What the provider charges, for the metric `windlass_snapshot_cost_per_month`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// One provider and its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.aws), has(self.kubevirt), has(self.simulated)].filter(set, set).size() == 1").message("exactly one provider must be set; this version has: aws, kubevirt, simulated").reason(Reason::FieldValueRequired))]
pub struct Provider {
    /// EC2 instances, by snapshots of their EBS root volumes. It takes only nodes whose providerID is
    /// `aws:///<zone>/<instance>` in the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<Aws>,
    /// The simulated hypervisor of winfleet. It takes only nodes whose providerID begins with `simulated://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<Simulated>,
    /// Virtual machines of a KubeVirt cluster. It takes only nodes whose providerID, or whose annotation
    /// `windlass.dev/provider-id`, begins with `kubevirt://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubevirt: Option<KubeVirt>,
}

impl Provider {
    /// Which place it leads to: the settings that say so, as `<field>=<value>`. An empty value is a field that is not set.
    /// What is in a Secret is not among them, nor what only says how the place is spoken to.
    pub fn place(&self) -> Vec<String> {
        let unset = |text: &Option<String>| text.clone().unwrap_or_default();
        let aws = self.aws.iter().flat_map(|aws| {
            [
                format!("aws.region={}", aws.region),
                format!("aws.endpoint={}", unset(&aws.endpoint)),
                format!("aws.credentialsSecret={}", unset(&aws.credentials_secret)),
            ]
        });
        let kubevirt = self.kubevirt.iter().flat_map(|kubevirt| {
            [
                format!("kubevirt.namespace={}", kubevirt.namespace),
                format!("kubevirt.credentialsSecret={}", unset(&kubevirt.credentials_secret)),
            ]
        });
        let simulated = self.simulated.iter().map(|simulated| format!("simulated.endpoint={}", simulated.endpoint));
        aws.chain(kubevirt).chain(simulated).collect()
    }
}

/// Parameters of the simulated hypervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Simulated {
    /// Base URL of its HTTP API.
    #[schemars(length(max = 256), regex(pattern = "^https?://[^/\\s]+$"))]
    pub endpoint: String,
}

/// What becomes of a snapshot at the provider when its record is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It is deleted, too.
    #[default]
    Delete,
    /// It stays, and nobody here knows of it any more.
    Retain,
}

/// What is done about orphans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Orphans {
    /// They are named in the condition `Orphans` and counted; nothing is deleted.
    #[default]
    Report,
    /// They are deleted, and an event names each.
    Delete,
}

/// What a provider charges for snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// For one GiB (2^30 bytes) kept for a month of 30 days: a decimal number like `0.054`.
    #[schemars(length(min = 1, max = 16), regex(pattern = "^[0-9]+(\\.[0-9]+)?$"))]
    pub per_gib_month: String,
    /// Its currency, like `EUR`; a label of the metric.
    #[schemars(length(max = 3), regex(pattern = "^[A-Z]{3}$"))]
    pub currency: String,
}

/// What the controller says of a class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotClassStatus {
    /// The generation that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What its provider's snapshots can do (`InPlace`, `FileSystemConsistent`): docs/providers.md has their meaning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub capabilities: Vec<String>,
    /// `Ready`, `Reconciling`, `Stalled`, and `Orphans` while there are some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
