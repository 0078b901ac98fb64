//! What the containers of a simulated pod run.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use winfleet::agent_host::{AgentProcess, Idle, Look};
use winfleet::kubelet::machine::{MachineFacts, PodNetwork};
use winfleet::kubelet::network::{Exit, end_of_work, of_pod};
use winfleet::kubelet::pod::PodView;
use winfleet::kubelet::program::Program;
use winfleet::model::World;

/// How long a request takes that is answered.
const REQUEST: Duration = Duration::from_millis(100);
/// How long a request waits that nothing answers, where the pod does not say.
const NO_ANSWER: Duration = Duration::from_secs(5);

/// A running program.
#[derive(Debug)]
pub enum Process {
    /// The agent's core over the simulated machine.
    Agent(Box<AgentProcess>),
    /// Works until this time; how its network lets it end is seen then.
    Until(Timestamp),
    /// Serves until it is stopped.
    Forever,
}

/// What a look at a program found.
#[derive(Debug, Default)]
pub struct Seen {
    /// Its last line, if it printed one.
    pub line: Option<String>,
    /// Its exit code, once it ended.
    pub exit: Option<i32>,
    /// When to look again, if it has to be looked at.
    pub again: Option<Timestamp>,
    /// What it waits for, when it does nothing else.
    pub idle: Option<Idle>,
}

impl Process {
    /// Starts the program of a pod; one that works for a while does so for `runs`.
    pub fn start(pod: &PodView, facts: &MachineFacts, runs: Duration, now: Timestamp) -> Self {
        let until = |wait: Duration| Self::Until(now + SignedDuration::try_from(wait).unwrap_or_default());
        match &pod.program {
            Program::Agent(args) => Self::Agent(Box::new(AgentProcess::start(args, &pod.node, facts.boot))),
            Program::HttpProbe(_) => match of_pod(facts, pod.host_network) {
                PodNetwork::Dead | PodNetwork::NoServices => until(NO_ANSWER),
                PodNetwork::Works | PodNetwork::NoDns => until(REQUEST),
            },
            Program::RunsToEnd { .. } => until(runs),
            Program::Forever => Self::Forever,
        }
    }

    /// Looks at the program, and lets the agent do its next step.
    pub fn look(&mut self, pod: &PodView, facts: &MachineFacts, world: &mut World, now: Timestamp) -> Seen {
        match self {
            Self::Agent(agent) => match agent.look(world, now) {
                Look::Running { lines, next, idle } => {
                    Seen { line: lines.into_iter().next_back(), exit: None, again: Some(next), idle }
                }
                Look::Exited { lines, code } => {
                    Seen { line: lines.into_iter().next_back(), exit: Some(code), ..Seen::default() }
                }
                // It ends with its machine: the next boot finds it lost.
                Look::Killed => Seen::default(),
            },
            Self::Until(end) if now < *end => Seen { again: Some(*end), ..Seen::default() },
            Self::Until(_) => {
                let forced = if let Program::RunsToEnd { exit_code } = pod.program { exit_code } else { None };
                let Exit { code, line } = end_of_work(of_pod(facts, pod.host_network), forced);
                Seen { line: Some(line), exit: Some(code), ..Seen::default() }
            }
            Self::Forever => Seen::default(),
        }
    }
}
