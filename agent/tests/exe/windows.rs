//! On Windows or Wine only: the program over the machine's real files, registry, services and locks.

use crate::common::{Machine, Offer, request};
use crate::field::{Field, KB, Kill, stage_command};
use crate::flow::good_end;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use windlass_protocol::{AgentPhase, AutomaticUpdates, Command, ErrorClass, HostProbe, Report, Verdict, exit};

const AU: &str = r"HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU";
const WSUS: &str = r"HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate";
const REBOOT: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired";
const VERSION: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion";

fn field(name: &str, real: &'static str) -> Field {
    Field::with(name, real, Machine::new(vec![Offer::new(KB)]))
}

fn state_file(field: &Field) -> PathBuf {
    field.folder.join(windlass_agent::STATE_FILE)
}

#[test]
fn killed_at_each_transition_over_real_files_it_goes_on() {
    for (call, nth) in [
        ("begin_search", 1),
        ("begin_download", 1),
        ("register_task", 1),
        ("begin_install", 1),
        ("reboot", 1),
        ("begin_search", 3),
    ] {
        let field = field(&format!("files-{call}-{nth}"), "Files");
        field.kill_at(Kill { call, nth, after: false });
        let end = field.run_to_end();
        assert_eq!(field.kills(), 1, "nothing was killed at {call}");
        good_end(&field, &end, call);
        assert!(state_file(&field).is_file());
    }
}

#[test]
fn a_state_file_that_can_not_be_read_is_unknown_and_kept() {
    let field = field("unreadable", "Files");
    assert_eq!(field.stage().1.code, Some(exit::DONE));
    let file = state_file(&field);
    let good = fs::read_to_string(&file).expect("a state");
    for (bad, says) in [
        (good[..good.len() / 2].to_owned(), "torn"),
        (String::new(), "torn"),
        (good.replace("uid-1", "uid-9"), "checksum"),
        (good.replace("\"version\":1", "\"version\":0"), "version 0"),
        (good.replace("\"version\":1", "\"version\":2"), "version 2"),
    ] {
        fs::write(&file, &bad).expect("a file");
        for (request, ended) in [field.collect(true), field.stage(), field.arm(1)] {
            let report = ended.report(&request);
            let error = report.error.expect("an error");
            assert_eq!((ended.code, report.phase, report.mutated), (Some(exit::PERMANENT), AgentPhase::Unknown, true));
            assert!(error.message.contains(says), "{} should say {says}", error.message);
        }
        assert_eq!(fs::read_to_string(&file).expect("a file"), bad, "what it says is not overwritten");
    }
    assert_eq!(field.question("Clean", 1, &Command::Reset {}).1.code, Some(exit::DONE));
    assert_eq!(field.stage().1.code, Some(exit::DONE));
}

#[test]
fn a_state_file_that_somebody_has_locked_is_waited_for_by_the_operator() {
    let field = field("locked", "Files");
    assert_eq!(field.stage().1.code, Some(exit::DONE));
    let file = state_file(&field);
    let before = fs::read(&file).expect("a file");
    let lock = OpenOptions::new().read(true).write(true).share_mode(0).open(&file).expect("the file");
    let (request, ended) = field.arm(1);
    assert_eq!(ended.code, Some(exit::RETRIABLE), "{ended:?}");
    let error = ended.report(&request).error.expect("an error");
    assert_eq!((error.class, error.hresult), (ErrorClass::Retriable, Some(0x8007_0020)), "{}", error.message);
    drop(lock);
    assert_eq!(fs::read(&file).expect("a file"), before);
    good_end(&field, &field.run_to_end(), "after the lock");
}

