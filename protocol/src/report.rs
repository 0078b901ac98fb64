//! What the agent answers.

use crate::{Build, KbId, MAX_REPORT_BYTES, Ticket, VERSION};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One answer of the agent: the state of the machine, and of the work on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Protocol version of the agent that wrote it.
    pub version: u32,
    /// The agent's own version.
    pub agent_version: String,
    /// The question this answers, unchanged.
    pub ticket: Ticket,
    /// The machine's own name.
    pub node: String,
    /// Where the work stands, as written on disk.
    pub phase: AgentPhase,
    /// What this command came to.
    pub progress: Progress,
    /// Whether anything of the OS was changed yet: `false` means there is nothing to revert.
    pub mutated: bool,
    /// The machine's build now.
    pub build: Build,
    /// Boots since the state file was made, counted by the agent itself.
    pub boots: u32,
    /// The two proofs of a restore.
    pub nonces: Nonces,
    /// Whether a task is registered that would install at the next boot.
    pub armed: bool,
    /// Signs that Windows wants a reboot.
    pub reboot: RebootSignals,
    /// The pinned updates and what became of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub updates: Vec<UpdateResult>,
    /// Answer to a scan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offered: Vec<OfferedUpdate>,
    /// Answer to a probe.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<HostCheck>,
    /// What went wrong, where something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<AgentError>,
    /// When it was written.
    pub at: Timestamp,
    /// How many entries were left out to keep the report within [`MAX_REPORT_BYTES`].
    #[serde(default)]
    pub omitted: u32,
}

/// Where the work on the machine stands; each transition is on disk before its act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AgentPhase {
    /// No work was ever asked of this machine.
    Idle,
    /// Checking whether the machine may be updated at all.
    Preflight,
    /// Searching for the pinned set.
    Scan,
    /// Downloading.
    Download,
    /// Downloaded, baseline and nonce A written; disarmed.
    Staged,
    /// Installing.
    Install,
    /// Installed up to a reboot, which was requested or waits for leave.
    RebootRequested,
    /// Booted after the requested reboot.
    PostBoot,
    /// Searching again for what is still missing of the pinned set.
    Rescan,
    /// A further round is needed: more of the pinned set wants installing.
    MoreToInstall,
    /// The whole pinned set is installed.
    Done,
    /// Gave up; `error` says why.
    Failed,
    /// The state on disk can not be read or contradicts the machine.
    Unknown,
}

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Progress {
    /// Complete.
    Done,
    /// Goes on without this process.
    InProgress,
    /// Complete up to a reboot.
    RebootNeeded,
    /// Failed; `error` says whether it may pass.
    Failed,
}

/// The two proofs of a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Nonces {
    /// Written before the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub a: Option<String>,
    /// Written after the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub b: Option<String>,
}

/// Signs that Windows wants a reboot (registry keys as in the Windows Update Agent documentation).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RebootSignals {
    /// The Windows Update Agent says so, or its `Auto Update\RebootRequired` key is there.
    pub update_agent: bool,
    /// Component-based servicing has packages pending.
    pub packages_pending: bool,
    /// `Component Based Servicing\RebootPending`: lingers after reboots, reported and not acted on.
    pub servicing_lingers: bool,
}

impl RebootSignals {
    /// Whether a reboot is really due.
    pub fn due(&self) -> bool {
        self.update_agent || self.packages_pending
    }
}

/// What became of one pinned update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateResult {
    /// Its KB.
    pub kb: KbId,
    /// How far it came.
    pub state: UpdateState,
    /// The HRESULT of the last operation on it, 0 for success.
    #[serde(default)]
    pub hresult: u32,
}

/// How far one update came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UpdateState {
    /// Neither offered nor installed: the source no longer gives it.
    Missing,
    /// Offered, not downloaded.
    Offered,
    /// Downloaded.
    Staged,
    /// Installed up to a reboot.
    PendingReboot,
    /// Installed.
    Installed,
    /// The machine does not want it (superseded by what it has).
    NotApplicable,
    /// Its installation failed.
    Failed,
}

/// One update that the source offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OfferedUpdate {
    /// The catalogue's identity of the update.
    pub update_id: String,
    /// Revision of that identity.
    pub revision: u32,
    /// The KB it is known by.
    pub kb: KbId,
    /// Title as the catalogue has it.
    pub title: String,
    /// Classification as the catalogue names it (`Security Updates`, `Critical Updates`, `Upgrades`, `Drivers`, ...).
    pub classification: String,
    /// When it was published.
    pub released: Timestamp,
    /// Size of the download in bytes.
    pub size_bytes: u64,
    /// The build a machine has after it, where the catalogue says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_build: Option<Build>,
}

/// One check of the host against its baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostCheck {
    /// What was checked (`services`, `hns`, `disks`, ...).
    pub name: String,
    /// Verdict.
    pub verdict: Verdict,
    /// What was seen, and what was wanted.
    pub detail: String,
}

/// A verdict with three values: what could not be judged is not a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// Not as it should be.
    Fail,
    /// Could not be judged.
    Inconclusive,
}

/// The machine before the update, to compare with afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// Build before.
    pub build: Build,
    /// Services by name.
    pub services: BTreeMap<String, ServiceState>,
    /// Names of the host networks (HNS).
    pub networks: Vec<String>,
    /// Names of the disks.
    pub disks: Vec<String>,
    /// Names of the network adapters' drivers.
    pub drivers: Vec<String>,
    /// Kinds of critical events already in the log (`source/id`).
    pub critical_events: Vec<String>,
    /// Free space on the system disk, in bytes.
    pub free_bytes: u64,
}

