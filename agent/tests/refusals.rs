//! What the agent does not do, and what it says instead.

#![allow(clippy::expect_used, clippy::panic)] // Clippy does not know helpers of tests as tests.

mod common;

use common::{Answer, Machine, OLD, Offer, Operator, request};
use windlass_agent::{HostError, Run, STATE_FILE, hresult};
use windlass_protocol::{
    AgentError, AgentPhase, Build, Command, ErrorClass, HostProbe, RebootSignals, RequestError, ServiceState, Source,
    UpdateState, Verdict, exit,
};

const KB: &str = "KB5040437";

fn operator() -> Operator {
    Operator::new(Machine::new(vec![Offer::new(KB)]), &[KB])
}

#[track_caller]
fn refused(answer: &Answer, class: ErrorClass, says: &str) {
    let error = answer.report.error.clone().expect("an error");
    assert_eq!(error.class, class, "{}", error.message);
    assert!(error.message.contains(says), "{} should say {says}", error.message);
    let code = match class {
        ErrorClass::Retriable | ErrorClass::RebootFirst => exit::RETRIABLE,
        ErrorClass::NotOffered | ErrorClass::Configuration | ErrorClass::DiskFull | ErrorClass::Permanent => {
            exit::PERMANENT
        }
    };
    assert_eq!(answer.code, code);
}

#[test]
fn preflight_protects() {
    type Case = (&'static str, fn(&mut Machine), ErrorClass, &'static str);
    let cases: [Case; 4] = [
        ("disk", |m| m.free = (8 << 30) - 1, ErrorClass::DiskFull, "free space"),
        ("servicing", |m| m.servicing = true, ErrorClass::Retriable, "servicing"),
        ("agent", |m| m.signals.update_agent = true, ErrorClass::RebootFirst, "update service"),
        ("packages", |m| m.signals.packages_pending = true, ErrorClass::RebootFirst, "packages"),
    ];
    for (name, spoil, class, says) in cases {
        let mut op = operator();
        spoil(&mut op.machine);
        let answer = op.stage().unwrap_or_else(|| panic!("{name}: an answer"));
        refused(&answer, class, says);
        assert_eq!((answer.phase(), answer.report.mutated), (AgentPhase::Failed, false), "{name}");
        assert_eq!(op.machine.disk.policy.no_auto_update, None, "{name}: nothing was taken");
    }
    let mut op = operator();
    op.machine.signals = RebootSignals { servicing_lingers: true, ..RebootSignals::default() };
    assert_eq!(op.stage().expect("an answer").code, exit::DONE, "a mark that lingers stops nothing");
}

#[test]
fn exactly_the_pinned_set_or_nothing() {
    let mut op = operator();
    op.set = vec![KB, "KB5039227"];
    refused(&op.stage().expect("an answer"), ErrorClass::NotOffered, "KB5039227");
    for spoil in [(|o: &mut Offer| o.classification = "Upgrades") as fn(&mut Offer), |o| {
        o.target = Some(Build::new(10, 0, 26100, 1742));
    }] {
        let mut op = operator();
        spoil(&mut op.machine.offers[0]);
        refused(&op.stage().expect("an answer"), ErrorClass::Permanent, "feature upgrades are never taken");
        assert!(op.machine.disk.downloaded.is_empty());
    }
    let mut op = operator();
    op.stage();
    op.set = vec!["KB5039227"];
    refused(&op.arm(1, 1).expect("an answer"), ErrorClass::Permanent, "KB5039227 was not staged");
    refused(&operator().arm(1, 1).expect("an answer"), ErrorClass::Permanent, "nothing was staged");
}

#[test]
fn another_node_updates_work_is_left_alone() {
    let mut op = operator();
    op.leave = None;
    op.stage();
    op.arm(1, 1);
    for command in [op.stage_command("a-2"), op.arm_command("b-2")] {
        let mut other = request("Stage", 1, 1, command);
        other.ticket.node_update_uid = "uid-2".into();
        refused(&op.pod(&other).expect("an answer"), ErrorClass::Retriable, "uid-1");
    }
    let elsewhere = Run::new(request("Install", 1, 1, op.arm_command("b-1")), "win-8");
    assert!(matches!(elsewhere, Err(RequestError::Node { .. })));
}

