//! `UpdateHold`: what must not be installed, or whom to leave alone, for now.

use super::NodeSelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Says what must not be installed now, or that nothing may start; it beats what rollouts have pinned.
///
/// Without `updates` it pauses: no node starts, and those in work are finished. With `updates`, nodes for which one of
/// them is pinned wait, and those in work that have not begun to install are given back. When it expires or is deleted,
/// they are taken along.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "windlass.dev",
    version = "v1alpha1",
    kind = "UpdateHold",
    plural = "updateholds",
    shortname = "uhold",
    category = "windlass",
    derive = "PartialEq",
    doc = "Holds updates back, whatever rollouts have pinned: a KB, a range of builds, or all of them, for all nodes or some, until it expires or is deleted.",
    printcolumn(name = "KBs", type_ = "string", json_path = ".spec.updates.kbs"),
    printcolumn(name = "Rollouts", type_ = "string", json_path = ".spec.scope.rollouts"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct UpdateHoldSpec {
    /// Why; shown wherever it holds something back.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
    /// Where to read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512), regex(pattern = "^https?://[^\\s]+$"))]
    pub link: Option<String>,
    /// Until when it holds; without it, until it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// What must not be installed; left out, nothing may start at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates: Option<HeldUpdates>,
    /// Whom it is about; left out, all nodes in all rollouts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<HoldScope>,
}

/// Updates that are held back: those that any of the fields names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.kbs) || has(self.builds)").message("names no update: name kbs or builds, or leave updates out to hold everything"))]
pub struct HeldUpdates {
    /// KBs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 10), regex(pattern = "^KB[0-9]{6,8}$")))]
    pub kbs: Vec<String>,
    /// Updates that lead to one of these builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builds: Option<BuildRange>,
}

/// Builds of one Windows version, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
// What is no build at all is refused by its pattern; the rules leave it to that.
#[x_kube(
    validation = Rule::new("[self.from, self.to].exists(b, !b.matches('^10[.]0[.][0-9]{5}[.][0-9]{1,5}$')) || self.from.split('.')[2] == self.to.split('.')[2]").message("must be a build of the same Windows version as from").field_path(".to"),
    validation = Rule::new("[self.from, self.to].exists(b, !b.matches('^10[.]0[.][0-9]{5}[.][0-9]{1,5}$')) || int(self.from.split('.')[3]) <= int(self.to.split('.')[3])").message("must not be before from").field_path(".to"),
)]
pub struct BuildRange {
    /// The first, `10.0.20348.2582`.
    #[schemars(length(max = 24), regex(pattern = "^10[.]0[.][0-9]{5}[.][0-9]{1,5}$"))]
    pub from: String,
    /// The last.
    #[schemars(length(max = 24), regex(pattern = "^10[.]0[.][0-9]{5}[.][0-9]{1,5}$"))]
    pub to: String,
}

/// Whom a hold is about; every field must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.nodeSelector) || has(self.rollouts)").message("names nobody: name a nodeSelector or rollouts, or leave scope out to hold everybody"))]
pub struct HoldScope {
    /// Nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<NodeSelector>,
    /// Names of UpdateRollouts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub rollouts: Vec<String>,
}
