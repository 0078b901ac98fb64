//! Probes: what must hold before a node goes back into service, and while it soaks.

use super::{FailWhen, Span};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// One probe; exactly one of the blocks says what it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.node), has(self.build), has(self.host), has(self.pod), has(self.http), has(self.prometheus), has(self.cel)].exists_one(x, x)")
    .message("exactly one of node, build, host, pod, http, prometheus, cel must be set"))]
pub struct Probe {
    /// Name of the probe, unique in the policy; what messages and `kubectl get` say when it fails.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The node is Ready, and has been for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeProbe>,
    /// The node has at least the planned build of the same Windows version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildProbe>,
    /// The agent finds services, host networks, disks, drivers and the event log as they were before the update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostProbe>,
    /// A real pod on the node starts and its command succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodProbe>,
    /// A URL answers as expected, asked from a pod on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpProbe>,
    /// A Prometheus query gives values as they should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusProbe>,
    /// A CEL expression over an object of the cluster is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cel: Option<CelProbe>,
}

/// The node is Ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeProbe {
    /// How long it must have been Ready without a break.
    #[serde(default = "default_ready_for")]
    #[x_kube(validation = Rule::new("self <= duration('1h')").message("must be at most 1h"))]
    pub ready_for: Span,
}

fn default_ready_for() -> Span {
    Span::from_secs(30)
}

/// The node has the planned build. It has no settings: the build is the rollout's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct BuildProbe {}

/// The host is as it was. It has no settings: the baseline is taken before the update.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct HostProbe {}

/// A pod that must succeed on the node. It runs restricted, without a token, in the probes' namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodProbe {
    /// Image to run; it must fit the node's Windows version.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// Command; exit code 0 is a pass. What it prints last becomes the message of a failure.
    #[schemars(length(min = 1, max = 32), inner(length(max = 2048)))]
    pub command: Vec<String>,
    /// How long the pod may take from its creation to its end.
    #[serde(default = "default_pod_timeout")]
    #[x_kube(validation = Rule::new("self >= duration('1s') && self <= duration('30m')").message("must be between 1s and 30m"))]
    pub timeout: Span,
}

fn default_pod_timeout() -> Span {
    Span::from_mins(3)
}

/// A URL that must answer, asked from a pod on the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpProbe {
    /// The URL, http or https.
    #[schemars(length(max = 2048), regex(pattern = "^https?://[^\\s]+$"))]
    pub url: String,
    /// Status codes that are a pass.
    #[serde(default = "default_expect_status")]
    #[schemars(length(min = 1, max = 16), inner(range(min = 100, max = 599)))]
    pub expect_status: Vec<i32>,
    /// How long the pod that asks may take from its creation to its end.
    #[serde(default = "default_pod_timeout")]
    #[x_kube(validation = Rule::new("self >= duration('1s') && self <= duration('30m')").message("must be between 1s and 30m"))]
    pub timeout: Span,
}

fn default_expect_status() -> Vec<i32> {
    vec![200]
}

/// A query to a Prometheus, asked by the operator. It speaks of the whole, not of one node: while a ring soaks it is asked
/// once for all its nodes. No data, and no answer, say nothing: they are waited for, as long as `verify.timeout`, and are
/// a failure then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusProbe {
    /// Base URL of its HTTP API, http or https, without credentials: `http://prometheus.monitoring:9090`.
    #[schemars(length(max = 512), regex(pattern = "^https?://[A-Za-z0-9.:\\[\\]-]+(/[A-Za-z0-9._~/-]*)?$"))]
    pub address: String,
    /// The query, an instant vector or a scalar.
    #[schemars(length(min = 1, max = 2048))]
    pub query: String,
    /// When one of its values is a failure: a comparison with a number, `> 0.01`.
    pub fail_when: FailWhen,
}

/// A CEL expression over one workload of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct CelProbe {
    /// The workload: a Deployment, ReplicaSet, StatefulSet or DaemonSet. Nothing else is read, whatever the operator may read:
    /// its rights reach Secrets, and are not those of whoever writes a policy.
    pub resource: ResourceRef,
    /// The expression over `object`; true is a pass.
    #[schemars(length(min = 1, max = 2048))]
    pub expression: String,
}

/// Group and version of all that a CEL probe may read.
pub const CEL_API_VERSION: &str = "apps/v1";
/// The kinds that a CEL probe may read; the chart's ClusterRole lists the same.
pub const CEL_KINDS: [&str; 4] = ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"];

/// Names one workload of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRef {
    /// Group and version, `apps/v1`.
    #[schemars(length(min = 2, max = 128), regex(pattern = "^([a-z0-9.-]+/)?v[0-9]+((alpha|beta)[0-9]+)?$"))]
    #[x_kube(validation = Rule::new("self == 'apps/v1'").message("must be apps/v1"))]
    pub api_version: String,
    /// Kind: `Deployment`, `ReplicaSet`, `StatefulSet` or `DaemonSet`.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    #[x_kube(validation = Rule::new("self in ['Deployment', 'ReplicaSet', 'StatefulSet', 'DaemonSet']")
        .message("must be Deployment, ReplicaSet, StatefulSet or DaemonSet"))]
    pub kind: String,
    /// Namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
