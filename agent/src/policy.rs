//! Who owns automatic updates while the agent works.
//!
//! A machine whose policy lets it install and reboot by itself would do so in the middle of a node update, or again
//! right after a revert. The agent then sets `NoAutoUpdate`, and puts the old value back exactly, at the end of the
//! work or by `reset`. What it replaced is on disk before it is replaced.

use crate::host::{Host, HostResult, UpdatePolicy};
use crate::state::{State, TakenPolicy};

/// `AUOptions` that downloads, installs and reboots on a schedule (Microsoft, "Configure Automatic Updates").
const INSTALLS_BY_ITSELF: u32 = 4;

/// `NoAutoUpdate` that turns automatic updates off.
const OFF: u32 = 1;

/// Whether automatic updates may install and reboot by themselves: on a schedule, or by force after a deadline.
pub(crate) fn reboots_by_itself(policy: &UpdatePolicy) -> bool {
    policy.no_auto_update != Some(OFF)
        && (policy.au_options == Some(INSTALLS_BY_ITSELF) || policy.deadline_days.is_some())
}

/// Turns automatic updates off where they could reboot the machine by themselves.
pub(crate) fn take(state: &mut State, host: &mut dyn Host) -> HostResult<()> {
    let policy = host.update_policy()?;
    if !reboots_by_itself(&policy) {
        return Ok(());
    }
    if state.taken_policy.is_none() {
        state.taken_policy = Some(TakenPolicy { no_auto_update: policy.no_auto_update });
        state.save(host)?;
    }
    host.set_no_auto_update(Some(OFF))
}

/// Puts the old value back, where the agent replaced one.
pub(crate) fn put_back(state: &mut State, host: &mut dyn Host) -> HostResult<()> {
    let Some(taken) = state.taken_policy else { return Ok(()) };
    host.set_no_auto_update(taken.no_auto_update)?;
    state.taken_policy = None;
    state.save(host)
}
