//! The armed task: installs, reboots, and looks again, with nobody's help.
//!
//! Its process is started by `arm` and by every boot until the work is at an end. What it is to do is in the state
//! file alone.

use crate::host::{Host, HostError, Job, later};
use crate::pinned;
use crate::run::retry;
use crate::state::{DISARMED_FILE, Loaded, State, error};
use crate::trouble::Trouble;
use crate::{PATIENCE, POLL, RETRY, install, policy};
use jiff::{SignedDuration, Timestamp};
use std::ops::RangeInclusive;
use std::time::Duration;
use windlass_protocol::{AgentError, AgentPhase, ErrorClass, UpdateState};

/// How long to wait for a reboot that was asked for, before asking again: 5 minutes, ours. A shutdown that services
/// delay takes up to a few minutes.
const ASK_AGAIN: Duration = Duration::from_mins(5);

/// How long servicing that goes on after a boot is waited for: 10 minutes, ours. What completes an update takes minutes;
/// clean-ups that begin by themselves take hours on old versions, and are in the way of no search. It must be well within
/// `verify.timeout` (20 minutes, where a policy says nothing), whose `host` probe waits for it.
const SETTLES: SignedDuration = SignedDuration::from_mins(10);

/// How long a search after a boot may fail or go on before the build alone is believed: 5 minutes, ours. A source that is just
/// late (a network that is not up yet) has more to say than the build. Together with [`SETTLES`] it must be within
/// `verify.timeout`.
const ANSWERS: SignedDuration = SignedDuration::from_mins(5);

/// How long a search that may still succeed is tried again after a boot, where the build does not show what was installed: 24
/// hours, the most that `verify.timeout` may be. The operator has its own patience, and ends it.
const SEARCHES: SignedDuration = SignedDuration::from_hours(24);

/// Codes by which the source, or the way to it, is at fault, and not the machine: those of the protocol with the server,
/// `WU_E_PT_*` (wuerror.h).
const SOURCE_CODES: RangeInclusive<u32> = 0x8024_4000..=0x8024_4FFF;

/// What the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskNext {
    /// Step again after the time.
    Again {
        /// How long to wait; may be zero.
        after: Duration,
    },
    /// End the process. Where work is left, the task is still registered, and the next boot starts it again.
    Ended,
}

/// Result of one step of the task.
pub(crate) type TaskStep = Result<TaskNext, Trouble>;

/// The next piece may be done at once.
pub(crate) const AT_ONCE: TaskStep = Ok(TaskNext::Again { after: Duration::ZERO });

/// Look again soon.
pub(crate) const SOON: TaskStep = Ok(TaskNext::Again { after: POLL });

/// One process of the armed task.
#[derive(Debug, Default)]
pub struct Task {
    /// The only writer while the task runs.
    state: Option<State>,
    since: Option<(AgentPhase, Timestamp)>,
    /// Whether it is known what to install next, and only servicing is waited for.
    ready: bool,
    /// When something that failed is tried again: more than a look, though the machine stays as it is.
    retry: Option<Timestamp>,
}

impl Task {
    /// Makes the process of the task, as it starts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does the next bounded piece.
    pub fn step(&mut self, host: &mut dyn Host, now: Timestamp) -> TaskNext {
        let next = match self.advance(host, now) {
            Ok(next) => next,
            Err(trouble) if trouble.may_pass() && self.patient(now) => TaskNext::Again { after: RETRY },
            Err(trouble) => self.give_up(&trouble.into(), host),
        };
        if let TaskNext::Again { after } = next {
            self.retry = retry(after, now);
        }
        next
    }

