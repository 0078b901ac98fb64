//! `stage`: preflight, scan, download, baseline, nonce A. Installs nothing, registers nothing.

use crate::host::{Host, HostResult, Job, TaskState, later};
use crate::report::Outcome;
use crate::run::{Pass, Step};
use crate::state::{Loaded, NONCE_A_FILE, NONCE_B_FILE, State, error};
use crate::trouble::Trouble;
use crate::{PATIENCE, POLL, RETRY, pinned, policy, preflight, probe};
use jiff::Timestamp;
use pinned::Tracked;
use windlass_protocol::{AgentError, AgentPhase, ErrorClass, PinnedUpdate, Progress, Source, Ticket, UpdateState};

/// One `stage` in the making.
#[derive(Debug)]
pub(crate) struct Stage {
    uid: String,
    source: Source,
    updates: Vec<PinnedUpdate>,
    nonce_a: String,
    /// Ours, once the work was begun; nobody else writes it meanwhile.
    state: Option<State>,
    give_up_at: Option<Timestamp>,
}

impl Stage {
    pub fn new(ticket: &Ticket, source: Source, updates: Vec<PinnedUpdate>, nonce_a: String) -> Self {
        let uid = ticket.node_update_uid.clone();
        Self { uid, source, updates, nonce_a, state: None, give_up_at: None }
    }

    /// Does the next piece. A failure is on disk before it is reported.
    pub fn step(&mut self, host: &mut dyn Host, now: Timestamp) -> Step {
        let give_up_at = *self.give_up_at.get_or_insert(later(now, PATIENCE));
        match self.advance(host) {
            Err(trouble) if trouble.busy() && now < give_up_at => Ok(Pass::Again(RETRY)),
            Err(trouble) => Err(self.fail(trouble, host)),
            done => done,
        }
    }

    fn fail(&mut self, trouble: Trouble, host: &mut dyn Host) -> Trouble {
        let error = AgentError::from(trouble);
        // The report carries the error, whether or not the disk took it.
        let _ = self.state.as_mut().map(|state| state.fail(error.clone(), host));
        error.into()
    }

    fn advance(&mut self, host: &mut dyn Host) -> Step {
        let Some(state) = &mut self.state else { return self.begin(host) };
        match state.phase {
            AgentPhase::Scan => match host.poll_job()? {
                Job::Running => Ok(Pass::Again(POLL)),
                Job::Searched(found) => {
                    judge(state, &found, host)?;
                    state.enter(AgentPhase::Download, host)?;
                    self.download(host)
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
                    self.download(host)
                }
                Job::Idle | Job::Searched(_) | Job::Installed(_) => self.download(host),
            },
            // Preflight, interrupted by somebody else's work: from the start again.
            _ => self.begin(host),
        }
    }

    fn begin(&mut self, host: &mut dyn Host) -> Step {
        let before = Loaded::read(host)?.writable()?;
        if before.as_ref().is_some_and(State::active) || host.task()? == TaskState::Running {
            let whose = before.map_or_else(|| "nobody knows whom".to_owned(), |s| s.node_update_uid);
            let text = format!("task: the work of node update {whose} is not at its end");
            return Err(error(ErrorClass::Retriable, text).into());
        }
        if let Some(state) = before.as_ref().filter(|s| s.node_update_uid == self.uid) {
            if self.is_done(state, host)? {
                return Ok(Pass::End(Outcome::of(Progress::Done)));
            }
            if state.mutated {
                let text = "state: this node update changed the machine already; staging would hide what it was before";
                return Err(error(ErrorClass::Permanent, text).into());
            }
        }
        let state = self.state.insert(fresh(&self.uid, &self.updates, before, host.boot_id()?));
        state.enter(AgentPhase::Preflight, host)?;
        host.remove_task()?;
        preflight::check(host)?;
        policy::take(state, host)?;
        state.enter(AgentPhase::Scan, host)?;
        self.search(host)
    }

    fn search(&self, host: &mut dyn Host) -> Step {
        host.begin_search(&self.source, &self.updates)?;
        Ok(Pass::Again(POLL))
    }

    /// Downloads what is still to be downloaded, or ends.
    fn download(&mut self, host: &mut dyn Host) -> Step {
        let Some(state) = &mut self.state else { return self.begin(host) };
        let wanted = pinned::to_download(&state.updates);
        if !wanted.is_empty() {
            host.begin_download(&wanted)?;
            return Ok(Pass::Again(POLL));
        }
        state.baseline = Some(probe::baseline(host)?);
        host.replace(NONCE_A_FILE, self.nonce_a.as_bytes())?;
        host.remove(NONCE_B_FILE)?;
        state.enter(AgentPhase::Staged, host)?;
        Ok(Pass::End(Outcome::of(Progress::Done)))
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
fn fresh(uid: &str, updates: &[PinnedUpdate], before: Option<State>, boot_id: String) -> State {
    let mut state = State::new(uid, boot_id);
    state.updates = updates.iter().cloned().map(Tracked::new).collect();
    if let Some(before) = before {
        state.take_over(&before);
    }
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
    pinned::none_missing(&state.updates)?;
    Ok(())
}
