//! What an operator sees of one node update, from stage to done.

#![allow(clippy::expect_used, clippy::panic)] // Clippy does not know helpers of tests as tests.

mod common;

use common::{Machine, NEW, OLD, Offer, Operator, pin, request};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use windlass_protocol::{
    AgentPhase, Command, DiskIdentity, ErrorClass, HostProbe, Progress, Request, Source, UpdateState, Verdict, exit,
};

const KB: &str = "KB5040437";

fn operator() -> Operator {
    Operator::new(Machine::new(vec![Offer::new(KB)]), &[KB])
}

fn probe(expected_build: windlass_protocol::Build, exact: bool) -> Request {
    request("Verify", 1, 1, Command::Probe { host: HostProbe { expected_build, exact } })
}

fn reboot_only(operator: &Operator, attempt: u32) -> Request {
    let Command::Arm { source, nonce_b, reboot_not_after, max_reboots, timeout_seconds, .. } =
        operator.arm_command("b-2")
    else {
        unreachable!("arm_command arms")
    };
    let command = Command::Arm { source, updates: vec![], nonce_b, reboot_not_after, max_reboots, timeout_seconds };
    request("Reboot", 1, attempt, command)
}

#[test]
fn a_good_update_goes_through() {
    let mut op = operator();
    let staged = op.stage().expect("an answer");
    assert_eq!((staged.code, staged.phase()), (exit::DONE, AgentPhase::Staged), "{}", staged.error());
    assert!(!staged.report.mutated && !staged.report.armed);
    assert_eq!(staged.report.nonces.a.as_deref(), Some("a-1"));
    let told: Vec<_> = ["Scan", "Download"].iter().filter(|p| staged.lines.iter().any(|l| l.contains(**p))).collect();
    assert_eq!(told.len(), 2, "progress is told as it goes: {:?}", staged.lines);
    assert_eq!(op.machine.disk.policy.no_auto_update, Some(1), "automatic updates are held off");

    let armed = op.arm(1, 1);
    assert!(armed.is_none_or(|a| a.code == exit::IN_PROGRESS), "the reboot takes the pod with it");
    let done = op.collect(true);
    assert_eq!((done.code, done.phase(), done.report.build), (exit::DONE, AgentPhase::Done, NEW), "{}", done.error());
    assert_eq!((done.report.boots, op.machine.reboots), (1, 1));
    op.pass(Duration::from_secs(5));
    assert!(!op.machine.disk.task);
    assert_eq!(op.machine.disk.policy.no_auto_update, None, "and given back");

    let healthy = op.pod(&probe(NEW, false)).expect("an answer");
    assert!(healthy.report.checks.iter().all(|c| c.verdict == Verdict::Pass), "{:?}", healthy.report.checks);
}

#[test]
fn what_is_staged_says_until_when_the_disk_is_let_in() {
    let hours = |n: i64| Some(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(n));
    let mut op = operator();
    (op.machine.condition.certificate, op.machine.condition.password) = (hours(240), hours(48));
    let first = op.stage().expect("an answer").report.identity.expect("an identity");
    assert_eq!((first.kubelet_certificate, first.machine_password), (hours(240), hours(48)));
    // Asked again, it is what is on the disk now: both were renewed meanwhile.
    (op.machine.condition.certificate, op.machine.condition.password) = (hours(480), hours(720));
    let again = op.stage().expect("an answer").report.identity.expect("an identity");
    assert_eq!((again.kubelet_certificate, again.machine_password), (hours(480), hours(720)));
    assert_eq!(op.collect(false).report.identity, None, "nobody asked for it");
}

#[test]
fn an_identity_that_can_not_be_read_is_told_and_a_password_that_is_never_changed_sets_no_end() {
    let mut op = operator();
    op.machine.condition.silent.insert("kubelet_certificate_ends");
    op.machine.condition.password = Some(op.machine.now - SignedDuration::from_hours(25));
    let staged = op.stage().expect("an answer");
    assert_eq!(staged.phase(), AgentPhase::Staged, "{}", staged.error());
    assert_eq!(staged.report.identity, Some(DiskIdentity::default()), "overdue for more than a day");
    let untold: Vec<_> = staged.report.checks.iter().filter(|check| check.name == "identity").collect();
    assert!(matches!(untold[..], [check] if check.verdict == Verdict::Inconclusive), "{untold:?}");
    assert!(untold[0].detail.contains("the kubelet's client certificate"), "{}", untold[0].detail);
}

