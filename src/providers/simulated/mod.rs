//! `simulated`: the hypervisor of winfleet, over HTTP with asynchronous tasks.
//!
//! It is real on our side of the wire: answers are lost, late, throttled, or rubbish, and are treated like any cloud's.
//! It takes only machines whose providerID is `simulated://<hypervisor>/<machine>`.

mod http;
#[cfg(test)]
mod tests;
mod wire;

use crate::api;
use crate::domain::{NodeRef, StepKey};
use crate::ports::{
    Answer, Capabilities, Capability, Consistency, ConsoleFacts, Found, Handle, Order, Power, Progress, ProviderError,
    SnapshotFacts, SnapshotProvider,
};
use crate::providers::tags;
use futures::FutureExt;
use http::Http;
use reqwest::Method;
use serde_json::json;
use wire::{Console, Snapshot, SnapshotList, SnapshotState, Task, TaskBody, TaskList};

/// The scheme of machines that this provider takes.
const SCHEME: &str = "simulated://";

/// What its snapshots can do.
const CAPABILITIES: Capabilities = Capabilities::of(&[
    Capability::InPlace,
    Capability::KeepsIdentity,
    Capability::Online,
    Capability::DataDisksExcluded,
    Capability::Expiry,
]);

/// A provider that speaks to winfleet's hypervisor.
pub struct Simulated {
    http: Http,
    installation: String,
}

/// An endpoint that no client can be made for.
#[derive(Debug, thiserror::Error)]
#[error("spec.provider.simulated.endpoint: {0}")]
pub struct EndpointError(String);

impl Simulated {
    /// A provider over the hypervisor of these settings; nothing is sent yet. `installation` tags its snapshots.
    ///
    /// # Errors
    /// [`EndpointError`] when the endpoint is no URL.
    pub fn new(settings: &api::Simulated, installation: impl Into<String>) -> Result<Self, EndpointError> {
        let http = Http::new(&settings.endpoint).map_err(EndpointError)?;
        Ok(Self { http, installation: installation.into() })
    }

    async fn take(&self, order: &Order<'_>) -> Result<Progress, ProviderError> {
        let (machine, key) = (machine(order.node)?, order.key);
        let body = json!({ "key": key.to_string(), "tags": tags::of(order, &self.installation) });
        let path = format!("/v1/machines/{machine}/snapshots");
        let task = self.http.ask::<TaskBody>(Method::POST, &path, Some(&body)).await?.task;
        if task.failed_with("TimedOut") {
            return self.after_time_out(machine, key).await;
        }
        task.progress("taking the snapshot")
    }

    /// A task that ran out of time may have made its snapshot all the same: it is looked for before another is made.
    async fn after_time_out(&self, machine: &str, key: &StepKey) -> Result<Progress, ProviderError> {
        let path = format!("/v1/snapshots?machine={machine}&key={}", escaped(&key.to_string()));
        let found = self.http.ask::<SnapshotList>(Method::GET, &path, None).await?.snapshots;
        match found.into_iter().find(|s| s.machine == machine && s.key == key.to_string()) {
            Some(Snapshot { state: SnapshotState::Creating, .. }) => {
                Ok(Progress::Running { message: "taking the snapshot".to_owned() })
            }
            Some(Snapshot { state: SnapshotState::Ready, id, .. }) => {
                Ok(Progress::Done { handle: Some(Handle::new(id)) })
            }
            Some(Snapshot { state: SnapshotState::Failed, .. }) | None => {
                Err(ProviderError::Failed(format!("the snapshot of {machine} did not end in time")))
            }
        }
    }

    async fn put_back(&self, node: &NodeRef, handle: &Handle, key: &StepKey) -> Result<Progress, ProviderError> {
        let body = json!({ "snapshotId": handle.as_str(), "key": key.to_string() });
        let path = format!("/v1/machines/{}/restore", machine(node)?);
        self.http.ask::<TaskBody>(Method::POST, &path, Some(&body)).await?.task.progress("restoring the disk")
    }

    async fn switch(&self, node: &NodeRef, want: Power, key: &StepKey) -> Result<Progress, ProviderError> {
        // A key of its own: the step's key is that of its snapshot or restore.
        let body = json!({ "want": format!("{want:?}"), "key": format!("{key}/power-{want:?}") });
        let path = format!("/v1/machines/{}/power", machine(node)?);
        let task: Task = self.http.ask::<TaskBody>(Method::POST, &path, Some(&body)).await?.task;
        task.progress(&format!("switching {} {want:?}", node.name))
    }

