//! How facts are read: node updates, and which node belongs to which ring.

use super::*;
use crate::api::{NodeSelector, NodeUpdate};
use crate::domain::Labels;
use crate::plan::fleet::UpdateSeen;
use crate::plan::selector::{Selectors, matches};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn node_update(status: &Value) -> UpdateSeen {
    let policy = ring("r", &json!({}), &json!({})).revision.policy.clone();
    let update: NodeUpdate = serde_json::from_value(json!({
        "apiVersion": "windlass.dev/v1alpha1",
        "kind": "NodeUpdate",
        "metadata": {"name": "nu-1", "uid": "u-1"},
        "spec": {
            "rolloutName": "r", "rolloutUid": "ru", "ring": "canary", "nodeName": "win-1", "nodeUid": "n-1",
            "providerId": "simulated://win-1", "operation": "Update", "fromBuild": "10.0.20348.1",
            "toBuild": "10.0.20348.2", "updates": [], "snapshotClass": "ebs", "policy": policy,
        },
        "status": status,
    }))
    .expect("a node update");
    UpdateSeen::read(&update)
}

fn step(step: &str, phase: &str, from: &str, to: Option<&str>) -> Value {
    let mut record = json!({"step": step, "phase": phase, "round": 1, "attempt": 1, "startedAt": from});
    if let Some(to) = to {
        record["finishedAt"] = json!(to);
    }
    record
}

#[test]
fn a_node_update_is_read_from_its_log() {
    let [eight, nine, ten] = ["08:00", "09:00", "10:00"].map(|time| format!("2026-11-23T{time}:00.000000Z"));
    let steps = [step("Preflight", "Succeeded", &eight, Some(&nine)), step("Stage", "Started", &nine, None)];
    let seen = node_update(&json!({"step": "Stage", "steps": steps}));
    assert!(seen.in_work());
    assert_eq!(
        (seen.name.as_str(), seen.uid.as_str(), seen.node.as_str(), seen.node_uid.as_str()),
        ("nu-1", "u-1", "win-1", "n-1")
    );
    assert_eq!((seen.started_at, seen.ended_at), (Some(at(&eight)), None), "it has not ended, though a step has");

    let steps = [step("Preflight", "Succeeded", &eight, Some(&nine)), step("Install", "Failed", &nine, Some(&ten))];
    let ready = json!({"type": "Ready", "status": "False", "reason": "InstallFailed", "message": "m", "lastTransitionTime": &ten});
    let seen = node_update(&json!({"outcome": "Failed", "reason": "why", "steps": steps, "conditions": [ready]}));
    assert_eq!(seen.ended_at, Some(at(&ten)));
    assert_eq!((seen.reason_code.as_deref(), seen.reason.as_deref()), (Some("InstallFailed"), Some("why")));
    assert_eq!(seen.boot_id, None, "it was not put back in service");

    let mut uncordon = step("Uncordon", "Succeeded", &nine, Some(&ten));
    uncordon["handle"] = json!("37");
    assert_eq!(node_update(&json!({"outcome": "Updated", "steps": [uncordon]})).boot_id.as_deref(), Some("37"));
}

#[test]
fn of_two_updates_of_one_machine_one_counts() {
    let mut world = World::new(&[("canary", 2)]);
    world.update("canary-0", Some(Outcome::Skipped), "").update("canary-0", IN_WORK, "");
    world.sample.updates[0].name = "another".into();
    let plan = world.plan(noon());
    assert_eq!((plan.counts.total, plan.counts.in_progress, plan.counts.skipped), (2, 1, 0));
}

/// Keys and values from a small world, so that they meet.
fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map("[ab]", "[xyz]", 0..3)
}

fn selector() -> impl Strategy<Value = NodeSelector> {
    let expression =
        ("[ab]", 0..4, proptest::collection::vec("[xyz]", 1..3)).prop_map(|(key, operator, values)| match operator {
            0 => json!({"key": key, "operator": "In", "values": values}),
            1 => json!({"key": key, "operator": "NotIn", "values": values}),
            2 => json!({"key": key, "operator": "Exists"}),
            _ => json!({"key": key, "operator": "DoesNotExist"}),
        });
    (labels(), proptest::collection::vec(expression, 0..3)).prop_map(|(labels, expressions)| {
        serde_json::from_value(json!({"matchLabels": labels, "matchExpressions": expressions})).expect("a selector")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_finds_what_asking_each_ring_would(rings in proptest::collection::vec(selector(), 0..6), labels in labels()) {
        let labels: Labels = labels.iter().collect();
        let one_by_one: Vec<usize> = (0..rings.len()).filter(|ring| matches(&rings[*ring], &labels)).collect();
        let index = Selectors::new(&rings);
        let mut found: Vec<usize> = index.all(&labels).collect();
        found.sort_unstable();
        prop_assert_eq!(index.ring_of(&labels), one_by_one.first().copied());
        prop_assert_eq!(found, one_by_one);
    }
}