#[test]
fn every_command_may_be_asked_twice() {
    let mut op = operator();
    let first = op.stage().expect("an answer");
    let calls = op.machine.calls;
    let again = op.stage().expect("an answer");
    assert_eq!(
        (again.code, again.phase(), op.machine.calls),
        (first.code, first.phase(), calls),
        "nothing is done again"
    );
    op.arm(1, 1);
    op.collect(true);
    op.pass(Duration::from_secs(5));
    let calls = op.machine.calls;
    for _ in 0..2 {
        let again = op.arm(1, 1).expect("an answer");
        assert_eq!((again.code, again.phase(), op.machine.calls), (exit::DONE, AgentPhase::Done, calls));
    }
    let staged = op.stage().expect("an answer");
    assert_eq!((staged.code, staged.phase()), (exit::DONE, AgentPhase::Done), "stage after the end reports at once");
    for _ in 0..2 {
        let reset = op.pod(&request("Clean", 1, 1, Command::Reset {})).expect("an answer");
        assert_eq!((reset.code, reset.phase()), (exit::DONE, AgentPhase::Done));
    }
    assert_eq!(op.machine.installs.values().sum::<u32>(), 1);
}

#[test]
fn without_leave_it_waits_and_takes_leave_later() {
    let mut op = operator();
    op.leave = None;
    op.stage();
    let armed = op.arm(1, 1).expect("an answer");
    assert_eq!((armed.code, armed.phase()), (exit::REBOOT_NEEDED, AgentPhase::RebootRequested));
    assert_eq!(armed.report.updates[0].state, UpdateState::PendingReboot);
    op.pass(Duration::from_hours(5));
    assert_eq!(op.machine.reboots, 0, "never without leave");
    op.leave = Some(op.machine.now.as_second() - 1);
    let expired = op.pod(&request("Reboot", 1, 1, op.arm_command("b-1"))).expect("an answer");
    assert_eq!((expired.code, op.machine.reboots), (exit::REBOOT_NEEDED, 0), "never after the leave");
    op.leave = Some(1_000_000);
    op.pod(&reboot_only(&op, 2));
    let done = op.collect(true);
    assert_eq!((done.phase(), op.machine.reboots, done.report.build), (AgentPhase::Done, 1, NEW), "{}", done.error());
}

#[test]
fn a_reboot_that_windows_wants_is_taken_although_no_update_asks_for_it() {
    let mut op = operator();
    op.machine.offers[0].needs_reboot = false;
    op.stage();
    op.machine.signals.update_agent = true;
    op.arm(1, 1);
    assert_eq!((op.collect(true).phase(), op.machine.reboots), (AgentPhase::Done, 1));
}

#[test]
fn a_new_node_update_starts_without_the_old_proof() {
    let mut op = operator();
    op.run_to_end();
    let mut next = request("Stage", 1, 1, op.stage_command("a-2"));
    next.ticket.node_update_uid = "uid-2".into();
    let staged = op.pod(&next).expect("an answer");
    assert_eq!((staged.phase(), staged.report.boots, staged.report.mutated), (AgentPhase::Staged, 0, false));
    assert_eq!((staged.report.nonces.a.as_deref(), staged.report.nonces.b), (Some("a-2"), None));
}

#[test]
fn while_the_task_works_it_is_the_only_writer() {
    let mut op = operator();
    op.machine.install_hangs = true;
    op.stage();
    for attempt in [1, 2] {
        let mut run =
            windlass_agent::Run::new(request("Install", 1, attempt, op.arm_command("b-9")), "win-7").expect("ours");
        let before = op.machine.file(windlass_agent::STATE_FILE);
        let now = op.machine.now;
        run.step(&mut op.machine, now);
        let touched = before != op.machine.file(windlass_agent::STATE_FILE);
        assert_eq!(touched, attempt == 1, "attempt {attempt}");
        op.pass(Duration::from_mins(1));
    }
}

