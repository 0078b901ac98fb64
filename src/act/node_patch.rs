//! The three writes to a Node: claim, release, hold. Pure.
//!
//! Each is one merge patch that names `uid` and `resourceVersion`, so that it is refused when anything changed since
//! the node was read. Server-side apply is no claim: the same manager silently wins twice, and it creates a node that
//! was deleted.

use crate::api::{CLAIMED_BY, CORDONED_BY_US, KEEP_CORDONED, QUARANTINE};
use k8s_openapi::api::core::v1::{Node, Taint};
use kube::ResourceExt;
use serde_json::{Map, Value, json};

/// What tells other controllers to leave a node alone: the cluster-autoscaler and Karpenter, as their manuals name it.
const LEAVE_ALONE: [(&str, &str); 2] =
    [("cluster-autoscaler.kubernetes.io/scale-down-disabled", "true"), ("karpenter.sh/do-not-disrupt", "true")];

/// Annotation: which of [`LEAVE_ALONE`] we set, separated by commas. Somebody else's are left where they are.
const LEAVE_ALONE_BY_US: &str = "windlass.dev/leave-alone";

/// UID of the node update that has claimed the node.
pub(super) fn holder(node: &Node) -> Option<&str> {
    node.annotations().get(CLAIMED_BY).map(String::as_str)
}

