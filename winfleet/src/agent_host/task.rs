//! The processes of the tasks that the agent armed.

use super::{
    Idle, STEPS_AT_ONCE, after,
    host::{Begun, SimulatedHost},
};
use crate::model::{Machine, World};
use jiff::Timestamp;
use std::collections::BTreeMap;
use windlass_agent::{Task, TaskNext};

/// The armed tasks of all machines: started at boots and when the agent asks for it, gone when their machine is.
#[derive(Debug, Default)]
pub struct ArmedTasks {
    running: BTreeMap<String, Process>,
}

#[derive(Debug)]
struct Process {
    /// The run of the machine in which it lives.
    boot: Timestamp,
    task: Task,
    job: Option<Begun>,
    next: Timestamp,
    idle: Option<Idle>,
}

impl ArmedTasks {
    /// Starts the tasks that are due on any machine, and lets those that run do what is due at `now`.
    pub fn tick(&mut self, world: &mut World, now: Timestamp) {
        let due: Vec<String> = world.machines().filter(|m| m.startup_task_due()).map(|m| m.name().to_owned()).collect();
        for name in due {
            self.start(world, name, now);
        }
        self.running.retain(|name, process| process.lives(world.machine(name)) && process.advance(name, world, now));
    }

    /// The same for one machine alone.
    pub fn tick_machine(&mut self, world: &mut World, name: &str, now: Timestamp) {
        if world.machine(name).is_some_and(Machine::startup_task_due) {
            self.start(world, name.to_owned(), now);
        }
        let Some(process) = self.running.get_mut(name) else { return };
        if !(process.lives(world.machine(name)) && process.advance(name, world, now)) {
            self.running.remove(name);
        }
    }

    /// The next moment at which the task of this machine goes on if nothing changes there; none when it has none that
    /// runs.
    pub fn next_event_of(&self, machine: &Machine, now: Timestamp) -> Option<Timestamp> {
        let process = self.running.get(machine.name())?;
        let idle = process.idle.filter(|idle| idle.holds(Some(machine), now));
        Some(idle.map_or(process.next, |idle| idle.until().max(process.next)))
    }

    /// The next moment at which a task goes on; none when none runs.
    pub fn next_event(&self) -> Option<Timestamp> {
        self.running.values().map(|process| process.next).min()
    }

    fn start(&mut self, world: &mut World, name: String, now: Timestamp) {
        let Some(mut guest) = world.guest(&name, now) else { return };
        if let (Some(boot), Some(_)) = (guest.machine().up_since(), guest.take_startup_task()) {
            self.running.insert(name, Process { boot, task: Task::new(), job: None, next: now, idle: None });
        }
    }
}

impl Process {
    fn lives(&self, machine: Option<&Machine>) -> bool {
        machine.is_some_and(|m| m.up_since() == Some(self.boot))
    }

    /// Does what is due; says whether the process lives on.
    fn advance(&mut self, name: &str, world: &mut World, now: Timestamp) -> bool {
        Idle::wake(&mut self.idle, &mut self.next, world.machine(name), now);
        for _ in 0..STEPS_AT_ONCE {
            if self.next > now {
                break;
            }
            let Some(guest) = world.guest(name, now) else { return false };
            let (sight, job) = (guest.machine().sight(), self.job);
            let mut host = SimulatedHost { guest, job: &mut self.job };
            match self.task.step(&mut host, now) {
                TaskNext::Again { after: wait } => {
                    self.idle = Idle::of(sight, host.guest.machine(), wait, self.task.changes_at(now));
                    self.idle = self.idle.filter(|_| self.job == job);
                    self.next = after(now, wait);
                }
                TaskNext::Ended => {
                    host.guest.end_task();
                    return false;
                }
            }
        }
        true
    }
}
