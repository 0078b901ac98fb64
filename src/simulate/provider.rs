//! The hypervisor of the model as a provider of snapshots: the same answers as over its wire, without the wire.

use super::calls::{Callee, Verdict};
use super::cluster::Cluster;
use super::door::Door;
use super::trace::{Actor, Event, ProviderCall};
use crate::domain::{NodeRef, StepKey};
use crate::ports::{
    Answer, Capabilities, Capability, Consistency, ConsoleFacts, Found, Handle, Order, Power, Progress, ProviderError,
    SnapshotFacts, SnapshotProvider, SnapshotProviders,
};
use crate::providers::tags;
use futures::FutureExt;
use jiff::Timestamp;
use std::sync::Arc;
use winfleet::model::{Code, MachineState, PowerRequest, Refusal, Snapshot, SnapshotState, Task, TaskState};

/// Whose snapshots these are: there is but one cluster.
const INSTALLATION: &str = "simulated";

/// What the model's snapshots can do.
const CAPABILITIES: Capabilities = Capabilities::of(&[
    Capability::InPlace,
    Capability::KeepsIdentity,
    Capability::Online,
    Capability::DataDisksExcluded,
    Capability::Expiry,
]);

/// The providers of one run of one operator: whatever a SnapshotClass says, its snapshots are the model's.
#[derive(Clone)]
pub struct Hypervisor(pub Door);

impl SnapshotProviders for Hypervisor {
    fn of_class(&self, class: &str) -> Result<Arc<dyn SnapshotProvider>, ProviderError> {
        let there = self.0.shared.with(|cluster, _| cluster.tables.classes.get(class).is_some());
        if there {
            return Ok(Arc::new(self.clone()));
        }
        Err(ProviderError::Transient(format!("there is no SnapshotClass {class}")))
    }
}

impl Hypervisor {
    /// Makes one call.
    async fn call<T>(
        &self,
        (what, subject, key): (ProviderCall, &str, &str),
        work: impl FnOnce(&mut Cluster, Timestamp) -> Result<T, ProviderError> + Send,
    ) -> Result<T, ProviderError> {
        let Door { shared, instance, life } = &self.0;
        let (done, late) = shared.with(|cluster, now| {
            let late = cluster.calls.delays(Callee::Hypervisor, now).1;
            let words = || format!("{what:?} {subject}");
            let done = match cluster.calls.begin((*instance, *life), Callee::Hypervisor, words, now) {
                Verdict::Go => {
                    let actor = Actor::Operator(*instance);
                    cluster.tell(now, &Event::Provider { actor, what, subject, key });
                    cluster.tick_hypervisor(now);
                    let result = work(cluster, now);
                    cluster.machine_touched(subject, now);
                    cluster.calls.end(*instance).then_some(result)
                }
                Verdict::Dead => None,
                Verdict::Throttled(retry_after) => {
                    // What is not deleted for that is nobody's neglect.
                    if what == ProviderCall::Delete {
                        cluster.tell(now, &Event::Unanswered);
                    }
                    Some(Err(ProviderError::Throttled { retry_after }))
                }
                Verdict::Unanswered | Verdict::Conflict => {
                    cluster.tell(now, &Event::Unanswered);
                    Some(Err(ProviderError::Transient("the hypervisor does not answer".to_owned())))
                }
            };
            (done, late)
        });
        if !late.is_zero() {
            tokio::time::sleep(late).await;
        }
        match done {
            Some(result) => result,
            None => std::future::pending().await,
        }
    }

    async fn take(&self, order: &Order<'_>) -> Result<Progress, ProviderError> {
        let (machine, key) = (machine(order.node)?, order.key.to_string());
        self.call((ProviderCall::Ensure, machine, &key), |cluster, _| {
            let tags =
                tags::of(order, INSTALLATION).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let task = cluster.world.snapshot(machine, &key, tags).map_err(refused)?;
            if task.error.as_ref().is_some_and(|error| error.code == Code::TimedOut) {
                return after_time_out(cluster, machine, &key);
            }
            progress(task, "taking the snapshot")
        })
        .await
    }
}

impl SnapshotProvider for Hypervisor {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn accepts(&self, node: &NodeRef) -> Result<(), ProviderError> {
        machine(node).map(drop)
    }

