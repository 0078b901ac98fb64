//! The armed tasks of machines that run the real program.

use super::{WineMachines, WineProcess};
use crate::agent_host::Look;
use crate::hypervisor::SharedWorld;
use crate::model::World;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The processes of the tasks that the program armed.
pub struct WineTasks {
    machines: WineMachines,
    shared: SharedWorld,
    running: BTreeMap<String, WineProcess>,
}

impl WineTasks {
    /// Those of these machines; none runs yet.
    pub fn new(machines: WineMachines, shared: SharedWorld) -> Self {
        Self { machines, shared, running: BTreeMap::new() }
    }

    /// Starts the tasks that are due, and takes note of those that ended. Runs under the world's lock: short.
    pub fn tick(&mut self, world: &mut World, now: Timestamp) {
        self.running.retain(|name, process| {
            let up_since = world.machine(name).and_then(crate::model::Machine::up_since);
            match process.look(up_since, now) {
                Look::Running { .. } => true,
                Look::Exited { .. } => {
                    world.guest(name, now).into_iter().for_each(|mut guest| guest.end_task());
                    false
                }
                Look::Killed => false,
            }
        });
        for name in self.machines.names() {
            let due = world.machine(name).is_some_and(crate::model::Machine::startup_task_due);
            let Some(mut guest) = world.guest(name, now).filter(|_| due) else { continue };
            let (Some(boot), Some(_), Some(wine)) =
                (guest.machine().up_since(), guest.take_startup_task(), self.machines.of_machine(name))
            else {
                continue;
            };
            match WineProcess::start(wine, &["task".to_owned()], name, boot, &self.shared) {
                Ok(process) => drop(self.running.insert(name.to_owned(), process)),
                Err(error) => {
                    tracing::error!(machine = name, %error, "the task's process can not be started");
                    guest.end_task();
                }
            }
        }
    }
}