/// A service's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ServiceState {
    /// Runs.
    Running,
    /// Does not run.
    Stopped,
    /// Is not there.
    Missing,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentError {
    /// What the operator may do about it.
    pub class: ErrorClass,
    /// One sentence.
    pub message: String,
    /// The HRESULT, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hresult: Option<u32>,
}

/// What may be done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorClass {
    /// May pass: network, a busy service.
    Retriable,
    /// A pending reboot is in the way.
    RebootFirst,
    /// The source no longer gives the pinned set.
    NotOffered,
    /// The machine's configuration forbids it (policy, another update owner).
    Configuration,
    /// The disk is full.
    DiskFull,
    /// Would not pass by trying again.
    Permanent,
}

/// A log that ends in no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The log has no line at all.
    #[error("the agent's log is empty")]
    Empty,
    /// The last line is longer than a report may be.
    #[error("the agent's report has {0} bytes, at most {MAX_REPORT_BYTES} are read")]
    TooLarge(usize),
    /// The last line is not the JSON of a report.
    #[error("the agent's report does not parse: {0}")]
    Json(String),
    /// Another version of the protocol.
    #[error("the agent reports in protocol {0}, this operator speaks {VERSION}")]
    Version(u32),
    /// The answer to another question.
    #[error("the agent's report answers another question ({0})")]
    Stale(String),
}

impl Report {
    /// Reads the last line of a pod's log as the answer to `ticket` on `node`.
    ///
    /// # Errors
    /// [`ReportError`]; a report of another node, step, round, attempt or challenge is [`ReportError::Stale`].
    pub fn from_log(log: &str, ticket: &Ticket, node: &str) -> Result<Self, ReportError> {
        let line = log.lines().rev().find(|l| !l.trim().is_empty()).ok_or(ReportError::Empty)?;
        if line.len() > MAX_REPORT_BYTES {
            return Err(ReportError::TooLarge(line.len()));
        }
        let report: Self = serde_json::from_str(line).map_err(|e| ReportError::Json(e.to_string()))?;
        if report.version != VERSION {
            return Err(ReportError::Version(report.version));
        }
        if report.ticket != *ticket || !report.node.eq_ignore_ascii_case(node) {
            let t = &report.ticket;
            return Err(ReportError::Stale(format!(
                "{} {} round {} attempt {}",
                report.node, t.step, t.round, t.attempt
            )));
        }
        Ok(report)
    }

    /// Writes the report as one line of at most [`MAX_REPORT_BYTES`].
    ///
    /// The rule of the cut: offered updates go first, from the end of the list, then checks that passed; `omitted`
    /// counts them. What failed is never cut.
    pub fn to_line(&self) -> String {
        let mut report = self.clone();
        loop {
            let line = serde_json::to_string(&report).unwrap_or_default();
            if line.len() <= MAX_REPORT_BYTES || !report.omit_one() {
                return line;
            }
        }
    }

    fn omit_one(&mut self) -> bool {
        let cut = if self.offered.pop().is_some() {
            true
        } else if let Some(at) = self.checks.iter().rposition(|c| c.verdict == Verdict::Pass) {
            self.checks.remove(at);
            true
        } else {
            false
        };
        self.omitted += u32::from(cut);
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Report {
        Report {
            version: VERSION,
            agent_version: "0.1.0".into(),
            ticket: Ticket {
                node_update_uid: "u".into(),
                step: "Stage".into(),
                round: 1,
                attempt: 1,
                challenge: "c".into(),
            },
            node: "win-7".into(),
            phase: AgentPhase::Staged,
            progress: Progress::Done,
            mutated: false,
            build: Build::new(10, 0, 20348, 2527),
            boots: 0,
            nonces: Nonces::default(),
            armed: false,
            reboot: RebootSignals::default(),
            updates: vec![],
            offered: vec![],
            checks: vec![],
            error: None,
            at: Timestamp::UNIX_EPOCH,
            omitted: 0,
        }
    }

    #[test]
    fn only_the_last_line_that_answers_the_question_counts() {
        let report = sample();
        let log = format!("{{\"progress\":\"10%\"}}\n{}\n\n", report.to_line());
        assert_eq!(Report::from_log(&log, &report.ticket, "WIN-7"), Ok(report.clone()));
        let mut other = report.ticket.clone();
        other.challenge = "d".into();
        assert!(matches!(Report::from_log(&log, &other, "win-7"), Err(ReportError::Stale(_))));
        assert!(matches!(Report::from_log(&log, &report.ticket, "win-8"), Err(ReportError::Stale(_))));
        assert_eq!(Report::from_log("\n", &report.ticket, "win-7"), Err(ReportError::Empty));
        assert!(matches!(Report::from_log("boom", &report.ticket, "win-7"), Err(ReportError::Json(_))));
    }

    #[test]
    fn a_long_report_is_cut_by_entries_and_stays_json() {
        let mut report = sample();
        report.checks = (0..2000)
            .map(|i| HostCheck {
                name: format!("check-{i}"),
                verdict: if i == 7 { Verdict::Fail } else { Verdict::Pass },
                detail: "x".repeat(80),
            })
            .collect();
        let line = report.to_line();
        assert!(line.len() <= MAX_REPORT_BYTES);
        let read = Report::from_log(&line, &report.ticket, "win-7").expect("still a report");
        assert!(read.omitted > 0);
        assert!(read.checks.iter().any(|c| c.verdict == Verdict::Fail), "what failed is never cut");
    }
}
