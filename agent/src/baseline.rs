//! The machine before the update, to compare with afterwards.

use crate::host::{
    Adapter, BitLocker, Disk, Driver, EventSpan, Host, HostNetwork, HostResult, MemoryUse, Route, SYSTEM_DISK, Service,
    StartMode,
};
use crate::probe::restless;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::iter;
use windlass_protocol::{Build, ServiceState};

/// The services of a Kubernetes node whose start and process are watched closely: what kubelet, container runtime, pod
/// network and storage run as.
pub(crate) const WATCHED: [&str; 6] = ["kubelet", "containerd", "hns", "vmcompute", "kube-proxy", "csi-proxy"];

/// Something that was read, or why it could not be.
pub(crate) type Read<T> = Result<T, String>;

/// The machine before the update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Baseline {
    pub build: Build,
    /// All services that start by themselves, but for those that also stop by themselves ([`restless`]).
    pub services: BTreeMap<String, ServiceState>,
    /// How those of [`WATCHED`] that are there were set to start.
    pub starts: BTreeMap<String, StartMode>,
    pub kubelet: Read<u16>,
    pub runtime: Read<bool>,
    pub networks: Read<Vec<HostNetwork>>,
    pub adapters: Read<Vec<Adapter>>,
    pub routes: Read<Vec<Route>>,
    /// The machine's own disks, that of the system first and without its number. It is written while pods are on the node:
    /// theirs leave with them before the update, and are no loss, neither after the update nor after a restore of the disk on
    /// which this is.
    pub disks: Vec<String>,
    pub bitlocker: Read<BitLocker>,
    pub drivers: Read<Vec<Driver>>,
    /// Kinds of critical events that the log has.
    pub events: Read<Vec<String>>,
    /// Whether the domain trusts the machine; `None` in no domain.
    pub secure_channel: Read<Option<bool>>,
    pub memory: Read<MemoryUse>,
    /// How far the clock is ahead of its time server; `None` without one. An agent before this one did not ask.
    #[serde(default = "unasked")]
    pub clock: Read<Option<SignedDuration>>,
}

fn unasked<T>() -> Read<T> {
    Err("nobody asked".to_owned())
}

impl Baseline {
    /// Writes down the machine as it is.
    ///
    /// # Errors
    /// What every Windows machine can tell and this one does not: build, services, disks. Of the rest it is noted that
    /// it could not be read.
    pub fn of(host: &dyn Host) -> HostResult<Self> {
        Ok(Self {
            build: host.build()?,
            services: host.automatic_services()?.into_iter().filter(|(name, _)| !restless(name)).collect(),
            starts: starts(host)?,
            kubelet: read(host.kubelet_health()),
            runtime: read(host.runtime_answers()),
            networks: read(host.host_networks()),
            adapters: read(host.adapters()),
            routes: read(host.routes()),
            disks: own(host.disks()?),
            bitlocker: read(host.bitlocker()),
            drivers: read(host.drivers()),
            events: read(host.critical_events(EventSpan::Kept)),
            secure_channel: read(host.secure_channel()),
            memory: read(host.memory()),
            clock: read(host.clock_ahead()),
        })
    }
}

/// The names of the machine's own disks. That of the system is always named, also where Windows does not say which it is:
/// nothing would be written without it, and its name tells this from the baseline of an agent that had its serial number.
fn own(disks: Vec<Disk>) -> Vec<String> {
    let own = disks.into_iter().filter(|disk| disk.own).map(|disk| disk.name);
    iter::once(SYSTEM_DISK.to_owned()).chain(own.filter(|name| name != SYSTEM_DISK)).collect()
}

fn read<T>(answer: HostResult<T>) -> Read<T> {
    answer.map_err(|e| e.to_string())
}

fn starts(host: &dyn Host) -> HostResult<BTreeMap<String, StartMode>> {
    Ok(watched(host)?.into_iter().map(|(name, service)| (name, service.start)).collect())
}

/// Those of [`WATCHED`] that the machine has.
pub(crate) fn watched(host: &dyn Host) -> HostResult<BTreeMap<String, Service>> {
    let mut all = BTreeMap::new();
    for name in WATCHED {
        if let Some(service) = host.service(name)? {
            all.insert(name.to_owned(), service);
        }
    }
    Ok(all)
}