    async fn look(&self, handle: &Handle) -> Result<SnapshotFacts, ProviderError> {
        let path = format!("/v1/snapshots/{}", escaped(handle.as_str()));
        let snapshot: Snapshot = self.http.ask(Method::GET, &path, None).await?;
        if snapshot.state == SnapshotState::Failed {
            return Err(ProviderError::Failed(format!("snapshot {handle} failed")));
        }
        Ok(SnapshotFacts {
            captured_at: snapshot.created_at,
            restorable: snapshot.restorable,
            restorable_until: snapshot.restorable_until,
            size_bytes: Some(snapshot.size_bytes),
            consistency: Consistency::Crash,
            indications: Vec::new(),
        })
    }

    async fn all(&self) -> Result<Vec<Found>, ProviderError> {
        let all = self.http.ask::<SnapshotList>(Method::GET, "/v1/snapshots", None).await?.snapshots;
        let ours = all.into_iter().filter(|s| s.tags.get(tags::INSTALLATION) == Some(&self.installation));
        Ok(ours.map(Snapshot::found).collect())
    }

    async fn screen(&self, node: &NodeRef) -> Result<ConsoleFacts, ProviderError> {
        let path = format!("/v1/machines/{}", machine(node)?);
        let console: Console = self.http.ask(Method::GET, &path, None).await?;
        Ok(ConsoleFacts {
            power: console.power.into(),
            root_attached: console.state != "Detached",
            state: console.state,
        })
    }
}

impl SnapshotProvider for Simulated {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn accepts(&self, node: &NodeRef) -> Result<(), ProviderError> {
        machine(node).map(drop)
    }

    fn ready(&self) -> Answer<'_, ()> {
        // Any answer that is understood shows that it is there: no task has this key.
        async { self.http.ask::<TaskList>(Method::GET, "/v1/tasks?key=", None).await.map(drop) }.boxed()
    }

    fn examine<'a>(&'a self, node: &'a NodeRef) -> Answer<'a, ()> {
        async move { self.screen(node).await?.has_root(node) }.boxed()
    }

    fn ensure<'a>(&'a self, order: &'a Order<'a>) -> Answer<'a, Progress> {
        self.take(order).boxed()
    }

    fn restore<'a>(&'a self, node: &'a NodeRef, handle: &'a Handle, key: &'a StepKey) -> Answer<'a, Progress> {
        self.put_back(node, handle, key).boxed()
    }

    fn inspect<'a>(&'a self, handle: &'a Handle) -> Answer<'a, SnapshotFacts> {
        self.look(handle).boxed()
    }

    fn delete<'a>(&'a self, handle: &'a Handle) -> Answer<'a, ()> {
        async move {
            match self.http.tell(Method::DELETE, &format!("/v1/snapshots/{}", escaped(handle.as_str()))).await {
                Err(ProviderError::NotFound(_)) => Ok(()),
                other => other,
            }
        }
        .boxed()
    }

    fn list(&self) -> Answer<'_, Vec<Found>> {
        self.all().boxed()
    }

    fn power<'a>(&'a self, node: &'a NodeRef, want: Power, key: &'a StepKey) -> Answer<'a, Progress> {
        self.switch(node, want, key).boxed()
    }

    fn console<'a>(&'a self, node: &'a NodeRef) -> Answer<'a, ConsoleFacts> {
        self.screen(node).boxed()
    }
}

/// The machine behind a node, as a path may have it.
fn machine(node: &NodeRef) -> Result<&str, ProviderError> {
    let refuse = || {
        let text =
            format!("node {}: providerID {:?} is not {SCHEME}<hypervisor>/<machine>", node.name, node.provider_id);
        ProviderError::Permanent(text)
    };
    let (_, machine) = node.provider_id.strip_prefix(SCHEME).and_then(|id| id.split_once('/')).ok_or_else(refuse)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if machine.is_empty() || !machine.chars().all(plain) { Err(refuse()) } else { Ok(machine) }
}

/// A text as a path or a query may have it: everything but letters, digits and `-._` by its bytes.
fn escaped(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String can not fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
