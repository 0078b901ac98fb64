//! Which pods leave a node, and how one is asked to (needs a client): `policy/v1` evictions, never a plain delete.

use super::ActError;
use super::error::call;
use super::means::Means;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, Preconditions};
use kube::api::{ObjectMeta, PostParams};
use kube::core::Status;
use kube::{Api, ResourceExt};

/// Priority class of what a node can not be without; kubelets restart such pods on the node itself.
const NODE_CRITICAL: &str = "system-node-critical";

/// What a drain does with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is left where it is.
    Stays,
    /// It is evicted.
    Leaves,
    /// It was told to end.
    Leaving,
    /// Nothing would bring it back elsewhere: the drain can not end.
    Stuck,
}

/// What a drain does with a pod, by the rules of `kubectl drain`.
pub(super) fn fate(pod: &Pod, ours: [&str; 2]) -> Fate {
    let controller = pod.owner_references().iter().find(|owner| owner.controller == Some(true));
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    let priority = pod.spec.as_ref().and_then(|s| s.priority_class_name.as_deref());
    if ours.contains(&pod.namespace().unwrap_or_default().as_str()) {
        return Fate::Stays;
    }
    if pod.annotations().contains_key("kubernetes.io/config.mirror") || priority == Some(NODE_CRITICAL) {
        return Fate::Stays;
    }
    if controller.is_some_and(|c| c.kind == "DaemonSet") || matches!(phase, Some("Succeeded" | "Failed")) {
        return Fate::Stays;
    }
    match controller {
        _ if pod.metadata.deletion_timestamp.is_some() => Fate::Leaving,
        Some(_) => Fate::Leaves,
        None => Fate::Stuck,
    }
}

/// A pod as messages name it.
pub(super) fn full_name(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}

/// What an eviction came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Evicted {
    /// It was told to end.
    Yes,
    /// A disruption budget refuses; the API server's own words.
    Refused(String),
    /// Not now, in the API server's own words: it is busy, another write came first, the namespace is being deleted.
    Later(String),
}

/// Asks a pod to leave.
///
/// # Errors
/// [`ActError::Evict`].
pub(super) async fn evict(means: &Means, pod: &Pod) -> Result<Evicted, ActError> {
    let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
    let options = DeleteOptions {
        preconditions: Some(Preconditions { uid: pod.uid(), ..Preconditions::default() }),
        ..DeleteOptions::default()
    };
    let eviction = Eviction {
        metadata: ObjectMeta { name: Some(name.clone()), namespace: Some(namespace.clone()), ..ObjectMeta::default() },
        delete_options: Some(options),
    };
    let api: Api<Pod> = Api::namespaced(means.clients.act.clone(), &namespace);
    // Not `Api::evict`: kube 5.0 leaves out the precondition.
    let params = PostParams::default();
    match call(api.create_subresource::<_, Status>("eviction", &name, &params, &eviction)).await {
        Ok(_) => Ok(Evicted::Yes),
        Err(source) => {
            let meaning = source.status().and_then(refusal);
            meaning.ok_or_else(|| ActError::Evict { pod: full_name(pod), source })
        }
    }
}

/// What a refusal means; `None` when it says nothing about the pod.
fn refusal(status: &Status) -> Option<Evicted> {
    let causes = || status.details.iter().flat_map(|d| &d.causes);
    let has_cause = |reason: &str| causes().any(|c| c.reason == reason);
    let later = || Some(Evicted::Later(status.message.clone()));
    match status.code {
        429 if has_cause("DisruptionBudget") => {
            let words: Vec<_> = causes().map(|c| c.message.clone()).collect();
            Some(Evicted::Refused(words.join("; ")))
        }
        // 404 and 409 are said of pods that live, too: where the budget was deleted or changed meanwhile, or a webhook
        // answers so. That a pod is gone is for the list of the node's pods to say.
        404 | 409 | 429 => later(),
        403 if has_cause("NamespaceTerminating") => later(),
        500 if status.message.contains("more than one PodDisruptionBudget") => {
            Some(Evicted::Refused(status.message.clone()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(change: impl Fn(&mut Value)) -> Pod {
        let mut pod = json!({
            "metadata": {"name": "web-1", "namespace": "shop", "annotations": {}, "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "r", "controller": true}]},
            "spec": {"containers": []}, "status": {"phase": "Running"}});
        change(&mut pod);
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn pods_leave_by_the_rules_of_kubectl() {
        let owner = |pod: &mut Value, kind: &str| pod["metadata"]["ownerReferences"][0]["kind"] = json!(kind);
        let fate = |change: &dyn Fn(&mut Value)| fate(&pod(change), ["windlass-agents", "windlass-probes"]);
        assert_eq!(fate(&|_| ()), Fate::Leaves);
        assert_eq!(fate(&|p| owner(p, "DaemonSet")), Fate::Stays);
        assert_eq!(fate(&|p| p["status"]["phase"] = json!("Succeeded")), Fate::Stays);
        assert_eq!(fate(&|p| p["metadata"]["annotations"]["kubernetes.io/config.mirror"] = json!("x")), Fate::Stays);
        assert_eq!(fate(&|p| p["metadata"]["namespace"] = json!("windlass-probes")), Fate::Stays);
        assert_eq!(fate(&|p| p["spec"]["priorityClassName"] = json!(NODE_CRITICAL)), Fate::Stays);
        assert_eq!(fate(&|p| p["metadata"]["deletionTimestamp"] = json!("2026-11-22T10:00:00Z")), Fate::Leaving);
        assert_eq!(fate(&|p| p["metadata"]["ownerReferences"] = json!([])), Fate::Stuck);
        assert_eq!(fate(&|p| p["metadata"]["ownerReferences"][0]["controller"] = json!(false)), Fate::Stuck);
    }

    #[test]
    fn refusals_are_told_apart() {
        let status = |code: u16, message: &str, cause: Option<(&str, &str)>| {
            let causes: Vec<_> = cause.iter().map(|(r, m)| json!({"reason": r, "message": m})).collect();
            let json = json!({"status": "Failure", "code": code, "message": message, "details": {"causes": causes}});
            refusal(&serde_json::from_value(json).expect("a status"))
        };
        let budget = "The disruption budget web needs 1 healthy pods and has 1 currently";
        assert_eq!(
            status(429, "Cannot evict pod", Some(("DisruptionBudget", budget))),
            Some(Evicted::Refused(budget.into()))
        );
        let later = |words: &str| Some(Evicted::Later(words.into()));
        assert_eq!(status(429, "too many requests", None), later("too many requests"));
        let (gone, changed) = ("poddisruptionbudgets \"web\" not found", "the object has been modified");
        assert_eq!(status(404, gone, None), later(gone), "the budget is gone, not the pod");
        assert_eq!(status(409, changed, None), later(changed), "the budget was changed, and the pod lives");
        assert_eq!(status(403, "it ends", Some(("NamespaceTerminating", ""))), later("it ends"));
        assert_eq!(status(403, "", None), None);
        let two = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        assert_eq!(status(500, two, None), Some(Evicted::Refused(two.into())));
        assert_eq!(status(500, "boom", None), None);
    }
}
