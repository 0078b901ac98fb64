//! The one step table: what follows a success, what follows a failure, how long a step may take, and what undoes it.

use crate::api::{FailedNode, Step};
use crate::domain::Intent;
use std::time::Duration;

/// How long a node may take to become fit after its update was created.
pub(super) const PREFLIGHT_TIMEOUT: Duration = Duration::from_mins(5);
/// How long the claim, the uncordon and the quarantine may take: single writes to the API server.
const WRITE_TIMEOUT: Duration = Duration::from_mins(5);
/// One row of the step table.
pub struct Row {
    /// What follows a success; `None` is the end.
    pub next: Option<Step>,
    /// What follows a failure; `None` is the end.
    pub on_failure: Option<Step>,
    /// How often it is tried when its failure may pass.
    pub attempts: u32,
    /// How long it may take.
    pub timeout: Duration,
}

impl Row {
    /// The row of a step, under the intent's policy.
    pub fn of(step: Step, intent: &Intent) -> Self {
        let policy = &intent.policy;
        let in_place = policy.strategy.in_place.as_ref();
        let install = in_place.map(|p| p.install.clone()).unwrap_or_default();
        let snapshot =
            |pick: fn(&crate::api::SnapshotPolicy) -> Duration| in_place.map_or(WRITE_TIMEOUT, |p| pick(&p.snapshot));
        let tries = u32::try_from(install.attempts).unwrap_or(1);
        let back = match policy.on_failure.node {
            FailedNode::Revert => Step::Restore,
            FailedNode::Hold => Step::Hold,
        };
        let row = |next, on_failure, attempts, timeout| Self { next, on_failure, attempts, timeout };
        match step {
            // Nothing was touched: no undo. Its provider may take as long to be there as for a snapshot.
            Step::Preflight => row(Some(Step::Stage), None, 1, snapshot(|s| s.timeout.get())),
            // A download is left behind, which is harmless; the agent is not armed.
            Step::Stage => row(Some(Step::Cordon), None, tries, install.stage_timeout.get()),
            // Undone by Uncordon, as are all up to Snapshot.
            Step::Cordon => row(Some(Step::Drain), Some(Step::Uncordon), 1, WRITE_TIMEOUT),
            Step::Drain => row(Some(Step::Snapshot), Some(Step::Uncordon), 1, policy.drain.timeout.get()),
            Step::Snapshot => row(Some(Step::Install), Some(Step::Uncordon), tries, snapshot(|s| s.timeout.get())),
            // From here the disk is another: undone by Restore.
            Step::Install => row(Some(Step::Reboot), Some(back), tries, install.timeout.get()),
            Step::Reboot => row(Some(Step::Verify), Some(back), 1, install.reboot_timeout.get()),
            Step::Verify => row(Some(Step::Uncordon), Some(back), 1, policy.verify.timeout.get()),
            // The way back has no way back: a node that can not be reverted is held.
            Step::Restore => {
                row(Some(Step::VerifyRestored), Some(Step::Hold), tries, snapshot(|s| s.restore_timeout.get()))
            }
            Step::VerifyRestored => row(Some(Step::Uncordon), Some(Step::Hold), 1, policy.verify.timeout.get()),
            Step::Uncordon => row(None, Some(Step::Hold), 1, WRITE_TIMEOUT),
            Step::Hold => row(None, None, 1, WRITE_TIMEOUT),
        }
    }
}
