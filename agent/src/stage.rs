//! `stage`: preflight, scan, download, baseline, nonce A. Installs nothing, registers nothing.

use crate::baseline::Baseline;
use crate::host::{Host, HostResult, Job, TaskState, later};
use crate::report::Outcome;
use crate::run::{Pass, Step};
use crate::state::{DISARMED_FILE, Loaded, NONCE_A_FILE, NONCE_B_FILE, State, error};
use crate::trouble::Trouble;
use crate::{PATIENCE, POLL, RETRY, identity, pinned, policy, preflight};
use jiff::Timestamp;
use pinned::Tracked;
use windlass_protocol::{
    AgentError, AgentPhase, AutomaticUpdates, Command, ErrorClass, HostCheck, PinnedUpdate, Progress, Source, Ticket,
    UpdateState,
};

/// One `stage` in the making.
#[derive(Debug)]
pub(crate) struct Stage {
    ticket: Ticket,
    source: Source,
    updates: Vec<PinnedUpdate>,
    nonce_a: String,
    automatic: AutomaticUpdates,
    /// What preflight and search found, for the report.
    checks: Vec<HostCheck>,
    /// What the component store was found to be, once it was asked for.
    store: Option<preflight::Finding>,
    /// Ours, once the work was begun; nobody else writes it meanwhile.
    state: Option<State>,
    give_up_at: Option<Timestamp>,
}

impl Stage {
    /// Takes up the request; another command than `stage` stages nothing.
    pub fn new(ticket: &Ticket, command: Command) -> Self {
        let mut stage = Self {
            ticket: ticket.clone(),
            source: Source::WindowsUpdate,
            updates: vec![],
            nonce_a: String::new(),
            automatic: AutomaticUpdates::Report,
            checks: vec![],
            store: None,
            state: None,
            give_up_at: None,
        };
        if let Command::Stage { source, updates, nonce_a, automatic_updates } = command {
            (stage.source, stage.updates, stage.nonce_a) = (source, updates, nonce_a);
            stage.automatic = automatic_updates;
        }
        stage
    }

    /// What preflight and search found so far.
    pub fn checks(&self) -> Vec<HostCheck> {
        self.checks.clone()
    }

    /// Does the next piece. A failure is on disk before it is reported.
    pub fn step(&mut self, host: &mut dyn Host, now: Timestamp) -> Step {
        let give_up_at = *self.give_up_at.get_or_insert(later(now, PATIENCE));
        match self.advance(host, now) {
            Err(trouble) if trouble.busy() && now < give_up_at => Ok(Pass::Again(RETRY)),
            Err(trouble) => Err(self.fail(trouble, host)),
            done => done,
        }
    }

    fn fail(&mut self, trouble: Trouble, host: &mut dyn Host) -> Trouble {
        let error = AgentError::from(trouble);
        if let Some(state) = &mut self.state {
            // The report carries the error, whether or not the disk took it. Nothing will be installed now, so that
            // nothing need be held off; where that fails, `reset` does it.
            let _ = state.fail(error.clone(), host).and_then(|()| policy::put_back(state, host));
        }
        error.into()
    }

    fn advance(&mut self, host: &mut dyn Host, now: Timestamp) -> Step {
        let Some(state) = &mut self.state else { return self.begin(host, now) };
        match state.phase {
            AgentPhase::Scan => match host.poll_job()? {
                Job::Running => Ok(Pass::Again(POLL)),
                Job::Searched(found) => {
                    self.checks.extend(preflight::deadlines(&found));
                    judge(state, &found, host)?;
                    state.enter(AgentPhase::Download, host)?;
                    self.download(host, now)
                }
                Job::Idle | Job::Downloaded(_) | Job::Installed(_) => self.search(host),
            },
            AgentPhase::Download => match host.poll_job()? {
                Job::Running => Ok(Pass::Again(POLL)),
                Job::Downloaded(items) => {
                    let asked = pinned::to_download(&state.updates);
                    pinned::take_results(&mut state.updates, &asked, &items, UpdateState::Staged);
                    pinned::first_failure(&state.updates, "download").map_or(Ok(()), Err)?;
                    pinned::none_missing(&state.updates)?;
                    self.download(host, now)
                }
                Job::Idle | Job::Searched(_) | Job::Installed(_) => self.download(host, now),
            },
            // Preflight, interrupted by somebody else's work: from the start again.
            _ => self.begin(host, now),
        }
    }

