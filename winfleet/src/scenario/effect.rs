//! What can become false on a machine.

use super::Period;
use serde::Deserialize;
use windlass_protocol::{Build, KbId};

/// What becomes false while a fault holds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Effect {
    /// Downloads end with this code.
    DownloadFails {
        /// The code that Windows gives.
        hresult: u32,
    },
    /// Searches, downloads and installations end with this code.
    UpdateServiceFails {
        /// The code that Windows gives.
        hresult: u32,
    },
    /// The source no longer offers the update to this machine.
    UpdateWithdrawn,
    /// The system disk has no free byte; with the fault's `ramps`, it fills up.
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
    /// The update leaves this build, of another Windows version.
    OtherVersionInstalled {
        /// The build after it.
        build: Build,
    },
    /// The kubelet goes on reporting the build that it reported before.
    KernelVersionStale,
    /// The update must be installed, with a reboot each time, this often before it is in.
    RoundsNeeded {
        /// Rounds in all.
        n: u32,
    },
    /// Something else on the machine downloads and installs this update and restarts the machine, once.
    OtherAgentInstalls {
        /// The update.
        kb: KbId,
    },
    /// The machine restarts by itself, once.
    RestartsByItself,
    /// The machine crashes and starts again whenever it has run for this long.
    CrashesAfter {
        /// How long it runs.
        up: Period,
    },
    /// Memory is never given back: it is used up after so much running, the machine crashes and starts again.
    MemoryLeaks {
        /// From the start of the services, or of the fault, until nothing is left.
        exhausted_after: Period,
    },
    /// A service never gives its handles back: it stops after so much running, until the next start.
    HandlesLeak {
        /// The service's name.
        service: String,
        /// From the start of the services, or of the fault, until nothing is left.
        exhausted_after: Period,
    },
    /// The machine goes down and hangs before its services run.
    RebootNeverReturns,
    /// The machine starts over and over, and its services never run.
    BootLoop,
    /// The machine stops at a prompt that only its console shows.
    RecoveryPrompt,
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
    /// The machine has no power.
    PowerLost,
    /// The host reaches nothing and is not reached, its pods neither.
    HostNetworkDead,
    /// Pods reach nothing and are not reached; the host does, and the node is `Ready`.
    PodNetworkDead,
    /// Pods do not reach services (cluster IPs); they reach other pods and resolve names.
    ServicePolicyLost,
    /// Pods resolve no name.
    DnsDead,
    /// New pods do not start (no sandbox); those that run go on.
    NewPodsDoNotStart,
    /// New pods take longer to start: their image must be pulled.
    ImagePullSlow {
        /// By how much.
        by: Period,
    },
    /// Containers that are told to end do not, and can not be killed.
    PodsStuckTerminating,
    /// Some of the requests to this machine's pods fail.
    RequestsFail {
        /// The share of them, above 0 and at most 1.
        share: f64,
    },
    /// Requests to this machine's pods take longer.
    RequestsSlow {
        /// By how much.
        by: Period,
    },
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
    /// Another driver is in the place of a network adapter's.
    DriverReplaced {
        /// The driver that was there.
        name: String,
        /// The one that is there now.
        by: String,
    },
    /// A data disk is gone.
    DiskMissing {
        /// The disk's name.
        name: String,
    },
    /// A data disk is there and has no file system.
    DiskRaw {
        /// The disk's name.
        name: String,
    },
    /// A kind of critical event stands in the event log.
    EventLogged {
        /// The kind, as `source/id`.
        kind: String,
    },
    /// The machine's clock is wrong.
    ClockOff {
        /// By how much.
        by: Period,
        /// Whether it is behind; else it is ahead.
        #[serde(default)]
        behind: bool,
    },
    /// The kubelet's client certificate is not accepted.
    CertificateExpired,
    /// The domain does not accept the machine's password: pods with a domain identity do not start.
    DomainTrustLost,
    /// The kubelet does not run.
    KubeletDead,
    /// The cloud does something about a machine by itself once its node is not ready for this long.
    UnreadyRepaired {
        /// How long the cloud waits.
        after: Period,
        /// What it does.
        by: Repair,
    },
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

/// What a cloud does about an unready node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Repair {
    /// It cuts the power and starts the machine again.
    Restart,
    /// It puts a fresh machine in its place.
    Replace,
}

impl Effect {
    /// Whether those who use the machine's pods feel it as soon as it holds.
    pub const fn harms(&self) -> bool {
        matches!(
            self,
            Self::RebootNeverReturns
                | Self::BootLoop
                | Self::RecoveryPrompt
                | Self::PowerLost
                | Self::HostNetworkDead
                | Self::PodNetworkDead
                | Self::ServicePolicyLost
                | Self::DnsDead
                | Self::NewPodsDoNotStart
                | Self::RequestsFail { .. }
                | Self::RequestsSlow { .. }
                | Self::ServiceStopped { .. }
                | Self::NetworkMissing { .. }
                | Self::DiskMissing { .. }
                | Self::DiskRaw { .. }
                | Self::CertificateExpired
                | Self::DomainTrustLost
                | Self::KubeletDead
                | Self::RestoreDetachesRoot
        )
    }

    /// Whether it is something that happens, once for each fault and machine.
    pub const fn happens_once(&self) -> bool {
        matches!(self, Self::MachineReplaced | Self::RestartsByItself | Self::OtherAgentInstalls { .. })
    }

    /// Whether it has a size to which it can grow.
    pub(super) fn has_size(&self) -> bool {
        match self {
            Self::DiskFull | Self::RequestsFail { .. } | Self::RequestsSlow { .. } => true,
            Self::BreaksAfterExtraReboot { effects } => effects.iter().any(Self::has_size),
            _ => false,
        }
    }

    /// Whether its cause lies outside the machine's disk, whatever heals it.
    pub const fn outside_the_disk(&self) -> bool {
        matches!(self, Self::PowerLost | Self::UnreadyRepaired { .. })
    }
}
