//! The agent's core on simulated machines, through its command line and its log alone, under a virtual clock.

use super::*;
use crate::{
    model::{PowerRequest, World},
    scenario::Scenario,
};
use std::collections::BTreeMap;
use windlass_protocol::{
    AgentPhase, AutomaticUpdates, Build, Command, ErrorClass, HostProbe, PinnedUpdate, Progress, Report, Request,
    Source, Ticket, UpdateState, VERSION, Verdict, exit,
};

const OLD: Build = Build::new(10, 0, 20348, 2461);
const NEW: Build = Build::new(10, 0, 20348, 2582);
const NODE: &str = "win-1";

/// Looks that a test has patience for.
const PATIENCE: usize = 100_000;

fn scenario(more: &str) -> String {
    format!(
        "machines:\n- names: [{NODE}]\n  build: {OLD}\n  policy: {{AUOptions: 4}}\nupdates:\n- kb: KB5040437\n  \
         released: 2024-07-09\n  targetBuilds: {{10.0.20348: {NEW}}}\n{more}"
    )
}

fn fault(phase: &str, effects: &str) -> String {
    scenario(&format!(
        "faults:\n- name: f\n  when: {{phase: {phase}, kb: KB5040437}}\n  where: {{nodes: [{NODE}]}}\n  effects: [{effects}]\n"
    ))
}

/// One machine with its tasks, and a clock that jumps.
struct Field {
    world: World,
    tasks: ArmedTasks,
    now: Timestamp,
}

/// What an agent pod came to.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    log: String,
}