#[test]
fn what_failed_last_month_is_no_answer_to_another_question() {
    let mut op = operator();
    op.machine.free = 1;
    refused(&op.stage().expect("an answer"), ErrorClass::DiskFull, "free space");
    let command = Command::Probe { host: HostProbe { expected_build: OLD, exact: true } };
    refused_before(&op.pod(&request("Verify", 1, 1, command)).expect("an answer"));
    refused_before(&op.pod(&request("Uncordon", 1, 1, Command::Reset {})).expect("an answer"));

    let mut scan = request("Scan", 1, 1, Command::Scan { source: Source::WindowsUpdate });
    scan.ticket.node_update_uid = "rollout-2".into();
    let answer = op.pod(&scan).expect("an answer");
    assert_eq!((answer.code, answer.error(), answer.report.offered.len()), (exit::DONE, "", 1));
}

/// The answer is complete, and tells why the work that it was asked about had failed.
fn refused_before(answer: &Answer) {
    assert_eq!(answer.code, exit::DONE);
    assert!(answer.error().starts_with("free space"), "{}", answer.error());
}

#[test]
fn a_machine_that_was_changed_is_not_staged_again() {
    let mut op = operator();
    op.machine.offers[0].install = 0x8007_0643;
    op.stage();
    op.arm(1, 1);
    op.pass(std::time::Duration::from_secs(5));
    refused(&op.stage().expect("an answer"), ErrorClass::Permanent, "changed the machine already");
}

#[test]
fn reset_does_not_disturb_an_installation() {
    let mut op = operator();
    op.machine.install_hangs = true;
    op.stage();
    let mut run = Run::new(request("Install", 1, 1, op.arm_command("b-1")), "win-7").expect("ours");
    let now = op.machine.now;
    run.step(&mut op.machine, now);
    op.pass(std::time::Duration::from_mins(1));
    let reset = op.pod(&request("Clean", 1, 1, Command::Reset {})).expect("an answer");
    refused(&reset, ErrorClass::Retriable, "at work");
    assert!(op.machine.disk.task);
}

#[test]
fn a_state_that_can_not_be_read_is_unknown_and_never_overwritten() {
    let mut op = operator();
    op.stage();
    let good = op.machine.file(STATE_FILE).expect("a state");
    for (bad, says) in [
        (good[..good.len() / 2].to_owned(), "torn"),
        (good.replace("uid-1", "uid-9"), "checksum"),
        (good.replace("\"version\":1", "\"version\":2"), "version 2"),
        (String::new(), "torn"),
    ] {
        op.machine.disk.files.insert(STATE_FILE.into(), bad.clone().into_bytes());
        let collect = request("Collect", 1, 1, Command::Collect { follow: true });
        for asked in
            [request("Stage", 1, 1, op.stage_command("a-1")), request("Install", 1, 1, op.arm_command("b-1")), collect]
        {
            let answer = op.pod(&asked).expect("an answer");
            refused(&answer, ErrorClass::Permanent, says);
            assert_eq!((answer.phase(), answer.report.mutated), (AgentPhase::Unknown, true), "the worst is assumed");
            assert_eq!(answer.report.nonces.a.as_deref(), Some("a-1"), "the proofs lie beside it");
        }
        assert_eq!(op.machine.file(STATE_FILE), Some(bad));
    }
    op.machine.disk.task = true;
    let reset = op.pod(&request("Clean", 1, 1, Command::Reset {})).expect("an answer");
    assert_eq!((reset.code, reset.phase(), reset.report.armed), (exit::DONE, AgentPhase::Idle, false));
    assert_eq!(op.stage().expect("an answer").phase(), AgentPhase::Staged);
}

#[test]
fn a_task_without_a_state_disarms_itself() {
    let mut op = operator();
    op.machine.disk.task = true;
    op.machine.disk.files.insert(STATE_FILE.into(), b"{".to_vec());
    op.machine.task_runs = true;
    op.pass(std::time::Duration::from_secs(5));
    assert!(!op.machine.disk.task && !op.machine.task_runs);
}

