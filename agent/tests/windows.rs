//! The real Windows traits, as far as Wine has what they stand on. What Wine lacks must be an error that says so, never a
//! value that was made up: that is tested here as well.

#![cfg(windows)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may stop")]

use std::fs::{self, OpenOptions};
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use windlass_agent::HostError;
use windlass_agent::host::{
    Clock, Disks, Drivers, Events, Files, HostResult, Identity, ItemResult, Job, Memory, Network, Power, Registry,
    Runtime, Services, StartMode, TaskState, Tasks, Updates,
};
use windlass_agent::windows::{Mutex, TASK_MUTEX, Verdict, WindowsHost, host_name, selftest};
use windlass_protocol::{PinnedUpdate, ServiceState, Source};
use windows_registry::LOCAL_MACHINE;

const POLICY: &str = r"SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate";
const AU: &str = r"SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU";

/// A host with a folder of its own.
fn host(name: &str) -> (WindowsHost, PathBuf) {
    let folder = std::env::temp_dir().join(format!("windlass-{name}-{}", std::process::id()));
    (WindowsHost::open(&folder).expect("the folder can be made"), folder)
}

fn run(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status().expect("it starts");
    assert!(status.success(), "{program} {args:?}: {status}");
}

/// The end of the job, whatever it is.
fn ended(host: &mut WindowsHost) -> HostResult<Job> {
    for _ in 0..600 {
        match host.poll_job() {
            Ok(Job::Running) => thread::sleep(Duration::from_millis(100)),
            ended => return ended,
        }
    }
    panic!("the job goes on for ever")
}

#[test]
fn the_build_is_that_of_the_registry() {
    let (host, _) = host("build");
    let key = LOCAL_MACHINE.create(r"SOFTWARE\Microsoft\Windows NT\CurrentVersion").unwrap();
    let (ubr, number) = (key.get_u32("UBR").unwrap(), key.get_string("CurrentBuildNumber").unwrap());
    assert_eq!(host.build().unwrap().to_string(), format!("10.0.{number}.{ubr}"));
    assert!(!host_name().unwrap().is_empty());
    assert!(host.boot_id().is_ok());
    assert!(host.boot_time().unwrap() < jiff::Timestamp::now());
    assert_eq!(host.on_battery(), Ok(false));
}

#[test]
fn the_policy_is_read_set_and_put_back_exactly() {
    let (mut host, _) = host("policy");
    LOCAL_MACHINE.create(POLICY).unwrap().set_string("WUServer", "http://wsus.example:8530").unwrap();
    let au = LOCAL_MACHINE.create(AU).unwrap();
    au.set_u32("AUOptions", 4).unwrap();
    let before = host.update_policy().unwrap();
    assert_eq!((before.au_options, before.no_auto_update, before.use_wu_server), (Some(4), None, None));
    assert_eq!(before.wu_server.as_deref(), Some("http://wsus.example:8530"));

    host.set_no_auto_update(Some(1)).unwrap();
    assert_eq!(host.update_policy().unwrap().no_auto_update, Some(1));
    host.set_no_auto_update(None).unwrap();
    host.set_no_auto_update(None).unwrap();
    assert_eq!(host.update_policy().unwrap(), before, "put back, and again");

    // WSUS is asked only where the policy says so; nothing is changed to make it so.
    let refused = host.begin_search(&Source::Wsus, &[]).unwrap_err();
    assert_eq!(refused.hresult, 0x8024_002E, "{refused}");
    au.set_u32("UseWUServer", 1).unwrap();
    host.begin_search(&Source::Wsus, &[]).unwrap();
    ended(&mut host).expect_err("Wine has no update service");

    au.set_string("NoAutoUpdate", "yes").unwrap();
    host.update_policy().expect_err("a value of another type is no value");
    LOCAL_MACHINE.remove_tree(POLICY).unwrap();
}

