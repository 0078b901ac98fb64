//! Objects for the tests of this room.

use crate::api::{Guarded, NodeSnapshot, NodeUpdate, UpdateRollout};
use crate::observe::{Phases, Stores};
use kube::core::ObjectMeta;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

/// A node update of rollout `rollout` on `node`; ended where it has an outcome.
pub fn node_update(name: &str, node: &str, rollout: &str, outcome: Option<&str>) -> NodeUpdate {
    object(json!({
        "apiVersion": "windlass.dev/v1alpha1", "kind": "NodeUpdate", "metadata": {"name": name, "uid": name},
        "spec": {
            "rolloutName": rollout, "rolloutUid": rollout, "ring": "early", "nodeName": node, "nodeUid": node,
            "providerId": format!("simulated://{node}"), "operation": "Update", "fromBuild": "10.0.20348.1",
            "toBuild": "10.0.20348.2", "updates": [], "snapshotClass": "sim", "policy": policy(),
        },
        "status": {"outcome": outcome},
    }))
}

/// A rollout; ended, where it says when.
pub fn rollout(name: &str, ended_at: Option<&str>) -> UpdateRollout {
    object(json!({
        "apiVersion": "windlass.dev/v1alpha1", "kind": "UpdateRollout", "metadata": {"name": name, "uid": name},
        "spec": {"rings": ["early"], "updates": {"classifications": ["Security"]}},
        "status": {"endedAt": ended_at},
    }))
}

/// A snapshot of a rollout, kept for an hour after its end.
pub fn snapshot(name: &str, rollout: &str) -> NodeSnapshot {
    object(json!({
        "apiVersion": "windlass.dev/v1alpha1", "kind": "NodeSnapshot", "metadata": {"name": name, "uid": name},
        "spec": {
            "nodeName": "win-1", "nodeUid": "win-1", "providerId": "simulated://win-1", "className": "sim",
            "rolloutName": rollout, "rolloutUid": rollout, "nodeUpdate": "nu", "handle": "snap-1",
            "build": "10.0.20348.1", "retainSeconds": 3600,
            "captured": {"at": "2026-11-22T10:00:00Z", "restorable": true},
        },
    }))
}

/// A policy's spec.
pub fn policy() -> Value {
    json!({
        "strategy": {"type": "InPlace", "inPlace": {"snapshot": {"className": "sim"}}},
        "verify": {"probes": [{"name": "build", "build": {}}]},
    })
}

/// Stores with these objects, and nothing else.
pub fn stores(updates: Vec<NodeUpdate>, rollouts: Vec<UpdateRollout>, snapshots: Vec<NodeSnapshot>) -> Stores {
    Stores {
        nodes: filled(vec![]),
        policies: filled(vec![]),
        rings: filled(vec![]),
        rollouts: parsed(rollouts),
        classes: filled(vec![]),
        approvals: filled(vec![]),
        holds: filled(vec![]),
        updates: parsed(updates),
        snapshots: parsed(snapshots),
        agent_pods: filled(vec![]),
        probe_pods: filled(vec![]),
        agent_phases: Phases::default(),
        probe_phases: Phases::default(),
    }
}

/// A store with objects of these names, UIDs alike, that do not parse.
pub fn unreadable<K>(names: &[&str]) -> Store<Guarded<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let invalid = |name: &&str| {
        let metadata = ObjectMeta { name: Some((*name).into()), uid: Some((*name).into()), ..ObjectMeta::default() };
        Guarded(Err(InvalidObject { error: "missing field `spec`".into(), metadata }))
    };
    filled(names.iter().map(invalid).collect())
}

fn parsed<K>(objects: Vec<K>) -> Store<Guarded<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    filled(objects.into_iter().map(|object| Guarded::of(object)).collect())
}

fn filled<K>(objects: Vec<K>) -> Store<K>
where
    K: Resource<DynamicType = ()> + ResourceExt + Clone + 'static,
{
    let (store, mut writer) = reflector::store();
    for object in objects {
        writer.apply_watcher_event(&Event::Apply(object));
    }
    store
}

fn object<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("an object")
}
