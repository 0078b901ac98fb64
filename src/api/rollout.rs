//! `UpdateRollout`: one pass of one pinned set of updates through rings.

use super::frozen::pooled;
use super::{Frozen, Gate, PinnedUpdate, Span, UpdatePolicySpec, UpdateRingSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One pass of one pinned set of updates through rings, in the order listed.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "windlass.dev",
    version = "v1alpha1",
    kind = "UpdateRollout",
    plural = "updaterollouts",
    shortname = "uro",
    category = "windlass",
    status = "UpdateRolloutStatus",
    derive = "PartialEq",
    doc = "One pass of one pinned set of Windows updates through rings, in the order listed. It pins what is installed when it starts, and halts by itself when an update is bad.",
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Ring", type_ = "string", json_path = ".status.ring"),
    printcolumn(name = "Updated", type_ = "integer", json_path = ".status.counts.updated"),
    printcolumn(name = "Reverted", type_ = "integer", json_path = ".status.counts.reverted"),
    printcolumn(name = "Held", type_ = "integer", json_path = ".status.counts.held"),
    printcolumn(name = "Total", type_ = "integer", json_path = ".status.counts.total"),
    printcolumn(name = "ETA", type_ = "string", json_path = ".status.eta"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name must be at most 63 characters")
)]
#[serde(rename_all = "camelCase")]
pub struct UpdateRolloutSpec {
    /// The UpdateRings, in the order they are taken.
    #[schemars(length(min = 1, max = 20), inner(length(min = 1, max = 253)))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("rings are frozen: make a new rollout"))]
    #[x_kube(validation = Rule::new("self.all(r, self.exists_one(x, x == r))").message("a ring may be listed once only"))]
    pub rings: Vec<String>,
    /// Which updates are wanted: one selection for all rings, pinned in `status.pinned` when the rollout starts.
    #[x_kube(validation = Rule::new("self == oldSelf").message("updates are frozen: make a new rollout"))]
    pub updates: Updates,
    /// What is wanted of the rollout now. Leave it out of Git: removing it sets it to Running again.
    #[serde(default)]
    #[x_kube(validation = Rule::new("oldSelf.hasValue() || self != 'Aborted'").message("a rollout can not be created Aborted").optional_old_self(true))]
    #[x_kube(validation = Rule::new("oldSelf != 'Aborted' || self == 'Aborted'").message("Aborted is final: make a new rollout"))]
    pub state: DesiredState,
}

/// What is wanted of a rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DesiredState {
    /// Go on.
    #[default]
    Running,
    /// Start no further node; nodes in work are finished.
    Paused,
    /// End: nodes that were not changed yet go back into service, the others are finished. Final.
    Aborted,
}

/// A selection of updates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.builds) && has(self.classifications))").message("name either builds or classifications, not both").field_path(".builds").reason(Reason::FieldValueForbidden),
    validation = Rule::new("has(self.builds) || has(self.classifications) || has(self.include)").message("selects nothing: name classifications, include or builds"),
    validation = Rule::new("!has(self.include) || !has(self.exclude) || !self.include.exists(k, k in self.exclude)").message("a KB is both included and excluded").field_path(".exclude"),
)]
pub struct Updates {
    /// The catalogue.
    #[serde(default)]
    pub source: Source,
    /// Classes of updates to take.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub classifications: Vec<Classification>,
    /// Nothing younger than this is taken, but for what `include` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self <= duration('8760h')").message("must be at most 365d"))]
    pub deferral: Option<Span>,
    /// KBs taken regardless of class and age. A driver is only taken when it is named here. What leads to no build (drivers,
    /// .NET, servicing stacks) is installed together with something that does, and not alone: a node that has the build is
    /// not asked for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), inner(length(max = 10), regex(pattern = "^KB[0-9]{6,8}$")))]
    pub include: Vec<String>,
    /// KBs not taken. Feature upgrades are never taken, named or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 10), regex(pattern = "^KB[0-9]{6,8}$")))]
    pub exclude: Vec<String>,
    /// The build to reach, by OS build: `{"10.0.20348": "10.0.20348.5256"}`. Takes the update that leads there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "builds_schema")]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^10[.]0[.][0-9]{5}$') && self[k].matches('^10[.]0[.][0-9]{5}[.][0-9]{1,5}$') && self[k].startsWith(k + '.'))")
        .message("keys are OS builds such as 10.0.20348, values builds of that OS such as 10.0.20348.5256"))]
    pub builds: BTreeMap<String, String>,
}

fn builds_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 16,
        "additionalProperties": { "type": "string", "maxLength": 24 },
    })
}

/// A catalogue of updates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Source {
    /// Which.
    #[serde(rename = "type", default)]
    pub type_: SourceType,
}

/// The catalogues that work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SourceType {
    /// Windows Update, or whatever the machine's own policy names in its place.
    #[default]
    WindowsUpdate,
}