/// Claims the node, cordons it and tells other controllers.
pub(super) fn claim(node: &Node, uid: &str) -> Value {
    let mut annotations = claimed(node, uid);
    let ours: Vec<_> = LEAVE_ALONE.iter().filter(|(name, _)| !node.annotations().contains_key(*name)).collect();
    if !ours.is_empty() {
        annotations.extend(ours.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        let names: Vec<_> = ours.iter().map(|(name, _)| *name).collect();
        annotations.insert(LEAVE_ALONE_BY_US.to_owned(), json!(names.join(",")));
    }
    patch(node, &annotations, &json!({ "unschedulable": true }))
}

/// Gives the node back as it was found: what we set is taken off, and nothing else.
pub(super) fn release(node: &Node) -> Value {
    let set = node.annotations().get(LEAVE_ALONE_BY_US).map_or("", String::as_str);
    let marks = set.split(',').filter(|name| LEAVE_ALONE.iter().any(|(known, _)| known == name));
    let ours = [CLAIMED_BY, CORDONED_BY_US, LEAVE_ALONE_BY_US].into_iter().chain(marks);
    let annotations =
        ours.filter(|name| node.annotations().contains_key(*name)).map(|name| (name.to_owned(), Value::Null)).collect();
    let mut spec = Map::new();
    if cordoned_by_us(node) && !node.annotations().contains_key(KEEP_CORDONED) {
        spec.insert("unschedulable".to_owned(), Value::Null);
    }
    let taints = taints(node);
    if taints.iter().any(|t| t.key == QUARANTINE) {
        let others: Vec<_> = taints.iter().filter(|t| t.key != QUARANTINE).collect();
        spec.insert("taints".to_owned(), json!(others));
    }
    patch(node, &annotations, &Value::Object(spec))
}

/// Keeps the node out of service: claimed, cordoned, and tainted so that it is seen.
pub(super) fn hold(node: &Node, uid: &str) -> Value {
    let quarantine = json!({ "key": QUARANTINE, "value": uid, "effect": "NoSchedule" });
    let others = taints(node).iter().filter(|t| t.key != QUARANTINE).map(|t| json!(t));
    let taints: Vec<Value> = others.chain([quarantine]).collect();
    patch(node, &claimed(node, uid), &json!({ "unschedulable": true, "taints": taints }))
}

/// Whether the node is held already.
pub(super) fn is_held(node: &Node, uid: &str) -> bool {
    holder(node) == Some(uid) && is_cordoned(node) && taints(node).iter().any(|t| t.key == QUARANTINE)
}

/// Whether the node is cordoned, by anybody.
pub(super) fn is_cordoned(node: &Node) -> bool {
    node.spec.as_ref().and_then(|s| s.unschedulable).unwrap_or(false)
}

/// The claim, and whether the cordon that comes with it is ours: it is when there was none.
fn claimed(node: &Node, uid: &str) -> Map<String, Value> {
    let mut annotations = Map::from_iter([(CLAIMED_BY.to_owned(), json!(uid))]);
    if !is_cordoned(node) {
        annotations.insert(CORDONED_BY_US.to_owned(), json!("true"));
    }
    annotations
}

/// Whether the cordon that came with a claim is ours.
pub(super) fn cordoned_by_us(node: &Node) -> bool {
    node.annotations().get(CORDONED_BY_US).is_some_and(|value| value == "true")
}

fn taints(node: &Node) -> &[Taint] {
    node.spec.as_ref().and_then(|s| s.taints.as_deref()).unwrap_or_default()
}

fn patch(node: &Node, annotations: &Map<String, Value>, spec: &Value) -> Value {
    json!({
        "metadata": {
            "uid": node.metadata.uid,
            "resourceVersion": node.metadata.resource_version,
            "annotations": annotations,
        },
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(annotations: &Value, spec: &Value) -> Node {
        let metadata = json!({ "name": "win-7", "uid": "n", "resourceVersion": "5", "annotations": annotations });
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).expect("a node")
    }

    /// JSON merge patch, RFC 7386: what the API server makes of our writes.
    fn merge(target: &mut Value, patch: &Value) {
        let Value::Object(fields) = patch else {
            *target = patch.clone();
            return;
        };
        for (name, value) in fields {
            if value.is_null() {
                target.as_object_mut().expect("an object").remove(name);
            } else {
                if !target[name].is_object() && value.is_object() {
                    target[name] = json!({});
                }
                merge(&mut target[name], value);
            }
        }
    }

    fn after(node: &Node, patch: &Value) -> Node {
        let mut json = serde_json::to_value(node).expect("JSON");
        merge(&mut json, patch);
        serde_json::from_value(json).expect("a node")
    }

    #[test]
    fn what_was_claimed_is_given_back_as_it_was_found() {
        let mine = json!({ "key": "mine", "effect": "NoSchedule" });
        for (annotations, spec) in [
            (json!({}), json!({})),
            (json!({ "karpenter.sh/do-not-disrupt": "true" }), json!({ "taints": [mine] })),
            (json!({ "a": "b" }), json!({ "unschedulable": true })),
        ] {
            let before = node(&annotations, &spec);
            let claimed = after(&before, &claim(&before, "u"));
            assert_eq!(holder(&claimed), Some("u"));
            assert!(is_cordoned(&claimed) && LEAVE_ALONE.iter().all(|(n, _)| claimed.annotations().contains_key(*n)));
            let held = after(&claimed, &hold(&claimed, "u"));
            assert!(is_held(&held, "u"));
            for taken in [claimed, held] {
                let released = after(&taken, &release(&taken));
                assert_eq!(released.annotations(), before.annotations());
                assert_eq!((is_cordoned(&released), taints(&released)), (is_cordoned(&before), taints(&before)));
            }
        }
    }

    #[test]
    fn a_person_can_keep_it_cordoned() {
        let free = node(&json!({}), &json!({}));
        let mut claimed = after(&free, &claim(&free, "u"));
        claimed.annotations_mut().insert(KEEP_CORDONED.into(), "true".into());
        let released = after(&claimed, &release(&claimed));
        assert!(is_cordoned(&released) && holder(&released).is_none());
    }

    #[test]
    fn a_claim_of_our_own_does_not_take_over_a_cordon() {
        let cordoned = node(&json!({}), &json!({ "unschedulable": true }));
        let claimed = after(&cordoned, &claim(&cordoned, "u"));
        assert!(!cordoned_by_us(&claimed));
        let again = after(&claimed, &hold(&claimed, "u"));
        assert!(!cordoned_by_us(&again), "holding does not make the cordon ours");
    }

    #[test]
    fn every_write_is_bound_to_what_was_read() {
        let free = node(&json!({}), &json!({}));
        for patch in [claim(&free, "u"), release(&free), hold(&free, "u")] {
            assert_eq!(patch["metadata"]["uid"], "n");
            assert_eq!(patch["metadata"]["resourceVersion"], "5");
        }
    }

    #[test]
    fn only_known_marks_are_ever_taken_off() {
        let odd = node(&json!({ LEAVE_ALONE_BY_US: "evil.example/x", "evil.example/x": "1" }), &json!({}));
        assert!(after(&odd, &release(&odd)).annotations().contains_key("evil.example/x"));
    }
}