#[test]
fn what_failed_is_not_tried_again_after_a_power_cut() {
    let mut bad = Offer::new("KB5039227");
    (bad.exclusive, bad.install) = (true, 0x8007_0643);
    let mut op = Operator::new(Machine::new(vec![bad, Offer::new(KB)]), &["KB5039227", KB]);
    op.stage();
    let mut run = windlass_agent::Run::new(request("Install", 1, 1, op.arm_command("b-1")), "win-7").expect("ours");
    while !op.machine.attempts.contains_key(&pin(KB).kb) {
        let now = op.machine.now;
        run.step(&mut op.machine, now);
        op.pass(Duration::from_secs(1));
    }
    op.machine.off = true;
    op.pass(Duration::from_secs(1));
    let end = op.collect(true);
    assert_eq!((end.code, end.phase()), (exit::PERMANENT, AgentPhase::Failed), "{}", end.error());
    assert_eq!(op.machine.attempts[&pin("KB5039227").kb], 1);
}

#[test]
fn reset_disarms_what_waits_for_leave() {
    let mut op = operator();
    op.leave = None;
    op.stage();
    assert!(op.arm(1, 1).expect("an answer").report.armed);
    let reset = op.pod(&request("Clean", 1, 1, Command::Reset {})).expect("an answer");
    assert_eq!((reset.code, reset.phase(), reset.report.armed), (exit::DONE, AgentPhase::Failed, false));
    assert_eq!(reset.report.error.map(|e| e.message).as_deref(), Some("reset: taken off during RebootRequested"));
    op.machine.boot();
    op.pass(Duration::from_mins(1));
    assert_eq!(op.machine.installs.values().sum::<u32>(), 1, "nothing goes on at the next boot");
}

#[test]
fn the_same_question_may_bring_a_later_leave() {
    let mut op = operator();
    op.stage();
    op.leave = Some(op.machine.now.as_second());
    assert_eq!(op.arm(1, 1).expect("an answer").code, exit::REBOOT_NEEDED, "expired when it was given");
    op.leave = Some(1_000_000);
    op.arm(1, 1);
    assert_eq!((op.collect(true).phase(), op.machine.reboots), (AgentPhase::Done, 1));
}

#[test]
fn after_the_boot_no_second_reboot_is_asked_for() {
    let mut op = operator();
    op.leave = None;
    op.stage();
    op.arm(1, 1);
    // Somebody else reboots the machine; the kubelet is there before the task is started.
    op.machine.boot();
    let seen = op.collect(false);
    assert_eq!((seen.code, seen.report.boots), (exit::IN_PROGRESS, 1), "the task has yet to look");
    op.machine.task_runs = true;
    assert_eq!((op.collect(true).phase(), op.machine.reboots), (AgentPhase::Done, 0));
}

#[test]
fn leave_that_comes_while_the_task_installs_is_taken() {
    let mut op = operator();
    op.leave = None;
    op.stage();
    let mut run = windlass_agent::Run::new(request("Install", 1, 1, op.arm_command("b-1")), "win-7").expect("ours");
    let now = op.machine.now;
    run.step(&mut op.machine, now);
    op.pass(Duration::from_secs(3));
    op.leave = Some(1_000_000);
    op.arm(1, 2);
    let done = op.collect(true);
    assert_eq!((done.phase(), op.machine.reboots), (AgentPhase::Done, 1));
    assert_eq!(op.machine.installs.values().sum::<u32>(), 1);
}

#[test]
fn it_never_reboots_while_servicing_is_busy() {
    let mut op = operator();
    op.stage();
    op.leave = None;
    op.arm(1, 1);
    op.leave = Some(op.machine.now.as_second() + 3600);
    op.machine.servicing = true;
    let request = reboot_only(&op, 1);
    let mut run = windlass_agent::Run::new(request, "win-7").expect("ours");
    for _ in 0..600 {
        let now = op.machine.now;
        run.step(&mut op.machine, now);
        op.pass(Duration::from_secs(1));
    }
    assert_eq!(op.machine.reboots, 0, "the machine asserts it, too");
    op.machine.servicing = false;
    assert!(op.pass(Duration::from_secs(10)), "then it goes down");
    assert_eq!(op.collect(true).phase(), AgentPhase::Done);
}