#[test]
fn each_sign_of_a_reboot_is_its_own() {
    let (host, _) = host("signals");
    assert!(!host.reboot_signals().unwrap().due());
    let windows = r"SOFTWARE\Microsoft\Windows\CurrentVersion";
    let update_agent = format!(r"{windows}\WindowsUpdate\Auto Update\RebootRequired");
    let servicing = format!(r"{windows}\Component Based Servicing");
    LOCAL_MACHINE.create(&update_agent).unwrap();
    assert!(host.reboot_signals().unwrap().update_agent);
    LOCAL_MACHINE.remove_tree(&update_agent).unwrap();

    LOCAL_MACHINE.create(format!(r"{servicing}\RebootPending")).unwrap();
    LOCAL_MACHINE.create(format!(r"{servicing}\PackagesPending")).unwrap();
    let lingers = host.reboot_signals().unwrap();
    assert!(lingers.servicing_lingers && !lingers.due(), "an empty list of packages is none: {lingers:?}");
    LOCAL_MACHINE.create(format!(r"{servicing}\PackagesPending\Package_for_RollupFix")).unwrap();
    assert!(host.reboot_signals().unwrap().packages_pending);
    LOCAL_MACHINE.remove_tree(&servicing).unwrap();
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    let (mut host, folder) = host("files");
    assert_eq!(host.read("state.json"), Ok(None));
    host.replace("state.json", b"one").unwrap();
    let reader = fs::File::open(folder.join("state.json")).unwrap();
    host.replace("state.json", b"two").unwrap();
    drop(reader);
    assert_eq!(host.read("state.json"), Ok(Some(b"two".to_vec())), "replaced under a reader");

    let locked = OpenOptions::new().read(true).share_mode(0).open(folder.join("state.json")).unwrap();
    host.replace("state.json", b"three").expect_err("somebody locks it");
    drop(locked);
    assert_eq!(host.read("state.json"), Ok(Some(b"two".to_vec())), "the old content is there");
    assert!(!folder.join("state.json.new").exists(), "nothing is left beside it");

    host.remove("state.json").unwrap();
    host.remove("state.json").unwrap();
    assert_eq!(host.read("state.json"), Ok(None));
    assert!(host.free_bytes().unwrap() > 0);
}

/// On the small disk that `cargo xtask agent test` mounts, where it may.
#[test]
fn a_full_disk_keeps_the_old_content() {
    let Ok(disk) = std::env::var("WINDLASS_SMALL_DISK") else { return println!("no small disk: not tested") };
    let mut host = WindowsHost::open(&Path::new(&disk).join("folder")).unwrap();
    host.replace("state.json", b"old").unwrap();
    let full = host.replace("state.json", &vec![b'x'; 4 << 20]).unwrap_err();
    assert_eq!(full.hresult, 0x8007_0070, "{full}");
    assert_eq!(host.read("state.json"), Ok(Some(b"old".to_vec())));
    host.replace("state.json", b"new").expect("nothing of the large one is left");
}

#[test]
fn what_lies_in_the_place_of_the_folder_is_refused() {
    let file = std::env::temp_dir().join(format!("windlass-file-{}", std::process::id()));
    fs::write(&file, b"somebody's trap").unwrap();
    let refused = WindowsHost::open(&file).err().expect("it is no folder");
    assert_eq!(fs::read(&file).unwrap(), b"somebody's trap", "nothing was touched");
    assert_eq!(refused.hresult, 0x8007_051B, "{refused}");
}

#[test]
fn a_mutex_has_one_owner() {
    let name = format!("windlass-test-{}", std::process::id());
    assert_eq!(Mutex::is_held(&name), Ok(false));
    let (held, release) = (channel(), channel::<()>());
    let other = name.clone();
    let owner = thread::spawn(move || {
        let mutex = Mutex::acquire(&other).unwrap().expect("it is free");
        held.0.send(()).unwrap();
        let _ = release.1.recv();
        drop(mutex);
    });
    held.1.recv().unwrap();
    assert!(Mutex::acquire(&name).unwrap().is_none());
    assert_eq!(Mutex::is_held(&name), Ok(true));
    release.0.send(()).unwrap();
    owner.join().unwrap();
    assert!(Mutex::acquire(&name).unwrap().is_some());
}

#[test]
fn an_owner_that_died_holds_nothing() {
    let name = format!("windlass-dead-{}", std::process::id());
    let other = name.clone();
    let owner = thread::spawn(move || std::mem::forget(Mutex::acquire(&other).unwrap().expect("it is free")));
    owner.join().unwrap();
    assert!(Mutex::acquire(&name).unwrap().is_some(), "abandoned is free");
}

#[test]
fn services_are_those_that_start_by_themselves() {
    let (host, _) = host("services");
    let name = format!("WindlassTest{}", std::process::id());
    run("sc.exe", &["create", &name, "binPath=", r"C:\windows\system32\winver.exe", "start=", "auto"]);
    assert_eq!(host.automatic_services().unwrap().get(&name), Some(&ServiceState::Stopped));
    let service = host.service(&name).unwrap().expect("it is there");
    assert_eq!((service.state, service.start, service.process), (ServiceState::Stopped, StartMode::Automatic, None));

    let triggers = format!(r"SYSTEM\CurrentControlSet\Services\{name}\TriggerInfo");
    LOCAL_MACHINE.create(&triggers).unwrap();
    assert!(!host.automatic_services().unwrap().contains_key(&name), "one with a trigger stops when it is idle");
    LOCAL_MACHINE.remove_tree(&triggers).unwrap();

    let running = host.automatic_services().unwrap().into_iter().find(|(_, s)| *s == ServiceState::Running);
    let (running, _) = running.expect("Wine runs some");
    let process = host.service(&running).unwrap().expect("it is there").process.expect("it runs");
    assert!(process.id > 0 && process.threads.is_some_and(|n| n > 0), "{process:?}");

    run("sc.exe", &["delete", &name]);
    assert_eq!(host.service("no-such-service"), Ok(None));
}

