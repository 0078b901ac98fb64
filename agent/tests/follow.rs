//! Who follows the armed task sees its end, not the moment before it, and waits for nothing that can not come.

#![allow(clippy::expect_used, clippy::panic)] // Clippy does not know helpers of tests as tests.

mod common;

use common::{Machine, Offer, Operator, request};
use jiff::SignedDuration;
use std::cell::Cell;
use std::time::Duration;
use windlass_agent::{Next, Run, STATE_FILE};
use windlass_protocol::{AgentPhase, Command, Progress, Report, exit};

const KB: &str = "KB5040437";

/// Longest that a task at its end may be waited for.
const BOUND: SignedDuration = SignedDuration::from_mins(3);

fn operator() -> Operator {
    Operator::new(Machine::new(vec![Offer::new(KB)]), &[KB])
}

fn follow() -> Run {
    Run::new(request("Collect", 1, 1, Command::Collect { follow: true }), "win-7").expect("ours")
}

fn arm(op: &Operator) -> Run {
    Run::new(request("Install", 1, 1, op.arm_command("b-1")), "win-7").expect("ours")
}

/// One step of a pod; its report when it ends.
fn step(run: &mut Run, op: &mut Operator) -> Option<Report> {
    op.machine.speaker_is_task = false;
    let now = op.machine.now;
    match run.step(&mut op.machine, now) {
        Next::Exit { report, .. } => Some(*report),
        Next::Again { .. } => None,
        Next::Refused(error) => panic!("refused: {error}"),
    }
}

/// Steps a pod to its end; the task works beside it.
fn to_end(run: &mut Run, op: &mut Operator) -> Report {
    for _ in 0..10_000 {
        if let Some(report) = step(run, op) {
            return report;
        }
        op.pass(Duration::from_secs(1));
    }
    panic!("it waits for ever")
}

fn on_disk(op: &Operator, phase: AgentPhase) -> bool {
    op.machine.file(STATE_FILE).is_some_and(|text| text.contains(&format!(r#""phase":"{phase:?}""#)))
}

/// A machine on whose disk this phase stands, with a task that is still at work: at an end it has yet to come off.
fn at(phase: AgentPhase, mut op: Operator) -> Operator {
    op.stage();
    let mut armed = arm(&op);
    assert_eq!(step(&mut armed, &mut op), None, "the task has the work");
    op.machine.task_sticks = true;
    for _ in 0..10_000 {
        if on_disk(&op, phase) && op.machine.task_runs {
            op.machine.task_sticks = false;
            return op;
        }
        let soon = op.machine.now + Duration::from_secs(1);
        if op.task_step(soon).is_none() {
            op.machine.now = soon;
        }
    }
    panic!("never at {phase:?}")
}

#[test]
fn the_end_is_told_once_the_task_is_off() {
    let mut op = at(AgentPhase::Done, operator());
    let mut pod = follow();
    assert_eq!(step(&mut pod, &mut op), None, "the task is still to take itself off");
    let end = to_end(&mut pod, &mut op);
    assert_eq!((end.phase, end.progress, end.armed), (AgentPhase::Done, Progress::Done, false));
}

#[test]
fn a_task_that_dies_before_it_took_itself_off_is_started_again() {
    let cases = [(AgentPhase::Done, 0, 1), (AgentPhase::Failed, 0x8007_0643, 1), (AgentPhase::MoreToInstall, 0, 2)];
    for (phase, install, rounds) in cases {
        for seen_running in [true, false] {
            let mut op = operator();
            (op.machine.offers[0].install, op.machine.offers[0].rounds) = (install, rounds);
            let mut op = at(phase, op);
            let mut pod = follow();
            if seen_running {
                assert_eq!(step(&mut pod, &mut op), None, "{phase:?}");
            }
            op.kill_task();
            let end = to_end(&mut pod, &mut op);
            assert_eq!((end.phase, end.armed, op.machine.disk.task), (phase, false, false), "{phase:?}");
        }
    }
}

#[test]
fn arm_tells_the_end_once_the_task_is_off_as_well() {
    let mut op = at(AgentPhase::Done, operator());
    op.kill_task();
    let mut pod = arm(&op);
    let end = to_end(&mut pod, &mut op);
    assert_eq!((end.phase, end.progress, end.armed), (AgentPhase::Done, Progress::Done, false));
    assert_eq!(op.machine.installs.values().sum::<u32>(), 1);
}

#[test]
fn a_task_that_can_not_be_taken_off_is_not_waited_for_for_ever() {
    for kill in [false, true] {
        let mut op = at(AgentPhase::Done, operator());
        op.machine.task_sticks = true;
        if kill {
            op.kill_task();
        }
        let begun = op.machine.now;
        let end = to_end(&mut follow(), &mut op);
        assert_eq!((end.phase, end.progress, end.armed), (AgentPhase::Done, Progress::Done, true));
        assert!(op.machine.now.duration_since(begun) < BOUND);
    }
}

#[test]
fn where_nobody_is_at_work_it_ends_at_once() {
    let mut op = operator();
    // A pod that stages is killed: its state stays where it was.
    let mut stage = Run::new(request("Stage", 1, 1, op.stage_command("a-1")), "win-7").expect("ours");
    assert_eq!(step(&mut stage, &mut op), None);
    assert!(on_disk(&op, AgentPhase::Scan));
    let end = step(&mut follow(), &mut op).expect("nothing to wait for");
    assert_eq!((end.phase, end.progress), (AgentPhase::Scan, Progress::InProgress));

    let mut op = operator();
    op.leave = None;
    op.stage();
    assert_eq!(op.arm(1, 1).map(|a| a.code), Some(exit::REBOOT_NEEDED));
    let end = step(&mut follow(), &mut op).expect("a leave is awaited");
    assert_eq!((end.phase, end.progress), (AgentPhase::RebootRequested, Progress::RebootNeeded));

    let mut op = operator();
    assert_eq!(step(&mut follow(), &mut op).map(|r| r.progress), Some(Progress::Done), "nothing was ever done");
    op.stage();
    assert_eq!(step(&mut follow(), &mut op).map(|r| r.phase), Some(AgentPhase::Staged));
}

#[test]
fn a_task_that_ends_between_two_looks_has_not_left_its_work() {
    let mut op = at(AgentPhase::Rescan, operator());
    let at_work = op.machine.disk.clone();
    op.pass(Duration::from_mins(1));
    let ended = op.machine.disk.clone();
    assert!(on_disk(&op, AgentPhase::Done) && !ended.task);
    for looks in 0..12 {
        let mut pods = [follow(), arm(&op)];
        for pod in &mut pods {
            op.machine.disk = at_work.clone();
            op.machine.task_runs = true;
            op.machine.ends_after_looks = Some((Cell::new(looks), ended.clone()));
            let end = loop {
                if let Some(end) = step(pod, &mut op) {
                    break end;
                }
            };
            assert_eq!((end.phase, end.progress), (AgentPhase::Done, Progress::Done), "after {looks}: {:?}", end.error);
            assert_eq!(
                op.machine.file(STATE_FILE),
                at_work.files.get(STATE_FILE).map(Vec::as_slice).map(text),
                "nothing is written over"
            );
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_owned()).expect("text")
}