/// Windows' servicing lives on for minutes after a search. What waits for it must not search again, nor give up.
#[test]
fn servicing_that_a_search_started_is_waited_out() {
    let mut op = operator();
    op.machine.search_keeps_busy = SignedDuration::from_mins(3);
    op.pod(&request("Scan", 1, 1, Command::Scan { source: Source::WindowsUpdate })).expect("an answer");
    let staged = op.stage().expect("an answer");
    assert_eq!((staged.code, staged.phase()), (exit::DONE, AgentPhase::Staged), "{}", staged.error());
    op.pass(Duration::from_mins(5));
    let armed = op.machine.now;
    op.arm(1, 1);
    let done = op.collect(true);
    assert_eq!((done.phase(), done.report.build), (AgentPhase::Done, NEW), "{}", done.error());
    assert_eq!(op.machine.installs.values().sum::<u32>(), 1);
    let took = op.machine.now.duration_since(armed);
    assert!(took < SignedDuration::from_mins(15), "{took}");
}

/// A process that was killed while it waited knows nothing, and looks again.
#[test]
fn a_new_process_searches_before_it_installs() {
    let mut op = operator();
    op.machine.search_keeps_busy = SignedDuration::from_mins(3);
    op.stage();
    op.machine.servicing = true;
    let mut run = windlass_agent::Run::new(request("Install", 1, 1, op.arm_command("b-1")), "win-7").expect("ours");
    let now = op.machine.now;
    run.step(&mut op.machine, now);
    op.pass(Duration::from_mins(1));
    op.kill_task();
    op.machine.servicing = false;
    op.arm(1, 1);
    let done = op.collect(true);
    assert_eq!((done.phase(), op.machine.installs.values().sum::<u32>()), (AgentPhase::Done, 1), "{}", done.error());
}

#[test]
fn servicing_after_a_boot_is_waited_for_but_not_for_ever() {
    let mut op = operator();
    op.stage();
    op.arm(1, 1);
    let booted = op.machine.now;
    op.machine.servicing = true;
    op.pass(Duration::from_mins(8));
    assert_eq!(op.collect(false).phase(), AgentPhase::PostBoot, "it may complete what was installed");
    let done = op.collect(true);
    assert_eq!((done.phase(), done.progress()), (AgentPhase::Done, Progress::Done), "{}", done.error());
    let waited = op.machine.now.duration_since(booted);
    assert!(waited >= SignedDuration::from_mins(10) && waited < SignedDuration::from_mins(12), "{waited}");
}

#[test]
fn a_pending_reboot_is_taken_first() {
    let mut op = operator();
    op.machine.signals.update_agent = true;
    let refused = op.stage().expect("an answer");
    assert_eq!(refused.code, exit::RETRIABLE);
    assert_eq!(refused.report.error.map(|e| e.class), Some(ErrorClass::RebootFirst));
    assert!(op.pod(&reboot_only(&op, 1)).is_none_or(|a| a.code == exit::IN_PROGRESS));
    let rebooted = op.collect(true);
    assert_eq!((rebooted.code, rebooted.phase(), rebooted.report.mutated), (exit::DONE, AgentPhase::Done, false));
    let end = op.run_to_end();
    assert_eq!((end.phase(), end.report.build, op.machine.reboots), (AgentPhase::Done, NEW, 2), "{}", end.error());
    assert_eq!(end.report.boots, 1, "the reboot that was pending is none of the update's");
}

/// A hotpatch, after a reboot that was pending and a snapshot that took the power off.
#[test]
fn boots_before_the_work_are_none_of_the_work() {
    let mut op = operator();
    op.machine.offers[0].needs_reboot = false;
    op.machine.signals.update_agent = true;
    op.stage();
    op.pod(&reboot_only(&op, 1));
    assert_eq!((op.collect(true).report.boots, op.machine.reboots), (1, 1));
    assert_eq!(op.pod(&request("Stage", 1, 2, op.stage_command("a-1"))).expect("an answer").code, exit::DONE);
    op.machine.boot();
    let end = op.arm(1, 1).expect("no reboot");
    assert_eq!((end.phase(), end.report.boots, op.machine.reboots), (AgentPhase::Done, 0, 1), "{}", end.error());
}