#[test]
fn the_task_is_registered_and_taken_off() {
    let (mut host, folder) = host("task");
    host.remove_task().unwrap();
    assert_eq!(host.task(), Ok(TaskState::Absent));
    host.start_task().expect("nothing to start is no error");
    host.register_task().unwrap();
    host.register_task().unwrap();
    assert_eq!(host.task(), Ok(TaskState::Ready));
    let kept = fs::read(folder.join("windlass-agent.exe")).unwrap();
    assert_eq!(kept, fs::read(std::env::current_exe().unwrap()).unwrap(), "the program is where the task starts it");

    let (held, release) = (channel(), channel::<()>());
    let owner = thread::spawn(move || {
        let mutex = Mutex::acquire(TASK_MUTEX).unwrap().expect("it is free");
        held.0.send(()).unwrap();
        let _ = release.1.recv();
        drop(mutex);
    });
    held.1.recv().unwrap();
    assert_eq!(host.task(), Ok(TaskState::Running), "its process says it best");
    host.remove_task().unwrap();
    assert_eq!(host.task(), Ok(TaskState::Running), "it lives on when it is taken off");
    release.0.send(()).unwrap();
    owner.join().unwrap();
    host.remove_task().unwrap();
    assert_eq!(host.task(), Ok(TaskState::Absent));
}

#[test]
fn networking_is_what_the_machine_has() {
    let (host, _) = host("network");
    let routes = host.routes().unwrap();
    assert!(routes.is_sorted(), "{routes:?}");
    for adapter in host.adapters().unwrap() {
        assert!(!adapter.name.is_empty() && adapter.addresses.is_sorted(), "{adapter:?}");
    }
    assert!(host.resolve("localhost").unwrap().iter().any(std::net::IpAddr::is_loopback));
    assert_eq!(host.secure_channel(), Ok(None), "in no domain");
    assert_eq!(host.machine_password_due(), Ok(None), "in no domain");
    assert_eq!(host.clock_ahead(), Ok(None), "no time server is set");
    assert_eq!(host.runtime_answers(), Ok(false), "no containerd");
    host.kubelet_health().expect_err("no kubelet");
}

/// The call itself, into the library of `tests/wine/vmcompute.c` that answers as HNS does, in shape. In a process of its
/// own each, for what the library answers is the process's environment.
#[test]
fn host_networks_come_through_the_call() {
    if let Ok(mode) = std::env::var(HNS_MODE) {
        return hns(&mode);
    }
    for mode in ["ok", "error", "silent", "absent"] {
        let own = std::env::current_exe().unwrap();
        let child =
            Command::new(own).args(["--exact", "host_networks_come_through_the_call"]).env(HNS_MODE, mode).output();
        let output = child.unwrap();
        assert!(output.status.success(), "{mode}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

const HNS_MODE: &str = "WINDLASS_FAKE_HNS";

fn hns(mode: &str) {
    let (host, _) = host(mode);
    let (networks, endpoints) = (host.host_networks(), host.host_endpoints());
    if mode == "ok" {
        let names: Vec<_> = networks.unwrap().into_iter().map(|n| (n.name, n.management_ip)).collect();
        assert_eq!(names, [("azure".into(), "10.240.0.97".parse().ok()), ("nat".into(), None)]);
        assert_eq!(endpoints.unwrap().first().unwrap().state, "AttachedSharing");
        return;
    }
    let (error, _) = (networks.unwrap_err(), endpoints.unwrap_err());
    let wanted = match mode {
        "error" => "Element not found",
        _ => "HNS",
    };
    assert!(error.to_string().contains(wanted), "{mode}: {error}");
}

/// Wine's `dism`, `netsh` and WUA say nothing, some of them with exit code 0. None of that is an answer.
#[test]
fn what_is_not_there_is_an_error_that_names_it() {
    fn named<T: std::fmt::Debug>(result: HostResult<T>, what: &str) {
        let HostError { hresult, message } = result.expect_err(what);
        assert!(hresult & 0x8000_0000 != 0 && message.contains(what), "{hresult:#X} {message}");
    }
    let (mut host, _) = host("absent");
    named(host.component_store(), "dism");
    named(host.dynamic_ports_left(), "netsh");
    named(host.memory(), "lsass");
    named(host.update_history(1), "History");
    host.begin_search(&Source::WindowsUpdate, &[]).unwrap();
    named(ended(&mut host), "Search");
    assert_eq!(host.poll_job(), Ok(Job::Idle), "an error is handed over once");
    assert!(host.write_event(false, "a test").is_ok());
    // These are there in some versions of Wine: an answer or an error, but no panic.
    let _ = (host.drivers(), host.bitlocker());
}

/// Where a volume lies, Wine answers with an empty list (`mountmgr.sys` fills it with zeros), so that here no disk counts as the
/// machine's own: what makes one so is tested in `shape::volumes`.
#[test]
fn disks_are_told_by_name_also_where_no_volume_says_on_which_it_lies() {
    let (host, _) = host("disks");
    let disks = host.disks().unwrap();
    assert!(!disks.is_empty() && disks.iter().all(|disk| !disk.name.is_empty()), "{disks:?}");
}

fn pin(revision: u32) -> PinnedUpdate {
    PinnedUpdate { update_id: "id-1".into(), revision, kb: "KB5040437".parse().unwrap() }
}

/// A folder with one package, whose file has `content`, under the sum of "package".
fn offline(name: &str, content: &[u8]) -> Source {
    use sha2::{Digest, Sha256};
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().concat();
    let folder = format!(r"{}\{name}-{}", windlass_agent::packages::ALLOWED, std::process::id());
    fs::create_dir_all(&folder).unwrap();
    let sum = hex(&Sha256::digest(b"package"));
    let manifest = format!(
        r#"{{"packages":[{{"updateId":"id-1","revision":1,"kb":"KB5040437","title":"t","classification":"Security Updates",
        "released":"2024-07-09T00:00:00Z","targetBuild":"10.0.20348.2582",
        "files":[{{"name":"update.cab","sha256":"{sum}","sizeBytes":7}}]}}]}}"#
    );
    fs::write(Path::new(&folder).join("update.cab"), content).unwrap();
    fs::write(Path::new(&folder).join("manifest.json"), &manifest).unwrap();
    Source::Offline { folder, manifest_sha256: hex(&Sha256::digest(&manifest)) }
}

