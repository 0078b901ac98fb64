//! The armed task's `Install`: exactly the pinned set, in one round.

use crate::host::{Host, HostError, Job};
use crate::hresult::Class;
use crate::pinned::{self, first_failure, next_batch, to_download};
use crate::state::{State, error};
use crate::task::{AT_ONCE, SOON, TaskStep};
use jiff::Timestamp;
use windlass_protocol::{AgentError, AgentPhase, ErrorClass, UpdateState};

/// Does the next piece of the round. A process that starts in the middle searches first: what the machine has decides
/// what is left, so that nothing is installed twice. Once that is known and only servicing is waited for (`ready`), it
/// does not search again: each search starts servicing, which would so be waited for until the deadline.
pub(crate) fn step(state: &mut State, ready: &mut bool, host: &mut dyn Host, now: Timestamp) -> TaskStep {
    in_time(state, now)?;
    let was_ready = std::mem::take(ready);
    match host.poll_job() {
        Ok(Job::Running) => SOON,
        Ok(Job::Idle) if was_ready => go_on(state, ready, host),
        Ok(Job::Idle) => search(state, host),
        Ok(Job::Searched(found)) => {
            let here = host.build()?;
            // What failed in this attempt stays failed, or an interrupted process would try it for ever.
            let open = state.updates.iter_mut().filter(|u| u.state != UpdateState::Failed);
            open.for_each(|u| u.see(&found, here));
            go_on(state, ready, host)
        }
        Ok(Job::Downloaded(items)) => {
            let asked = to_download(&state.updates);
            let blocked = pinned::take_results(&mut state.updates, &asked, &items, UpdateState::Staged);
            after_results(blocked, state, ready, host)
        }
        Ok(Job::Installed(items)) => {
            let asked = next_batch(&state.updates);
            let blocked = pinned::take_results(&mut state.updates, &asked, &items, UpdateState::Installed);
            after_results(blocked, state, ready, host)
        }
        Err(e) => whole_job_failed(e, state, host),
    }
}

/// # Errors
/// Permanent past the deadline. The installer is not interrupted: cutting servicing short damages Windows.
fn in_time(state: &State, now: Timestamp) -> Result<(), AgentError> {
    let late = state.work.as_ref().is_none_or(|w| now >= w.install_not_after);
    if late {
        return Err(error(ErrorClass::Permanent, "timeoutSeconds: the installation did not end in time"));
    }
    Ok(())
}

fn search(state: &State, host: &mut dyn Host) -> TaskStep {
    let Some(work) = &state.work else { return AT_ONCE };
    host.begin_search(&work.source, &pinned::all(&state.updates))?;
    SOON
}

fn after_results(blocked: bool, state: &mut State, ready: &mut bool, host: &mut dyn Host) -> TaskStep {
    if blocked {
        state.enter(AgentPhase::RebootRequested, host)?;
        return AT_ONCE;
    }
    state.save(host)?;
    go_on(state, ready, host)
}

/// Downloads what is not there yet, then installs batch by batch, then says what the round came to. Sets `ready` where
/// the next batch waits for servicing alone.
fn go_on(state: &mut State, ready: &mut bool, host: &mut dyn Host) -> TaskStep {
    let wanted = to_download(&state.updates);
    if !wanted.is_empty() {
        host.begin_download(&wanted)?;
        return SOON;
    }
    let batch = next_batch(&state.updates);
    if batch.is_empty() {
        return end_of_round(state, host);
    }
    // Beside another installer the service would refuse with the same code as for a pending reboot.
    if host.servicing_busy()? {
        *ready = true;
        return SOON;
    }
    state.mutated = true;
    state.save(host)?;
    match host.begin_install(&batch) {
        Ok(()) => SOON,
        Err(e) => whole_job_failed(e, state, host),
    }
}

fn end_of_round(state: &mut State, host: &mut dyn Host) -> TaskStep {
    if let Some(failure) = first_failure(&state.updates, "installation") {
        return Err(failure.into());
    }
    pinned::none_missing(&state.updates)?;
    let reboot = state.any(UpdateState::PendingReboot) || host.reboot_signals()?.due();
    state.enter(if reboot { AgentPhase::RebootRequested } else { AgentPhase::Rescan }, host)?;
    AT_ONCE
}

/// A job that failed as a whole: a pending reboot in its way is taken first, whatever may pass is tried again by the
/// caller until the deadline, the rest is final.
fn whole_job_failed(e: HostError, state: &mut State, host: &mut dyn Host) -> TaskStep {
    match e.class() {
        Class::RebootFirst | Class::RebootNeeded => state.enter(AgentPhase::RebootRequested, host)?,
        Class::AlreadyDone => state.enter(AgentPhase::Rescan, host)?,
        Class::Busy
        | Class::Retriable
        | Class::NotApplicable
        | Class::Configuration
        | Class::DiskFull
        | Class::ComponentStore
        | Class::Permanent => return Err(e.into()),
    }
    AT_ONCE
}
