//! Events: what happened to rollouts, and how node updates ended when not as intended.
//!
//! An event that can not be published is logged and forgotten: it never fails a pass.

use crate::api::{NodeSnapshot, NodeUpdate, SnapshotClass, UpdateRollout};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use std::time::Duration;

/// How long publishing may take.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest note of an event, in bytes: the API server's bound.
const MAX_NOTE: usize = 1024;

/// How an event is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As intended.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Publishes events.
pub struct Events {
    client: Client,
    reporter: Reporter,
}

impl Events {
    /// Publishes in the name of this instance of the operator.
    pub fn new(client: Client, instance: &str) -> Self {
        let reporter = Reporter { controller: "windlass".to_owned(), instance: Some(instance.to_owned()) };
        Self { client, reporter }
    }

    /// Something happened to a rollout.
    pub async fn rollout(&self, rollout: &UpdateRollout, tone: Tone, reason: &str, note: &str) {
        self.publish(&rollout.object_ref(&()), None, (tone, "Rollout", reason, note)).await;
    }

    /// Something was found or done about the snapshots of a class.
    pub async fn snapshot_class(&self, class: &SnapshotClass, tone: Tone, reason: &str, note: &str) {
        self.publish(&class.object_ref(&()), None, (tone, "SnapshotClass", reason, note)).await;
    }

    /// Something stands against the deletion of a snapshot; told at it, and at its class.
    pub async fn node_snapshot(&self, snapshot: &NodeSnapshot, class: &SnapshotClass, reason: &str, note: &str) {
        let what = (Tone::Warning, "NodeSnapshot", reason, note);
        let (told_at, class) = (snapshot.object_ref(&()), class.object_ref(&()));
        self.publish(&told_at, Some(class.clone()), what).await;
        self.publish(&class, Some(told_at), what).await;
    }

    /// A node update ended; told at it, and at its node.
    pub async fn node_update(&self, update: &NodeUpdate, tone: Tone, reason: &str, note: &str) {
        let what = (tone, "NodeUpdate", reason, note);
        let told_at = update.object_ref(&());
        // kubectl looks for a Node's events under its name as UID, as the kubelet writes them.
        let machine = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(update.spec.node_name.clone()),
            uid: Some(update.spec.node_name.clone()),
            ..ObjectReference::default()
        };
        self.publish(&told_at, Some(machine.clone()), what).await;
        self.publish(&machine, Some(told_at), what).await;
    }

    /// An object that does not parse was found.
    pub async fn invalid(&self, object: &DynamicObject, resource: &ApiResource, note: &str) {
        self.publish(&object.object_ref(resource), None, (Tone::Warning, "Read", "NotReadable", note)).await;
    }

    async fn publish(
        &self,
        regarding: &ObjectReference,
        secondary: Option<ObjectReference>,
        (tone, action, reason, note): (Tone, &str, &str, &str),
    ) {
        let type_ = match tone {
            Tone::Normal => EventType::Normal,
            Tone::Warning => EventType::Warning,
        };
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note[..note.floor_char_boundary(MAX_NOTE)].to_owned()),
            action: action.to_owned(),
            secondary,
        };
        // One that is kept takes a second halt for the first one, counted twice, and tells the first one's note.
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        let published = tokio::time::timeout(PUBLISH_TIMEOUT, Box::pin(recorder.publish(&event, regarding))).await;
        let name = regarding.name.as_deref().unwrap_or_default();
        match published {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(name, reason, %error, "event not published"),
            Err(_) => tracing::warn!(name, reason, "event not published in time"),
        }
    }
}
