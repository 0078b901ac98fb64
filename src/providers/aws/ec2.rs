//! The questions that are put to EC2, and what in the answers is no answer.

use super::Aws;
use super::answers::{
    DescribeInstancesAnswer, Ebs, Instance, KeyAnswer, RootTask, Snapshot, SnapshotsAnswer, TasksAnswer, Volume,
    VolumesAnswer,
};
use super::call::Call;
use super::machine::Machine;
use super::params::Params;
use crate::ports::{Handle, ProviderError};
use crate::providers::tags;

/// Most pages that are read of one list, so that no answer keeps us for ever; a page has up to 1000 entries.
const PAGES: usize = 100;

/// What an instance is at, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Running,
    Stopping,
    Stopped,
}

impl Instance {
    /// # Errors
    /// [`ProviderError::NotFound`] for one that is terminated, and [`ProviderError::Transient`] for a state that this
    /// version does not know.
    pub(super) fn state(&self) -> Result<State, ProviderError> {
        match self.instance_state.name.as_str() {
            "pending" => Ok(State::Pending),
            "running" => Ok(State::Running),
            "stopping" => Ok(State::Stopping),
            "stopped" => Ok(State::Stopped),
            state @ ("terminated" | "shutting-down") => {
                Err(ProviderError::NotFound(format!("instance {} is {state}", self.instance_id)))
            }
            state => Err(unknown("instance", &self.instance_id, state)),
        }
    }

    /// The volume at the root device, while it is attached.
    pub(super) fn root(&self) -> Option<&Ebs> {
        let at_root = self.block_device_mapping.items.iter().find(|d| d.device_name == self.root_device_name);
        at_root?.ebs.as_ref().filter(|ebs| matches!(ebs.status.as_str(), "attached" | "attaching"))
    }

    /// The volumes at all other devices.
    pub(super) fn data_volumes(&self) -> impl Iterator<Item = &str> {
        let others = self.block_device_mapping.items.iter().filter(|d| d.device_name != self.root_device_name);
        others.filter_map(|d| d.ebs.as_ref()).map(|ebs| ebs.volume_id.as_str())
    }
}

/// A state that AWS did not have when this was written: it may pass.
pub(super) fn unknown(what: &str, id: &str, state: &str) -> ProviderError {
    ProviderError::Transient(format!("{what} {id} is in state {state:?}, which this version does not know"))
}

impl Aws {
    /// The instance of a machine.
    ///
    /// # Errors
    /// [`ProviderError::NotFound`] when it is gone, [`ProviderError::Permanent`] when it is in another zone than its node
    /// says or has no EBS root volume.
    pub(super) async fn instance(&self, machine: &Machine) -> Result<Instance, ProviderError> {
        let params = Params::default().list("InstanceId", [machine.instance.as_str()]);
        let answer: DescribeInstancesAnswer = self.client.ask(Call::DescribeInstances, &params).await?;
        let mut found = answer.reservation_set.items.into_iter().flat_map(|r| r.instances_set.items);
        let missing = || ProviderError::NotFound(format!("instance {} is not there", machine.instance));
        let instance = found.find(|i| i.instance_id == machine.instance).ok_or_else(missing)?;
        let Machine { node, instance: id, .. } = machine;
        let refuse = |why: String| Err(ProviderError::Permanent(format!("node {node}: instance {id} {why}")));
        if instance.placement.availability_zone != machine.zone {
            let zone = instance.placement.availability_zone;
            return refuse(format!("is in zone {zone}, and its node's providerID says {}", machine.zone));
        }
        if instance.root_device_type != "ebs" {
            return refuse("has no EBS root volume, which alone can be snapshotted".to_owned());
        }
        instance.state()?;
        Ok(instance)
    }

    /// All our snapshots that carry this tag.
    pub(super) async fn snapshots(&self, tag: &str, value: &str) -> Result<Vec<Snapshot>, ProviderError> {
        let filtered = Params::default().list("Owner", ["self"]).filter(&format!("tag:{tag}"), value);
        let filtered = filtered.filter(&format!("tag:{}", tags::INSTALLATION), &self.installation);
        let (mut found, mut token) = (Vec::new(), None::<String>);
        for _ in 0..PAGES {
            let params = match &token {
                Some(token) => filtered.clone().with("NextToken", token.as_str()),
                None => filtered.clone(),
            };
            let answer: SnapshotsAnswer = self.client.ask(Call::DescribeSnapshots, &params).await?;
            found.extend(answer.snapshot_set.items);
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// The snapshot of a handle.
    ///
    /// # Errors
    /// [`ProviderError::NotFound`]; for one that was seen a moment ago, [`ProviderError::Transient`]: EC2 shows what is
    /// new to some of its servers later than to others.
    pub(super) async fn snapshot(&self, handle: &Handle) -> Result<Snapshot, ProviderError> {
        if !super::machine::is_id(handle.as_str(), "snap") {
            return Err(ProviderError::Permanent(format!("{:?} is not the id of an EBS snapshot", handle.as_str())));
        }
        let params = Params::default().list("SnapshotId", [handle.as_str()]);
        let answer: Result<SnapshotsAnswer, _> = self.client.ask(Call::DescribeSnapshots, &params).await;
        let missing = || ProviderError::NotFound(format!("snapshot {handle} is not there"));
        let found = match answer {
            Ok(answer) => answer.snapshot_set.items.into_iter().find(|s| s.snapshot_id == handle.as_str()),
            Err(ProviderError::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        match found.ok_or_else(missing) {
            Err(_) if self.young.has(handle.as_str()) => {
                Err(ProviderError::Transient(format!("snapshot {handle} is not visible everywhere yet")))
            }
            found => found,
        }
    }

    /// The tasks that have replaced or replace the root volume of an instance.
    pub(super) async fn root_tasks(&self, instance: &str) -> Result<Vec<RootTask>, ProviderError> {
        let filtered = Params::default().filter("instance-id", instance);
        let (mut found, mut token) = (Vec::new(), None::<String>);
        for _ in 0..PAGES {
            let params = match &token {
                Some(token) => filtered.clone().with("NextToken", token.as_str()),
                None => filtered.clone(),
            };
            let answer: TasksAnswer = self.client.ask(Call::DescribeReplaceRootVolumeTasks, &params).await?;
            found.extend(answer.replace_root_volume_task_set.items);
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        found.retain(|task| task.instance_id == instance);
        Ok(found)
    }

    /// The volume that was made under a key.
    pub(super) async fn volume_of(&self, key: &str) -> Result<Option<Volume>, ProviderError> {
        let params = Params::default().filter(&format!("tag:{}", tags::KEY), key);
        let answer: VolumesAnswer = self.client.ask(Call::DescribeVolumes, &params).await?;
        Ok(answer.volume_set.items.into_iter().next())
    }

    /// Why a snapshot's encryption key can not be used now; none when it can, or there is none.
    pub(super) async fn key_trouble(&self, snapshot: &Snapshot) -> Result<Option<String>, ProviderError> {
        let Some(key) = snapshot.kms_key_id.as_ref().filter(|_| snapshot.encrypted) else { return Ok(None) };
        let params = Params::default().with("KeyId", key.as_str());
        match self.client.ask::<KeyAnswer>(Call::DescribeKey, &params).await {
            Ok(answer) if answer.metadata.state == "Enabled" => Ok(None),
            Ok(answer) => Ok(Some(answer.metadata.state)),
            Err(ProviderError::NotFound(_)) => Ok(Some("Missing".to_owned())),
            Err(error) => Err(error),
        }
    }
}
