//! `UpdatePolicy`: how a node is updated.

use super::{Date, IntOrPercent, Probe, Span, TimeOfDay, TimeZone};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How nodes are updated: strategy, snapshot, drain, verification, and what a failure leads to.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "windlass.dev",
    version = "v1alpha1",
    kind = "UpdatePolicy",
    plural = "updatepolicies",
    shortname = "upol",
    category = "windlass",
    derive = "PartialEq",
    doc = "How nodes are updated: strategy, snapshot, drain, verification, and what a failure leads to. Rings name a policy; a rollout works on the revision it started with.",
    printcolumn(name = "Strategy", type_ = "string", json_path = ".spec.strategy.type"),
    printcolumn(name = "Snapshots", type_ = "string", json_path = ".spec.strategy.inPlace.snapshot.className"),
    printcolumn(name = "Halt After", type_ = "string", json_path = ".spec.onFailure.haltAfter"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct UpdatePolicySpec {
    /// How a node gets its updates.
    pub strategy: Strategy,
    /// When nodes may start; without it, at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// How a node is emptied.
    #[serde(default)]
    pub drain: Drain,
    /// What must hold before a node goes back into service.
    pub verify: Verify,
    /// What a failure leads to.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// How a node gets its updates: `type`, and the block of that name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type != 'InPlace' || has(self.inPlace)").message("strategy InPlace needs its block").field_path(".inPlace").reason(Reason::FieldValueRequired),
)]
pub struct Strategy {
    /// Which strategy. `InPlace`: the machine stays, its disk is snapshotted, updated, and restored if the update is bad.
    #[serde(rename = "type")]
    pub type_: StrategyType,
    /// Settings of `InPlace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_place: Option<InPlace>,
}

/// The strategies that work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StrategyType {
    /// The machine stays, its disk is snapshotted, updated, and restored if the update is bad.
    InPlace,
}

/// Settings of the in-place strategy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InPlace {
    /// The snapshot before the update. There is no install without one.
    pub snapshot: SnapshotPolicy,
    /// The installation.
    #[serde(default)]
    pub install: Install,
}

/// The snapshot before the update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotPolicy {
    /// The SnapshotClass to use.
    #[schemars(length(min = 1, max = 253))]
    pub class_name: String,
    /// How long a snapshot is kept after its rollout ended.
    #[serde(default = "default_retain")]
    #[x_kube(validation = Rule::new("self >= duration('1m') && self <= duration('2160h')").message("must be between 1m and 90d"))]
    pub retain: Span,
    /// At most so many snapshots of a node are kept: older ones go before `retain` is over, but never before their
    /// rollout ended. Without it, only `retain` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub keep_at_most: Option<i32>,
    /// The least that is accepted of the disk's state in a snapshot. A class whose provider can not give `FileSystem`
    /// stops the rollout before any node starts; a snapshot that turns out to be less is tried again.
    #[serde(default)]
    pub consistency: SnapshotConsistency,
    /// How long the provider may take to make it restorable. It is also how long a node waits in `Preflight`, before
    /// anything is touched, for a provider that can not be asked; then its update is `Failed`.
    #[serde(default = "default_snapshot_timeout")]
    #[x_kube(validation = Rule::new("self >= duration('1s') && self <= duration('6h')").message("must be between 1s and 6h"))]
    pub timeout: Span,
    /// How long a restore may take, until the node is Ready again.
    #[serde(default = "default_restore_timeout")]
    #[x_kube(validation = Rule::new("self >= duration('1s') && self <= duration('12h')").message("must be between 1s and 12h"))]
    pub restore_timeout: Span,
}

/// The state in which a snapshot catches a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum SnapshotConsistency {
    /// As a power cut leaves it; the node is drained, and journals are replayed at the next boot.
    #[default]
    Crash,
    /// The guest's file systems were frozen and flushed.
    FileSystem,
}

fn default_retain() -> Span {
    Span::from_days(7)
}

fn default_snapshot_timeout() -> Span {
    Span::from_mins(30)
}

fn default_restore_timeout() -> Span {
    Span::from_mins(60)
}

/// The installation on the machine, done by the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Install {
    /// How long search and download before the cordon may take.
    #[serde(default = "default_stage_timeout")]
    #[x_kube(validation = Rule::new("self >= duration('1s') && self <= duration('24h')").message("must be between 1s and 24h"))]
    pub stage_timeout: Span,
    /// How long one round of installing may take.
    #[serde(default = "default_install_timeout")]
    #[x_kube(validation = Rule::new("self >= duration('1s') && self <= duration('12h')").message("must be between 1s and 12h"))]
    pub timeout: Span,
    /// How long a reboot may take, until the node is Ready again.
    #[serde(default = "default_reboot_timeout")]
    #[x_kube(validation = Rule::new("self >= duration('1s') && self <= duration('6h')").message("must be between 1s and 6h"))]
    pub reboot_timeout: Span,
    /// Reboots that the installation may take; `verify.extraReboots` come on top.
    #[serde(default = "default_max_reboots")]
    #[schemars(range(min = 1, max = 10))]
    pub max_reboots: i32,
    /// How often a step is tried when its failure may pass.
    #[serde(default = "default_attempts")]
    #[schemars(range(min = 1, max = 10))]
    pub attempts: i32,
}