/// A new attempt takes up work that goes on: what the first one's reboot was is not waited for again.
#[test]
fn boots_of_an_earlier_attempt_are_none_of_the_next() {
    let mut op = operator();
    op.stage();
    op.arm(1, 1);
    assert_eq!(op.machine.reboots, 1);
    let end = op.arm(1, 2).expect("no reboot");
    assert_eq!((end.phase(), end.report.boots), (AgentPhase::Done, 0), "{}", end.error());
}

#[test]
fn one_more_reboot_after_the_end_changes_nothing() {
    let mut op = operator();
    op.run_to_end();
    let extra = reboot_only(&op, 1);
    op.pod(&extra);
    let end = op.collect(true);
    assert_eq!((end.phase(), op.machine.reboots, op.machine.installs.values().sum::<u32>()), (AgentPhase::Done, 2, 1));
    assert_eq!(op.pod(&extra).expect("an answer").code, exit::DONE, "the same question finds its own work");
    assert_eq!(op.machine.reboots, 2);
}

/// The end of what is still at work must not pass for that of a reboot which never came.
#[test]
fn one_more_reboot_waits_for_the_work_before_it() {
    let mut op = operator();
    op.stage();
    op.arm(1, 1);
    op.machine.job_takes = SignedDuration::from_mins(3);
    op.pass(Duration::from_mins(1));
    assert_eq!(op.collect(false).phase(), AgentPhase::Rescan, "the task is at work after its boot");
    op.pod(&reboot_only(&op, 1));
    assert_eq!(op.machine.reboots, 2, "the reboot that was asked for, and not the end of the installation");
    assert_eq!((op.collect(true).phase(), op.machine.installs.values().sum::<u32>()), (AgentPhase::Done, 1));
}

#[test]
fn a_restored_disk_proves_itself() {
    let mut op = operator();
    op.stage();
    let snapshot = op.machine.disk.clone();
    op.arm(1, 1);
    op.collect(true);
    op.machine.disk = snapshot;
    op.machine.boot();
    let seen = op.collect(false);
    assert_eq!((seen.phase(), seen.report.build, seen.report.mutated), (AgentPhase::Staged, OLD, false));
    assert_eq!(seen.report.nonces.a.as_deref(), Some("a-1"), "the captured disk");
    assert_eq!(seen.report.nonces.b, None, "and rewound");
    assert!(!seen.report.armed, "nothing would install at the next boot");
    let like_before = op.pod(&probe(OLD, true)).expect("an answer");
    assert!(like_before.report.checks.iter().all(|c| c.verdict == Verdict::Pass), "{:?}", like_before.report.checks);
}

/// What the update takes of the room that was asked for before it is no fault of the machine, and no reason for a revert that
/// would find no more: the snapshot has the download on it.
#[test]
fn the_room_that_an_update_takes_is_not_held_against_the_machine() {
    let mut op = operator();
    op.machine.free = 9 << 30;
    assert_eq!(op.stage().expect("an answer").phase(), AgentPhase::Staged);
    op.machine.free = 6 << 30;
    op.arm(1, 1);
    assert_eq!(op.collect(true).phase(), AgentPhase::Done);
    let seen = op.pod(&probe(NEW, false)).expect("an answer");
    assert!(seen.report.checks.iter().all(|c| c.verdict == Verdict::Pass), "{:?}", seen.report.checks);
}

#[test]
fn a_boot_loop_ends_with_the_agent_disarmed() {
    let mut op = operator();
    op.machine.boot_loops = 6;
    op.stage();
    op.arm(1, 1);
    let end = op.collect(true);
    assert_eq!((end.code, end.phase(), end.report.armed), (exit::PERMANENT, AgentPhase::Failed, false));
    assert!(end.error().starts_with("maxReboots: 3 are allowed, 4 were seen"), "{}", end.error());
}

#[test]
fn the_agent_takes_no_more_reboots_than_it_may() {
    let mut op = operator();
    op.max_reboots = 0;
    op.stage();
    let end = op.arm(1, 1).expect("an answer");
    assert_eq!((end.code, end.phase(), op.machine.reboots), (exit::PERMANENT, AgentPhase::Failed, 0));
    assert!(end.error().starts_with("maxReboots:"), "{}", end.error());
}