    /// The next moment at which time alone may change what a step that only waits comes to.
    pub fn changes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let work = self.state.as_ref()?.work.as_ref()?;
        let waits = self.since.and_then(|(phase, since)| match phase {
            AgentPhase::PostBoot => Some(later(since, SETTLES)),
            AgentPhase::Rescan => Some(later(since, ANSWERS)),
            _ => None,
        });
        let turns = [work.reboot_not_after, Some(work.install_not_after), waits, self.retry];
        turns.into_iter().flatten().filter(|at| *at > now).min()
    }

    fn advance(&mut self, host: &mut dyn Host, now: Timestamp) -> TaskStep {
        if self.state.is_none() {
            self.state = load(host)?;
        }
        let Some(state) = &mut self.state else {
            // Nothing that could be worked on: the safe thing is to be disarmed.
            host.remove_task()?;
            return Ok(TaskNext::Ended);
        };
        let (_, since) = *self.since.insert(match self.since {
            Some((phase, since)) if phase == state.phase => (phase, since),
            _ => (state.phase, now),
        });
        if state.active() {
            guard(state)?;
        }
        match state.phase {
            AgentPhase::Install => install::step(state, &mut self.ready, host, now),
            AgentPhase::RebootRequested => reboot(state, host, now),
            AgentPhase::PostBoot => post_boot(state, host, now < later(since, SETTLES)),
            AgentPhase::Rescan => rescan(state, host, now < later(since, ANSWERS)),
            _ => disarm(state, host),
        }
    }

    /// Whether trouble that may pass is still waited out. An installation has its own deadline.
    fn patient(&self, now: Timestamp) -> bool {
        self.since.is_none_or(|(phase, since)| match phase {
            AgentPhase::Install => true,
            AgentPhase::Rescan => now < later(since, SEARCHES),
            _ => now < later(since, PATIENCE),
        })
    }

    /// Writes down why, and disarms. While the disk takes nothing, nothing else is safe but to try again.
    fn give_up(&mut self, error: &AgentError, host: &mut dyn Host) -> TaskNext {
        let again = TaskNext::Again { after: RETRY };
        let Some(state) = &mut self.state else { return again };
        if state.fail(error.clone(), host).is_err() {
            self.state = None;
            return again;
        }
        // What tells a person is no condition of what keeps the machine safe.
        let _ = host.replace(DISARMED_FILE, format!("{}\n", error.message).as_bytes());
        let _ = host.write_event(true, &format!("gave up, and took its task off: {}", error.message));
        disarm(state, host).unwrap_or(again)
    }
}

/// Reads the state as the process starts, and notes the boot.
fn load(host: &mut dyn Host) -> Result<Option<State>, Trouble> {
    let Loaded::State(mut state) = Loaded::read(host)? else { return Ok(None) };
    if state.see_boot(&host.boot_id()?) {
        if state.phase == AgentPhase::RebootRequested {
            state.phase = AgentPhase::PostBoot;
        }
        state.save(host)?;
    }
    Ok(Some(*state))
}

/// The guard against boot loops: past the limit nothing is done any more.
fn guard(state: &State) -> Result<(), AgentError> {
    let Some(work) = &state.work else {
        return Err(error(ErrorClass::Permanent, format!("state: {:?} without work", state.phase)));
    };
    if state.reboots > work.max_reboots {
        let text = format!("maxReboots: {} are allowed, {} were seen; disarmed", work.max_reboots, state.reboots);
        return Err(error(ErrorClass::Permanent, text));
    }
    Ok(())
}

/// Reboots, with leave and while nothing is servicing the machine; without leave the process ends and waits for it.
fn reboot(state: &mut State, host: &mut dyn Host, now: Timestamp) -> TaskStep {
    let max = state.work.as_ref().map_or(0, |w| w.max_reboots);
    if state.reboots >= max {
        let text = format!("maxReboots: {max} are allowed and were taken, another one is wanted; disarmed");
        return Err(error(ErrorClass::Permanent, text).into());
    }
    if !state.may_reboot(now) {
        return Ok(TaskNext::Ended);
    }
    if host.servicing_busy()? {
        return SOON;
    }
    let boot_id = host.boot_id()?;
    if !state.reboot_asked(&boot_id) {
        if let Some(work) = &mut state.work {
            work.reboot_asked_in = Some(boot_id);
        }
        state.save(host)?;
    }
    let _ = host.write_event(false, "asks for a planned reboot");
    host.reboot("Windlass: an update that was installed wants a reboot")?;
    Ok(TaskNext::Again { after: ASK_AGAIN })
}

