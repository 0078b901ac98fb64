//! `UpdateRing`: which nodes, how many at once, and what promotes the next ring.

use super::{IntOrPercent, NodeSelector, Span};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which nodes are updated together, how many at once, and how long they soak.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "windlass.dev",
    version = "v1alpha1",
    kind = "UpdateRing",
    plural = "updaterings",
    shortname = "uring",
    category = "windlass",
    derive = "PartialEq",
    doc = "Which Windows nodes are updated together, how many at once, how long they soak, and under which policy.",
    printcolumn(name = "Policy", type_ = "string", json_path = ".spec.policyName"),
    printcolumn(name = "Max Unavailable", type_ = "string", json_path = ".spec.batch.maxUnavailable"),
    printcolumn(name = "Soak", type_ = "string", json_path = ".spec.soak.duration"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct UpdateRingSpec {
    /// The UpdatePolicy these nodes are updated under.
    #[schemars(length(min = 1, max = 253))]
    pub policy_name: String,
    /// The ring's nodes. Only Windows nodes count (`kubernetes.io/os: windows`); a node may be in one ring of a rollout only.
    pub node_selector: NodeSelector,
    /// How many at once.
    #[serde(default)]
    pub batch: Batch,
    /// How long the ring is watched after its last node, before the next ring starts.
    #[serde(default)]
    pub soak: Soak,
    /// What opens the next ring.
    #[serde(default)]
    pub promotion: Promotion,
}

/// How many nodes at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// How many of the ring's nodes may be unavailable at once, for whatever reason: a count, or a percentage of the
    /// ring rounded down (but at least 1). 0 stops the ring.
    #[serde(default = "default_max_unavailable")]
    pub max_unavailable: IntOrPercent,
    /// How the nodes in work are spread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
}

impl Default for Batch {
    fn default() -> Self {
        Self { max_unavailable: default_max_unavailable(), spread: None }
    }
}

fn default_max_unavailable() -> IntOrPercent {
    IntOrPercent::Nodes(1)
}

/// How the nodes in work are spread over failure domains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Spread {
    /// The node label that names the domain, `topology.kubernetes.io/zone`.
    #[schemars(length(min = 1, max = 316))]
    #[x_kube(validation = Rule::new("!format.qualifiedName().validate(self).hasValue()").message("must be a label name such as topology.kubernetes.io/zone"))]
    pub topology_key: String,
    /// How.
    #[serde(default)]
    pub mode: SpreadMode,
}

/// How nodes are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SpreadMode {
    /// Nodes of one domain only are in work at a time; the next domain starts when none is.
    #[default]
    OneDomainAtATime,
}

/// How long a ring is watched after its last node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Soak {
    /// How long the updated nodes must stay healthy.
    #[serde(default = "default_soak")]
    #[x_kube(validation = Rule::new("self <= duration('1440h')").message("must be at most 60d"))]
    pub duration: Span,
    /// How often they are probed. Each probing looks at all updated nodes of the ring, and runs the policy's pod and HTTP
    /// probes on some of them: those that failed the last time, and at least 20 in turn; more, where that is needed to come
    /// to each node once within `duration`. A soak that is no longer than this is probed once, at its end.
    #[serde(default = "default_interval")]
    #[x_kube(validation = Rule::new("self >= duration('1s') && self <= duration('24h')").message("must be between 1s and 24h"))]
    pub interval: Span,
    /// How often in a row a node's probes may fail before the ring has failed. An outage that is over before so many
    /// probings, about `interval` times one less than this (10 minutes by default), does not fail the ring. Of nodes that
    /// crash and boot within it, `maxRebooting` speaks.
    #[serde(default = "default_failure_threshold")]
    #[schemars(range(min = 1, max = 100))]
    pub failure_threshold: i32,
    /// How many of the nodes that the ring has updated may reboot by themselves again and again, at least twice since they
    /// were put back in service: a count, or a percentage of them rounded up. Of more, each counts as a failed node
    /// (`onFailure.haltAfter`), as soon as it is seen. Those that a person has seen and resumed after do not count again.
    /// `100%` lets all of them.
    #[serde(default = "default_max_rebooting")]
    pub max_rebooting: IntOrPercent,
    /// How many nodes must have been updated: an empty or all-skipped ring promotes nothing.
    #[serde(default = "default_min_updated")]
    #[schemars(range(min = 0, max = 5000))]
    pub min_updated: i32,
}

impl Default for Soak {
    fn default() -> Self {
        Self {
            duration: default_soak(),
            interval: default_interval(),
            failure_threshold: default_failure_threshold(),
            max_rebooting: default_max_rebooting(),
            min_updated: default_min_updated(),
        }
    }
}

fn default_soak() -> Span {
    Span::from_days(1)
}

/// Five minutes: each probing costs a pod per node and probe.
fn default_interval() -> Span {
    Span::from_mins(5)
}

fn default_failure_threshold() -> i32 {
    3
}

/// One in ten, and one of a few: machines also crash for reasons of their own.
fn default_max_rebooting() -> IntOrPercent {
    IntOrPercent::Percent(10)
}

fn default_min_updated() -> i32 {
    1
}

/// What opens the next ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Promotion {
    /// The next ring starts when this one has soaked.
    #[default]
    Automatic,
    /// The next ring starts when this one has soaked and a person has said so, by an UpdateApproval `Promote`; until then
    /// it goes on soaking.
    Approval,
}