#[test]
fn a_read_only_state_file_leaves_a_whole_one() {
    let field = field("read-only", "Files");
    assert_eq!(field.stage().1.code, Some(exit::DONE));
    let file = state_file(&field);
    let mut rights = fs::metadata(&file).expect("a file").permissions();
    rights.set_readonly(true);
    fs::set_permissions(&file, rights.clone()).expect("ours");
    let before = fs::read(&file).expect("a file");
    let (request, ended) = field.arm(1);
    // Either it is refused, and the old state stands, or Windows lets an administrator replace it: never half of it.
    if ended.code == Some(exit::DONE) || ended.code.is_none() || ended.code == Some(exit::IN_PROGRESS) {
        field.until("the task is off", |m| !m.disk.task && !m.task_runs);
    } else {
        let report = ended.report(&request);
        assert_eq!(report.error.and_then(|e| e.hresult), Some(0x8007_0005));
        assert_eq!((fs::read(&file).expect("a file"), report.mutated), (before, false));
        #[allow(clippy::permissions_set_readonly_false, reason = "Windows' attribute, not Unix' mode")]
        rights.set_readonly(false);
        fs::set_permissions(&file, rights).expect("ours");
    }
    good_end(&field, &field.run_to_end(), "after the attribute");
}

/// The test's harness gives a folder on a file system of about one MiB.
#[test]
fn a_full_disk_leaves_the_old_state_and_is_told() {
    let Some(disk) = std::env::var_os("WINDLASS_SMALL_DISK").map(PathBuf::from) else {
        eprintln!("\n*** NOT TESTED: a full disk. WINDLASS_SMALL_DISK names no small file system. ***\n");
        return;
    };
    let field = Field::within(disk.join("windlass"), "Files", Machine::new(vec![Offer::new(KB)]));
    assert_eq!(field.stage().1.code, Some(exit::DONE));
    let before = fs::read(state_file(&field)).expect("a file");
    fill(&disk);
    let (request, ended) = field.arm(1);
    let report = ended.report(&request);
    let error = report.error.expect("an error");
    assert_eq!((ended.code, error.class), (Some(exit::PERMANENT), ErrorClass::DiskFull), "{}", error.message);
    assert_eq!(fs::read(state_file(&field)).expect("a file"), before, "the old state is whole");
    field.machine(|m| assert!(!m.disk.task, "nothing was armed"));
    fs::remove_file(disk.join("filler")).expect("ours");
    good_end(&field, &field.run_to_end(), "after there was room again");
}

fn fill(disk: &Path) {
    let mut filler = fs::File::create(disk.join("filler")).expect("a file");
    for size in [65_536, 4096, 512, 1] {
        let block = vec![0x55; size];
        while filler.write_all(&block).and_then(|()| filler.sync_data()).is_ok() {}
    }
}

#[test]
fn one_command_at_a_time_works_on_a_machine() {
    let field = field("lock", "Files");
    field.machine(|m| m.job_takes = jiff::SignedDuration::from_secs(3));
    let first = field.start(&["stage", "--request", &request("Stage", 1, 1, stage_command()).to_arg()]);
    field.until("the first one works", |m| m.calls > 3);
    let second = request("Stage", 1, 1, stage_command());
    let mut other = field.start(&["stage", "--request", &second.to_arg()]);
    let status = other.wait().expect("a process");
    assert_eq!(status.code(), Some(exit::RETRIABLE));
    let collect = request("Collect", 1, 1, Command::Collect { follow: false });
    let look = field.start(&["collect", "--request", &collect.to_arg()]).wait().expect("a process");
    assert_eq!(look.code(), Some(exit::IN_PROGRESS), "who only looks needs no lock");
    let mut first = first;
    assert_eq!(first.wait().expect("a process").code(), Some(exit::DONE));
}

