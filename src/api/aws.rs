//! `aws` in a SnapshotClass: EC2 instances and their EBS snapshots.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of the provider for EC2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Aws {
    /// The region of the nodes and of their snapshots, like `eu-central-1`. A node elsewhere is refused.
    #[schemars(length(max = 32), regex(pattern = "^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$"))]
    pub region: String,
    /// Base URL that EC2, STS and KMS are asked at, instead of the region's own. HTTPS, but on this very host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 256),
        regex(pattern = "^(https://[^/\\s]+|http://(127\\.0\\.0\\.1|localhost|\\[::1\\])(:[0-9]+)?)/?$")
    )]
    pub endpoint: Option<String>,
    /// Name of a Secret in the operator's namespace with the keys `aws_access_key_id`, `aws_secret_access_key` and, for
    /// temporary credentials, `aws_session_token`. Without it, the operator's own identity is used: environment, web
    /// identity (IRSA), EKS Pod Identity, instance metadata (IMDSv2), in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub credentials_secret: Option<String>,
    /// Name of a Secret in the operator's namespace whose key `ca.crt` has the certificates, PEM, of the authorities that
    /// the endpoint is trusted by, beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub ca_secret: Option<String>,
    /// Requests per second to AWS, of all classes with this account and region together; the smallest number counts.
    #[serde(default = "usual_rate")]
    #[schemars(with = "i32", range(min = 1, max = 100))]
    pub requests_per_second: u32,
    /// How many requests may be sent at once before the rate counts.
    #[serde(default = "usual_burst")]
    #[schemars(with = "i32", range(min = 1, max = 200))]
    pub burst: u32,
    /// What becomes of the root volume that a restore has replaced.
    #[serde(default)]
    pub replaced_root_volume: ReplacedRootVolume,
}

/// What becomes of the root volume that a restore has replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReplacedRootVolume {
    /// It is deleted once the restored one is attached.
    #[default]
    Delete,
    /// It stays in the account, detached, for people to look into. Nobody deletes it but they.
    Keep,
}

/// Five a second leave room for the account's others: EC2 refills its buckets of changing calls with five a second
/// ("Request throttling for the Amazon EC2 API", EC2 Developer Guide).
const fn usual_rate() -> u32 {
    5
}

const fn usual_burst() -> u32 {
    20
}
