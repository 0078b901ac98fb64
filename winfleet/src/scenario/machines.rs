//! The machines as a scenario writes them.

use super::Period;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use windlass_protocol::{Build, KbId};

/// The label by which Kubernetes knows a node's zone (well-known labels, Kubernetes documentation).
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// How many machines a scenario may have in all: some times more than the largest cluster that Kubernetes supports
/// (5,000 nodes), and no more than fit into memory.
pub const MOST_MACHINES: usize = 100_000;

/// How the agent runs on a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Agent {
    /// Its core, inside winfleet.
    #[default]
    Simulated,
    /// The real `windlass-agent.exe`, under Wine.
    Wine,
}

/// Machines of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MachineGroup {
    /// Names of the machines; instead of `prefix`.
    #[serde(default)]
    pub names: Vec<String>,
    /// What their names begin with; a number follows.
    #[serde(default)]
    pub prefix: Option<String>,
    /// The first number after `prefix`.
    #[serde(default = "one")]
    pub first: u32,
    /// How many machines `prefix` makes.
    #[serde(default)]
    pub count: u32,
    /// Zones, given to the machines in turn.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Labels of their Node objects.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Properties that faults choose machines by, and that nobody else sees (`cni-calico-vxlan`).
    #[serde(default)]
    pub traits: Vec<String>,
    /// How the agent runs on them.
    #[serde(default)]
    pub agent: Agent,
    /// Their Windows build at the start.
    pub build: Build,
    /// Updates that are installed at the start.
    #[serde(default)]
    pub installed: BTreeSet<KbId>,
    /// Whether they wait for a reboot at the start.
    #[serde(default)]
    pub reboot_pending: bool,
    /// Whether somebody has cordoned their nodes before the start.
    #[serde(default)]
    pub cordoned: bool,
    /// How long they keep their password in the domain, where that is not as with all others.
    #[serde(default)]
    pub machine_password: Option<Period>,
    /// Services that run on them.
    #[serde(default = "usual_services")]
    pub services: BTreeSet<String>,
    /// Their host networks (HNS).
    #[serde(default = "usual_networks")]
    pub networks: BTreeSet<String>,
    /// Their network adapters' drivers.
    #[serde(default = "usual_drivers")]
    pub drivers: BTreeSet<String>,
    /// Their disks; the first is the system disk.
    #[serde(default = "usual_disks")]
    pub disks: Vec<String>,
    /// Size of the system disk in bytes.
    #[serde(default = "usual_disk_bytes")]
    pub disk_bytes: u64,
    /// Free bytes on the system disk at the start.
    #[serde(default = "usual_free_bytes")]
    pub free_bytes: u64,
    /// How many pods a node takes.
    #[serde(default = "usual_pods")]
    pub pods: u32,
    /// Volumes of pods that are attached at the start.
    #[serde(default)]
    pub attached_volumes: Vec<String>,
    /// Values of the Windows Update policy in the registry at the start (`AU\NoAutoUpdate: 1`).
    #[serde(default)]
    pub policy: BTreeMap<String, u32>,
}

/// One machine, spelled out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineSpec {
    /// Its name, unique in the scenario.
    pub name: String,
    /// Its zone, if it has one.
    pub zone: Option<String>,
    /// Labels of its Node object, the zone's among them; a copy shares them.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Everything that the machines of its group share.
    pub group: Arc<MachineGroup>,
}

impl MachineGroup {
    /// The group's machines, or what is wrong with the group: the field and a sentence.
    pub(super) fn machines(&self) -> Result<Vec<MachineSpec>, (&'static str, String)> {
        let names = self.all_names()?;
        if self.disks.is_empty() {
            return Err(("disks", "at least the system disk is needed".into()));
        }
        if self.free_bytes > self.disk_bytes {
            return Err(("freeBytes", format!("{} free of {} bytes", self.free_bytes, self.disk_bytes)));
        }
        if self.pods == 0 {
            return Err(("pods", "must be at least 1".into()));
        }
        let group = Arc::new(self.clone());
        Ok(names.into_iter().enumerate().map(|(at, name)| group.machine(at, name)).collect())
    }

    /// How many machines it makes, and the field that says so.
    pub(super) fn size(&self) -> (&'static str, usize) {
        match self.names.len() {
            0 => ("count", usize::try_from(self.count).unwrap_or(usize::MAX)),
            named => ("names", named),
        }
    }

    fn all_names(&self) -> Result<Vec<String>, (&'static str, String)> {
        match (&self.prefix, self.names.is_empty()) {
            (Some(_), true) if self.count == 0 => Err(("count", "must be at least 1 with prefix".into())),
            (Some(prefix), true) => {
                let first = u64::from(self.first);
                Ok((first..first + u64::from(self.count)).map(|n| format!("{prefix}{n}")).collect())
            }
            (None, false) if self.count != 0 => Err(("count", "only with prefix: names says how many".into())),
            (None, false) => Ok(self.names.clone()),
            (Some(_), false) => Err(("names", "either names or prefix, not both".into())),
            (None, true) => Err(("names", "either names or prefix with count is needed".into())),
        }
    }

    fn machine(self: &Arc<Self>, at: usize, name: String) -> MachineSpec {
        let zone = self.zones.get(at % self.zones.len().max(1)).cloned();
        let mut labels = self.labels.clone();
        if let Some(zone) = &zone {
            labels.insert(ZONE_LABEL.into(), zone.clone());
        }
        MachineSpec { name, zone, labels: Arc::new(labels), group: Arc::clone(self) }
    }
}

const fn one() -> u32 {
    1
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.into()).collect()
}

/// What a Kubernetes node of Windows Server runs.
fn usual_services() -> BTreeSet<String> {
    set(&["containerd", "hns", "kube-proxy", "kubelet", "vmcompute"])
}

fn usual_networks() -> BTreeSet<String> {
    set(&["Calico", "External"])
}

fn usual_drivers() -> BTreeSet<String> {
    set(&["netkvm"])
}

fn usual_disks() -> Vec<String> {
    vec!["disk0".into()]
}

/// The kubelet's default (`maxPods`).
const fn usual_pods() -> u32 {
    110
}

/// 128 GiB, what clouds give a Windows Server image.
const fn usual_disk_bytes() -> u64 {
    128 << 30
}

const fn usual_free_bytes() -> u64 {
    60 << 30
}
