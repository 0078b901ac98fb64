//! A process that is elsewhere, and asks for the machine over a connection.

use super::host::{Begun, SimulatedHost};
use crate::model::World;
use jiff::Timestamp;
use windlass_agent::fake::{Answer, Call};

/// `ERROR_NOT_READY`: the machine is down, and the process with it.
const NOT_READY: u32 = 0x8007_0015;

/// A process of the agent that is not in this one.
#[derive(Debug)]
pub struct RemoteProcess {
    machine: String,
    /// The run of the machine in which it lives.
    boot: Timestamp,
    job: Option<Begun>,
}

impl RemoteProcess {
    /// One that was started in the machine's present run, which began at `boot`.
    pub fn new(machine: &str, boot: Timestamp) -> Self {
        Self { machine: machine.to_owned(), boot, job: None }
    }

    /// Makes its call on the machine.
    ///
    /// # Errors
    /// Those of the call, as it answers; "not ready" once its machine went down.
    pub fn answer(&mut self, call: &Call, world: &mut World, now: Timestamp) -> Answer {
        let guest = world.guest(&self.machine, now).filter(|g| g.machine().up_since() == Some(self.boot));
        let guest = guest.ok_or((NOT_READY, "the machine went down".to_owned()))?;
        call.answer(&mut SimulatedHost { guest, job: &mut self.job })
    }
}
