//! Puts a snapshot in the place of a root volume.
//!
//! EC2 does it by a task that replaces the root volume of a running instance. A task that ends `failed-detached` leaves
//! the instance without one; the next attempt then makes a volume of the snapshot and attaches it itself. Every pass
//! looks at what is there, by its tags, and does the next thing that is missing.

use super::Aws;
use super::answers::{Acknowledged, Instance, RootTask, TaskAnswer, Volume};
use super::call::Call;
use super::ec2::{State, unknown};
use super::machine::Machine;
use super::params::Params;
use super::snapshot::INSTANCE;
use crate::domain::{NodeRef, StepKey};
use crate::ports::{Handle, Progress, ProviderError};
use crate::providers::tags;
use std::collections::BTreeMap;

/// One restore: what is to be put back, where, and under which key.
struct Restore<'a> {
    machine: Machine,
    handle: &'a Handle,
    key: &'a StepKey,
}

impl Restore<'_> {
    fn done(&self) -> Progress {
        Progress::Done { handle: Some(self.handle.clone()) }
    }

    fn marks(&self, installation: &str) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            (tags::INSTALLATION, installation.to_owned()),
            (tags::KEY, self.key.to_string()),
            (tags::NODE_UPDATE, self.key.node_update_uid.clone()),
            (INSTANCE, self.machine.instance.clone()),
        ])
    }
}

impl Aws {
    pub(super) async fn put_back(
        &self,
        node: &NodeRef,
        handle: &Handle,
        key: &StepKey,
    ) -> Result<Progress, ProviderError> {
        let restore = Restore { machine: Machine::of(node, &self.client.region)?, handle, key };
        let key = key.to_string();
        let tasks = self.root_tasks(&restore.machine.instance).await?;
        if let Some(task) = tasks.iter().find(|task| task.tag_set.get(tags::KEY) == Some(&key)) {
            return outcome(task, &restore);
        }
        if let Some(task) = tasks.iter().find(|task| is_open(task)) {
            let text = format!("{} is under way on the instance", task.replace_root_volume_task_id);
            return Err(ProviderError::Transient(text));
        }
        let instance = self.instance(&restore.machine).await?;
        let spare = self.volume_of(&key).await?;
        match (instance.root(), spare) {
            (None, Some(spare)) => self.attach(&restore, &instance, &spare).await,
            (None, None) => self.make_volume(&restore).await,
            (Some(root), Some(spare)) if root.volume_id == spare.volume_id => self.started(&restore, &instance).await,
            (Some(root), Some(spare)) => Err(ProviderError::Failed(format!(
                "{} was to be attached, and {} is in its place",
                spare.volume_id, root.volume_id
            ))),
            (Some(_), None) => self.replace(&restore, &instance).await,
        }
    }

    /// Starts the task. EC2 takes only running instances.
    async fn replace(&self, restore: &Restore<'_>, instance: &Instance) -> Result<Progress, ProviderError> {
        self.fits(restore).await?;
        match instance.state()? {
            State::Running => {}
            State::Stopped => return self.switch_on(&restore.machine.instance).await,
            State::Pending | State::Stopping => return Ok(running("waiting until the instance runs")),
        }
        let params = Params::default()
            .with("InstanceId", restore.machine.instance.as_str())
            .with("SnapshotId", restore.handle.as_str())
            .with("ClientToken", restore.key.digest())
            .with("DeleteReplacedRootVolume", if self.keep_replaced { "false" } else { "true" })
            .tags("replace-root-volume-task", &restore.marks(&self.installation));
        let answer: TaskAnswer = self.client.ask(Call::CreateReplaceRootVolumeTask, &params).await?;
        outcome(&answer.replace_root_volume_task, restore)
    }

