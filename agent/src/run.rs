//! One command of one agent pod, from its request to its report.

use crate::arm::Arm;
use crate::baseline::Baseline;
use crate::follow::Follow;
use crate::host::{Host, Job, Presence};
use crate::report::{self, Outcome, standing};
use crate::stage::Stage;
use crate::state::{Loaded, State, error, unreadable};
use crate::trouble::Trouble;
use crate::{POLL, packages, probe, reset};
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;
use windlass_protocol::{
    AgentPhase, Command, ErrorClass, HostCheck, HostProbe, Progress, Report, Request, RequestError, Source,
};

/// What the caller does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Print the line, if there is one, and step again after the time.
    Again {
        /// How long to wait; may be zero.
        after: Duration,
        /// A line of progress, one JSON object.
        line: Option<String>,
    },
    /// Print the refusal on stderr and exit with [`windlass_protocol::exit::BAD_REQUEST`]; nothing was touched.
    Refused(RequestError),
    /// Print the report as the last line ([`Report::to_line`]) and exit.
    Exit {
        /// The exit code, one of [`windlass_protocol::exit`].
        code: i32,
        /// The answer.
        report: Box<Report>,
    },
}

/// What one pass of a command came to.
pub(crate) enum Pass {
    Again(Duration),
    End(Outcome),
}

/// Result of one pass of a command.
pub(crate) type Step = Result<Pass, Trouble>;

/// One command in the making.
///
/// # Assumptions
/// At most one `stage`, `arm` or `reset` runs on a machine at a time. The armed [`crate::Task`] may run beside it.
#[derive(Debug)]
pub struct Run {
    request: Request,
    node: String,
    flow: Flow,
    told: Option<AgentPhase>,
    begun: bool,
    /// Until when the state on disk allows a reboot.
    leave: Option<Timestamp>,
    /// When something that failed is tried again: more than a look, though the machine stays as it is.
    retry: Option<Timestamp>,
}

#[derive(Debug)]
enum Flow {
    Scan(Source),
    Stage(Box<Stage>),
    Baseline,
    Arm(Box<Arm>),
    Collect(Option<Follow>),
    Probe(HostProbe),
    Reset,
}

impl Run {
    /// Takes up a request on the machine of this name.
    ///
    /// # Errors
    /// [`RequestError::Node`], when it is meant for another machine; nothing was touched.
    pub fn new(request: Request, node: &str) -> Result<Self, RequestError> {
        request.check_node(node)?;
        check_folder(&request.command)?;
        let flow = match request.command.clone() {
            Command::Scan { source } => Flow::Scan(source),
            stage @ Command::Stage { .. } => Flow::Stage(Box::new(Stage::new(&request.ticket, stage))),
            Command::Baseline {} => Flow::Baseline,
            arm @ Command::Arm { .. } => Flow::Arm(Box::new(Arm::new(&request.ticket, arm))),
            Command::Collect { follow } => Flow::Collect(follow.then(Follow::default)),
            Command::Probe { host } => Flow::Probe(host),
            Command::Reset {} => Flow::Reset,
        };
        Ok(Self { request, node: node.to_owned(), flow, told: None, begun: false, leave: None, retry: None })
    }

    /// Does the next bounded piece of the command.
    pub fn step(&mut self, host: &mut dyn Host, now: Timestamp) -> Next {
        if !std::mem::replace(&mut self.begun, true)
            && let Err(stale) = self.refuse_stale(host)
        {
            return Next::Refused(stale);
        }
        let outcome = match self.pass(host, now) {
            Ok(Pass::Again(after)) => {
                self.retry = retry(after, now);
                return Next::Again { after, line: self.news(host, now) };
            }
            Ok(Pass::End(outcome)) => outcome,
            Err(trouble) => Outcome { checks: self.checks(), ..Outcome::failed(trouble.into()) },
        };
        self.end(outcome, host, now)
    }

    /// Answers at once that another process works on this machine. The caller holds the lock that says so.
    pub fn busy(&self, host: &dyn Host, now: Timestamp) -> Next {
        let text = "lock: another stage, arm or reset is at work on this machine";
        self.end(Outcome::failed(error(ErrorClass::Retriable, text)), host, now)
    }

    fn end(&self, outcome: Outcome, host: &dyn Host, now: Timestamp) -> Next {
        let report = report::write(&self.request, &self.node, outcome, host, now);
        Next::Exit { code: report::code(&report), report: Box::new(report) }
    }

    /// Whether this command changes the machine: one of them at a time.
    pub fn changes(&self) -> bool {
        matches!(self.flow, Flow::Stage(_) | Flow::Baseline | Flow::Arm(_) | Flow::Reset)
    }

    /// Only what changes something can be too late; what looks is answered at any time.
    fn refuse_stale(&self, host: &dyn Host) -> Result<(), RequestError> {
        let loaded = if self.changes() { Loaded::read(host).ok() } else { None };
        loaded.as_ref().and_then(Loaded::state).map_or(Ok(()), |state| state.refuse_stale(&self.request.ticket))
    }

    /// What was found before the command failed.
    fn checks(&self) -> Vec<HostCheck> {
        if let Flow::Stage(stage) = &self.flow { stage.checks() } else { vec![] }
    }

