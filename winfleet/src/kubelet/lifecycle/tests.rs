//! Whole lives of pods, second by second.

use super::*;
use crate::kubelet::{machine, pod::ContainerView};

const TIMINGS: PodTimings =
    PodTimings { start: Duration::from_secs(3), runs: Duration::from_secs(5), stop: Duration::from_secs(2) };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn pod(restart: RestartPolicy, program: Program) -> PodView {
    PodView {
        domain_identity: false,
        namespace: "n".into(),
        name: "p".into(),
        uid: "u".into(),
        node: "win-1".into(),
        host_network: false,
        restart,
        containers: vec![ContainerView { name: "c".into(), image: "i".into() }],
        init_containers: vec![],
        program,
        deletion_grace: None,
        terminates_after: None,
        active_deadline: None,
        phase: Phase::Pending,
        ready: false,
        start_time: None,
        restarts: 0,
        ip: None,
        scheduled: true,
    }
}

fn service() -> PodView {
    pod(RestartPolicy::Always, Program::Forever)
}

fn job() -> PodView {
    pod(RestartPolicy::Never, Program::RunsToEnd { exit_code: None })
}

/// A machine, a pod on it, and the clock of the test.
struct Life {
    pod: PodView,
    machine: MachineFacts,
    containers: Containers,
    now: i64,
}

impl Life {
    fn new(pod: PodView) -> Self {
        let machine = machine::tests::facts(at(0));
        let containers = Containers::adopt(&pod, machine.boot, at(0));
        Self { pod, machine, containers, now: 0 }
    }

    /// Decides and applies until it is told to wait or to remove, at `second`.
    fn pass(&mut self, second: i64, exit: Option<i32>) -> PodAction {
        self.now = second;
        let mut exit = exit;
        for _ in 0..10 {
            let action = decide(&self.pod, &self.containers, &self.machine, exit, TIMINGS, at(second));
            if matches!(action, PodAction::Wait(_) | PodAction::Remove) {
                return action;
            }
            if !matches!(action, PodAction::Stop) {
                exit = None;
            }
            self.containers.apply(action, &self.pod, at(second));
        }
        panic!("does not come to rest: {:?}", self.containers);
    }

    /// The pod until it runs, from second 3 on.
    fn running(pod: PodView) -> Self {
        let mut life = Self::new(pod);
        assert_eq!(life.pass(0, None), PodAction::Wait(Some(at(3))));
        assert_eq!(life.pass(3, None), PodAction::Wait(None));
        assert_eq!(life.containers.state, State::Running);
        life
    }

    fn reboot(&mut self, second: i64) {
        self.machine.boot = at(second);
    }

    fn exit_code(&self) -> Option<i32> {
        self.containers.last.as_ref().map(|t| t.exit_code)
    }
}

#[test]
fn a_job_runs_and_ends() {
    let mut life = Life::running(job());
    assert_eq!(life.pass(8, Some(0)), PodAction::Wait(None));
    assert_eq!((life.containers.state, life.exit_code()), (State::Ended, Some(0)));
    let ended = life.containers.last.expect("an end");
    assert_eq!((ended.started, ended.finished, ended.reason), (at(3), at(8), "Completed"));
}

#[test]
fn only_a_failure_is_run_again_by_on_failure() {
    let on_failure = || pod(RestartPolicy::OnFailure, Program::RunsToEnd { exit_code: None });
    let mut life = Life::running(on_failure());
    life.pass(4, Some(0));
    assert_eq!(life.containers.state, State::Ended);

    let mut life = Life::running(on_failure());
    for (second, wait, restarts) in
        [(100, 10, 1), (200, 20, 2), (300, 40, 3), (400, 80, 4), (600, 160, 5), (800, 300, 6)]
    {
        assert_eq!(life.pass(second, Some(1)), PodAction::Wait(Some(at(second + wait))), "back-off grows to 5 min");
        life.pass(second + wait, None);
        assert_eq!((life.containers.state, life.containers.restarts), (State::Running, restarts));
    }
}

#[test]
fn a_sandbox_that_can_not_be_made_is_made_later() {
    let mut life = Life::new(service());
    life.machine.can_start_pods = false;
    assert_eq!(life.pass(0, None), PodAction::Wait(None));
    assert_eq!(life.containers.state, State::Blocked);
    life.machine.can_start_pods = true;
    assert_eq!(life.pass(9, None), PodAction::Wait(Some(at(12))));
    life.machine.can_start_pods = false;
    life.pass(10, None);
    assert_eq!(life.containers.state, State::Blocked, "it breaks while the sandbox is made");

    let mut life = Life::running(service());
    life.machine.can_start_pods = false;
    life.pass(20, None);
    assert_eq!(life.containers.state, State::Running, "what runs goes on");
}

#[test]
fn a_kubelet_that_is_down_does_nothing() {
    let mut life = Life::running(service());
    life.machine.kubelet_up = false;
    life.pod.deletion_grace = Some(Duration::ZERO);
    assert_eq!(life.pass(1000, Some(1)), PodAction::Wait(None), "the pod stays Terminating");
}

