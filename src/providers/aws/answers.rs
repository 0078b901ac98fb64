//! What AWS answers, typed. Fields that are not used are not read. The shapes are those of botocore 1.44.5's models of
//! `ec2` 2016-11-15, `sts` 2011-06-15 and `kms` 2014-11-01.

#![expect(clippy::struct_field_names, reason = "the names are AWS's")]

use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A list in EC2's XML: an element with `item`s in it. An empty one may be left out.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct List<T> {
    #[serde(rename = "item", default = "Vec::new")]
    pub items: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Tag {
    pub key: String,
    #[serde(default)]
    pub value: String,
}

impl List<Tag> {
    /// The tags by their keys.
    pub(super) fn by_key(&self) -> BTreeMap<String, String> {
        self.items.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.items.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str())
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribeInstancesAnswer {
    pub reservation_set: List<Reservation>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reservation {
    #[serde(default)]
    pub instances_set: List<Instance>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Instance {
    pub instance_id: String,
    pub instance_state: Named,
    pub placement: Placement,
    #[serde(default)]
    pub root_device_name: String,
    #[serde(default)]
    pub root_device_type: String,
    #[serde(default)]
    pub block_device_mapping: List<BlockDevice>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Named {
    pub name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Placement {
    #[serde(default)]
    pub availability_zone: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockDevice {
    pub device_name: String,
    #[serde(default)]
    pub ebs: Option<Ebs>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ebs {
    pub volume_id: String,
    #[serde(default)]
    pub status: String,
}

/// The answers to `CreateSnapshots` and `DescribeSnapshots`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SnapshotsAnswer {
    #[serde(default)]
    pub snapshot_set: List<Snapshot>,
    #[serde(default)]
    pub next_token: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Snapshot {
    pub snapshot_id: String,
    #[serde(default)]
    pub volume_id: String,
    /// `status` in what describes, `state` in what creates.
    #[serde(default, alias = "state")]
    pub status: String,
    #[serde(default)]
    pub status_message: String,
    pub start_time: Timestamp,
    /// In GiB.
    #[serde(default)]
    pub volume_size: u64,
    #[serde(default)]
    pub full_snapshot_size_in_bytes: Option<u64>,
    #[serde(default)]
    pub encrypted: bool,
    #[serde(default)]
    pub kms_key_id: Option<String>,
    #[serde(default)]
    pub storage_tier: String,
    #[serde(default)]
    pub restore_expiry_time: Option<Timestamp>,
    #[serde(default)]
    pub tag_set: List<Tag>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskAnswer {
    pub replace_root_volume_task: RootTask,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TasksAnswer {
    #[serde(default)]
    pub replace_root_volume_task_set: List<RootTask>,
    #[serde(default)]
    pub next_token: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RootTask {
    pub replace_root_volume_task_id: String,
    pub instance_id: String,
    pub task_state: String,
    #[serde(default)]
    pub tag_set: List<Tag>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VolumesAnswer {
    #[serde(default)]
    pub volume_set: List<Volume>,
}

/// A volume; also the whole answer to `CreateVolume`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Volume {
    pub volume_id: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub attachment_set: List<Attachment>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attachment {
    pub instance_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusAnswer {
    #[serde(default)]
    pub instance_status_set: List<InstanceStatus>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InstanceStatus {
    pub instance_status: Check,
    pub system_status: Check,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Check {
    pub status: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ConsoleAnswer {
    /// Base64.
    #[serde(default)]
    pub output: String,
}

/// An answer of which nothing is read but that it is one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Acknowledged {
    #[serde(rename = "requestId", alias = "RequestId")]
    _request_id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct IdentityAnswer {
    #[serde(rename = "GetCallerIdentityResult")]
    pub result: Identity,
}

#[derive(Debug, Deserialize)]
pub(super) struct Identity {
    #[serde(rename = "Account")]
    pub account: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct KeyAnswer {
    #[serde(rename = "KeyMetadata")]
    pub metadata: KeyMetadata,
}

#[derive(Debug, Deserialize)]
pub(super) struct KeyMetadata {
    #[serde(rename = "KeyState")]
    pub state: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded of moto 5.2.5, which makes them of botocore's models; shortened to what is near to what is read.
    const INSTANCES: &str = include_str!("recorded/describe-instances.xml");
    const CREATED: &str = include_str!("recorded/create-snapshots.xml");
    const SNAPSHOTS: &str = include_str!("recorded/describe-snapshots.xml");
    /// moto has no such call: written by hand after botocore's model, with a state that the API reference names.
    const TASKS: &str = include_str!("recorded/describe-replace-root-volume-tasks.xml");

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
        quick_xml::de::from_str(text).expect("an answer")
    }

    #[test]
    fn recorded_answers_are_read() {
        let answer: DescribeInstancesAnswer = read(INSTANCES);
        let instance = &answer.reservation_set.items[0].instances_set.items[0];
        assert_eq!(instance.instance_id, "i-0d64ce8b8bedf5ea8");
        assert_eq!(instance.root().map(|ebs| ebs.volume_id.as_str()), Some("vol-ac83d4b5f2e68f5bb"));
        assert_eq!(instance.data_volumes().collect::<Vec<_>>(), ["vol-742b6aaf4314b70b0"]);
        assert_eq!(instance.placement.availability_zone, "us-east-1a");

        let created: SnapshotsAnswer = read(CREATED);
        assert_eq!(created.snapshot_set.items.len(), 2);
        assert_eq!(created.snapshot_set.items[0].tag_set.get("windlass.dev/key"), Some("k1"));

        let snapshots: SnapshotsAnswer = read(SNAPSHOTS);
        let snapshot = &snapshots.snapshot_set.items[0];
        assert_eq!((snapshot.status.as_str(), snapshot.volume_size), ("completed", 50));
        assert_eq!(snapshot.start_time, "2026-11-22T21:11:40Z".parse().expect("a time"));

        let tasks: TasksAnswer = read(TASKS);
        assert_eq!(tasks.replace_root_volume_task_set.items[0].task_state, "failed-detached");
    }

    #[test]
    fn an_empty_list_is_read_however_it_is_written() {
        for empty in ["<R><snapshotSet/></R>", "<R><snapshotSet></snapshotSet></R>", "<R></R>"] {
            let answer: SnapshotsAnswer = read(empty);
            assert!(answer.snapshot_set.items.is_empty(), "{empty}");
        }
    }

    #[test]
    fn an_answer_that_was_cut_off_is_none() {
        for cut in (1..SNAPSHOTS.trim_end().len()).step_by(7) {
            let text = SNAPSHOTS.get(..cut).unwrap_or_default();
            assert!(quick_xml::de::from_str::<SnapshotsAnswer>(text).is_err(), "cut at {cut}");
        }
        assert!(quick_xml::de::from_str::<DescribeInstancesAnswer>("<html><body>It works!</body></html>").is_err());
    }
}
