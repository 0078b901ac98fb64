//! `reset`: takes off what the agent put on the machine; keeps the state file.

use crate::host::{Host, TaskState};
use crate::policy;
use crate::state::{DISARMED_FILE, Loaded, STATE_FILE, State, UNREADABLE_FILE, error};
use crate::trouble::Trouble;
use windlass_protocol::{AgentPhase, ErrorClass, PinnedUpdate, UpdateState};

/// Takes off task, downloads and policy value. A state file that can not be read is put aside.
///
/// # Errors
/// Retriable while the task is at work: ending it in the middle of servicing would damage the machine.
pub(crate) fn reset(host: &mut dyn Host) -> Result<(), Trouble> {
    if host.task()? == TaskState::Running {
        return Err(error(ErrorClass::Retriable, "task: it is at work; nothing was taken off").into());
    }
    match Loaded::read(host)? {
        Loaded::Nothing => host.remove_task()?,
        Loaded::State(state) => take_off(*state, host)?,
        Loaded::Unreadable(_) => {
            host.remove_task()?;
            put_aside(host)?;
        }
    }
    host.remove(DISARMED_FILE)?;
    Ok(())
}

fn take_off(mut state: State, host: &mut dyn Host) -> Result<(), Trouble> {
    use AgentPhase::{Download, Idle, Preflight, Scan, Staged};
    if state.active() {
        let text = format!("reset: taken off during {:?}", state.phase);
        state.fail(error(ErrorClass::Permanent, text), host)?;
    } else if matches!(state.phase, Preflight | Scan | Download | Staged) {
        state.enter(Idle, host)?;
    }
    host.remove_task()?;
    host.discard_downloads(&not_installed(&state))?;
    policy::put_back(&mut state, host)?;
    Ok(())
}

fn not_installed(state: &State) -> Vec<PinnedUpdate> {
    let installed = |s| matches!(s, UpdateState::Installed | UpdateState::PendingReboot);
    state.updates.iter().filter(|u| !installed(u.state)).map(|u| u.pinned.clone()).collect()
}

fn put_aside(host: &mut dyn Host) -> Result<(), Trouble> {
    if let Some(bytes) = host.read(STATE_FILE)? {
        host.replace(UNREADABLE_FILE, &bytes)?;
    }
    host.remove(STATE_FILE)?;
    Ok(())
}
