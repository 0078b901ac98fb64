//! The life of a pod on its machine. Pure: the pod, the record of its containers, what its machine can do and the
//! time go in, the next action comes out; [`Containers::apply`] is what the action makes of the record.
//!
//! The record stands for what a container runtime knows. It is not the pod's status: that is computed from it
//! (`pod_status`), and written until the API server has it.

use super::{
    after,
    machine::MachineFacts,
    pod::{Phase, PodView, RestartPolicy},
    program::Program,
};
use jiff::Timestamp;
use std::time::Duration;

/// First wait before a failed container is started again (kubelet: `containerBackOff` starts at 10 s and doubles).
const FIRST_BACK_OFF: Duration = Duration::from_secs(10);

/// Longest wait before a failed container is started again (kubelet: `MaxContainerBackOff`).
const LONGEST_BACK_OFF: Duration = Duration::from_mins(5);

/// Exit code that containerd reports for a container that it lost, as after a crash of the machine.
const EXIT_LOST: i32 = 255;

/// Exit code of a container that had to be killed (128 + SIGKILL, which containerd reports on Windows too).
const EXIT_KILLED: i32 = 137;

/// Exit code of a program that Windows ended on Ctrl-C (`STATUS_CONTROL_C_EXIT`, `0xC000013A`, as Kubernetes shows it).
const EXIT_CTRL_C: i32 = -1_073_741_510;

/// How long pods take, from the scenario.
#[derive(Clone, Copy, Debug)]
pub struct PodTimings {
    /// From a pod's arrival until its containers run.
    pub start: Duration,
    /// How long a pod runs that ends by itself.
    pub runs: Duration,
    /// How long a container takes to stop, its grace period permitting.
    pub stop: Duration,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Termination {
    /// Exit code.
    pub exit_code: i32,
    /// Reason as a kubelet words it (`Completed`, `Error`, `Unknown`).
    pub reason: &'static str,
    /// When it had started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
}

/// What the container runtime of a machine has of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Containers {
    /// Where they stand.
    pub state: State,
    /// Since when they stand there.
    pub since: Timestamp,
    /// How often they were started again.
    pub restarts: i32,
    /// How they ended the last time, if they did.
    pub last: Option<Termination>,
    /// The boot of the machine that this is true for; `None`: of a kubelet process before this one.
    pub boot: Option<Timestamp>,
    /// When the kubelet first saw the pod.
    pub admitted: Timestamp,
    /// Why the whole pod failed, where it was not its containers' doing.
    pub pod_failure: Option<PodFailure>,
}

/// Where the containers of a pod stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is made yet.
    Waiting,
    /// The sandbox can not be made.
    Blocked,
    /// The sandbox is being made.
    Creating {
        /// When the containers will run.
        ready_at: Timestamp,
    },
    /// They run.
    Running,
    /// They were told to end.
    Stopping {
        /// When they were told.
        asked: Timestamp,
        /// When they had started.
        started: Timestamp,
    },
    /// They ended and will be started again.
    BackOff {
        /// When.
        until: Timestamp,
    },
    /// They ended for good; `last` says how.
    Ended,
}

/// Why a kubelet failed a whole pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodFailure {
    /// It was active longer than `spec.activeDeadlineSeconds`.
    DeadlineExceeded,
}

/// What is to be done about a pod now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodAction {
    /// Nothing, before this time; `None`: before the pod or its machine changes.
    Wait(Option<Timestamp>),
    /// Note that a boot ended what ran before it.
    Lose {
        /// The boot that is now.
        boot: Timestamp,
    },
    /// Say that the sandbox can not be made.
    Block,
    /// Make the sandbox.
    Create {
        /// When its containers will run.
        ready_at: Timestamp,
    },
    /// Start the program.
    Start,
    /// Tell the program to end.
    Stop,
    /// Note that the program ended for good.
    End(Termination),
    /// Note that the program ended, to start it again later.
    BackOff {
        /// When to start it again.
        until: Timestamp,
        /// How it ended.
        ended: Termination,
    },
    /// End the pod as a whole.
    Fail(PodFailure),
    /// Delete the Pod object: nothing of it is left on the machine.
    Remove,
}

