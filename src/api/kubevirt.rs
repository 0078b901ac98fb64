//! `kubevirt` in a SnapshotClass: nodes that are virtual machines of a KubeVirt cluster.

use super::Span;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Parameters of the provider for KubeVirt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubeVirt {
    /// Namespace of the VirtualMachines. A node's `spec.providerID` is `kubevirt://<name of its VirtualMachine>`; where that field
    /// is empty or of another scheme, its annotation `windlass.dev/provider-id` is.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: String,
    /// Name of a Secret in the operator's namespace whose key `kubeconfig` leads to the cluster that runs the machines.
    /// Without it, that is this very cluster. The kubeconfig must hold its credentials itself: files, commands and
    /// skipping the check of certificates are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub credentials_secret: Option<String>,
    /// How long KubeVirt may take for a snapshot before it gives up.
    #[serde(default = "usual_deadline")]
    #[x_kube(validation = Rule::new("self >= duration('10s') && self <= duration('6h')").message("must be between 10s and 6h"))]
    pub failure_deadline: Span,
}

/// KubeVirt's own default.
const fn usual_deadline() -> Span {
    Span::from_mins(5)
}