    fn ready(&self) -> Answer<'_, ()> {
        self.call((ProviderCall::Inspect, "", ""), |_, _| Ok(())).boxed()
    }

    fn examine<'a>(&'a self, node: &'a NodeRef) -> Answer<'a, ()> {
        async move { self.console(node).await?.has_root(node) }.boxed()
    }

    fn ensure<'a>(&'a self, order: &'a Order<'a>) -> Answer<'a, Progress> {
        self.take(order).boxed()
    }

    fn list(&self) -> Answer<'_, Vec<Found>> {
        self.call((ProviderCall::Inspect, "", ""), |cluster, _| {
            let found =
                |s: &Snapshot| tags::found(Handle::new(s.id.clone()), &s.tags, s.created_at, Some(s.size_bytes));
            Ok(cluster.world.snapshots().map(found).collect())
        })
        .boxed()
    }

    fn restore<'a>(&'a self, node: &'a NodeRef, handle: &'a Handle, key: &'a StepKey) -> Answer<'a, Progress> {
        async move {
            let (machine, key) = (machine(node)?, key.to_string());
            self.call((ProviderCall::Restore, machine, &key), |cluster, _| {
                progress(cluster.world.restore(machine, handle.as_str(), &key).map_err(refused)?, "restoring the disk")
            })
            .await
        }
        .boxed()
    }

    fn inspect<'a>(&'a self, handle: &'a Handle) -> Answer<'a, SnapshotFacts> {
        self.call((ProviderCall::Inspect, handle.as_str(), ""), move |cluster, now| {
            let missing = || ProviderError::NotFound(format!("there is no snapshot {handle}"));
            let snapshot = cluster.world.find_snapshot(handle.as_str()).ok_or_else(missing)?;
            if snapshot.state == SnapshotState::Failed {
                return Err(ProviderError::Failed(format!("snapshot {handle} failed")));
            }
            Ok(SnapshotFacts {
                captured_at: snapshot.created_at,
                restorable: snapshot.restorable(now),
                restorable_until: snapshot.restorable_until,
                size_bytes: Some(snapshot.size_bytes),
                consistency: Consistency::Crash,
                indications: Vec::new(),
            })
        })
        .boxed()
    }

    fn delete<'a>(&'a self, handle: &'a Handle) -> Answer<'a, ()> {
        self.call((ProviderCall::Delete, handle.as_str(), ""), move |cluster, _| {
            match cluster.world.delete_snapshot(handle.as_str()).map_err(refused) {
                Err(ProviderError::NotFound(_)) => Ok(()),
                other => other,
            }
        })
        .boxed()
    }

    fn power<'a>(&'a self, node: &'a NodeRef, want: Power, key: &'a StepKey) -> Answer<'a, Progress> {
        async move {
            let (machine, key) = (machine(node)?, format!("{key}/power-{want:?}"));
            let request = match want {
                Power::On => PowerRequest::On,
                Power::Off => PowerRequest::Off,
            };
            self.call((ProviderCall::Power, machine, &key), |cluster, _| {
                let task = cluster.world.power(machine, request, &key).map_err(refused)?;
                progress(task, &format!("switching {} {want:?}", node.name))
            })
            .await
        }
        .boxed()
    }

    fn console<'a>(&'a self, node: &'a NodeRef) -> Answer<'a, ConsoleFacts> {
        async move {
            let machine = machine(node)?;
            self.call((ProviderCall::Console, machine, ""), |cluster, _| {
                let missing = || ProviderError::NotFound(format!("there is no machine {machine}"));
                let seen = cluster.world.machine(machine).ok_or_else(missing)?;
                let power = match seen.power() {
                    winfleet::model::Power::On => Power::On,
                    winfleet::model::Power::Off => Power::Off,
                };
                let state = seen.state();
                Ok(ConsoleFacts { power, root_attached: state != MachineState::Detached, state: format!("{state:?}") })
            })
            .await
        }
        .boxed()
    }
}

/// The machine behind a node: every provider ID of the simulation ends with its name.
fn machine(node: &NodeRef) -> Result<&str, ProviderError> {
    let missing = || ProviderError::Permanent(format!("node {}: no providerID", node.name));
    node.provider_id.rsplit('/').next().filter(|name| !name.is_empty()).ok_or_else(missing)
}

/// A task that ran out of time may have made its snapshot all the same: it is looked for before another is made.
fn after_time_out(cluster: &Cluster, machine: &str, key: &str) -> Result<Progress, ProviderError> {
    let found = cluster.world.snapshots().find(|s| s.machine == machine && s.key == key);
    match found.map(|snapshot| (snapshot.state, &snapshot.id)) {
        Some((SnapshotState::Creating, _)) => Ok(Progress::Running { message: "taking the snapshot".to_owned() }),
        Some((SnapshotState::Ready, id)) => Ok(Progress::Done { handle: Some(Handle::new(id.clone())) }),
        Some((SnapshotState::Failed, _)) | None => {
            Err(ProviderError::Failed(format!("the snapshot of {machine} did not end in time")))
        }
    }
}

fn progress(task: Task, doing: &str) -> Result<Progress, ProviderError> {
    match (task.state, task.error) {
        (TaskState::Running, _) => Ok(Progress::Running { message: doing.to_owned() }),
        (TaskState::Succeeded, _) => Ok(Progress::Done { handle: task.snapshot_id.map(Handle::new) }),
        (TaskState::Failed, Some(Refusal { code: Code::Internal | Code::TimedOut | Code::Busy, message })) => {
            Err(ProviderError::Failed(message))
        }
        (TaskState::Failed, Some(error)) => Err(refused(error)),
        (TaskState::Failed, None) => Err(ProviderError::Failed("the task failed".to_owned())),
    }
}

/// What a refusal means to who asked.
fn refused(refusal: Refusal) -> ProviderError {
    let Refusal { code, message } = refusal;
    match code {
        Code::Busy | Code::Internal | Code::TimedOut | Code::Unavailable | Code::Throttled => {
            ProviderError::Transient(message)
        }
        Code::NotFound => ProviderError::NotFound(message),
        Code::Detached => ProviderError::RootDetached(message),
        Code::Quota | Code::Conflict | Code::Invalid => ProviderError::Permanent(message),
    }
}
