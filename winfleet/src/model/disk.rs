//! A machine's system disk: all that a snapshot copies and a restore rewinds.

use super::{fault::Conditions, hresult::Hresult};
use crate::scenario::{MachineGroup, Period, Timings};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use windlass_protocol::{Build, KbId, ServiceState};

/// Where the boot counter of a fresh machine stands: some boots happened while its image was made.
const FIRST_BOOT: u64 = 7;

/// Everything that is on a machine's system disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// The Windows build.
    pub build: Build,
    /// Updates that are in.
    pub installed: BTreeMap<KbId, Installed>,
    /// Updates that are installed up to a reboot.
    pub pending: BTreeSet<KbId>,
    /// Updates whose download is complete.
    pub staged: BTreeSet<KbId>,
    /// The code of each update's last failed installation.
    pub failed: BTreeMap<KbId, Hresult>,
    /// Rounds so far of updates that need several.
    pub rounds: BTreeMap<KbId, u32>,
    /// Whether something else than an update waits for a reboot.
    pub reboot_pending: bool,
    /// Until when servicing's `RebootPending` mark stays after a boot that installed something.
    pub servicing_lingers_until: Option<Timestamp>,
    /// Boots of this disk: Windows' boot id. A restore rewinds it.
    pub boots: u64,
    /// Files of the agent's state folder, by name. What is here is shared with the snapshots of the disk, and so is what
    /// nothing on a machine ever changes.
    #[serde(skip)]
    pub files: BTreeMap<String, Arc<[u8]>>,
    /// The registered one-shot task that runs at startup, in the agent's own words.
    pub task: Option<String>,
    /// Services by name.
    #[serde(serialize_with = "shared")]
    pub services: Arc<BTreeMap<String, ServiceState>>,
    /// Host networks (HNS).
    #[serde(serialize_with = "shared")]
    pub networks: Arc<BTreeSet<String>>,
    /// Drivers of the network adapters.
    #[serde(serialize_with = "shared")]
    pub drivers: Arc<BTreeSet<String>>,
    /// Kinds of critical events in the log (`source/id`).
    pub critical_events: BTreeSet<String>,
    /// Values of the Windows Update policy in the registry.
    pub policy: BTreeMap<String, u32>,
    /// The kubelet's client certificate.
    pub certificate: Certificate,
    /// The machine's password in the domain.
    pub password: Password,
    /// Size in bytes.
    pub total_bytes: u64,
    /// Free bytes.
    pub free_bytes: u64,
    /// Faults whose cause lies on this disk: a restore heals them.
    #[serde(skip)]
    pub(super) conditions: Conditions,
}

/// What is shared is shown as if it were not.
fn shared<T: Serialize, S: Serializer>(value: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().serialize(serializer)
}

/// When an update became effective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    /// The disk's boot that applied it; 0 when it was there from the start.
    pub boot: u64,
}

/// The kubelet's client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// When it was issued.
    pub issued: Timestamp,
    /// From when it is no longer valid.
    pub not_after: Timestamp,
}

impl Certificate {
    /// A new certificate.
    pub fn issue(now: Timestamp, lifetime: Period) -> Self {
        Self { issued: now, not_after: lifetime.after(now) }
    }

    /// When a running kubelet renews it: after four fifths of its life (the kubelet draws 70 to 90 %).
    pub fn renew_at(&self) -> Timestamp {
        let life = self.not_after.duration_since(self.issued);
        self.issued.checked_add(life / 5 * 4).unwrap_or(self.not_after)
    }
}

/// The machine's password in the domain. The domain takes the last one that it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Password {
    /// When it was set; no two are set at one time.
    pub set: Timestamp,
    /// When a running machine changes it.
    pub due: Timestamp,
}

impl Password {
    /// A new password of a machine of this group.
    pub(super) fn set(now: Timestamp, group: &MachineGroup, timings: &Timings) -> Self {
        Self { set: now, due: group.machine_password.unwrap_or(timings.machine_password).after(now) }
    }
}

impl Disk {
    /// The disk of a machine that was just made.
    pub(super) fn fresh(group: &MachineGroup, now: Timestamp, timings: &Timings) -> Self {
        Self {
            build: group.build,
            installed: group.installed.iter().map(|kb| (*kb, Installed { boot: 0 })).collect(),
            pending: BTreeSet::new(),
            staged: BTreeSet::new(),
            failed: BTreeMap::new(),
            rounds: BTreeMap::new(),
            reboot_pending: group.reboot_pending,
            servicing_lingers_until: None,
            boots: FIRST_BOOT,
            files: BTreeMap::new(),
            task: None,
            services: Arc::new(group.services.iter().map(|name| (name.clone(), ServiceState::Running)).collect()),
            networks: Arc::new(group.networks.clone()),
            drivers: Arc::new(group.drivers.clone()),
            critical_events: BTreeSet::new(),
            policy: group.policy.clone(),
            certificate: Certificate::issue(now, timings.kubelet_certificate),
            password: Password::set(now, group, timings),
            total_bytes: group.disk_bytes,
            free_bytes: group.free_bytes,
            conditions: Conditions::new(),
        }
    }

    /// Which boot with this update in effect the current one is, from 1; none when it is not installed.
    pub(super) fn boots_with(&self, kb: KbId) -> Option<u64> {
        self.installed.get(&kb).map(|update| self.boots.saturating_sub(update.boot) + 1)
    }
}
