//! The process of an agent pod.

use super::{
    Idle, STEPS_AT_ONCE, after,
    host::{Begun, SimulatedHost},
};
use crate::model::World;
use jiff::Timestamp;
use windlass_agent::{Next, Run, args};
use windlass_protocol::exit;

/// The process of an agent pod: `windlass-agent.exe <command> --request <base64>`.
#[derive(Debug)]
pub struct AgentProcess {
    machine: String,
    /// The run of the machine in which it lives.
    boot: Timestamp,
    state: State,
    job: Option<Begun>,
    idle: Option<Idle>,
}

#[derive(Debug)]
enum State {
    Running {
        run: Box<Run>,
        next: Timestamp,
    },
    /// Refused its command line, with this line.
    Refused(String),
    Ended(i32),
    Killed,
}

/// What a look at the process found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// It runs.
    Running {
        /// What it printed since the last look.
        lines: Vec<String>,
        /// When it goes on: look again then.
        next: Timestamp,
        /// What it waits for, when it does nothing else: no look comes to anything as long as this holds.
        idle: Option<Idle>,
    },
    /// It ended by itself.
    Exited {
        /// What it printed since the last look.
        lines: Vec<String>,
        /// Its exit code, one of [`windlass_protocol::exit`].
        code: i32,
    },
    /// Its machine went down under it; it printed nothing more.
    Killed,
}

impl AgentProcess {
    /// Starts the program with the `args` behind its name on a machine, in the machine's present run, which began at
    /// `boot` ([`crate::model::Machine::up_since`]). It does nothing before the first [`AgentProcess::look`].
    pub fn start(args: &[String], machine: &str, boot: Timestamp) -> Self {
        let run = args::parse(args).and_then(|request| Ok(Run::new(request, machine)?));
        let state = match run {
            Ok(run) => State::Running { run: Box::new(run), next: Timestamp::MIN },
            Err(error) => State::Refused(format!("windlass-agent: {error}")),
        };
        Self { machine: machine.to_owned(), boot, state, job: None, idle: None }
    }

    /// Lets the process do what is due at `now`.
    pub fn look(&mut self, world: &mut World, now: Timestamp) -> Look {
        if let State::Refused(line) = &mut self.state {
            let lines = vec![std::mem::take(line)];
            self.state = State::Ended(exit::BAD_REQUEST);
            return Look::Exited { lines, code: exit::BAD_REQUEST };
        }
        let mut lines = vec![];
        if let State::Running { next, .. } = &mut self.state {
            Idle::wake(&mut self.idle, next, world.machine(&self.machine), now);
        }
        for _ in 0..STEPS_AT_ONCE {
            match &self.state {
                State::Running { next, .. } if *next <= now => self.step(world, now, &mut lines),
                _ => break,
            }
        }
        match self.state {
            State::Running { next, .. } => Look::Running { lines, next, idle: self.idle },
            State::Ended(code) => Look::Exited { lines, code },
            State::Killed | State::Refused(_) => Look::Killed,
        }
    }

    fn step(&mut self, world: &mut World, now: Timestamp, lines: &mut Vec<String>) {
        let State::Running { run, next } = &mut self.state else { return };
        let Some(guest) = world.guest(&self.machine, now).filter(|g| g.machine().up_since() == Some(self.boot)) else {
            self.state = State::Killed;
            return;
        };
        let (sight, job) = (guest.machine().sight(), self.job);
        match run.step(&mut SimulatedHost { guest, job: &mut self.job }, now) {
            Next::Again { after: wait, line } => {
                let looked = line.is_none() && self.job == job;
                let machine = world.machine(&self.machine).filter(|_| looked);
                self.idle = machine.and_then(|machine| Idle::of(sight, machine, wait, run.changes_at(now)));
                lines.extend(line);
                *next = after(now, wait);
            }
            Next::Refused(error) => {
                lines.push(format!("windlass-agent: {error}"));
                self.state = State::Ended(exit::BAD_REQUEST);
            }
            Next::Exit { code, report } => {
                lines.push(report.to_line());
                self.state = State::Ended(code);
            }
        }
    }
}