/// Each code of the table as the result of the download and of the installation of an update.
#[test]
fn each_code_ends_as_its_class_says() {
    for entry in hresult::TABLE {
        let mut op = operator();
        op.machine.offers[0].download = entry.code;
        let staged = op.stage().expect("an answer");
        // "Nothing to do" for what was asked for: the source took it back.
        let withdrawn = entry.class == hresult::Class::AlreadyDone && hresult::is_failure(entry.code);
        match (entry.class, entry.class.error_class()) {
            _ if withdrawn => refused(&staged, ErrorClass::NotOffered, KB),
            (hresult::Class::NotApplicable, _) | (_, None) => {
                assert_eq!(staged.code, exit::DONE, "{}: {}", entry.name, staged.error());
            }
            (_, Some(class)) => refused(&staged, class, entry.name),
        }
        let mut op = operator();
        op.machine.offers[0].install = entry.code;
        op.stage();
        op.arm(1, 1);
        let end = op.collect(true);
        let state = end.report.updates[0].state;
        match entry.class {
            _ if withdrawn => refused(&end, ErrorClass::NotOffered, KB),
            hresult::Class::AlreadyDone | hresult::Class::RebootNeeded => {
                assert_eq!((end.phase(), state), (AgentPhase::Done, UpdateState::Installed), "{}", entry.name);
            }
            hresult::Class::RebootFirst => {
                assert_eq!((end.phase(), op.machine.reboots), (AgentPhase::MoreToInstall, 1), "{}", entry.name);
            }
            hresult::Class::NotApplicable => {
                assert_eq!((end.phase(), state), (AgentPhase::MoreToInstall, UpdateState::Staged), "{}", entry.name);
            }
            _ => {
                refused(&end, entry.class.error_class().expect("an error"), entry.name);
                assert_eq!((end.phase(), state), (AgentPhase::Failed, UpdateState::Failed), "{}", entry.name);
                assert_eq!(end.report.updates[0].hresult, entry.code);
            }
        }
    }
}

#[test]
fn a_busy_service_is_waited_for_a_dead_network_is_reported() {
    let mut op = operator();
    op.machine.search_fails = vec![0x8024_0009; 5];
    assert_eq!(op.stage().expect("an answer").code, exit::DONE, "busy: waited out");
    op.machine.search_fails = vec![0x8024_402C; 3];
    op.machine.install_fails = vec![0x8024_001E, 0x8007_045B];
    op.arm(1, 1);
    assert_eq!(op.collect(true).phase(), AgentPhase::Done, "the task waits out both");
    let mut op = operator();
    op.machine.search_fails = vec![0x8024_402C];
    refused(&op.stage().expect("an answer"), ErrorClass::Retriable, "NAME_NOT_RESOLVED");
    let mut op = operator();
    op.machine.search_fails = vec![0x8024_0009; 100];
    refused(&op.stage().expect("an answer"), ErrorClass::Retriable, "OPERATIONINPROGRESS");
}

#[test]
fn the_probe_names_what_is_not_as_before() {
    let mut op = operator();
    let ask =
        |build, exact| request("Verify", 1, 1, Command::Probe { host: HostProbe { expected_build: build, exact } });
    let fresh = op.pod(&ask(OLD, false)).expect("an answer");
    let inconclusive = fresh.report.checks.iter().filter(|c| c.verdict == Verdict::Inconclusive).count();
    assert_eq!((fresh.code, inconclusive), (exit::DONE, 12), "without a baseline nothing can be compared");
    op.stage();
    op.machine.services.insert("kubelet".into(), ServiceState::Stopped);
    op.machine.services.remove("hns");
    op.machine.networks.retain(|n| n != "Calico");
    op.machine.events.push("BugCheck/1001".into());
    op.machine.free = 1;
    op.machine.signals.packages_pending = true;
    let probe = op.pod(&ask(Build::new(10, 0, 20348, 2582), false)).expect("an answer");
    let failed: Vec<_> = probe
        .report
        .checks
        .iter()
        .filter(|c| c.verdict == Verdict::Fail)
        .map(|c| (c.name.as_str(), c.detail.as_str()))
        .collect();
    assert_eq!(
        failed,
        [
            ("build", "10.0.20348.2527, at least 10.0.20348.2582 is wanted"),
            ("services", "hns is missing, kubelet is stopped"),
            ("networks", "host networks lost: Calico"),
            ("events", "new: BugCheck/1001"),
            ("freeSpace", "1 bytes free, 2147483648 are wanted"),
            ("reboot", "a reboot is pending"),
        ]
    );
    let other_os = op.pod(&ask(Build::new(10, 0, 17763, 1), false)).expect("an answer");
    assert_eq!(other_os.report.checks[0].verdict, Verdict::Fail, "a higher build of another Windows is no pass");
}

#[test]
fn an_error_tells_number_name_and_what_it_means() {
    let error = AgentError::from(HostError::new(0x8024_002E, "search"));
    assert_eq!(error.class, ErrorClass::Configuration);
    assert_eq!(error.message, "search: 0x8024002E WU_E_WU_DISABLED: policy forbids the update source");
    assert_eq!(error.hresult, Some(0x8024_002E));
}