impl Field {
    fn new(yaml: &str) -> Self {
        let scenario = Scenario::parse(yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
        let now = Timestamp::UNIX_EPOCH;
        Self { world: World::new(&scenario, now), tasks: ArmedTasks::default(), now }
    }

    fn pinned(&self) -> Vec<PinnedUpdate> {
        let kb = "KB5040437".parse().expect("a KB");
        let update = self.world.catalogue().get(kb).expect("in the catalogue");
        vec![PinnedUpdate { update_id: update.identity(), revision: update.revision, kb }]
    }

    /// Time goes on to the next thing that happens.
    fn go_on(&mut self, process: Option<Timestamp>) {
        let next = [process, self.world.next_event(), self.tasks.next_event()].into_iter().flatten().min();
        self.now = next.unwrap_or(self.now).max(self.now);
        self.world.tick(self.now);
        self.tasks.tick(&mut self.world, self.now);
    }

    fn pass(&mut self, wait: Duration) {
        let end = after(self.now, wait);
        while self.now < end {
            self.go_on(Some(end));
        }
    }

    fn up(&mut self) -> Timestamp {
        for _ in 0..PATIENCE {
            if let Some(boot) = self.world.machine(NODE).and_then(crate::model::Machine::up_since) {
                return boot;
            }
            self.go_on(None);
        }
        panic!("the machine does not come up")
    }

    fn run(&mut self, args: &[String]) -> Ended {
        let boot = self.up();
        let mut process = AgentProcess::start(args, NODE, boot);
        let mut log = String::new();
        for _ in 0..PATIENCE {
            let (lines, next, code) = match process.look(&mut self.world, self.now) {
                Look::Running { lines, next, idle: _ } => (lines, next, None),
                Look::Exited { lines, code } => (lines, self.now, Some(code)),
                Look::Killed => return Ended { code: None, log },
            };
            for line in lines {
                log += &(line + "\n");
            }
            if code.is_some() {
                return Ended { code, log };
            }
            self.go_on(Some(next));
        }
        panic!("the agent is stuck: {log}")
    }

    fn ask(&mut self, step: &str, round: u32, command: Command) -> Option<(i32, Report)> {
        let ticket = Ticket {
            node_update_uid: "uid-1".into(),
            step: step.into(),
            round,
            attempt: 1,
            challenge: format!("{step}-{round}"),
        };
        let request = Request { version: VERSION, node: NODE.into(), ticket: ticket.clone(), command };
        let args = [request.command.name().to_owned(), "--request".to_owned(), request.to_arg()];
        let ended = self.run(&args);
        let code = ended.code?;
        Some((code, Report::from_log(&ended.log, &ticket, NODE).unwrap_or_else(|e| panic!("{e}: {}", ended.log))))
    }

    fn stage(&mut self) -> (i32, Report) {
        let command = Command::Stage {
            source: Source::WindowsUpdate,
            updates: self.pinned(),
            nonce_a: "a".into(),
            automatic_updates: AutomaticUpdates::Take,
        };
        self.ask("Stage", 1, command).expect("the machine stays up")
    }

    fn arm(&mut self, round: u32) -> Option<(i32, Report)> {
        let updates = self.pinned();
        self.arm_with(round, updates)
    }

    fn arm_with(&mut self, round: u32, updates: Vec<PinnedUpdate>) -> Option<(i32, Report)> {
        let command = Command::Arm {
            source: Source::WindowsUpdate,
            updates,
            nonce_b: "b".into(),
            reboot_not_after: Some(after(self.now, Duration::from_hours(3))),
            max_reboots: 3,
            timeout_seconds: 7200,
        };
        self.ask("Install", round, command)
    }

    /// Collects until nothing goes on any more.
    fn collect(&mut self) -> (i32, Report) {
        for _ in 0..100 {
            if let Some((code, report)) = self.ask("Collect", 1, Command::Collect { follow: true })
                && report.progress != Progress::InProgress
            {
                return (code, report);
            }
            self.pass(Duration::from_secs(5));
        }
        panic!("it goes on for ever")
    }

    fn failed_checks(&mut self, expected_build: Build, exact: bool) -> Vec<String> {
        let (_, report) = self
            .ask("Verify", 1, Command::Probe { host: HostProbe { expected_build, exact } })
            .expect("the machine stays up");
        report.checks.into_iter().filter(|c| c.verdict != Verdict::Pass).map(|c| c.name).collect()
    }

    fn policy(&self) -> Option<u32> {
        self.world.machine(NODE).expect("it is there").disk.policy.get("NoAutoUpdate").copied()
    }

    fn task_registered(&self) -> bool {
        self.world.machine(NODE).expect("it is there").disk.task.is_some()
    }

    fn installs(&self) -> u64 {
        self.world.counters().installs_finished.values().sum()
    }
}

/// Volumes of pods are attached while an update is staged, and detached by the drain that follows.
#[test]
fn a_volume_that_leaves_with_its_pod_is_no_loss_neither_updated_nor_restored() {
    let yaml = scenario("").replace("  policy:", "  disks: [disk0, data]\n  attachedVolumes: [pvc-1]\n  policy:");
    let mut field = Field::new(&yaml);
    assert_eq!(field.stage().0, exit::DONE);
    field.world.attach_volumes(NODE, vec![]);
    let snapshot = field.world.snapshot(NODE, "k1", BTreeMap::new()).expect("a task").snapshot_id.expect("a snapshot");
    field.pass(Duration::from_mins(5));
    assert!(field.arm(1).is_none_or(|(code, _)| code == exit::IN_PROGRESS));
    assert_eq!(field.collect().0, exit::DONE);
    assert_eq!(field.failed_checks(NEW, false), Vec::<String>::new(), "drained");
    field.world.attach_volumes(NODE, vec!["pvc-2".into()]);
    assert_eq!(field.failed_checks(NEW, false), Vec::<String>::new(), "in service again, with other pods");

    field.world.attach_volumes(NODE, vec![]);
    field.world.restore(NODE, &snapshot, "k2").expect("a task");
    field.pass(Duration::from_mins(30));
    assert_eq!(field.failed_checks(OLD, true), Vec::<String>::new(), "restored");
}

#[test]
fn a_good_update_goes_through_and_a_restore_rewinds_it() {
    let mut field = Field::new(&scenario(""));
    let (code, staged) = field.stage();
    assert_eq!((code, staged.phase, staged.mutated, staged.armed), (exit::DONE, AgentPhase::Staged, false, false));
    assert_eq!(field.policy(), Some(1), "held off before the snapshot");
    let snapshot = field.world.snapshot(NODE, "k1", BTreeMap::new()).expect("a task").snapshot_id.expect("a snapshot");
    field.pass(Duration::from_mins(5));

    assert!(field.arm(1).is_none_or(|(code, _)| code == exit::IN_PROGRESS));
    let (code, done) = field.collect();
    assert_eq!((code, done.phase, done.build, done.boots), (exit::DONE, AgentPhase::Done, NEW, 1), "{:?}", done.error);
    field.pass(Duration::from_mins(1));
    assert!(!field.task_registered());
    assert_eq!(field.policy(), None);
    assert_eq!((field.installs(), field.world.counters().reboots_requested), (1, 1));
    assert_eq!(field.failed_checks(NEW, false), Vec::<String>::new());

    field.world.restore(NODE, &snapshot, "k2").expect("a task");
    field.pass(Duration::from_mins(30));
    let (_, seen) = field.collect();
    assert_eq!((seen.phase, seen.build, seen.mutated, seen.armed), (AgentPhase::Staged, OLD, false, false));
    assert_eq!((seen.nonces.a.as_deref(), seen.nonces.b), (Some("a"), None));
    assert_eq!(field.failed_checks(OLD, true), Vec::<String>::new());
    field.pass(Duration::from_hours(2));
    assert_eq!(field.installs(), 1, "nothing installs by itself after a revert");
    let (code, reset) = field.ask("Clean", 1, Command::Reset {}).expect("an answer");
    assert_eq!((code, reset.phase, field.policy()), (exit::DONE, AgentPhase::Idle, None));
}

#[test]
fn the_command_line_is_read_as_the_program_reads_it() {
    let mut field = Field::new(&scenario(""));
    for args in [vec![], vec!["collect".to_owned()], vec!["collect".to_owned(), "--request".to_owned(), "%".to_owned()]]
    {
        let ended = field.run(&args);
        assert_eq!(ended.code, Some(exit::BAD_REQUEST));
        assert!(ended.log.starts_with("windlass-agent: "), "{}", ended.log);
    }
    let ticket = Ticket { node_update_uid: "u".into(), step: "s".into(), round: 1, attempt: 1, challenge: "c".into() };
    let request = Request { version: VERSION, node: "win-2".into(), ticket, command: Command::Reset {} };
    let ended = field.run(&["reset".to_owned(), "--request".to_owned(), request.to_arg()]);
    assert_eq!((ended.code, ended.log.contains("node: meant for win-2")), (Some(exit::BAD_REQUEST), true));
    assert!(field.world.machine(NODE).expect("it is there").disk.files.is_empty(), "nothing was touched");
}

#[test]
fn a_process_dies_with_its_machine_and_the_work_goes_on() {
    let mut field = Field::new(&scenario(""));
    field.stage();
    let request = field.pinned();
    field.world.power(NODE, PowerRequest::Reset, "cut").expect("a task");
    assert!(field.arm_with(1, request).is_none(), "the pod dies with the power cut");
    field.up();
    field.arm(1);
    let (_, done) = field.collect();
    assert_eq!((done.phase, done.build), (AgentPhase::Done, NEW), "{:?}", done.error);
    assert_eq!(field.installs(), 1);
}

#[test]
fn a_power_cut_at_any_second_of_the_installation_leads_to_the_same_end() {
    let quick = "timings: {stage: 3s, install: 6s, shutdown: 2s, reboot: 4s}\nhypervisor: {powerTakes: 0s}\n";
    for second in 0..20 {
        let mut field = Field::new(&scenario(quick));
        field.stage();
        let request = Request {
            version: VERSION,
            node: NODE.into(),
            ticket: Ticket {
                node_update_uid: "uid-1".into(),
                step: "Install".into(),
                round: 1,
                attempt: 1,
                challenge: "Install-1".into(),
            },
            command: Command::Arm {
                source: Source::WindowsUpdate,
                updates: field.pinned(),
                nonce_b: "b".into(),
                reboot_not_after: Some(after(field.now, Duration::from_hours(3))),
                max_reboots: 3,
                timeout_seconds: 7200,
            },
        };
        let boot = field.up();
        let mut process = AgentProcess::start(&["arm".into(), "--request".into(), request.to_arg()], NODE, boot);
        process.look(&mut field.world, field.now);
        field.pass(Duration::from_secs(second));
        field.world.power(NODE, PowerRequest::Reset, "cut").expect("a task");
        field.pass(Duration::from_secs(30));
        assert_eq!(process.look(&mut field.world, field.now), Look::Killed, "cut after {second} s");
        field.arm(1);
        let (_, done) = field.collect();
        assert_eq!((done.phase, done.build), (AgentPhase::Done, NEW), "cut after {second} s: {:?}", done.error);
        assert_eq!(field.installs(), 1, "cut after {second} s");
    }
}

#[test]
fn a_second_round_is_asked_for_and_taken() {
    let mut field = Field::new(&fault("install", "roundsNeeded: {n: 2}"));
    field.stage();
    field.arm(1);
    let (code, more) = field.collect();
    assert_eq!((code, more.phase, more.armed), (exit::DONE, AgentPhase::MoreToInstall, false), "{:?}", more.error);
    field.arm(2);
    let (_, done) = field.collect();
    assert_eq!((done.phase, done.build, done.boots), (AgentPhase::Done, NEW, 1), "{:?}", done.error);
}

#[test]
fn a_failing_installation_says_its_code() {
    let mut field = Field::new(&fault("install", "installFails: {hresult: \"0x800F0922\"}"));
    field.stage();
    let (code, failed) = field.arm(1).expect("no reboot");
    assert_eq!((code, failed.phase, failed.mutated, failed.armed), (exit::PERMANENT, AgentPhase::Failed, true, false));
    let error = failed.error.expect("an error");
    assert_eq!((error.class, error.hresult), (ErrorClass::Permanent, Some(0x800F_0922)));
    assert_eq!(failed.updates[0].state, UpdateState::Failed);
}

#[test]
fn an_installation_that_hangs_is_given_up() {
    let mut field = Field::new(&fault("install", "installHangs"));
    field.stage();
    let (code, failed) = field.arm(1).expect("no reboot");
    assert_eq!((code, failed.phase, failed.mutated), (exit::PERMANENT, AgentPhase::Failed, true));
    assert_eq!(field.world.counters().reboots_requested, 0);
}

#[test]
fn what_the_source_withdrew_is_not_offered() {
    let mut before = Field::new(&scenario(""));
    let kb = before.pinned()[0].kb;
    before.world.publish(kb, false);
    let mut meanwhile = Field::new(&fault("stage", "updateWithdrawn"));
    for field in [&mut before, &mut meanwhile] {
        let (code, staged) = field.stage();
        assert_eq!((code, staged.error.expect("an error").class), (exit::PERMANENT, ErrorClass::NotOffered));
        assert!(!staged.mutated);
    }
}

#[test]
fn a_download_that_fails_may_pass() {
    let mut field = Field::new(&fault("stage", "downloadFails: {hresult: \"0x8024402C\"}"));
    let (code, staged) = field.stage();
    assert_eq!((code, staged.error.expect("an error").class), (exit::RETRIABLE, ErrorClass::Retriable));
}

#[test]
fn a_pending_reboot_is_taken_first() {
    let yaml = scenario("").replace("  policy:", "  rebootPending: true\n  policy:");
    let mut field = Field::new(&yaml);
    let (code, staged) = field.stage();
    assert_eq!((code, staged.error.expect("an error").class), (exit::RETRIABLE, ErrorClass::RebootFirst));
    field.arm_with(1, vec![]);
    let (_, rebooted) = field.collect();
    assert_eq!((rebooted.phase, rebooted.mutated, rebooted.boots), (AgentPhase::Done, false, 1));
    assert_eq!(field.stage().0, exit::DONE);
}

#[test]
fn the_host_probe_sees_a_service_that_a_bad_update_stopped() {
    let mut field = Field::new(&fault("running", "serviceStopped: {name: containerd}"));
    field.stage();
    field.arm(1);
    assert_eq!(field.collect().1.phase, AgentPhase::Done);
    assert_eq!(field.failed_checks(NEW, false), ["services", "runtime"]);
}

#[test]
fn a_service_that_stays_busy_is_asked_again_though_the_machine_stays_as_it_is() {
    let busy =
        "faults:\n- {name: busy, when: {after: 0s}, effects: [updateServiceFails: {hresult: 0x80240009}], lasts: 5m}\n";
    let mut field = Field::new(&scenario(busy));
    let (code, report) = field.stage();
    assert_eq!((code, report.phase), (exit::DONE, AgentPhase::Staged), "{:?}", report.error);
    assert!(field.now.duration_since(Timestamp::UNIX_EPOCH).as_secs() < 900, "each half minute: {}", field.now);
}

#[test]
fn looks_that_would_find_nothing_new_are_left_out_and_the_others_keep_their_times() {
    let mut field = Field::new(&scenario(""));
    let at = |millis: i64| Timestamp::from_millisecond(millis).expect("a time");
    let machine = field.world.machine(NODE).expect("a machine");
    let before = machine.sight();
    let waits = Idle::of(before, machine, Duration::from_secs(1), Some(at(9_500)));
    let (mut idle, mut next) = (waits, at(1_000));
    let woken = |idle: &mut Option<Idle>, next: &mut Timestamp, world: &World, now| {
        Idle::wake(idle, next, world.machine(NODE), now);
        (idle.is_some(), *next)
    };
    assert_eq!(woken(&mut idle, &mut next, &field.world, at(3_400)), (true, at(4_000)));
    assert_eq!(woken(&mut idle, &mut next, &field.world, at(4_000)), (true, at(5_000)), "left out");
    // Time alone may change what it finds.
    assert_eq!(woken(&mut idle, &mut next, &field.world, at(9_500)), (false, at(10_000)));
    (idle, next) = (waits, at(1_000));
    field.world.guest(NODE, at(0)).expect("it is up").write_file("f", b"x").expect("it fits");
    assert_eq!(woken(&mut idle, &mut next, &field.world, at(4_300)), (false, at(5_000)), "something was written");
    let machine = field.world.machine(NODE).expect("a machine");
    assert_eq!(Idle::of(before, machine, Duration::from_secs(1), None), None, "it did not only look");
}
