//! The programs of pods, running.

use super::{
    after,
    machine::MachineFacts,
    network::{self, Exit},
    pod::PodView,
    program::Program,
};
use crate::{
    agent_host::{self, AgentProcess},
    hypervisor::SharedWorld,
    model::Machine,
    wine::{Wine, WineProcess},
};
use jiff::Timestamp;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often a running program is looked at that does not say when it goes on.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a container runtime says of a program that it could not start (runc and hcsshim).
const EXIT_NOT_STARTED: i32 = 128;

/// A running program.
#[derive(Debug)]
pub enum Process {
    /// The agent's core over the simulated machine.
    Agent(AgentProcess),
    /// The real agent, under Wine.
    Wine(WineProcess),
    /// A probe's request under way.
    Probe(Task),
    /// Works until this time.
    Until(Timestamp),
    /// Ended at once, with this.
    Ended(Exit),
    /// Serves until it is stopped.
    Forever,
}

/// A task that ends with its owner: nobody hears what a killed program was answered.
#[derive(Debug)]
pub struct Task(JoinHandle<Exit>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a look at a program found.
#[derive(Debug, PartialEq, Eq)]
pub struct Look {
    /// What it printed since the last look.
    pub lines: Vec<String>,
    /// Its exit code, once it ended.
    pub exit: Option<i32>,
    /// When to look again, if it has to be looked at.
    pub again: Option<Timestamp>,
}

impl Process {
    /// Starts the program of a pod.
    pub fn start(pod: &PodView, facts: &MachineFacts, runs: Duration, now: Timestamp) -> Self {
        match &pod.program {
            Program::Agent(args) => Self::Agent(AgentProcess::start(args, &pod.node, facts.boot)),
            Program::HttpProbe(Ok(probe)) => {
                let network = network::of_pod(facts, pod.host_network);
                Self::Probe(Task(tokio::spawn(network::probe(probe.clone(), network))))
            }
            Program::HttpProbe(Err(usage)) => Self::Ended(Exit { code: 2, line: usage.clone() }),
            Program::RunsToEnd { .. } => Self::Until(after(now, runs)),
            Program::Forever => Self::Forever,
        }
    }

    /// Starts the real agent.
    pub fn start_wine(wine: &Wine, args: &[String], pod: &PodView, facts: &MachineFacts, world: &SharedWorld) -> Self {
        match WineProcess::start(wine, args, &pod.node, facts.boot, world) {
            Ok(process) => Self::Wine(process),
            Err(error) => Self::Ended(Exit { code: EXIT_NOT_STARTED, line: format!("windlass-agent: {error}") }),
        }
    }

    /// Looks at the program, and lets the agent do its next step.
    pub async fn look(&mut self, pod: &PodView, facts: &MachineFacts, world: &SharedWorld, now: Timestamp) -> Look {
        match self {
            Self::Agent(agent) => world.with(|world, now| agent.look(world, now)).into(),
            Self::Wine(process) => {
                let up_since = world.with(|world, _| world.machine(process.machine()).and_then(Machine::up_since));
                process.look(up_since, now).into()
            }
            Self::Probe(task) if task.0.is_finished() => match (&mut task.0).await {
                Ok(exit) => Look::ended(exit),
                Err(error) => Look::ended(Exit { code: 1, line: error.to_string() }),
            },
            Self::Probe(_) => Look::running(Some(after(now, LOOK_EVERY))),
            Self::Until(end) if now < *end => Look::running(Some(*end)),
            Self::Until(_) => {
                let forced = match pod.program {
                    Program::RunsToEnd { exit_code } => exit_code,
                    _ => None,
                };
                Look::ended(network::end_of_work(network::of_pod(facts, pod.host_network), forced))
            }
            Self::Ended(exit) => Look::ended(exit.clone()),
            Self::Forever => Look::running(None),
        }
    }
}

impl From<agent_host::Look> for Look {
    fn from(look: agent_host::Look) -> Self {
        match look {
            agent_host::Look::Running { lines, next, idle: _ } => Self { lines, exit: None, again: Some(next) },
            agent_host::Look::Exited { lines, code } => Self { lines, exit: Some(code), again: None },
            // It ends with its machine: the next boot finds it lost.
            agent_host::Look::Killed => Self::running(None),
        }
    }
}

impl Look {
    fn running(again: Option<Timestamp>) -> Self {
        Self { lines: vec![], exit: None, again }
    }

    fn ended(exit: Exit) -> Self {
        let lines = if exit.line.is_empty() { vec![] } else { vec![exit.line] };
        Self { lines, exit: Some(exit.code), again: None }
    }
}
