//! What goes wrong, where, when, and what heals it.

use super::Period;
use serde::Deserialize;
use std::collections::BTreeMap;
use windlass_protocol::KbId;

/// One fault: effects that hold together on the chosen machines from a moment on.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Its name, unique in the scenario.
    pub name: String,
    /// The moment from which it holds.
    pub when: When,
    /// The machines it strikes; all, when left out.
    #[serde(default)]
    pub r#where: Where,
    /// What becomes false.
    pub effects: Vec<Effect>,
    /// How many operations (downloads, installations, boots, snapshots, restores) its effects strike in all; any
    /// number, when left out.
    #[serde(default)]
    pub times: Option<u32>,
    /// What ends it.
    #[serde(default)]
    pub heals: Heals,
}

/// The moment from which a fault holds on a machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct When {
    /// What the machine is doing then.
    pub phase: Phase,
    /// Only when it does so with this update, and only on operations of this update.
    #[serde(default)]
    pub kb: Option<KbId>,
    /// How long after the phase began.
    #[serde(default)]
    pub delay: Period,
    /// Phase `boot` only: at the n-th boot, from 1; with `kb`, the boot that applied the update is the first.
    #[serde(default)]
    pub nth_boot: Option<u32>,
}

/// What a machine is doing when a fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// It downloads updates.
    Stage,
    /// It installs updates.
    Install,
    /// It goes down for a restart; with `kb`, one that applies the update.
    Reboot,
    /// It boots.
    Boot,
    /// Its services run; with `kb`, with the update installed.
    Running,
    /// A snapshot is taken of it.
    Snapshot,
    /// It is restored from a snapshot.
    Restore,
}

/// The machines that a fault strikes: all that fit everything given here.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Where {
    /// Labels that must be there with this value (the zone's label too).
    pub labels: BTreeMap<String, String>,
    /// Traits that must be there.
    pub traits: Vec<String>,
    /// Names of which one must be the machine's.
    pub nodes: Vec<String>,
    /// Of the fitting machines, the share that is struck, from 0 to 1, drawn from the scenario's seed.
    pub chance: Option<f64>,
}

/// What ends a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Heals {
    /// A disk from before it began.
    #[default]
    Restore,
    /// The next restart, for good.
    Restart,
    /// Nothing.
    Never,
}

/// What becomes false while a fault holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Effect {
    /// Downloads end with this code.
    DownloadFails {
        /// The code that Windows gives.
        hresult: u32,
    },
    /// The source no longer offers the update to this machine.
    UpdateWithdrawn,
    /// The system disk has no free byte.
    DiskFull,
    /// Installations end with this code.
    InstallFails {
        /// The code that Windows gives.
        hresult: u32,
    },
    /// Installations never end.
    InstallHangs,
    /// The update counts as installed after the reboot and the build is as before.
    BuildUnchanged,
    /// The update must be installed, with a reboot each time, this often before it is in.
    RoundsNeeded {
        /// Rounds in all.
        n: u32,
    },
    /// The machine goes down and hangs before its services run.
    RebootNeverReturns,
    /// The machine starts over and over, and its services never run.
    BootLoop,
    /// Boots take longer.
    SlowBoot {
        /// By how much.
        by: Period,
    },
    /// Effects that begin with the second boot that has the fault's `kb` installed.
    BreaksAfterExtraReboot {
        /// What breaks then.
        effects: Vec<Effect>,
    },
    /// Pods reach nothing and are not reached; the host does, and the node is `Ready`.
    PodNetworkDead,
    /// Pods resolve no name.
    DnsDead,
    /// New pods do not start (no sandbox); those that run go on.
    NewPodsDoNotStart,
    /// A service does not run.
    ServiceStopped {
        /// The service's name.
        name: String,
    },
    /// A host network (HNS) is not there.
    NetworkMissing {
        /// The network's name.
        name: String,
    },
    /// A kind of critical event stands in the event log.
    EventLogged {
        /// The kind, as `source/id`.
        kind: String,
    },
    /// The kubelet does not run.
    KubeletDead,
    /// Snapshots fail.
    SnapshotFails,
    /// Snapshots take longer.
    SnapshotSlow {
        /// By how much.
        by: Period,
    },
    /// The task of a snapshot ends as timed out; the snapshot is there and good.
    SnapshotTimesOutButExists,
    /// Restores fail, with the old disk still attached.
    RestoreFails,
    /// Restores fail half-way, with no system disk attached.
    RestoreDetachesRoot,
    /// The cloud replaces the machine by a fresh one of the same name.
    MachineReplaced,
}

impl Where {
    /// Whether a machine with these properties is meant, chance aside.
    pub fn fits(&self, name: &str, labels: &BTreeMap<String, String>, traits: &[String]) -> bool {
        self.labels.iter().all(|(k, v)| labels.get(k) == Some(v))
            && self.traits.iter().all(|t| traits.contains(t))
            && (self.nodes.is_empty() || self.nodes.iter().any(|n| n == name))
    }
}
