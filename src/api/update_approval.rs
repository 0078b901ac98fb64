//! `UpdateApproval`: a person opens one gate of one rollout, once.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A person opens one gate of one rollout, once, knowing how it stands.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "windlass.dev",
    version = "v1alpha1",
    kind = "UpdateApproval",
    plural = "updateapprovals",
    shortname = "uappr",
    category = "windlass",
    status = "UpdateApprovalStatus",
    derive = "PartialEq",
    doc = "A person opens one gate of one UpdateRollout, once: lets a halted one go on, or the next ring start. It holds for what the rollout was when the person looked, and until it expires.",
    printcolumn(name = "Rollout", type_ = "string", json_path = ".spec.rolloutName"),
    printcolumn(name = "Gate", type_ = "string", json_path = ".spec.gate"),
    printcolumn(name = "Approver", type_ = "string", json_path = ".spec.approver"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("an approval is frozen: make a new one"))]
pub struct UpdateApprovalSpec {
    /// Name of the UpdateRollout.
    #[schemars(length(min = 1, max = 63))]
    pub rollout_name: String,
    /// Its UID: another rollout of the same name is another one.
    #[schemars(length(min = 1, max = 63))]
    pub rollout_uid: String,
    /// The gate to be opened.
    pub gate: Gate,
    /// `status.gate.planHash` of the rollout, as the person saw it. When the rollout has moved on since, it is not opened.
    #[schemars(length(max = 16), regex(pattern = "^[0-9a-f]{16}$"))]
    pub plan_hash: String,
    /// The person's own user name, as `kubectl auth whoami` says it. The API server refuses another one's.
    #[schemars(length(min = 1, max = 253))]
    pub approver: String,
    /// From when on it opens nothing any more.
    pub expires_at: Time,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub comment: Option<String>,
}

/// Gates that a person opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Gate {
    /// A rollout that has halted goes on.
    Resume,
    /// The ring after one with `promotion: Approval` starts.
    Promote,
}

/// What has come of an approval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateApprovalStatus {
    /// Generation of the spec this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What has come of it.
    #[serde(default)]
    pub state: ApprovalState,
    /// Why, in one sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub message: String,
    /// `Ready`, `Reconciling`, `Stalled` as kstatus reads them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// What has come of an approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalState {
    /// It opens its gate when the rollout gets there.
    #[default]
    Waiting,
    /// It has opened its gate.
    Used,
    /// It opens nothing.
    Refused,
}
