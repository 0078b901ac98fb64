//! What a kubelet needs of a Pod object. Pure; the rest of the object is dropped where the watch hands it over, so
//! that memory grows with the number of pods and not with their size.

use super::program::Program;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus};
use std::{collections::BTreeMap, time::Duration};

/// Annotation: how long the pod's process takes to end after it was told to (`30s`), within its grace period.
pub const TERMINATES_AFTER: &str = "winfleet.windlass.dev/terminates-after";

/// Annotation: the exit code of a pod that runs to an end, in place of what its network would make of it.
pub const EXIT_CODE: &str = "winfleet.windlass.dev/exit-code";

/// When containers of a pod are started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Whenever they end.
    Always,
    /// When they end with another exit code than 0.
    OnFailure,
    /// Not at all.
    Never,
}

/// The phase that the API server has for a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not started yet.
    Pending,
    /// Started.
    Running,
    /// `Succeeded` or `Failed`: a kubelet never leaves these.
    Terminal,
}

/// One container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerView {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
}

/// A pod as its kubelet sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct PodView {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID: a pod of the same name under another UID is another pod.
    pub uid: String,
    /// Node it is bound to.
    pub node: String,
    /// Whether it uses the machine's own network.
    pub host_network: bool,
    /// Restart policy.
    pub restart: RestartPolicy,
    /// Containers; the first one's program decides how the pod fares, the others follow it.
    pub containers: Vec<ContainerView>,
    /// Init containers; they complete as soon as the sandbox is there.
    pub init_containers: Vec<ContainerView>,
    /// Whether it has a domain identity (gMSA).
    pub domain_identity: bool,
    /// What the pod runs.
    pub program: Program,
    /// The grace that is left to it since its deletion was asked for; `None`: it is to live.
    pub deletion_grace: Option<Duration>,
    /// How long its process takes to end ([`TERMINATES_AFTER`]).
    pub terminates_after: Option<Duration>,
    /// How long it may be active (`spec.activeDeadlineSeconds`).
    pub active_deadline: Option<Duration>,
    /// Phase as the API server has it.
    pub phase: Phase,
    /// Condition `Ready` as the API server has it.
    pub ready: bool,
    /// When a kubelet first saw it, as the API server has it.
    pub start_time: Option<Timestamp>,
    /// Restarts of its containers, as the API server has them.
    pub restarts: i32,
    /// Address as the API server has it.
    pub ip: Option<String>,
    /// Whether the scheduler (or a kubelet) wrote the condition `PodScheduled`.
    pub scheduled: bool,
}

impl PodView {
    /// Reads a pod; `None` for a pod that is bound to no node.
    pub fn from_pod(pod: &Pod) -> Option<Self> {
        let (spec, meta) = (pod.spec.as_ref()?, &pod.metadata);
        let (none, unnoted) = (PodStatus::default(), BTreeMap::new());
        let status = pod.status.as_ref().unwrap_or(&none);
        let annotations = meta.annotations.as_ref().unwrap_or(&unnoted);
        let name = meta.name.clone()?;
        let grace = meta.deletion_grace_period_seconds.unwrap_or(0);
        Some(Self {
            node: spec.node_name.clone()?,
            host_network: spec.host_network.unwrap_or(false),
            restart: restart_policy(spec),
            containers: views(&spec.containers),
            init_containers: views(spec.init_containers.as_deref().unwrap_or_default()),
            domain_identity: has_domain_identity(spec),
            program: Program::of(spec, annotation(annotations, EXIT_CODE, &name)),
            deletion_grace: meta.deletion_timestamp.as_ref().map(|_| seconds(grace)),
            terminates_after: annotation(annotations, TERMINATES_AFTER, &name)
                .and_then(|d: SignedDuration| Duration::try_from(d).ok()),
            active_deadline: spec.active_deadline_seconds.map(seconds),
            phase: phase(status),
            ready: has_condition(status, "Ready", Some("True")),
            start_time: status.start_time.as_ref().map(|t| t.0),
            restarts: restarts(status.container_statuses.as_deref().unwrap_or_default()),
            scheduled: has_condition(status, "PodScheduled", None),
            ip: status.pod_ip.clone(),
            namespace: meta.namespace.clone()?,
            uid: meta.uid.clone()?,
            name,
        })
    }
}

