//! A Node object as plain facts. Pure.

use crate::api::{CLAIMED_BY, CORDONED_BY_US, KEEP_CORDONED, PROVIDER_ID, QUARANTINE, SKIP};
use crate::domain::{NodeRef, NodeSeen, NodeState, Readiness, scheme};
use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeStatus, NodeSystemInfo};
use kube::ResourceExt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Drops what no decision reads, and what makes most of a Node's size: thousands of them are kept. Labels, annotations and
/// spec stay whole: what others wrote there is not ours to undo.
pub fn trim(node: &mut Node) {
    node.metadata.managed_fields = None;
    let ready = ready_condition(node).cloned();
    let Some(status) = node.status.take() else { return };
    let info = status.node_info.map(|info| NodeSystemInfo {
        boot_id: info.boot_id,
        kernel_version: info.kernel_version,
        system_uuid: info.system_uuid,
        ..NodeSystemInfo::default()
    });
    node.status = Some(NodeStatus {
        conditions: Some(Vec::from_iter(ready)),
        node_info: info,
        volumes_attached: status.volumes_attached,
        ..NodeStatus::default()
    });
}

/// Reads a Node.
pub fn read(node: &Node) -> NodeState {
    let annotation = |name| node.annotations().get(name);
    let is_true = |name| annotation(name).is_some_and(|value| value == "true");
    let spec = node.spec.as_ref();
    let status = node.status.as_ref();
    let info = status.and_then(|s| s.node_info.as_ref());
    let mut volumes: Vec<_> = volumes(node).map(str::to_owned).collect();
    volumes.sort();
    NodeState {
        node: NodeRef {
            name: node.name_any(),
            uid: node.uid().unwrap_or_default(),
            provider_id: provider_id(node).to_owned(),
            system_uuid: info.map(|i| i.system_uuid.clone()).unwrap_or_default(),
        },
        resource_version: node.resource_version().unwrap_or_default(),
        build: info.and_then(|i| i.kernel_version.parse().ok()),
        boot_id: info.map(|i| i.boot_id.clone()).unwrap_or_default(),
        readiness: readiness(node),
        unschedulable: spec.and_then(|s| s.unschedulable).unwrap_or_default(),
        claimed_by: annotation(CLAIMED_BY).cloned(),
        cordoned_by_us: is_true(CORDONED_BY_US),
        keep_cordoned: annotation(KEEP_CORDONED).is_some_and(|value| value != "false"),
        skip: is_true(SKIP),
        quarantined: taints(node).any(|(key, _)| key == QUARANTINE),
        volumes_attached: volumes,
        labels: node.labels().into(),
    }
}

/// What there is for somebody who means `meant`, when `found` is what the name has now.
pub fn seen(meant: &NodeRef, found: Option<NodeState>) -> NodeSeen {
    match found {
        None => NodeSeen::Gone,
        Some(node) if node.node.uid == meant.uid => NodeSeen::Here(Box::new(node)),
        Some(node) => match meant.same_machine(&node.node) {
            Some(same_machine) => NodeSeen::Replaced { now: Box::new(node), same_machine },
            // It is as good as not there until it says who it is; that is waited for.
            None => NodeSeen::Gone,
        },
    }
}

/// A number that changes when something changes that a decision reads, and not with a heartbeat.
pub fn fingerprint(node: &Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    let spec = node.spec.as_ref();
    let info = node.status.as_ref().and_then(|s| s.node_info.as_ref());
    node.metadata.uid.hash(&mut hasher);
    node.metadata.deletion_timestamp.is_some().hash(&mut hasher);
    node.labels().hash(&mut hasher);
    spec.and_then(|s| s.unschedulable).hash(&mut hasher);
    spec.and_then(|s| s.provider_id.as_ref()).hash(&mut hasher);
    taints(node).for_each(|taint| taint.hash(&mut hasher));
    volumes(node).for_each(|volume| volume.hash(&mut hasher));
    info.map(|i| (&i.kernel_version, &i.boot_id)).hash(&mut hasher);
    ready_condition(node).map(|c| (&c.status, c.last_transition_time.as_ref().map(|t| t.0))).hash(&mut hasher);
    node.annotations().iter().filter(|(name, _)| name.starts_with("windlass.dev/")).for_each(|a| a.hash(&mut hasher));
    hasher.finish()
}

/// The machine, as a provider names it. What a person wrote does not count against a providerID of the same scheme: that one
/// can not be changed, and an annotation can.
fn provider_id(node: &Node) -> &str {
    let own = node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref()).unwrap_or_default();
    let written = node.annotations().get(PROVIDER_ID).map(String::as_str);
    written.filter(|written| own.is_empty() || scheme(own) != scheme(written)).unwrap_or(own)
}

fn readiness(node: &Node) -> Readiness {
    let Some(ready) = ready_condition(node) else { return Readiness::Unknown };
    let Some(since) = &ready.last_transition_time else { return Readiness::Unknown };
    if ready.status == "True" { Readiness::Ready(since.0) } else { Readiness::NotReady(since.0) }
}

fn ready_condition(node: &Node) -> Option<&NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == "Ready")
}

fn volumes(node: &Node) -> impl Iterator<Item = &str> {
    let attached = node.status.as_ref().and_then(|s| s.volumes_attached.as_ref());
    attached.into_iter().flatten().map(|v| v.name.as_str())
}

fn taints(node: &Node) -> impl Iterator<Item = (&str, &str)> {
    let taints = node.spec.as_ref().and_then(|s| s.taints.as_ref());
    taints.into_iter().flatten().map(|t| (t.key.as_str(), t.effect.as_str()))
}

#[cfg(test)]
mod tests;