/// A class of updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Classification {
    /// Critical updates.
    Critical,
    /// Security updates.
    Security,
    /// Update rollups.
    UpdateRollup,
    /// Other updates.
    Update,
}

/// Where a rollout stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RolloutState {
    /// Not started: rings and policies are being resolved and the updates pinned.
    #[default]
    Pending,
    /// Nodes are being updated.
    Running,
    /// The current ring soaks.
    Soaking,
    /// No further node starts, because a person said so.
    Paused,
    /// No further node starts, because an update failed.
    Halted,
    /// All rings are through.
    Completed,
    /// Ended by a person.
    Aborted,
    /// Can not start or go on until a person changes something.
    Stalled,
}

/// What the controller says of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateRolloutStatus {
    /// Generation of the spec this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it stands.
    #[serde(default)]
    pub state: RolloutState,
    /// The ring in work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<String>,
    /// Nodes by outcome, over all rings.
    #[serde(default)]
    pub counts: Counts,
    /// About when it will be through, from the times measured so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<String>,
    /// Why it stands where it stands, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// What is installed, pinned when the rollout started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub pinned: Vec<PinnedSet>,
    /// The rings, frozen when the rollout started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    // By name, so that what was frozen under a looser rule does not keep the rest from being written under a stricter one.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub rings: Vec<RingStatus>,
    /// The gate that only a person opens, by an UpdateApproval; empty while none is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<ClosedGate>,
    /// The gates that people have opened, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub approvals: Vec<OpenedGate>,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended (completed, halted or aborted, and no node in work any more).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// `Ready`, `Reconciling`, `Stalled` as kstatus reads them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Nodes by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// All nodes.
    #[serde(default)]
    pub total: i32,
    /// Not started.
    #[serde(default)]
    pub pending: i32,
    /// In work.
    #[serde(default)]
    pub in_progress: i32,
    /// Updated.
    #[serde(default)]
    pub updated: i32,
    /// Reverted.
    #[serde(default)]
    pub reverted: i32,
    /// Held.
    #[serde(default)]
    pub held: i32,
    /// Failed before anything was changed.
    #[serde(default)]
    pub failed: i32,
    /// Skipped, aborted or gone.
    #[serde(default)]
    pub skipped: i32,
}

/// The updates for one OS build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinnedSet {
    /// The OS build, `10.0.20348`.
    #[schemars(length(max = 16))]
    pub os_build: String,
    /// The build a node has after it; empty when the catalogue offers nothing that was selected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 24))]
    pub expected_build: Option<String>,
    /// The updates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub updates: Vec<PinnedUpdate>,
}

/// One ring of a rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RingStatus {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: RingState,
    /// Nodes by outcome.
    #[serde(default)]
    pub counts: Counts,
    /// When its soak began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak_started_at: Option<Time>,
    /// What is wrong while it soaks, and how often in a row; empty while all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub soak_failure: Option<String>,
    /// How often in a row its probes have failed.
    #[serde(default)]
    pub soak_failures: i32,
    /// The nodes whose probes have failed, those that failed most often in a row first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub soak_failing: Vec<FailingNode>,
    /// Since when it goes on after a halt; failures of updates that were made before do not count any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_at: Option<MicroTime>,
    /// Who has approved that the next ring starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_by: Option<String>,
    /// The ring and its policy as they were when the rollout started; edits take effect in the next rollout.
    pub revision: Frozen<FrozenRing>,
}

/// A node whose probes fail while its ring soaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct FailingNode {
    /// The node.
    pub node: String,
    /// How often in a row.
    pub times: i32,
}

/// A gate that is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClosedGate {
    /// Which.
    pub name: Gate,
    /// The ring it is about.
    pub ring: String,
    /// Names what a person approves: it changes whenever the rollout has moved on.
    pub plan_hash: String,
}

/// A gate that a person has opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct OpenedGate {
    /// Name of the UpdateApproval.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Which.
    pub gate: Gate,
    /// The ring it was about.
    pub ring: String,
    /// Who.
    pub approver: String,
    /// When.
    pub at: MicroTime,
}

/// A ring and its policy, frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FrozenRing {
    /// Generation of the ring.
    pub ring_generation: i64,
    /// Generation of the policy.
    pub policy_generation: i64,
    /// The ring.
    pub ring: UpdateRingSpec,
    /// The policy.
    pub policy: Frozen<UpdatePolicySpec>,
}

pooled!(FrozenRing, UpdatePolicySpec);

/// Where a ring stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RingState {
    /// Not its turn yet.
    #[default]
    Waiting,
    /// Nodes are being updated.
    Running,
    /// Watched after its last node.
    Soaking,
    /// Through.
    Promoted,
    /// Stopped, because an update failed.
    Halted,
}
