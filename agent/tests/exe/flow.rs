//! The whole flow, and the whole flow with a process killed at each transition.

use crate::common::{NEW, OLD};
use crate::field::{Field, Kill};
use windlass_protocol::{AgentPhase, Command, HostProbe, Progress, Report, UpdateState, Verdict, exit};

/// The calls that follow each transition: what was written before them is on the disk, what they do is not yet done.
const TRANSITIONS: [(&str, &str, u32); 12] = [
    ("Preflight", "free_bytes", 1),
    ("Preflight: the policy is taken", "set_no_auto_update", 1),
    ("Scan", "begin_search", 1),
    ("Download", "begin_download", 1),
    ("Staged: the baseline", "memory", 1),
    ("Install: armed", "register_task", 1),
    ("Install: the task", "start_task", 1),
    ("Install", "begin_install", 1),
    ("RebootRequested", "reboot", 1),
    // The search of `stage`, that of the task, and that after the boot.
    ("Install: the search", "begin_search", 2),
    ("Rescan", "begin_search", 3),
    ("Done: disarmed", "remove_task", 2),
];

pub fn good_end(field: &Field, end: &Report, what: &str) {
    let error = end.error.as_ref().map_or("", |e| e.message.as_str());
    assert_eq!((end.phase, end.progress, end.build), (AgentPhase::Done, Progress::Done, NEW), "{what}: {error}");
    assert_eq!(end.updates.iter().map(|u| u.state).collect::<Vec<_>>(), [UpdateState::Installed], "{what}");
    assert!(end.mutated && !end.armed, "{what}");
    assert_eq!((end.nonces.a.as_deref(), end.nonces.b.as_deref()), (Some("a-1"), Some("b-1")), "{what}");
    field.machine(|m| {
        assert_eq!(m.installs.values().copied().collect::<Vec<_>>(), [1], "{what}: installed once");
        assert!(!m.disk.task, "{what}");
        assert_eq!(m.disk.policy.no_auto_update, None, "{what}: the policy is as it was");
    });
}

#[test]
fn a_good_update_goes_through() {
    let field = Field::new("good");
    let (request, staged) = field.stage();
    let report = staged.report(&request);
    assert_eq!((staged.code, report.phase, report.mutated), (Some(exit::DONE), AgentPhase::Staged, false));
    assert!(staged.stdout.lines().count() > 1, "progress is told as it goes: {}", staged.stdout);
    assert!(report.checks.iter().all(|c| c.verdict == Verdict::Pass), "{:?}", report.checks);
    field.machine(|m| assert_eq!(m.disk.policy.no_auto_update, Some(1), "held off meanwhile"));
    let end = field.run_to_end();
    good_end(&field, &end, "without a kill");
    assert_eq!(end.boots, 1);
    let host = HostProbe { expected_build: NEW, exact: false };
    let (request, probed) = field.question("Verify", 1, &Command::Probe { host });
    let checks = probed.report(&request).checks;
    assert!(checks.len() >= 16 && checks.iter().all(|c| c.verdict == Verdict::Pass), "{checks:?}");
}

fn killed_at_each_transition(name: &str, after: bool) {
    for (at, (what, call, nth)) in TRANSITIONS.into_iter().enumerate() {
        let field = Field::new(&format!("{name}-{at}"));
        field.kill_at(Kill { call, nth, after });
        let end = field.run_to_end();
        assert_eq!(field.kills(), 1, "{what}: nothing was killed at {call}");
        good_end(&field, &end, what);
    }
}

#[test]
fn killed_after_each_transition_it_goes_on() {
    killed_at_each_transition("before", false);
}

#[test]
fn killed_after_the_act_of_each_transition_it_goes_on() {
    killed_at_each_transition("after", true);
}

#[test]
fn a_baseline_is_taken_anew_only_while_nothing_was_changed() {
    let field = Field::new("baseline");
    let (request, ended) = field.question("Baseline", 1, &Command::Baseline {});
    assert_eq!((ended.code, ended.report(&request).phase), (Some(exit::DONE), AgentPhase::Idle));
    let host = HostProbe { expected_build: OLD, exact: true };
    let (request, probed) = field.question("Verify", 1, &Command::Probe { host });
    assert!(probed.report(&request).checks.iter().all(|c| c.verdict == Verdict::Pass));
    field.run_to_end();
    let (_, refused) = field.question("Baseline", 1, &Command::Baseline {});
    assert_eq!(refused.code, Some(exit::PERMANENT), "{}", refused.stderr);
}

#[test]
fn an_agent_that_gives_up_leaves_a_marker_and_is_disarmed() {
    let field = Field::new("loop");
    field.machine(|m| m.offers[0].rounds = 9);
    field.stage();
    for round in 1..9 {
        field.arm(round);
        let (request, ended) = field.collect(true);
        if ended.code == Some(exit::PERMANENT) {
            let error = ended.report(&request).error.expect("an error").message;
            assert!(error.starts_with("maxReboots:"), "{error}");
            break;
        }
    }
    field.until("it is disarmed", |m| !m.disk.task);
    let marker = field.machine(|m| m.file("disarmed.txt")).expect("a marker");
    assert!(marker.starts_with("maxReboots: 3 are allowed"), "{marker}");
    assert_eq!(field.machine(|m| m.reboots), 3);
    let (_, reset) = field.question("Clean", 1, &Command::Reset {});
    assert_eq!(reset.code, Some(exit::DONE));
    assert_eq!(field.machine(|m| (m.file("disarmed.txt"), m.disk.policy.no_auto_update)), (None, None));
}
