//! The objects of KubeVirt, as far as they are read or written. Fields that are not used are not read, and words that a
//! newer KubeVirt may add are kept as text.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::{ApiResource, Object};
use serde::{Deserialize, Serialize};

/// Group and kind of the machines, as references have them.
pub(super) const MACHINE_GROUP: &str = "kubevirt.io";
pub(super) const MACHINE_KIND: &str = "VirtualMachine";

pub(super) type Machine = Object<MachineSpec, MachineStatus>;
pub(super) type Snapshot = Object<SnapshotSpec, SnapshotStatus>;
pub(super) type Restore = Object<RestoreSpec, RestoreStatus>;

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    let api_version = format!("{group}/{version}");
    let (group, version, kind, plural) = (group.to_owned(), version.to_owned(), kind.to_owned(), plural.to_owned());
    ApiResource { group, version, api_version, kind, plural }
}

pub(super) fn machines() -> ApiResource {
    resource(MACHINE_GROUP, "v1", MACHINE_KIND, "virtualmachines")
}

pub(super) fn snapshots() -> ApiResource {
    resource("snapshot.kubevirt.io", "v1beta1", "VirtualMachineSnapshot", "virtualmachinesnapshots")
}

pub(super) fn restores() -> ApiResource {
    resource("snapshot.kubevirt.io", "v1beta1", "VirtualMachineRestore", "virtualmachinerestores")
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MachineSpec {
    #[serde(default)]
    pub run_strategy: Option<String>,
    #[serde(default)]
    pub running: Option<bool>,
    #[serde(default)]
    pub template: Template,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Template {
    #[serde(default)]
    pub spec: TemplateSpec,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct TemplateSpec {
    #[serde(default)]
    pub domain: Domain,
    #[serde(default)]
    pub volumes: Vec<Volume>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Domain {
    #[serde(default)]
    pub devices: Devices,
    #[serde(default)]
    pub firmware: Firmware,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Firmware {
    #[serde(default)]
    pub uuid: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Devices {
    #[serde(default)]
    pub disks: Vec<Disk>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Disk {
    pub name: String,
    #[serde(default)]
    pub boot_order: Option<u32>,
    #[serde(default, rename = "cdrom")]
    pub drive: Option<Drive>,
}

/// That a disk is a CD-ROM; nothing in it is read.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Drive {}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Volume {
    pub name: String,
    #[serde(default, rename = "dataVolume")]
    pub imported: Option<Claim>,
    #[serde(default, rename = "persistentVolumeClaim")]
    pub claim: Option<Claim>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Claim {
    #[serde(default)]
    pub hotpluggable: bool,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MachineStatus {
    #[serde(default)]
    pub printable_status: String,
    #[serde(default)]
    pub restore_in_progress: Option<String>,
    #[serde(default)]
    pub snapshot_in_progress: Option<String>,
    #[serde(default)]
    pub volume_snapshot_statuses: Vec<VolumeSnapshotStatus>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct VolumeSnapshotStatus {
    pub name: String,
    pub enabled: bool,
    #[serde(default)]
    pub reason: String,
}

/// A reference to a machine of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reference {
    pub api_group: Option<String>,
    pub kind: String,
    pub name: String,
}

impl Reference {
    pub(super) fn machine(name: &str) -> Self {
        Self { api_group: Some(MACHINE_GROUP.into()), kind: MACHINE_KIND.into(), name: name.into() }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SnapshotSpec {
    pub source: Reference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_deadline: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SnapshotStatus {
    #[serde(default, rename = "sourceUID")]
    pub source_uid: Option<String>,
    #[serde(default)]
    pub creation_time: Option<Time>,
    #[serde(default)]
    pub phase: String,
    #[serde(default)]
    pub ready_to_use: Option<bool>,
    #[serde(default)]
    pub error: Option<Trouble>,
    #[serde(default)]
    pub conditions: Vec<Condition>,
    #[serde(default)]
    pub source_indications: Vec<Indication>,
    #[serde(default)]
    pub snapshot_volumes: Volumes,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Trouble {
    #[serde(default)]
    pub message: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub type_: String,
    pub status: String,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub message: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Indication {
    #[serde(rename = "indication")]
    pub word: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Volumes {
    #[serde(default)]
    pub included_volumes: Vec<String>,
    #[serde(default)]
    pub excluded_volumes: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RestoreSpec {
    pub target: Reference,
    pub virtual_machine_snapshot_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_readiness_policy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_restore_policy: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct RestoreStatus {
    #[serde(default)]
    pub complete: Option<bool>,
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// What a condition that holds says.
pub(super) fn said<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a str> {
    let condition = conditions.iter().find(|c| c.type_ == type_ && c.status == "True")?;
    Some(if condition.message.is_empty() { &condition.reason } else { &condition.message })
}
