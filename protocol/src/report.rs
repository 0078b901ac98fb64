//! What the agent answers.

use crate::words::{SHORT, beginning};
use crate::{Build, KbId, MAX_REPORT_BYTES, Ticket, VERSION};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// Boots since the agent was armed last, or, where it was not, since the state file was made; counted by the agent
    /// itself.
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
    /// Answer to `stage`: until when the disk as it is now is let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<DiskIdentity>,
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

/// Until when what a disk holds is let in: what cluster and domain know the machine by. They renew it while the machine
/// runs; a disk that is put back later has the old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskIdentity {
    /// From when on the kubelet's client certificate does not count; `None` where it has none, or none can be found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubelet_certificate: Option<Timestamp>,
    /// When the machine changes its password in the domain; `None` in no domain, and where it does not change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_password: Option<Timestamp>,
}

impl DiskIdentity {
    /// Name of the checks that tell what of it can not be read.
    pub const CHECK: &str = "identity";
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
    /// What was measured, with its unit; empty where it is no single value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// What would pass, with its unit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub threshold: String,
    /// What was seen, and what was wanted, in a sentence.
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
    /// The last line is no JSON: what the agent tells people, such as why it refuses the request.
    #[error("the agent gives no report, it says: {0}")]
    Words(String),
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
        if !line.trim_start().starts_with('{') {
            return Err(ReportError::Words(beginning(line)));
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
    /// The rule of the cut, each only as far as it takes: (1) offered updates go, from the end of the list; (2) checks
    /// that passed, then those that are inconclusive; (3) updates that are installed; (4) every text is shortened to 200
    /// characters; (5) whatever checks and updates are left go from the end. `omitted` counts the entries that went. The
    /// line is always the whole JSON of a report, and its error, phase and ticket are always there.
    pub fn to_line(&self) -> String {
        let line = encode(self);
        if line.len() <= MAX_REPORT_BYTES {
            return line;
        }
        let mut report = self.clone();
        for cut in CUTS {
            let excess = encode(&report).len().saturating_sub(MAX_REPORT_BYTES);
            if excess == 0 {
                break;
            }
            cut(&mut report, excess);
        }
        encode(&report)
    }
}

/// Room for a growing `omitted`, in bytes.
const SPARE: usize = 16;

/// One rule of the cut; it frees at least so many bytes, or all it may.
type Cut = fn(&mut Report, usize);

const CUTS: [Cut; 7] = [
    |report, excess| report.omitted += drop_last(&mut report.offered, excess, |_| true),
    |report, excess| report.omitted += drop_last(&mut report.checks, excess, |c| c.verdict == Verdict::Pass),
    |report, excess| report.omitted += drop_last(&mut report.checks, excess, |c| c.verdict == Verdict::Inconclusive),
    |report, excess| report.omitted += drop_last(&mut report.updates, excess, |u| u.state == UpdateState::Installed),
    |report, _| report.shorten(),
    |report, excess| report.omitted += drop_last(&mut report.checks, excess, |_| true),
    |report, excess| report.omitted += drop_last(&mut report.updates, excess, |_| true),
];

fn encode(value: &impl Serialize) -> String {
    // Serialising owned strings, numbers and enums can not fail.
    serde_json::to_string(value).unwrap_or_default()
}

/// Drops entries from the end until `excess` bytes of JSON are gone; says how many went.
fn drop_last<T: Serialize>(entries: &mut Vec<T>, excess: usize, may_go: impl Fn(&T) -> bool) -> u32 {
    let (mut freed, mut gone) = (0, 0);
    for at in (0..entries.len()).rev() {
        if freed >= excess + SPARE {
            break;
        }
        if entries.get(at).is_some_and(&may_go) {
            freed += encode(&entries.remove(at)).len() + 1;
            gone += 1;
        }
    }
    gone
}

impl Report {
    fn shorten(&mut self) {
        let checks = self.checks.iter_mut().flat_map(|c| [&mut c.name, &mut c.value, &mut c.threshold, &mut c.detail]);
        let nonces = [&mut self.nonces.a, &mut self.nonces.b].into_iter().flatten();
        let error = self.error.iter_mut().map(|e| &mut e.message);
        for text in checks.chain(nonces).chain(error) {
            if let Some((end, _)) = text.char_indices().nth(SHORT) {
                text.truncate(end);
                text.push_str("...");
            }
        }
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
            identity: None,
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
        assert!(matches!(Report::from_log("{boom", &report.ticket, "win-7"), Err(ReportError::Json(_))));
        let refusal = "windlass-agent: version: 2 asked, this agent speaks 1";
        let log = format!("{{\"progress\":1}}\n{refusal}\n");
        let said = Report::from_log(&log, &report.ticket, "win-7").map_err(|e| e.to_string());
        assert_eq!(said, Err(format!("the agent gives no report, it says: {refusal}")));
        let endless = format!("\u{1b}[2J{}", "ä".repeat(MAX_REPORT_BYTES / 4));
        let shown = format!(" [2J{}...", "ä".repeat(SHORT - 4));
        assert_eq!(Report::from_log(&endless, &report.ticket, "win-7"), Err(ReportError::Words(shown)));
    }

    fn check(i: usize, verdict: Verdict, detail: &str) -> HostCheck {
        let (value, threshold) = (String::new(), String::new());
        HostCheck { name: format!("check-{i}"), verdict, value, threshold, detail: detail.to_owned() }
    }

    #[test]
    fn a_long_report_is_cut_by_entries_and_stays_json() {
        let mut report = sample();
        let verdict = |i| if i == 7 { Verdict::Fail } else { Verdict::Pass };
        report.checks = (0..2000).map(|i| check(i, verdict(i), &"x".repeat(80))).collect();
        let line = report.to_line();
        assert!(line.len() <= MAX_REPORT_BYTES);
        let read = Report::from_log(&line, &report.ticket, "win-7").expect("still a report");
        assert_eq!(usize::try_from(read.omitted), Ok(2000 - read.checks.len()));
        assert!(line.len() > MAX_REPORT_BYTES - 400, "no more than needed went: {}", line.len());
        assert!(read.checks.iter().any(|c| c.verdict == Verdict::Fail), "what failed stays while anything else may go");
        assert_eq!(read.checks.first(), report.checks.first(), "and what comes first");
    }

    #[test]
    fn nothing_is_too_long_for_a_report() {
        let mut report = sample();
        // A quotation mark takes two bytes of JSON, a letter of many alphabets two or three.
        let long = "\"ä漢".repeat(40_000);
        report.checks =
            (0..1000).map(|i| check(i, Verdict::Fail, &long.chars().take(300).collect::<String>())).collect();
        report.error = Some(AgentError { class: ErrorClass::Permanent, message: long.clone(), hresult: None });
        report.nonces.a = Some(long);
        let line = report.to_line();
        assert!(line.len() <= MAX_REPORT_BYTES, "{}", line.len());
        let read = Report::from_log(&line, &report.ticket, "win-7").expect("still a report");
        assert_eq!(read.error.map(|e| e.message.chars().count()), Some(SHORT + 3));
    }
}
