//! The Node and Lease objects that a kubelet writes. Pure.

use super::{
    machine::{MachineFacts, MachineIdentity},
    pod_status::HOST_IP,
};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        core::v1::{
            DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeSpec, NodeStatus, NodeSystemInfo,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference, Time},
    },
};
use std::collections::BTreeMap;
use windlass_protocol::Build;

/// Namespace of the kubelets' Leases.
pub const LEASE_NAMESPACE: &str = "kube-node-lease";

/// `leaseDurationSeconds` of a kubelet's Lease (kubelet default `nodeLeaseDurationSeconds`, in seconds).
const LEASE_SECONDS: i32 = 40;

/// containerd as it is current on Windows nodes.
const CONTAINER_RUNTIME: &str = "containerd://1.7.27";

/// What all kubelets of the fleet have in common.
#[derive(Clone, Debug)]
pub struct KubeletInfo {
    /// Version, the API server's own (`v1.36.3`): a kubelet may not be newer.
    pub version: String,
    /// Port that all of them serve container logs on.
    pub port: u16,
}

/// The Node object as a kubelet registers it, `Ready` since `ready_since`.
pub fn node(
    identity: &MachineIdentity,
    facts: &MachineFacts,
    kubelet: &KubeletInfo,
    ready_since: Timestamp,
    now: Timestamp,
) -> Node {
    let mut labels = identity.labels.as_ref().clone();
    labels.extend(default_labels(&identity.name, facts.build));
    Node {
        metadata: ObjectMeta { name: Some(identity.name.clone()), labels: Some(labels), ..ObjectMeta::default() },
        spec: Some(NodeSpec {
            provider_id: Some(identity.provider_id.clone()),
            // As with `--register-schedulable=false`.
            unschedulable: identity.cordoned.then_some(true),
            ..NodeSpec::default()
        }),
        status: Some(status(identity, facts, kubelet, ready_since, now)),
    }
}

/// The labels that each kubelet on Windows gives its node, by the machine's name and the build that it runs.
pub fn default_labels(name: &str, build: Build) -> BTreeMap<String, String> {
    [
        ("kubernetes.io/os", "windows".to_owned()),
        ("kubernetes.io/arch", "amd64".to_owned()),
        ("kubernetes.io/hostname", name.to_owned()),
        ("node.kubernetes.io/windows-build", build.os_build()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// The status as the kubelet reports it: `Ready`, since `ready_since`.
pub fn status(
    identity: &MachineIdentity,
    facts: &MachineFacts,
    kubelet: &KubeletInfo,
    ready_since: Timestamp,
    now: Timestamp,
) -> NodeStatus {
    let endpoint = DaemonEndpoint { port: i32::from(kubelet.port) };
    let address = |kind: &str, address: &str| NodeAddress { type_: kind.into(), address: address.into() };
    NodeStatus {
        addresses: Some(vec![address("InternalIP", HOST_IP), address("Hostname", &identity.name)]),
        capacity: Some(resources("128Gi")),
        // The kubelet keeps a tenth of the disk back (`evictionHard: nodefs.available<10%`).
        allocatable: Some(resources("115Gi")),
        conditions: Some(conditions(ready_since, now)),
        daemon_endpoints: Some(NodeDaemonEndpoints { kubelet_endpoint: Some(endpoint) }),
        node_info: Some(node_info(identity, facts, kubelet)),
        ..NodeStatus::default()
    }
}

fn resources(disk: &str) -> BTreeMap<String, Quantity> {
    [("cpu", "4"), ("memory", "16Gi"), ("ephemeral-storage", disk), ("pods", "110")]
        .map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())))
        .into()
}

