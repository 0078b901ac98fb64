//! Snapshots of root volumes: taken, looked at, deleted.
//!
//! `CreateSnapshots` has no client token, so what was made is found by its tags. A lost answer may leave two snapshots of
//! one key, and a volume that was attached a moment ago may be in the set: the oldest of the root volume counts, the
//! others are deleted before it is handed out.

use super::Aws;
use super::answers::{Acknowledged, Ebs, Instance, Snapshot, SnapshotsAnswer};
use super::call::Call;
use super::ec2::unknown;
use super::machine::Machine;
use super::params::Params;
use super::restore::running;
use super::young::{SURE, UNSURE};
use crate::domain::NodeRef;
use crate::ports::{Consistency, Found, Handle, Order, Progress, ProviderError, SnapshotFacts};
use crate::providers::tags;
use std::collections::BTreeMap;

/// Tag: the instance that a snapshot is of.
pub(super) const INSTANCE: &str = "windlass.dev/instance";
/// Tag: the root volume that a snapshot is to be of.
const ROOT_VOLUME: &str = "windlass.dev/root-volume";
const GIB: u64 = 1 << 30;

impl Snapshot {
    /// In bytes: what is stored, or the volume's size, which is the most that can be.
    fn size_bytes(&self) -> u64 {
        self.full_snapshot_size_in_bytes.unwrap_or(self.volume_size * GIB)
    }

    /// Whether it is of the root volume that its tag names.
    fn is_of_root(&self) -> bool {
        self.tag_set.get(ROOT_VOLUME).is_some_and(|volume| volume == self.volume_id)
    }

    fn is_archived(&self) -> bool {
        !matches!(self.storage_tier.as_str(), "" | "standard") && self.restore_expiry_time.is_none()
    }

    fn found(&self) -> Found {
        let handle = Handle::new(self.snapshot_id.as_str());
        tags::found(handle, &self.tag_set.by_key(), self.start_time, Some(self.size_bytes()))
    }
}

impl Aws {
    /// The instance is where its node says, and has its root volume.
    pub(super) async fn is_there(&self, node: &NodeRef) -> Result<(), ProviderError> {
        let machine = Machine::of(node, &self.client.region)?;
        root(&self.instance(&machine).await?).map(drop)
    }

    pub(super) async fn take(&self, order: &Order<'_>) -> Result<Progress, ProviderError> {
        let machine = Machine::of(order.node, &self.client.region)?;
        let key = order.key.to_string();
        let mut found = self.snapshots(tags::KEY, &key).await?;
        found.sort_by(|a, b| (a.start_time, &a.snapshot_id).cmp(&(b.start_time, &b.snapshot_id)));
        let Some(first) = found.iter().position(Snapshot::is_of_root) else {
            if self.young.has(&key) {
                return Ok(running("waiting until EC2 shows the snapshot"));
            }
            return self.start(&machine, order, &key).await;
        };
        let snapshot = found.remove(first);
        self.young.note(&snapshot.snapshot_id, SURE);
        let progress = progress(&snapshot)?;
        if matches!(progress, Progress::Running { .. }) {
            return Ok(progress);
        }
        for other in &found {
            tracing::info!(
                snapshot = other.snapshot_id,
                volume = other.volume_id,
                "not needed beside the first, deleted"
            );
            self.remove(&Handle::new(other.snapshot_id.as_str())).await?;
        }
        match self.key_trouble(&snapshot).await? {
            Some(state) => Err(ProviderError::Denied(format!(
                "the KMS key of snapshot {} is in state {state}",
                snapshot.snapshot_id
            ))),
            None => Ok(progress),
        }
    }

    async fn start(&self, machine: &Machine, order: &Order<'_>, key: &str) -> Result<Progress, ProviderError> {
        let instance = self.instance(machine).await?;
        let root = root(&instance)?;
        let mut marks = tags::of(order, &self.installation);
        marks.insert(INSTANCE, machine.instance.clone());
        marks.insert(ROOT_VOLUME, root.volume_id.clone());
        let params = creation(&instance, &marks, &order.node.name);
        self.young.note(key, UNSURE);
        match self.client.ask::<SnapshotsAnswer>(Call::CreateSnapshots, &params).await {
            Ok(answer) => {
                self.young.note(key, SURE);
                for snapshot in &answer.snapshot_set.items {
                    self.young.note(&snapshot.snapshot_id, SURE);
                }
                Ok(running("taking the snapshot"))
            }
            Err(error @ ProviderError::Transient(_)) => Err(error),
            Err(error) => {
                self.young.forget(key);
                Err(error)
            }
        }
    }

    pub(super) async fn look(&self, handle: &Handle) -> Result<SnapshotFacts, ProviderError> {
        let snapshot = self.snapshot(handle).await?;
        let completed = matches!(progress(&snapshot)?, Progress::Done { .. });
        let mut indications = Vec::new();
        if completed && let Some(state) = self.key_trouble(&snapshot).await? {
            indications.push(format!("KmsKey{state}"));
        }
        if snapshot.is_archived() {
            indications.push("Archived".to_owned());
        }
        Ok(SnapshotFacts {
            captured_at: snapshot.start_time,
            restorable: completed && indications.is_empty(),
            restorable_until: snapshot.restore_expiry_time,
            size_bytes: Some(snapshot.size_bytes()),
            consistency: Consistency::Crash,
            indications,
        })
    }

    pub(super) async fn remove(&self, handle: &Handle) -> Result<(), ProviderError> {
        let params = Params::default().with("SnapshotId", handle.as_str());
        match self.client.ask::<Acknowledged>(Call::DeleteSnapshot, &params).await {
            Ok(_) | Err(ProviderError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn all(&self) -> Result<Vec<Found>, ProviderError> {
        let ours = self.snapshots(tags::INSTALLATION, &self.installation).await?;
        Ok(ours.iter().map(Snapshot::found).collect())
    }
}

fn root(instance: &Instance) -> Result<&Ebs, ProviderError> {
    let detached =
        || ProviderError::RootDetached(format!("instance {} has no root volume attached", instance.instance_id));
    instance.root().ok_or_else(detached)
}

fn creation(instance: &Instance, marks: &BTreeMap<&'static str, String>, node: &str) -> Params {
    Params::default()
        .with("InstanceSpecification.InstanceId", instance.instance_id.as_str())
        .with("InstanceSpecification.ExcludeBootVolume", "false")
        .list("InstanceSpecification.ExcludeDataVolumeId", instance.data_volumes())
        .with("Description", format!("Windlass: the system disk of node {node} before an update"))
        .tags("snapshot", marks)
}

/// How far a snapshot is.
///
/// # Errors
/// [`ProviderError::Failed`] for one that failed or was thrown away.
fn progress(snapshot: &Snapshot) -> Result<Progress, ProviderError> {
    let id = &snapshot.snapshot_id;
    match snapshot.status.as_str() {
        "completed" => Ok(Progress::Done { handle: Some(Handle::new(id.as_str())) }),
        "pending" | "recovering" => Ok(running("taking the snapshot")),
        "error" => Err(ProviderError::Failed(format!("snapshot {id} failed: {}", snapshot.status_message))),
        "recoverable" => Err(ProviderError::Failed(format!("snapshot {id} was deleted, it is in the Recycle Bin"))),
        state => Err(unknown("snapshot", id, state)),
    }
}