#[test]
fn a_reboot_ends_bare_pods_and_restarts_the_others() {
    let mut bare = Life::running(job());
    bare.reboot(50);
    bare.pass(60, None);
    assert_eq!((bare.containers.state, bare.exit_code()), (State::Ended, Some(EXIT_LOST)));

    let mut served = Life::running(service());
    served.reboot(50);
    assert_eq!(served.pass(60, None), PodAction::Wait(Some(at(63))), "it takes its time to start");
    assert_eq!((served.containers.restarts, served.exit_code()), (0, Some(EXIT_LOST)));
    served.pass(63, None);
    assert_eq!((served.containers.state, served.containers.restarts), (State::Running, 1));

    let mut done = Life::running(job());
    done.pass(8, Some(0));
    done.reboot(50);
    done.pass(60, None);
    assert_eq!((done.containers.state, done.exit_code()), (State::Ended, Some(0)), "what ended stays ended");
}

#[test]
fn a_new_process_of_the_simulator_counts_as_a_reboot() {
    let mut was_running = service();
    was_running.phase = Phase::Running;
    was_running.restarts = 2;
    let mut life = Life::new(was_running);
    life.pass(0, None);
    life.pass(3, None);
    assert_eq!((life.containers.state, life.containers.restarts), (State::Running, 3));

    let mut was_done = job();
    was_done.phase = Phase::Terminal;
    assert_eq!(Life::new(was_done).pass(0, None), PodAction::Wait(None));
}

/// (grace, annotation, seconds until the containers are gone, exit code)
#[test]
fn deletion_takes_as_long_as_the_process_within_its_grace() {
    for (grace, annotation, seconds, code) in [
        (30, None, 2, 0),
        (1, None, 1, EXIT_KILLED),
        (60, Some(30), 30, 0),
        (30, Some(90), 30, EXIT_KILLED),
        (0, None, 0, EXIT_KILLED),
    ] {
        let mut life = Life::running(service());
        life.pod.deletion_grace = Some(Duration::from_secs(grace));
        life.pod.terminates_after = annotation.map(Duration::from_secs);
        if seconds > 0 {
            assert_eq!(life.pass(100, None), PodAction::Wait(Some(at(100 + seconds))));
            life.pass(100 + seconds - 1, None);
            assert!(matches!(life.containers.state, State::Stopping { .. }), "it runs on");
        }
        assert_eq!(life.pass(100 + seconds, None), PodAction::Remove);
        let ended = life.containers.last.expect("an end");
        assert_eq!((ended.exit_code, ended.started), (code, at(3)), "grace {grace}, annotation {annotation:?}");
    }
}

#[test]
fn work_that_is_cut_short_has_not_succeeded() {
    let agent = pod(RestartPolicy::Never, Program::Agent(vec![]));
    for (pod, seconds) in [(agent, 0), (job(), 2)] {
        let mut life = Life::running(pod);
        life.pod.deletion_grace = Some(Duration::from_secs(30));
        life.pass(100, None);
        assert_eq!(life.pass(100 + seconds, None), PodAction::Remove);
        assert_eq!(life.exit_code(), Some(EXIT_CTRL_C));
    }
    let mut ended_first = Life::running(job());
    ended_first.pod.deletion_grace = Some(Duration::from_secs(30));
    ended_first.pass(100, None);
    assert_eq!(ended_first.pass(101, Some(0)), PodAction::Remove, "it does not wait for what has ended");
    assert_eq!(ended_first.exit_code(), Some(0));
}

#[test]
fn a_second_deletion_can_shorten_the_grace() {
    let mut life = Life::running(service());
    life.pod.terminates_after = Some(Duration::from_mins(1));
    life.pod.deletion_grace = Some(Duration::from_secs(40));
    assert_eq!(life.pass(100, None), PodAction::Wait(Some(at(140))));
    life.pod.deletion_grace = Some(Duration::from_secs(5));
    assert_eq!(life.pass(102, None), PodAction::Wait(Some(at(105))));
    assert_eq!(life.pass(105, None), PodAction::Remove);
}

#[test]
fn what_does_not_run_is_removed_at_once() {
    for state in [
        State::Waiting,
        State::Blocked,
        State::Creating { ready_at: at(9) },
        State::BackOff { until: at(9) },
        State::Ended,
    ] {
        let mut life = Life::new(service());
        life.containers.state = state;
        life.pod.deletion_grace = Some(Duration::from_secs(30));
        assert_eq!(life.pass(5, None), PodAction::Remove, "{state:?}");
    }
}

#[test]
fn a_pod_that_was_terminating_when_its_machine_went_down_ends_at_the_next_boot() {
    let mut life = Life::running(service());
    life.pod.deletion_grace = Some(Duration::from_secs(30));
    life.pass(100, None);
    life.reboot(101);
    assert_eq!(life.pass(110, None), PodAction::Remove);
    assert_eq!(life.exit_code(), Some(EXIT_LOST));
}

#[test]
fn the_active_deadline_fails_the_whole_pod() {
    let mut blocked = job();
    blocked.active_deadline = Some(Duration::from_secs(20));
    let mut life = Life::new(blocked.clone());
    life.machine.can_start_pods = false;
    assert_eq!(life.pass(0, None), PodAction::Wait(Some(at(20))), "it wakes for the deadline");
    life.pass(20, None);
    assert_eq!(
        (life.containers.state, life.containers.pod_failure),
        (State::Ended, Some(PodFailure::DeadlineExceeded))
    );
    assert_eq!(life.exit_code(), None, "no container ever ran");

    let mut life = Life::new(blocked);
    life.pass(0, None);
    assert_eq!(life.pass(3, None), PodAction::Wait(Some(at(20))), "while it runs, too");
    life.pass(20, None);
    assert_eq!(life.exit_code(), Some(EXIT_KILLED));
    assert_eq!(life.pass(99, None), PodAction::Wait(None));
}