fn node_info(identity: &MachineIdentity, facts: &MachineFacts, kubelet: &KubeletInfo) -> NodeSystemInfo {
    NodeSystemInfo {
        architecture: "amd64".into(),
        boot_id: facts.boot_id.clone(),
        container_runtime_version: CONTAINER_RUNTIME.into(),
        kernel_version: facts.build.to_string(),
        kubelet_version: kubelet.version.clone(),
        // On Windows the kubelet gives the host name.
        machine_id: identity.name.clone(),
        operating_system: "windows".into(),
        os_image: os_image(&facts.build.os_build()).into(),
        system_uuid: facts.system_uuid.clone(),
        ..NodeSystemInfo::default()
    }
}

/// The product name in the registry of each Windows Server that Kubernetes runs on.
fn os_image(os_build: &str) -> &'static str {
    match os_build {
        "10.0.17763" => "Windows Server 2019 Datacenter",
        "10.0.20348" => "Windows Server 2022 Datacenter",
        "10.0.26100" => "Windows Server 2025 Datacenter",
        _ => "Windows Server Datacenter",
    }
}

fn conditions(ready_since: Timestamp, now: Timestamp) -> Vec<NodeCondition> {
    let fine = |kind: &str, status: &str, reason: &str, message: &str| NodeCondition {
        type_: kind.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_heartbeat_time: Some(Time(now)),
        last_transition_time: Some(Time(ready_since)),
    };
    vec![
        fine("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        fine("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        fine("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        fine("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]
}

/// The node's Lease, renewed at `now`; owned by the Node object, so that it goes with it.
pub fn lease(name: &str, node_uid: &str, now: Timestamp) -> Lease {
    let owner = OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: name.into(),
        uid: node_uid.into(),
        ..OwnerReference::default()
    };
    Lease {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some(LEASE_NAMESPACE.into()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(name.into()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubelet::machine;

    #[test]
    fn registers_as_a_windows_kubelet_does() {
        let facts = machine::tests::facts(Timestamp::UNIX_EPOCH);
        let kubelet = KubeletInfo { version: "v1.36.3".into(), port: 10250 };
        let now = Timestamp::from_second(5).expect("a time");
        let node = node(&machine::tests::identity(), &facts, &kubelet, Timestamp::UNIX_EPOCH, now);
        let json = serde_json::to_value(&node).expect("JSON");
        let labels = &json["metadata"]["labels"];
        assert_eq!(labels["kubernetes.io/os"], "windows");
        assert_eq!(labels["kubernetes.io/hostname"], "win-1");
        assert_eq!(labels["node.kubernetes.io/windows-build"], "10.0.20348");
        assert_eq!(labels["pool"], "a");
        let info = &json["status"]["nodeInfo"];
        assert_eq!(info["kernelVersion"], "10.0.20348.2461");
        assert_eq!(info["bootID"], "7", "a number, as text");
        assert_eq!(info["osImage"], "Windows Server 2022 Datacenter");
        let ready = &json["status"]["conditions"][3];
        assert_eq!((&ready["type"], &ready["status"]), (&"Ready".into(), &"True".into()));
        assert_eq!(ready["lastTransitionTime"], "1970-01-01T00:00:00Z");
        assert_eq!(ready["lastHeartbeatTime"], "1970-01-01T00:00:05Z");
        assert!(json["spec"].get("unschedulable").is_none() && json["spec"].get("taints").is_none());
    }

    #[test]
    fn a_node_can_register_cordoned() {
        let identity = MachineIdentity { cordoned: true, ..machine::tests::identity() };
        let facts = machine::tests::facts(Timestamp::UNIX_EPOCH);
        let kubelet = KubeletInfo { version: "v1.36.3".into(), port: 10250 };
        let node = node(&identity, &facts, &kubelet, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        assert_eq!(node.spec.and_then(|spec| spec.unschedulable), Some(true));
    }

    #[test]
    fn a_lease_goes_with_its_node() {
        let json = serde_json::to_value(lease("win-1", "uid", Timestamp::UNIX_EPOCH)).expect("JSON");
        assert_eq!(json["metadata"]["ownerReferences"][0]["uid"], "uid");
        assert_eq!(json["spec"]["renewTime"], "1970-01-01T00:00:00.000000Z", "MicroTime wants six digits");
    }
}