    fn pass(&mut self, host: &mut dyn Host, now: Timestamp) -> Step {
        match &mut self.flow {
            Flow::Scan(source) => scan(source, host),
            Flow::Stage(stage) => stage.step(host, now),
            Flow::Arm(arm) => arm.step(host, now),
            Flow::Collect(follow) => collect(follow.as_mut(), host, now),
            Flow::Baseline => baseline(&self.request, host),
            Flow::Probe(what) => compare(what, host, now),
            Flow::Reset => reset::reset(host).map(|()| Pass::End(Outcome::of(Progress::Done))),
        }
    }

    /// The next moment at which time alone may change what a step that only waits comes to.
    pub fn changes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let own = match &self.flow {
            Flow::Arm(arm) => arm.turns(),
            Flow::Collect(follow) => [None, follow.as_ref().and_then(Follow::gives_up_at)],
            Flow::Scan(_) | Flow::Stage(_) | Flow::Baseline | Flow::Probe(_) | Flow::Reset => [None, None],
        };
        own.into_iter().chain([self.leave, self.retry]).flatten().filter(|at| *at > now).min()
    }

    /// A line for the log whenever the phase on disk is a new one.
    fn news(&mut self, host: &dyn Host, now: Timestamp) -> Option<String> {
        let loaded = Loaded::read(host).ok()?;
        let state = loaded.state()?;
        self.leave = state.work.as_ref().and_then(|work| work.reboot_not_after);
        let phase = state.phase;
        if self.told.replace(phase) == Some(phase) {
            return None;
        }
        Some(json!({ "progress": { "phase": phase, "at": now } }).to_string())
    }
}

/// When a wait is over that is none for a look.
pub(crate) fn retry(after: Duration, now: Timestamp) -> Option<Timestamp> {
    if after == POLL { None } else { now.checked_add(after).ok() }
}

/// # Errors
/// [`RequestError::Folder`] for a folder of packages that anybody could have filled.
fn check_folder(command: &Command) -> Result<(), RequestError> {
    let (Command::Scan { source } | Command::Stage { source, .. } | Command::Arm { source, .. }) = command else {
        return Ok(());
    };
    match source {
        Source::Offline { folder, .. } if !packages::is_allowed(folder) => {
            let path = folder.chars().take(256).collect();
            Err(RequestError::Folder { field: "source.folder", path, allowed: packages::ALLOWED.to_owned() })
        }
        Source::WindowsUpdate | Source::Wsus | Source::Offline { .. } => Ok(()),
    }
}

/// Lists what the source offers and the machine does not have.
fn scan(source: &Source, host: &mut dyn Host) -> Step {
    match host.poll_job()? {
        Job::Running => Ok(Pass::Again(POLL)),
        Job::Searched(found) => {
            let offered = found.into_iter().filter(|f| f.presence != Presence::Installed).map(|f| f.offer).collect();
            Ok(Pass::End(Outcome { offered, ..Outcome::of(Progress::Done) }))
        }
        Job::Idle | Job::Downloaded(_) | Job::Installed(_) => {
            host.begin_search(source, &[])?;
            Ok(Pass::Again(POLL))
        }
    }
}

/// Tells where the work stands; one that follows waits for its end.
fn collect(follow: Option<&mut Follow>, host: &mut dyn Host, now: Timestamp) -> Step {
    // In this order: see [`Follow::step`].
    let task = host.task()?;
    let state = match Loaded::read(host)? {
        Loaded::State(state) => state,
        Loaded::Nothing => return Ok(Pass::End(Outcome { task: Some(task), ..Outcome::of(Progress::Done) })),
        Loaded::Unreadable(seen) => return Err(unreadable(&seen).into()),
    };
    match follow {
        Some(follow) => follow.step(task, &state, host, now),
        None => Ok(Pass::End(standing(&state, task, &host.boot_id()?, now))),
    }
}

/// Writes down the machine as it is, for this node update. Once anything was changed, it would hide what was before.
fn baseline(request: &Request, host: &mut dyn Host) -> Step {
    let uid = &request.ticket.node_update_uid;
    let mut state = match Loaded::read(host)?.writable()? {
        Some(state) if state.active() || (state.mutated && state.node_update_uid == *uid) => {
            let text = "state: an update is under way or was installed; a baseline would hide what was before";
            return Err(error(ErrorClass::Permanent, text).into());
        }
        Some(state) if state.node_update_uid == *uid => state,
        before => {
            let mut state = State::new(uid, host.boot_id()?);
            if let Some(before) = &before {
                state.take_over(before);
            }
            state
        }
    };
    state.baseline = Some(Baseline::of(host)?);
    state.save(host)?;
    Ok(Pass::End(Outcome::of(Progress::Done)))
}

fn compare(what: &HostProbe, host: &dyn Host, now: Timestamp) -> Step {
    let loaded = Loaded::read(host)?;
    let baseline = loaded.state().and_then(|s| s.baseline.as_ref());
    let checks = probe::checks(what, baseline, host, now);
    Ok(Pass::End(Outcome { checks, ..Outcome::of(Progress::Done) }))
}