/// What a download of this comes to, without and with installing it.
fn checked(source: &Source, pin: PinnedUpdate) -> Vec<u32> {
    let (mut host, _) = host("offline");
    host.begin_search(source, &[]).unwrap();
    ended(&mut host).expect_err("Wine's dism lists nothing");
    let code = |items: Vec<ItemResult>| items.first().expect("one was asked").hresult;
    host.begin_download(std::slice::from_ref(&pin)).unwrap();
    let Ok(Job::Downloaded(downloaded)) = ended(&mut host) else { panic!("a download") };
    host.begin_install(&[pin]).unwrap();
    let Ok(Job::Installed(installed)) = ended(&mut host) else { panic!("an installation") };
    vec![code(downloaded), code(installed)]
}

#[test]
fn a_package_is_checked_before_anything_reads_it() {
    assert_eq!(checked(&offline("other", b"another file"), pin(1)), [0x8009_1007, 0x8009_1007], "CRYPT_E_HASH_VALUE");
    assert_eq!(checked(&offline("not-there", b"package"), pin(2)), [0x8024_0024, 0x8024_0024], "another revision");
    for code in checked(&offline("unsigned", b"package"), pin(1)) {
        assert!(code & 0x8000_0000 != 0, "the right sum, but no signature: {code:#X}");
    }
}

#[test]
fn a_folder_elsewhere_and_another_manifest_are_refused() {
    let (mut host, _) = host("elsewhere");
    let Source::Offline { folder, .. } = offline("sum", b"package") else { panic!("a folder") };
    let sum = "0".repeat(64);
    for (folder, why) in [(r"C:\windows", "folder:"), (folder.as_str(), "manifestSha256:")] {
        let source = Source::Offline { folder: folder.to_owned(), manifest_sha256: sum.clone() };
        let refused = host.begin_search(&source, &[]).unwrap_err();
        assert!(refused.message.starts_with(why), "{refused}");
    }
    host.begin_install(&[pin(1)]).expect_err("nothing was searched");
}

#[test]
fn selftest_says_of_each_concern_whether_it_works() {
    let (mut host, folder) = host("selftest");
    let findings = selftest(&mut host);
    for finding in &findings {
        println!("{finding}");
        assert!(!finding.detail.is_empty(), "{finding}");
    }
    let verdict = |name: &str| findings.iter().find(|f| f.name == name).map(|f| f.verdict);
    for name in ["name", "registry", "policy", "state folder", "mutex", "services", "scheduled task", "boot", "routes"]
    {
        assert_eq!(verdict(name), Some(Verdict::Works), "{name}");
    }
    assert_eq!(verdict("updates search"), Some(Verdict::DoesNot));
    assert_eq!(verdict("component store"), Some(Verdict::DoesNot));
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "nothing is left in the folder");
}