#[test]
fn an_installation_that_hangs_is_given_up_and_never_cut_short() {
    let mut op = operator();
    op.machine.install_hangs = true;
    op.stage();
    let begun = op.machine.now;
    let end = op.arm(1, 1).expect("an answer");
    assert!(op.machine.now.duration_since(begun) >= SignedDuration::from_secs(7200));
    assert_eq!((end.code, end.phase(), end.report.mutated), (exit::PERMANENT, AgentPhase::Failed, true));
    assert!(end.error().starts_with("timeoutSeconds:"), "{}", end.error());
    assert_eq!((op.machine.reboots, op.machine.disk.task), (0, false));
}

#[test]
fn a_new_attempt_begins_after_the_last_one_ended() {
    let mut op = operator();
    op.machine.offers[0].install = 0x800F_0922;
    op.stage();
    assert_eq!(op.arm(1, 1).expect("an answer").code, exit::PERMANENT);
    op.pass(Duration::from_secs(5));
    op.machine.offers[0].install = 0;
    assert_eq!(op.arm(1, 1).expect("an answer").code, exit::PERMANENT, "the same question, the same answer");
    op.arm(1, 2);
    assert_eq!(op.collect(true).phase(), AgentPhase::Done);
    assert_eq!(op.machine.installs.values().sum::<u32>(), 1);
}

/// An update service that does not answer (disabled, or just starting) is no reason to fail what does not need it.
#[test]
fn what_can_be_told_is_told_where_the_signs_of_a_reboot_can_not_be_read() {
    let mut op = operator();
    op.run_to_end();
    op.machine.condition.silent.insert("reboot_signals");
    for answer in [op.collect(false), op.pod(&request("Clean", 1, 1, Command::Reset {})).expect("an answer")] {
        assert_eq!((answer.code, answer.phase(), answer.error()), (exit::DONE, AgentPhase::Done, ""));
        let told: Vec<_> = answer.report.checks.iter().filter(|c| c.name == "reboot").collect();
        assert!(matches!(told[..], [check] if check.verdict == Verdict::Inconclusive), "{told:?}");
    }
    let probed = op.pod(&probe(NEW, false)).expect("an answer");
    assert_eq!(probed.report.checks.iter().filter(|c| c.name == "reboot").count(), 1, "told once");
}

#[test]
fn reset_takes_everything_off_and_puts_the_policy_back() {
    let mut op = operator();
    op.machine.disk.policy.no_auto_update = Some(0);
    op.stage();
    assert_eq!(op.machine.disk.policy.no_auto_update, Some(1));
    assert!(!op.machine.disk.downloaded.is_empty());
    let reset = op.pod(&request("Clean", 1, 1, Command::Reset {})).expect("an answer");
    assert_eq!((reset.code, reset.phase()), (exit::DONE, AgentPhase::Idle));
    assert_eq!(op.machine.disk.policy.no_auto_update, Some(0), "exactly as it was");
    assert!(op.machine.disk.downloaded.is_empty());
    let end = op.run_to_end();
    assert_eq!((end.phase(), op.machine.disk.policy.no_auto_update), (AgentPhase::Done, Some(0)));
}

#[test]
fn scan_lists_what_is_offered_and_changes_nothing() {
    let mut op = operator();
    op.machine.offers.push(Offer::new("KB5039227"));
    op.machine.disk.installed.insert(pin("KB5039227").kb);
    let disk = op.machine.disk.files.clone();
    let scan = op.pod(&request("Scan", 1, 1, Command::Scan { source: Source::WindowsUpdate })).expect("an answer");
    let kbs: Vec<_> = scan.report.offered.iter().map(|o| o.kb.to_string()).collect();
    assert_eq!((scan.code, scan.phase(), kbs), (exit::DONE, AgentPhase::Idle, vec![KB.to_owned()]));
    assert_eq!(op.machine.disk.files, disk);
}

#[test]
fn what_is_there_already_is_fine() {
    let mut op = operator();
    op.machine.disk.installed.insert(pin(KB).kb);
    let end = op.run_to_end();
    assert_eq!((end.phase(), end.progress(), end.report.mutated), (AgentPhase::Done, Progress::Done, false));
    assert_eq!((op.machine.reboots, op.machine.installs.len()), (0, 0));
}