impl Containers {
    /// Takes on a pod that this kubelet process sees for the first time.
    ///
    /// What a former process had running counts as lost, as after a boot: the simulated runtime ends with its process.
    pub fn adopt(pod: &PodView, boot: Timestamp, now: Timestamp) -> Self {
        let (state, boot) = match pod.phase {
            Phase::Pending => (State::Waiting, Some(boot)),
            Phase::Running => (State::Running, None),
            Phase::Terminal => (State::Ended, Some(boot)),
        };
        let admitted = pod.start_time.unwrap_or(now);
        Self { state, since: now, restarts: pod.restarts, last: None, boot, admitted, pod_failure: None }
    }

    /// What `action` makes of the record.
    pub fn apply(&mut self, action: PodAction, pod: &PodView, now: Timestamp) {
        let state = match action {
            PodAction::Wait(_) | PodAction::Remove => return,
            PodAction::Lose { boot } => {
                self.boot = Some(boot);
                self.lose(pod, now)
            }
            PodAction::Block => State::Blocked,
            PodAction::Create { ready_at } => State::Creating { ready_at },
            PodAction::Start => {
                self.restarts += i32::from(self.last.is_some());
                State::Running
            }
            PodAction::Stop => State::Stopping { asked: now, started: self.since },
            PodAction::End(ended) => {
                self.last = Some(ended);
                State::Ended
            }
            PodAction::BackOff { until, ended } => {
                self.last = Some(ended);
                State::BackOff { until }
            }
            PodAction::Fail(why) => {
                self.pod_failure = Some(why);
                if matches!(self.state, State::Running) {
                    self.last = Some(self.ended(EXIT_KILLED, now));
                }
                State::Ended
            }
        };
        self.state = state;
        // Containers that are told to end run on: their start stays what it was.
        if !matches!(state, State::Stopping { .. }) {
            self.since = now;
        }
    }

    /// The machine went down under the containers: what ran is lost; only the restart policy brings it back.
    fn lose(&mut self, pod: &PodView, now: Timestamp) -> State {
        match self.state {
            State::Ended => State::Ended,
            State::Waiting | State::Blocked | State::Creating { .. } | State::BackOff { .. } => State::Waiting,
            State::Running | State::Stopping { .. } => {
                self.last = Some(Termination { reason: "Unknown", ..self.ended(EXIT_LOST, now) });
                let again = pod.restart != RestartPolicy::Never && pod.deletion_grace.is_none();
                if again { State::Waiting } else { State::Ended }
            }
        }
    }

    /// The end of the present run.
    fn ended(&self, exit_code: i32, now: Timestamp) -> Termination {
        let started = match self.state {
            State::Stopping { started, .. } => started,
            _ => self.since,
        };
        let reason = if exit_code == 0 { "Completed" } else { "Error" };
        Termination { exit_code, reason, started, finished: now }
    }
}

/// Decides what is to be done about a pod; `exit` is the exit code of its program once it ended.
///
/// The caller applies the action and asks again until it is told to wait.
#[must_use]
pub fn decide(
    pod: &PodView,
    seen: &Containers,
    machine: &MachineFacts,
    exit: Option<i32>,
    timings: PodTimings,
    now: Timestamp,
) -> PodAction {
    if !machine.kubelet_up {
        return PodAction::Wait(None);
    }
    if seen.boot != Some(machine.boot) {
        return PodAction::Lose { boot: machine.boot };
    }
    match pod.deletion_grace {
        Some(grace) => end_pod(pod, seen, machine, exit, grace, timings, now),
        None => match deadline(pod, seen) {
            Some(deadline) if now >= deadline => PodAction::Fail(PodFailure::DeadlineExceeded),
            deadline => live(pod, seen, machine, exit, timings, now).not_after(deadline),
        },
    }
}

impl PodAction {
    /// Shortens a wait.
    fn not_after(self, deadline: Option<Timestamp>) -> Self {
        match (self, deadline) {
            (Self::Wait(until), Some(deadline)) => Self::Wait(Some(until.map_or(deadline, |u| u.min(deadline)))),
            (action, _) => action,
        }
    }
}