    /// Whether the snapshot is one of this very instance, and complete.
    async fn fits(&self, restore: &Restore<'_>) -> Result<(), ProviderError> {
        let (handle, instance) = (restore.handle, &restore.machine.instance);
        let snapshot = self.snapshot(handle).await?;
        if snapshot.tag_set.get(INSTANCE) != Some(instance) {
            return Err(ProviderError::Permanent(format!("snapshot {handle} is not of instance {instance}")));
        }
        match (snapshot.status.as_str(), self.key_trouble(&snapshot).await?) {
            ("completed", None) => Ok(()),
            ("completed", Some(state)) => {
                Err(ProviderError::Denied(format!("the KMS key of snapshot {handle} is in state {state}")))
            }
            (state, _) => Err(ProviderError::Transient(format!("snapshot {handle} is {state}, not completed"))),
        }
    }

    async fn make_volume(&self, restore: &Restore<'_>) -> Result<Progress, ProviderError> {
        self.fits(restore).await?;
        let params = Params::default()
            .with("AvailabilityZone", restore.machine.zone.as_str())
            .with("SnapshotId", restore.handle.as_str())
            .with("VolumeType", "gp3")
            .with("ClientToken", restore.key.digest())
            .tags("volume", &restore.marks(&self.installation));
        self.client.ask::<Volume>(Call::CreateVolume, &params).await?;
        Ok(running("making a root volume of the snapshot"))
    }

    /// Attaches the volume to the instance, which has to be stopped for that.
    async fn attach(
        &self,
        restore: &Restore<'_>,
        instance: &Instance,
        volume: &Volume,
    ) -> Result<Progress, ProviderError> {
        match volume.status.as_str() {
            "available" => {}
            "creating" => return Ok(running("making a root volume of the snapshot")),
            "in-use" if volume.attachment_set.items.iter().all(|a| a.instance_id == instance.instance_id) => {
                return Ok(running("attaching the root volume"));
            }
            "in-use" | "error" | "deleting" | "deleted" => {
                return Err(ProviderError::Failed(format!("volume {} is {}", volume.volume_id, volume.status)));
            }
            state => return Err(unknown("volume", &volume.volume_id, state)),
        }
        match instance.state()? {
            State::Stopped => {}
            State::Running => return self.switch_off(&restore.machine.instance).await,
            State::Pending | State::Stopping => return Ok(running("waiting until the instance has stopped")),
        }
        let params = Params::default()
            .with("VolumeId", volume.volume_id.as_str())
            .with("InstanceId", instance.instance_id.as_str())
            .with("Device", instance.root_device_name.as_str());
        self.client.ask::<Acknowledged>(Call::AttachVolume, &params).await?;
        Ok(running("attaching the root volume"))
    }

    /// The volume is in its place; the instance is to run.
    async fn started(&self, restore: &Restore<'_>, instance: &Instance) -> Result<Progress, ProviderError> {
        match instance.state()? {
            State::Running => Ok(restore.done()),
            State::Stopped => self.switch_on(&restore.machine.instance).await,
            State::Pending | State::Stopping => Ok(running("waiting until the instance runs")),
        }
    }
}

fn is_open(task: &RootTask) -> bool {
    matches!(task.task_state.as_str(), "pending" | "in-progress" | "failing" | "failing-detached")
}

/// What the state of a task means.
///
/// # Errors
/// Of a task that failed, whether the instance still has its disk.
fn outcome(task: &RootTask, restore: &Restore<'_>) -> Result<Progress, ProviderError> {
    let (id, instance) = (&task.replace_root_volume_task_id, &task.instance_id);
    match task.task_state.as_str() {
        "pending" | "in-progress" => Ok(running("replacing the root volume")),
        "failing" | "failing-detached" => Ok(running("replacing the root volume fails, waiting for its end")),
        "succeeded" => Ok(restore.done()),
        "failed" => Err(ProviderError::Failed(format!("{id} failed, instance {instance} has its root volume still"))),
        "failed-detached" => {
            Err(ProviderError::RootDetached(format!("{id} failed and left instance {instance} without a root volume")))
        }
        state => Err(unknown("task", id, state)),
    }
}

pub(super) fn running(doing: &str) -> Progress {
    Progress::Running { message: doing.to_owned() }
}