fn reg(args: &[&str]) -> String {
    let output = Process::new("reg").args(args).output().expect("reg.exe");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn set(key: &str, name: &str, value: u32) {
    reg(&["add", key, "/v", name, "/t", "REG_DWORD", "/d", &value.to_string(), "/f"]);
}

/// The value as `reg query` shows it; none when it is not there.
fn value(key: &str, name: &str) -> Option<u32> {
    let shown = reg(&["query", key, "/v", name]);
    let hex = shown.split_whitespace().find_map(|word| word.strip_prefix("0x").map(str::to_owned))?;
    u32::from_str_radix(&hex, 16).ok()
}

/// One test for all cases: they share the machine's one registry.
#[test]
fn the_registry_says_who_owns_updates_and_what_the_machine_is() {
    for key in [WSUS, REBOOT] {
        reg(&["delete", key, "/f"]);
    }
    let staged = |name: &str, automatic: AutomaticUpdates| -> (Field, Option<i32>, Report) {
        let field = field(name, "Files,Registry");
        let mut command = stage_command();
        let Command::Stage { automatic_updates, .. } = &mut command else { panic!("it stages") };
        *automatic_updates = automatic;
        let (request, ended) = field.question("Stage", 1, &command);
        let report = ended.report(&request);
        (field, ended.code, report)
    };
    let reset = |field: &Field| assert_eq!(field.question("Clean", 1, &Command::Reset {}).1.code, Some(exit::DONE));

    set(VERSION, "UBR", 2527);
    let (field, code, report) = staged("nothing-set", AutomaticUpdates::Take);
    assert_eq!((code, report.build.to_string().as_str()), (Some(exit::DONE), "10.0.20348.2527"), "{:?}", report.error);
    assert_eq!(value(AU, "NoAutoUpdate"), None, "nothing had to be held off");
    set(VERSION, "UBR", 32_230);
    let (request, ended) = field.collect(false);
    assert_eq!(ended.report(&request).build.ubr(), 32_230);
    set(VERSION, "UBR", 2527);

    for before in [None, Some(0)] {
        set(AU, "AUOptions", 4);
        reg(&["delete", AU, "/v", "NoAutoUpdate", "/f"]);
        if let Some(value) = before {
            set(AU, "NoAutoUpdate", value);
        }
        let (field, code, _) = staged("taken", AutomaticUpdates::Take);
        assert_eq!((code, value(AU, "NoAutoUpdate")), (Some(exit::DONE), Some(1)), "held off");
        reset(&field);
        assert_eq!(value(AU, "NoAutoUpdate"), before, "put back exactly");
    }
    let (_, code, report) = staged("reported", AutomaticUpdates::Report);
    let error = report.error.expect("an error");
    assert_eq!((code, error.class), (Some(exit::PERMANENT), ErrorClass::Configuration), "{}", error.message);
    assert!(error.message.contains("AUOptions=4"), "{}", error.message);
    assert_eq!(value(AU, "NoAutoUpdate"), Some(0), "nothing was taken");

    set(AU, "UseWUServer", 1);
    let (field, _, report) = staged("wsus", AutomaticUpdates::Take);
    let told = report.checks.iter().find(|c| c.name == "automaticUpdates").expect("a check");
    assert!(told.value.contains("UseWUServer=1"), "{told:?}");
    reset(&field);

    reg(&["add", REBOOT, "/f"]);
    let (_, code, report) = staged("reboot", AutomaticUpdates::Take);
    assert_eq!((code, report.error.map(|e| e.class)), (Some(exit::RETRIABLE), Some(ErrorClass::RebootFirst)));
    assert!(report.reboot.update_agent);
    for key in [WSUS, REBOOT] {
        reg(&["delete", key, "/f"]);
    }
}

#[test]
fn a_service_that_stops_is_seen() {
    let field = field("services", "Files,Services");
    assert_eq!(field.stage().1.code, Some(exit::DONE));
    let state = fs::read_to_string(state_file(&field)).expect("a state");
    let name =
        ["PlugPlay", "Schedule", "MountMgr"].into_iter().find(|n| state.contains(&format!("\"{n}\":\"Running\"")));
    let Some(name) = name else { panic!("no service that could be stopped runs: {state}") };
    let probe = || {
        let host = HostProbe { expected_build: crate::common::OLD, exact: true };
        let (request, ended) = field.question("Verify", 1, &Command::Probe { host });
        ended.report(&request).checks.into_iter().find(|c| c.name == "services").expect("a check")
    };
    assert_eq!(probe().verdict, Verdict::Pass);
    Process::new("net").args(["stop", name]).output().expect("net.exe");
    let check = probe();
    Process::new("net").args(["start", name]).output().expect("net.exe");
    assert_eq!(check.verdict, Verdict::Fail, "{check:?}");
    assert!(check.detail.contains(&format!("{name} is stopped")), "{check:?}");
}