    fn begin(&mut self, host: &mut dyn Host, now: Timestamp) -> Step {
        let before = Loaded::read(host)?.writable()?;
        if before.as_ref().is_some_and(State::active) || host.task()? == TaskState::Running {
            let whose = before.map_or_else(|| "nobody knows whom".to_owned(), |s| s.node_update_uid);
            let text = format!("task: the work of node update {whose} is not at its end");
            return Err(error(ErrorClass::Retriable, text).into());
        }
        if let Some(state) = before.as_ref().filter(|s| s.node_update_uid == self.ticket.node_update_uid) {
            if self.is_done(state, host)? {
                return Ok(Pass::End(self.done(host, now)));
            }
            if state.mutated {
                let text = "state: this node update changed the machine already; staging would hide what it was before";
                return Err(error(ErrorClass::Permanent, text).into());
            }
        }
        let state = self.state.insert(fresh(&self.ticket, &self.updates, before, host.boot_id()?));
        state.enter(AgentPhase::Preflight, host)?;
        host.remove_task()?;
        host.remove(DISARMED_FILE)?;
        let findings = preflight::look(host, self.automatic, &mut self.store);
        self.checks = findings.iter().map(|f| f.check.clone()).collect();
        if let Some(trouble) = findings.into_iter().find_map(|f| f.error) {
            return Err(trouble);
        }
        if self.automatic == AutomaticUpdates::Take {
            policy::take(state, host)?;
        }
        state.enter(AgentPhase::Scan, host)?;
        self.search(host)
    }

    fn search(&self, host: &mut dyn Host) -> Step {
        host.begin_search(&self.source, &self.updates)?;
        Ok(Pass::Again(POLL))
    }

    /// Downloads what is still to be downloaded, or ends.
    fn download(&mut self, host: &mut dyn Host, now: Timestamp) -> Step {
        let Some(state) = &mut self.state else { return self.begin(host, now) };
        let wanted = pinned::to_download(&state.updates);
        if !wanted.is_empty() {
            host.begin_download(&wanted)?;
            return Ok(Pass::Again(POLL));
        }
        state.baseline = Some(Baseline::of(host)?);
        host.replace(NONCE_A_FILE, self.nonce_a.as_bytes())?;
        host.remove(NONCE_B_FILE)?;
        state.enter(AgentPhase::Staged, host)?;
        Ok(Pass::End(self.done(host, now)))
    }

    /// The answer when all is staged. The disk's identity is read anew each time: it is renewed while the machine runs.
    fn done(&self, host: &dyn Host, now: Timestamp) -> Outcome {
        let (identity, untold) = identity::read(host, now);
        let checks = [self.checks(), untold].concat();
        Outcome { checks, identity: Some(identity), ..Outcome::of(Progress::Done) }
    }

    /// Whether this very question was answered before.
    fn is_done(&self, state: &State, host: &dyn Host) -> HostResult<bool> {
        use AgentPhase::{Done, MoreToInstall, Staged};
        let same_set = state.updates.len() == self.updates.len()
            && self.updates.iter().all(|p| state.updates.iter().any(|u| u.pinned == *p));
        Ok(matches!(state.phase, Staged | MoreToInstall | Done)
            && state.baseline.is_some()
            && same_set
            && host.read(NONCE_A_FILE)?.as_deref() == Some(self.nonce_a.as_bytes()))
    }
}

/// The document of this node update, from its start. A policy that is held off stays held, whoever took it; boots are
/// counted on within one node update.
fn fresh(ticket: &Ticket, updates: &[PinnedUpdate], before: Option<State>, boot_id: String) -> State {
    let mut state = State::new(&ticket.node_update_uid, boot_id);
    state.updates = updates.iter().cloned().map(Tracked::new).collect();
    if let Some(before) = before {
        state.take_over(&before);
    }
    state.note(ticket);
    state
}

/// Judges what the source offers.
fn judge(state: &mut State, found: &[crate::host::FoundUpdate], host: &dyn Host) -> Result<(), Trouble> {
    let here = host.build()?;
    state.updates.iter_mut().for_each(|u| u.see(found, here));
    if let Some(why) = state.updates.iter().find_map(|u| pinned::feature_upgrade(found, u, here)) {
        return Err(
            error(ErrorClass::Permanent, format!("updates: feature upgrades are never taken, and {why}")).into()
        );
    }
    if let Some(why) = state.updates.iter().find_map(|u| pinned::other_kb(found, u)) {
        return Err(error(ErrorClass::Permanent, format!("updates: {why}")).into());
    }
    pinned::none_missing(&state.updates)?;
    Ok(())
}