/// When the pod's active time is over; `None` once it ended or when it has no bound.
fn deadline(pod: &PodView, seen: &Containers) -> Option<Timestamp> {
    let bound = pod.active_deadline.filter(|_| seen.state != State::Ended)?;
    Some(after(seen.admitted, bound))
}

/// The next action for a pod that is to live.
fn live(
    pod: &PodView,
    seen: &Containers,
    machine: &MachineFacts,
    exit: Option<i32>,
    timings: PodTimings,
    now: Timestamp,
) -> PodAction {
    let create = || PodAction::Create { ready_at: after(now, timings.start.saturating_add(machine.pod_start_delay)) };
    let blocked = !machine.can_start_pods || pod.domain_identity && !machine.domain_ok;
    match seen.state {
        State::Waiting | State::Creating { .. } if blocked => PodAction::Block,
        State::Blocked if blocked => PodAction::Wait(None),
        State::Waiting | State::Blocked => create(),
        State::Creating { ready_at } if now >= ready_at => PodAction::Start,
        State::Creating { ready_at } => PodAction::Wait(Some(ready_at)),
        State::BackOff { until } if now >= until => PodAction::Start,
        State::BackOff { until } => PodAction::Wait(Some(until)),
        State::Running => exit.map_or(PodAction::Wait(None), |code| after_exit(pod, seen, code, now)),
        // A deletion can not be taken back, so a stopping pod of a living object is not met; it is waited for.
        State::Stopping { .. } | State::Ended => PodAction::Wait(None),
    }
}

fn after_exit(pod: &PodView, seen: &Containers, code: i32, now: Timestamp) -> PodAction {
    let ended = seen.ended(code, now);
    let again = match pod.restart {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => code != 0,
        RestartPolicy::Never => false,
    };
    if again { PodAction::BackOff { until: after(now, back_off(seen.restarts)), ended } } else { PodAction::End(ended) }
}

/// The wait before restart number `restarts + 1`.
fn back_off(restarts: i32) -> Duration {
    let doublings = u32::try_from(restarts).unwrap_or(0).min(16);
    FIRST_BACK_OFF.saturating_mul(1 << doublings).min(LONGEST_BACK_OFF)
}

/// The next action for a pod whose deletion was asked for.
fn end_pod(
    pod: &PodView,
    seen: &Containers,
    machine: &MachineFacts,
    exit: Option<i32>,
    grace: Duration,
    timings: PodTimings,
    now: Timestamp,
) -> PodAction {
    match seen.state {
        State::Waiting | State::Blocked | State::Creating { .. } | State::BackOff { .. } | State::Ended => {
            PodAction::Remove
        }
        State::Running => exit.map_or(PodAction::Stop, |code| PodAction::End(seen.ended(code, now))),
        State::Stopping { .. } if !machine.pods_stop => PodAction::Wait(None),
        State::Stopping { asked, .. } => {
            let takes = stop_takes(pod, timings);
            let gone_at = after(asked, takes.min(grace));
            if exit.is_none() && now < gone_at {
                return PodAction::Wait(Some(gone_at));
            }
            let told = if takes > grace { EXIT_KILLED } else { exit_when_told(&pod.program) };
            PodAction::End(seen.ended(exit.unwrap_or(told), now))
        }
    }
}

/// How long the pod's program takes to end after it was told to.
fn stop_takes(pod: &PodView, timings: PodTimings) -> Duration {
    match (&pod.program, pod.terminates_after) {
        (_, Some(asked)) => asked,
        // Both end on Ctrl-C, with nothing to finish.
        (Program::Agent(_) | Program::HttpProbe(_), None) => Duration::ZERO,
        (Program::RunsToEnd { .. } | Program::Forever, None) => timings.stop,
    }
}

/// How a program ends that was told to: a server in good order, work that was cut short not.
fn exit_when_told(program: &Program) -> i32 {
    match program {
        Program::Forever => 0,
        Program::Agent(_) | Program::HttpProbe(_) | Program::RunsToEnd { .. } => EXIT_CTRL_C,
    }
}

#[cfg(test)]
mod tests;
