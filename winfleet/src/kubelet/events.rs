//! The few events that a simulated kubelet tells, worded as a real one does.

use super::{api::ApiServer, pod::PodView};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use std::time::Duration;

/// Between two events about the same blocked pod: a kubelet retries every few seconds and its events are merged anyway.
pub const SANDBOX_EVENT_EVERY: Duration = Duration::from_mins(1);

/// Makes the recorder of the kubelet on `node`.
pub fn recorder(api: &ApiServer, node: &str) -> Recorder {
    Recorder::new(api.client(), Reporter { controller: "kubelet".into(), instance: Some(node.into()) })
}

/// Tells that the node was rebooted.
pub async fn rebooted(api: &ApiServer, recorder: &Recorder, node: &ObjectReference, boot_id: &str) {
    let name = node.name.as_deref().unwrap_or_default();
    let text = format!("Node {name} has been rebooted, boot id: {boot_id}");
    publish(api, recorder, node, "Rebooted", "Starting", text).await;
}

/// Tells that the sandbox of a pod can not be made.
pub async fn sandbox_failed(api: &ApiServer, recorder: &Recorder, pod: &PodView) {
    let reference = ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        name: Some(pod.name.clone()),
        namespace: Some(pod.namespace.clone()),
        uid: Some(pod.uid.clone()),
        ..ObjectReference::default()
    };
    let note =
        "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to create containerd task: failed to \
        create shim task: hcs::CreateComputeSystem: The virtual machine or container could not be started"
            .to_owned();
    publish(api, recorder, &reference, "FailedCreatePodSandBox", "CreatePodSandBox", note).await;
}

/// Publishes a warning; one that can not be published is dropped, as a kubelet does.
async fn publish(
    api: &ApiServer,
    recorder: &Recorder,
    about: &ObjectReference,
    reason: &str,
    action: &str,
    note: String,
) {
    let event = Event {
        type_: EventType::Warning,
        reason: reason.into(),
        note: Some(note),
        action: action.into(),
        secondary: None,
    };
    if let Err(error) = api.request(recorder.publish(&event, about)).await {
        tracing::debug!(%error, reason, "event not published");
    }
}
