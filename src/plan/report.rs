//! The words users read when something ended: why it ended as it did. (What is waited for: [`crate::domain::WaitingOn`].)
//!
//! Messages are deterministic (lists are sorted, nothing in them moves with time) and name the blocker.

use crate::api::Step;

/// Why a node update ended as it did: the condition's reason (its variant) and the sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Reason {
    /// CamelCase, for conditions and metrics.
    pub code: ReasonCode,
    /// One sentence.
    pub message: String,
}

/// The reasons a node update can end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReasonCode {
    /// As intended.
    Succeeded,
    /// The preflight found the node unfit.
    PreflightFailed,
    /// The source can not give the pinned set.
    PinnedUpdateUnavailable,
    /// Search or download failed.
    StageFailed,
    /// The node could not be claimed.
    CordonFailed,
    /// The node could not be emptied in time.
    DrainFailed,
    /// No restorable snapshot could be made.
    SnapshotFailed,
    /// The installation failed.
    InstallFailed,
    /// The machine did not come back from its reboot.
    RebootFailed,
    /// A probe failed.
    VerifyFailed,
    /// The restore failed.
    RestoreFailed,
    /// The restore could not be proved, or the restored node fails its probes.
    VerifyRestoredFailed,
    /// The node could not be put back into service.
    UncordonFailed,
    /// A person ended it.
    Aborted,
    /// The Node object is gone, or its name has another machine.
    NodeGone,
    /// The same machine registered as a new Node object in the middle of the update.
    NodeReplaced,
    /// The log in status is one the controller would never write.
    ImpossibleLog,
}

impl ReasonCode {
    /// The reason of a step's failure.
    pub fn of_failed(step: Step) -> Self {
        match step {
            Step::Preflight => Self::PreflightFailed,
            Step::Stage => Self::StageFailed,
            Step::Cordon => Self::CordonFailed,
            Step::Drain => Self::DrainFailed,
            Step::Snapshot => Self::SnapshotFailed,
            Step::Install => Self::InstallFailed,
            Step::Reboot => Self::RebootFailed,
            Step::Verify => Self::VerifyFailed,
            Step::Restore => Self::RestoreFailed,
            Step::VerifyRestored => Self::VerifyRestoredFailed,
            Step::Hold | Step::Uncordon => Self::UncordonFailed,
        }
    }

    /// Its CamelCase text, as conditions and metric labels have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::PreflightFailed => "PreflightFailed",
            Self::PinnedUpdateUnavailable => "PinnedUpdateUnavailable",
            Self::StageFailed => "StageFailed",
            Self::CordonFailed => "CordonFailed",
            Self::DrainFailed => "DrainFailed",
            Self::SnapshotFailed => "SnapshotFailed",
            Self::InstallFailed => "InstallFailed",
            Self::RebootFailed => "RebootFailed",
            Self::VerifyFailed => "VerifyFailed",
            Self::RestoreFailed => "RestoreFailed",
            Self::VerifyRestoredFailed => "VerifyRestoredFailed",
            Self::UncordonFailed => "UncordonFailed",
            Self::Aborted => "Aborted",
            Self::NodeGone => "NodeGone",
            Self::NodeReplaced => "NodeReplaced",
            Self::ImpossibleLog => "ImpossibleLog",
        }
    }
}
