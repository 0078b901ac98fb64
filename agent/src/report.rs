//! The report: the machine and the work as they are now.

use crate::host::{Host, HostError, TaskState};
use crate::pinned::Tracked;
use crate::probe::Judged;
use crate::state::{Loaded, State, WorkKey, error, nonces, unreadable};
use jiff::Timestamp;
use windlass_protocol::{
    AgentError, AgentPhase, Build, Command, DiskIdentity, ErrorClass, HostCheck, OfferedUpdate, Progress,
    RebootSignals, Report, Request, VERSION, exit,
};

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub progress: Progress,
    pub offered: Vec<OfferedUpdate>,
    pub checks: Vec<HostCheck>,
    pub identity: Option<DiskIdentity>,
    pub error: Option<AgentError>,
    /// How the task was found, where it was looked at: asking again is slow.
    pub task: Option<TaskState>,
}

impl Outcome {
    pub fn of(progress: Progress) -> Self {
        Self { progress, offered: vec![], checks: vec![], identity: None, error: None, task: None }
    }

    pub fn failed(error: AgentError) -> Self {
        Self { error: Some(error), ..Self::of(Progress::Failed) }
    }
}

/// The exit code that says the same as the report.
pub(crate) fn code(report: &Report) -> i32 {
    match (report.progress, report.error.as_ref().map(|e| e.class)) {
        (Progress::Done, _) => exit::DONE,
        (Progress::InProgress, _) => exit::IN_PROGRESS,
        (Progress::RebootNeeded, _) => exit::REBOOT_NEEDED,
        (Progress::Failed, Some(ErrorClass::Retriable | ErrorClass::RebootFirst)) => exit::RETRIABLE,
        (Progress::Failed, _) => exit::PERMANENT,
    }
}

/// What the work on the disk comes to, for a command that only looks.
pub(crate) fn standing(state: &State, task: TaskState, boot_id: &str, now: Timestamp) -> Outcome {
    use AgentPhase as P;
    let outcome = match state.phase {
        P::Done => Outcome { checks: not_heard(state), ..Outcome::of(Progress::Done) },
        P::Idle | P::Staged | P::MoreToInstall => Outcome::of(Progress::Done),
        P::RebootRequested
            if !state.reboot_asked(boot_id)
                && (task == TaskState::Absent || !(state.may_reboot(now) || state.rebooted(boot_id))) =>
        {
            Outcome::of(Progress::RebootNeeded)
        }
        P::Install | P::PostBoot | P::Rescan if task == TaskState::Absent => {
            let text = format!("task: {:?} is under way, but no task is registered; arm it again", state.phase);
            Outcome::failed(error(ErrorClass::Retriable, text))
        }
        P::Preflight | P::Scan | P::Download | P::Install | P::RebootRequested | P::PostBoot | P::Rescan => {
            Outcome::of(Progress::InProgress)
        }
        P::Failed | P::Unknown => Outcome { error: state.error.clone(), ..Outcome::of(Progress::Failed) },
    };
    Outcome { task: Some(task), ..outcome }
}

/// What is told of work that ended without the source's word: not known, and no failure.
fn not_heard(state: &State) -> Vec<HostCheck> {
    let told = |why: &AgentError| {
        let detail = format!("the build shows that the updates are in; the source was not heard: {}", why.message);
        Judged::inconclusive(detail).named("rescan")
    };
    state.error.iter().map(told).collect()
}

/// Writes the answer to `request`, from the machine as it is.
pub(crate) fn write(request: &Request, node: &str, outcome: Outcome, host: &dyn Host, now: Timestamp) -> Report {
    let mut seen = Seen { outcome };
    let task = seen.outcome.task.or_else(|| seen.ask(host.task()));
    let loaded = seen.ask(Loaded::read(host)).unwrap_or(Loaded::Nothing);
    if let Loaded::Unreadable(what) = &loaded {
        seen.outcome.error.get_or_insert_with(|| unreadable(what));
    }
    let state = loaded.state();
    let boot_id = seen.ask(host.boot_id());
    let build = seen.ask(host.build()).unwrap_or(Build::new(0, 0, 0, 0));
    let nonces = seen.ask(nonces(host)).unwrap_or_default();
    let reboot = seen.reboot(host);
    let Outcome { progress, offered, checks, identity, error, task: _ } = seen.outcome;
    Report {
        version: VERSION,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        ticket: request.ticket.clone(),
        node: node.to_owned(),
        phase: phase(&loaded),
        progress,
        // Of a document that can not be read, the worst is assumed.
        mutated: state.map_or(matches!(loaded, Loaded::Unreadable(_)), |s| s.mutated),
        build,
        boots: state.map_or(0, |s| boots(s, request, boot_id.as_deref())),
        nonces,
        armed: task.is_some_and(|t| t != TaskState::Absent),
        reboot,
        updates: state.map(|s| s.updates.iter().map(Tracked::result).collect()).unwrap_or_default(),
        offered,
        checks,
        identity,
        error: error.or_else(|| state.and_then(|s| why_it_failed(s, request))),
        at: now,
        omitted: 0,
    }
}

fn phase(loaded: &Loaded) -> AgentPhase {
    match loaded {
        Loaded::Nothing => AgentPhase::Idle,
        Loaded::State(state) => state.phase,
        Loaded::Unreadable(_) => AgentPhase::Unknown,
    }
}

/// Why the work that is asked about failed. The document keeps that until other work begins: it answers no question that is
/// not about this work, as a scan for the next rollout is not.
fn why_it_failed(state: &State, request: &Request) -> Option<AgentError> {
    let asked_about = state.node_update_uid == request.ticket.node_update_uid;
    state.error.clone().filter(|_| asked_about && state.phase == AgentPhase::Failed)
}

/// The boots on disk since the agent was armed, and the one that nobody wrote down yet. A pod does not outlive a boot: one
/// that arms, and finds the work going on under an earlier question, has seen none.
fn boots(state: &State, request: &Request, boot_id: Option<&str>) -> u32 {
    let other = |nonce_b| state.work.as_ref().is_some_and(|work| work.key != WorkKey::new(&request.ticket, nonce_b));
    if matches!(&request.command, Command::Arm { nonce_b, .. } if other(nonce_b)) {
        return 0;
    }
    let seen = boot_id.map_or(state.boots, |id| state.boots_seen(id));
    seen.saturating_sub(state.work.as_ref().map_or(0, |work| work.boots_before))
}

/// Collects what the machine answers. Where it does not, the report says so, and is no success.
struct Seen {
    outcome: Outcome,
}

impl Seen {
    /// The signs of a reboot. Nothing that was asked depends on them: where they can not be read, that is told.
    fn reboot(&mut self, host: &dyn Host) -> RebootSignals {
        const NAME: &str = "reboot";
        let told = |checks: &[HostCheck]| checks.iter().any(|check| check.name == NAME);
        host.reboot_signals().unwrap_or_else(|e| {
            if !told(&self.outcome.checks) {
                self.outcome.checks.push(Judged::inconclusive(e.to_string()).named(NAME));
            }
            RebootSignals::default()
        })
    }

    fn ask<T>(&mut self, answer: Result<T, HostError>) -> Option<T> {
        answer
            .map_err(|e| {
                self.outcome.progress = Progress::Failed;
                self.outcome.error.get_or_insert_with(|| e.into());
            })
            .ok()
    }
}