impl Default for Install {
    fn default() -> Self {
        Self {
            stage_timeout: default_stage_timeout(),
            timeout: default_install_timeout(),
            reboot_timeout: default_reboot_timeout(),
            max_reboots: default_max_reboots(),
            attempts: default_attempts(),
        }
    }
}

fn default_stage_timeout() -> Span {
    Span::from_mins(60)
}

/// Two hours: cumulative updates of Windows Server 2016 are known to take 60 to 120 minutes.
fn default_install_timeout() -> Span {
    Span::from_mins(120)
}

fn default_reboot_timeout() -> Span {
    Span::from_mins(45)
}

fn default_max_reboots() -> i32 {
    3
}

fn default_attempts() -> i32 {
    2
}

/// When nodes may start. A node starts only if its expected time and its revert still fit; what has started is finished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Maintenance {
    /// IANA time zone of all times below; daylight saving is honoured.
    #[x_kube(validation = Rule::new("timestamp('2026-01-01T00:00:00Z').getFullYear(self) >= 2025").message("must be an IANA time zone such as Europe/Berlin or UTC"))]
    pub time_zone: TimeZone,
    /// Windows in which nodes may start. Empty means always, but for `deny`. A node starts only if twice the median time of
    /// the nodes that this rollout has updated by the same policy is left of the window, for its update and its revert.
    /// Before the first one is updated that is taken to be 90 minutes, or half of the window where that is less.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub allow: Vec<Window>,
    /// Dates on which no node starts, both days included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub deny: Vec<DenyDates>,
}

/// One weekly window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Window {
    /// Days on which it opens.
    #[schemars(length(min = 1, max = 7))]
    pub days: Vec<Weekday>,
    /// When it opens, `01:00`.
    pub start: TimeOfDay,
    /// How long it stays open; the end minute is not part of it.
    #[x_kube(validation = Rule::new("self >= duration('1m') && self <= duration('168h')").message("must be between 1m and 7d"))]
    pub duration: Span,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A range of dates on which no node starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.from <= self.to").message("must not be before from").field_path(".to"))]
pub struct DenyDates {
    /// First day.
    pub from: Date,
    /// Last day, included.
    pub to: Date,
    /// Why; shown while it holds nodes back.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
}

/// How a node is emptied: evictions that honour PodDisruptionBudgets, never a forced one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// How long it may take; then the node goes back into service and its update is `Failed`, with the blocker's name.
    #[serde(default = "default_drain_timeout")]
    #[x_kube(validation = Rule::new("self >= duration('1s') && self <= duration('24h')").message("must be between 1s and 24h"))]
    pub timeout: Span,
}

impl Default for Drain {
    fn default() -> Self {
        Self { timeout: default_drain_timeout() }
    }
}

/// Half an hour, as AKS has it by default.
fn default_drain_timeout() -> Span {
    Span::from_mins(30)
}

/// What must hold before a node goes back into service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.settle < self.timeout").message("must be longer than settle").field_path(".timeout"))]
#[x_kube(validation = Rule::new("self.probes.all(p, !has(p.node) || p.node.readyFor < self.timeout)").message("must be longer than readyFor of each node probe, which else could never pass").field_path(".timeout"))]
pub struct Verify {
    /// How long the node is left alone after its boot before the probes count.
    #[serde(default = "default_settle")]
    #[x_kube(validation = Rule::new("self <= duration('6h')").message("must be at most 6h"))]
    pub settle: Span,
    /// How long all probes may take to pass, settling included.
    #[serde(default = "default_verify_timeout")]
    #[x_kube(validation = Rule::new("self >= duration('2s') && self <= duration('24h')").message("must be between 2s and 24h"))]
    pub timeout: Span,
    /// Reboots after a first pass, each verified again: some faults only show at the second boot.
    #[serde(default)]
    #[schemars(range(min = 0, max = 3))]
    pub extra_reboots: i32,
    /// How often a probe may fail in a row before its failure counts.
    #[serde(default = "default_failure_threshold")]
    #[schemars(range(min = 1, max = 10))]
    pub failure_threshold: i32,
    /// The probes; all must pass.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub probes: Vec<Probe>,
}

fn default_settle() -> Span {
    Span::from_mins(2)
}

fn default_verify_timeout() -> Span {
    Span::from_mins(20)
}

fn default_failure_threshold() -> i32 {
    2
}

/// What a failure leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnFailure {
    /// What becomes of the failed node.
    #[serde(default)]
    pub node: FailedNode,
    /// At how many failed nodes of a ring, or percent of it, the rollout halts.
    #[serde(default = "default_halt_after")]
    #[x_kube(validation = Rule::new("type(self) == string ? self != '0%' : self > 0").message("must be at least 1 or 1%: a rollout that no failure halts is not offered"))]
    pub halt_after: IntOrPercent,
}

impl Default for OnFailure {
    fn default() -> Self {
        Self { node: FailedNode::default(), halt_after: default_halt_after() }
    }
}

fn default_halt_after() -> IntOrPercent {
    IntOrPercent::Nodes(1)
}

/// What becomes of a node whose update failed after it was changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailedNode {
    /// It is restored from its snapshot, verified, and put back into service.
    #[default]
    Revert,
    /// It stays cordoned and tainted as it is, for a person to look at.
    Hold,
}