fn views(containers: &[Container]) -> Vec<ContainerView> {
    let image = |c: &Container| c.image.clone().unwrap_or_default();
    containers.iter().map(|c| ContainerView { name: c.name.clone(), image: image(c) }).collect()
}

/// Whether the pod, or one of its containers, names a credential spec of a group managed service account.
fn has_domain_identity(spec: &PodSpec) -> bool {
    let pod = spec.security_context.as_ref().and_then(|s| s.windows_options.as_ref());
    let containers = spec.containers.iter().filter_map(|c| c.security_context.as_ref()?.windows_options.as_ref());
    pod.into_iter().chain(containers).any(|w| w.gmsa_credential_spec.is_some() || w.gmsa_credential_spec_name.is_some())
}

fn restart_policy(spec: &PodSpec) -> RestartPolicy {
    match spec.restart_policy.as_deref() {
        Some("Never") => RestartPolicy::Never,
        Some("OnFailure") => RestartPolicy::OnFailure,
        _ => RestartPolicy::Always,
    }
}

/// The phase that the API server has, of a status.
pub fn phase(status: &PodStatus) -> Phase {
    match status.phase.as_deref() {
        Some("Succeeded" | "Failed") => Phase::Terminal,
        Some("Running") => Phase::Running,
        _ => Phase::Pending,
    }
}

fn has_condition(status: &PodStatus, kind: &str, value: Option<&str>) -> bool {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    conditions.iter().any(|c| c.type_ == kind && value.is_none_or(|v| v == c.status))
}

fn restarts(statuses: &[ContainerStatus]) -> i32 {
    statuses.iter().map(|s| s.restart_count).max().unwrap_or(0)
}

fn seconds(n: i64) -> Duration {
    Duration::from_secs(u64::try_from(n).unwrap_or(0))
}

/// Reads an annotation. A kubelet can not refuse a pod for one, so a value that does not parse is only said in the log.
fn annotation<T: std::str::FromStr>(annotations: &BTreeMap<String, String>, key: &str, pod: &str) -> Option<T> {
    let text = annotations.get(key)?;
    let value = text.parse().ok();
    if value.is_none() {
        tracing::warn!(pod, annotation = key, value = text, "annotation does not parse and is ignored");
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(json: serde_json::Value) -> Option<PodView> {
        PodView::from_pod(&serde_json::from_value(json).expect("a pod"))
    }

    #[test]
    fn reads_what_a_kubelet_needs() {
        let view = pod(serde_json::json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "deletionTimestamp": "2026-11-22T10:00:00Z",
                "deletionGracePeriodSeconds": 30, "annotations": {TERMINATES_AFTER: "1m30s", EXIT_CODE: "rubbish"}},
            "spec": {"nodeName": "win-1", "restartPolicy": "Never", "activeDeadlineSeconds": 60,
                "containers": [{"name": "c", "image": "i"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 3}]}
        }))
        .expect("bound to a node");
        assert_eq!(view.deletion_grace, Some(Duration::from_secs(30)));
        assert_eq!(view.terminates_after, Some(Duration::from_secs(90)));
        assert_eq!(view.active_deadline, Some(Duration::from_mins(1)));
        assert_eq!(view.program, Program::RunsToEnd { exit_code: None }, "a bad annotation counts as none");
        assert_eq!((view.phase, view.ready, view.scheduled, view.restarts), (Phase::Running, true, false, 3));
    }

    #[test]
    fn a_pod_without_a_node_is_nobodys() {
        let unbound = serde_json::json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"containers": [{"name": "c"}]}});
        assert_eq!(pod(unbound), None);
    }
}
