use super::{Machine, pin};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use windlass_agent::{Next, Run, Task, TaskNext};
use windlass_protocol::{
    AgentPhase, AutomaticUpdates, Command, Progress, Report, Request, Source, Ticket, VERSION, exit,
};

/// The machine's name.
const NODE: &str = "win-7";

/// More steps than any command needs: a test that takes more is stuck.
const PATIENCE: u32 = 50_000;

/// What a pod came to.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: i32,
    pub report: Report,
    pub lines: Vec<String>,
}

/// Makes a request of the one node update of a test.
pub fn request(step: &str, round: u32, attempt: u32, command: Command) -> Request {
    let ticket = Ticket {
        node_update_uid: "uid-1".into(),
        step: step.into(),
        round,
        attempt,
        challenge: format!("{step}-{round}-{attempt}"),
    };
    Request { version: VERSION, node: NODE.into(), ticket, command }
}

/// Runs pods on a machine, and the machine's own task, in virtual time.
pub struct Operator {
    pub machine: Machine,
    task: Option<(Timestamp, Task)>,
    pub set: Vec<&'static str>,
    /// Seconds from the epoch until which the agent may reboot; none is no leave.
    pub leave: Option<i64>,
    pub max_reboots: u32,
}

impl Operator {
    pub fn new(machine: Machine, set: &[&'static str]) -> Self {
        Self { machine, task: None, set: set.to_vec(), leave: Some(1_000_000), max_reboots: 3 }
    }

    pub fn stage(&mut self) -> Option<Answer> {
        self.pod(&request("Stage", 1, 1, self.stage_command("a-1")))
    }

    pub fn stage_command(&self, nonce_a: &str) -> Command {
        let updates = self.set.iter().map(|kb| pin(kb)).collect();
        let automatic_updates = AutomaticUpdates::Take;
        Command::Stage { source: Source::WindowsUpdate, updates, nonce_a: nonce_a.into(), automatic_updates }
    }

    pub fn arm_command(&self, nonce_b: &str) -> Command {
        Command::Arm {
            source: Source::WindowsUpdate,
            updates: self.set.iter().map(|kb| pin(kb)).collect(),
            nonce_b: nonce_b.into(),
            reboot_not_after: self.leave.map(|s| Timestamp::from_second(s).expect("a time")),
            max_reboots: self.max_reboots,
            timeout_seconds: 7200,
        }
    }

    pub fn arm(&mut self, round: u32, attempt: u32) -> Option<Answer> {
        self.pod(&request("Install", round, attempt, self.arm_command("b-1")))
    }

    pub fn collect(&mut self, follow: bool) -> Answer {
        let asked = request("Collect", 1, 1, Command::Collect { follow });
        self.pod(&asked).unwrap_or_else(|| self.pod(&asked).expect("a machine that was just started answers"))
    }

    /// Runs a pod to its end; none when the machine went down under it. The machine is up again then.
    pub fn pod(&mut self, request: &Request) -> Option<Answer> {
        let mut run = Run::new(request.clone(), NODE).expect("a request for this node");
        let mut lines = vec![];
        for _ in 0..PATIENCE {
            self.machine.speaker_is_task = false;
            let now = self.machine.now;
            let next = run.step(&mut self.machine, now);
            if self.went_down() {
                return None;
            }
            match next {
                Next::Refused(error) => panic!("refused: {error}"),
                Next::Exit { code, report } => return Some(Answer { code, report: *report, lines }),
                Next::Again { after, line } => {
                    lines.extend(line);
                    if self.pass(after.max(Duration::from_secs(1))) {
                        return None;
                    }
                }
            }
        }
        panic!("stuck: {lines:?}")
    }

    /// `TerminateProcess` on the task.
    pub fn kill_task(&mut self) {
        (self.task, self.machine.task_runs) = (None, false);
        self.machine.process_starts(true);
    }

    /// Lets time pass; the task works meanwhile. Says whether the machine went down in it (and is up again).
    pub fn pass(&mut self, time: Duration) -> bool {
        let end = self.machine.now + time;
        for _ in 0..PATIENCE {
            if let Some(went_down) = self.task_step(end) {
                if went_down {
                    return true;
                }
            } else {
                self.machine.now = end;
                return false;
            }
        }
        panic!("the task is stuck")
    }

    /// Lets the task take one step, if one is due by then. Says whether the machine went down in it.
    pub fn task_step(&mut self, end: Timestamp) -> Option<bool> {
        if self.machine.task_runs && self.task.is_none() {
            self.task = Some((self.machine.now, Task::new()));
        }
        let (at, mut task) = self.task.take_if(|(at, _)| *at <= end)?;
        self.machine.now = at.max(self.machine.now);
        self.machine.speaker_is_task = true;
        let now = self.machine.now;
        match task.step(&mut self.machine, now) {
            TaskNext::Again { after } => self.task = Some((self.machine.now + after, task)),
            TaskNext::Ended => self.machine.task_runs = false,
        }
        Some(self.went_down())
    }

    fn went_down(&mut self) -> bool {
        if !self.machine.off && !self.machine.rebooting {
            return false;
        }
        self.task = None;
        loop {
            self.machine.now += SignedDuration::from_mins(3);
            self.machine.boot();
            self.machine.task_runs = self.machine.disk.task;
            if self.machine.boot_loops == 0 {
                return true;
            }
            // Windows gets as far as starting the task, then stops again.
            self.machine.boot_loops -= 1;
            if self.machine.task_runs {
                self.machine.speaker_is_task = true;
                let now = self.machine.now;
                Task::new().step(&mut self.machine, now);
            }
        }
    }

    /// Asks until the whole update came to its end, as an operator does that never gives up: the same question again
    /// when a pod was lost, the next round where more is to be installed.
    pub fn run_to_end(&mut self) -> Answer {
        while self.stage().is_none_or(|a| a.progress() == Progress::InProgress) {}
        for round in 1..5 {
            while !self.round_ended(round) {
                self.pass(Duration::from_secs(10));
            }
            if self.collect(true).phase() != AgentPhase::MoreToInstall {
                break;
            }
        }
        self.pass(Duration::from_mins(2));
        self.collect(false)
    }

    /// Arms, then collects; says whether there is nothing left to wait for in this round.
    fn round_ended(&mut self, round: u32) -> bool {
        let armed = self.arm(round, 1).filter(|a| a.progress() == Progress::Failed);
        let answer = armed.unwrap_or_else(|| self.collect(true));
        answer.code != exit::RETRIABLE
            && answer.progress() != Progress::InProgress
            && answer.phase() != AgentPhase::Staged
    }
}

impl Answer {
    pub fn phase(&self) -> AgentPhase {
        self.report.phase
    }

    pub fn progress(&self) -> Progress {
        self.report.progress
    }

    /// The text of the error; empty when there is none.
    pub fn error(&self) -> &str {
        self.report.error.as_ref().map_or("", |e| e.message.as_str())
    }
}