/// Waits until the boot's own servicing is over, while `patient`; servicing that nobody can ask for may be at work. Where
/// nothing was installed there is nothing to look for.
fn post_boot(state: &mut State, host: &mut dyn Host, patient: bool) -> TaskStep {
    if patient && host.servicing_busy().unwrap_or(true) {
        return SOON;
    }
    state.enter(if state.mutated { AgentPhase::Rescan } else { AgentPhase::Done }, host)?;
    AT_ONCE
}

/// Searches again, and says what the pinned set came to. Where the build shows that it is in, a source that does not answer
/// is no failure of the update; it is given time while `patient`, and what it says counts before the build.
fn rescan(state: &mut State, host: &mut dyn Host, patient: bool) -> TaskStep {
    match host.poll_job() {
        Ok(Job::Searched(found)) => {
            let here = host.build()?;
            state.updates.iter_mut().for_each(|u| u.see(&found, here));
            let phase = verdict(state, host)?;
            state.enter(phase, host)?;
            AT_ONCE
        }
        Ok(Job::Running) if patient || !is_in(state, host) => SOON,
        Ok(Job::Running) => believe_the_build(state, error(ErrorClass::Retriable, "search: it does not end"), host),
        Ok(Job::Idle | Job::Downloaded(_) | Job::Installed(_)) => {
            let Some(work) = &state.work else { return AT_ONCE };
            match host.begin_search(&work.source, &pinned::all(&state.updates)) {
                Ok(()) => SOON,
                Err(e) => unanswered(state, e, host, patient),
            }
        }
        Err(e) => unanswered(state, e, host, patient),
    }
}

/// What a search that failed comes to: what may pass is tried again while `patient`, and as long as the build does not show
/// that all is in. What is neither that nor the source's is the machine's own: the update may have broken its searches.
fn unanswered(state: &mut State, e: HostError, host: &mut dyn Host, patient: bool) -> TaskStep {
    let of_source = SOURCE_CODES.contains(&e.hresult);
    let trouble = Trouble::from(e);
    let passes = trouble.may_pass();
    if (patient && passes) || !(passes || of_source) || !is_in(state, host) {
        return Err(trouble);
    }
    believe_the_build(state, trouble.into(), host)
}

/// Whether the build shows that all is in, and no reboot is due that something might wait for. What can not be read shows
/// nothing.
fn is_in(state: &State, host: &dyn Host) -> bool {
    let due = host.reboot_signals().map_or(true, |signals| signals.due());
    !due && host.build().is_ok_and(|here| pinned::shown_by_build(&state.updates, here))
}

/// Ends the work without the source's word; why it gave none is kept with it, and told.
fn believe_the_build(state: &mut State, why: AgentError, host: &mut dyn Host) -> TaskStep {
    let here = host.build()?;
    pinned::take_shown(&mut state.updates, here);
    let _ = host
        .write_event(false, &format!("installed, as build {here} shows; the source was not heard: {}", why.message));
    state.error = Some(why);
    state.enter(AgentPhase::Done, host)?;
    AT_ONCE
}

fn verdict(state: &State, host: &dyn Host) -> Result<AgentPhase, Trouble> {
    let here = host.build()?;
    pinned::none_missing(&state.updates)?;
    let refused = pinned::names(state.updates.iter().filter(|u| u.refused(here)));
    if !refused.is_empty() {
        let text = format!("updates: the machine does not want {refused}, and is at {here} only");
        return Err(error(ErrorClass::Permanent, text).into());
    }
    Ok(if state.any(UpdateState::PendingReboot) {
        AgentPhase::RebootRequested
    } else if state.any(UpdateState::Offered) || state.any(UpdateState::Staged) {
        AgentPhase::MoreToInstall
    } else {
        AgentPhase::Done
    })
}

/// Takes the task off. At a good end automatic updates are given back; after a failure they stay off, lest they
/// install the same again before anybody looked.
fn disarm(state: &mut State, host: &mut dyn Host) -> TaskStep {
    if state.phase == AgentPhase::Done {
        policy::put_back(state, host)?;
        let _ = host.write_event(false, "the work is at its end");
    }
    host.remove_task()?;
    Ok(TaskNext::Ended)
}
