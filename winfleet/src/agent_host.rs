//! The agent on simulated machines: the very core that runs on Windows, over the model.
//!
//! `host` writes the agent's traits over a machine's inside ([`crate::model::Guest`]); [`AgentProcess`] is the process
//! of an agent pod, [`ArmedTasks`] are the processes of the tasks that it registers. A process lives in one run of its
//! machine: what was started before a reboot or a power cut is dead, and what it has not written to the disk is gone.

mod condition;
mod host;
mod idle;
mod process;
mod remote;
mod task;

pub use idle::Idle;
pub use process::{AgentProcess, Look};
pub use remote::RemoteProcess;
pub use task::ArmedTasks;

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Steps that a process may take at one moment. The agent waits between most of its steps; one that does not within
/// this many goes on at the next look.
const STEPS_AT_ONCE: usize = 64;

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.saturating_add(SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
