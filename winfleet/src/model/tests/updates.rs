//! Updates on a healthy machine.

use super::*;

#[test]
fn an_update_goes_through_its_states() {
    let mut lab = Lab::new(SCENARIO);
    let offered = lab.guest().search();
    assert_eq!((offered.len(), offered[0].target_build), (1, Some(AFTER)));
    assert_eq!(lab.state(), UpdateState::Offered);
    assert_eq!(lab.guest().begin_install(&[Lab::update()]), Err(Hresult::NOT_DOWNLOADED));
    assert_eq!(lab.download(), Hresult::OK);
    assert_eq!(lab.state(), UpdateState::Staged);
    assert_eq!(lab.install(), Some(Hresult::REBOOT_REQUIRED));
    assert_eq!(lab.state(), UpdateState::PendingReboot);
    assert!(lab.guest().reboot_signals().due());
    assert_eq!(lab.guest().begin_install(&[Lab::update()]), Err(Hresult::INSTALL_NOT_ALLOWED));
    assert_eq!(lab.machine().disk.build, BEFORE, "not before the reboot");
    lab.reboot();
    assert_eq!(lab.state(), UpdateState::Installed);
    assert_eq!((lab.machine().disk.build, lab.machine().kernel_version()), (AFTER, AFTER));
    let signals = lab.guest().reboot_signals();
    assert!(signals.servicing_lingers && !signals.due());
    lab.pass(60);
    assert!(!lab.guest().reboot_signals().servicing_lingers);
    assert_eq!(lab.guest().search(), []);
}

#[test]
fn jobs_take_time_and_die_with_a_reboot() {
    let mut lab = Lab::new(SCENARIO);
    let job = lab.guest().begin_download(&[Lab::update()]).expect("it begins");
    assert_eq!(lab.guest().begin_download(&[Lab::update()]), Err(Hresult::OPERATION_IN_PROGRESS));
    lab.pass(9);
    assert_eq!(lab.guest().job(job), Ok(JobState::Running));
    lab.pass(1);
    assert_eq!(lab.code(job), Some(Hresult::OK));
    let job = lab.guest().begin_install(&[Lab::update()]).expect("it begins");
    assert!(lab.guest().servicing_busy());
    lab.reboot();
    assert_eq!(lab.guest().job(job), Err(Hresult::NOT_FOUND));
    assert_eq!(lab.state(), UpdateState::Staged, "an installation that was cut off is not in");
}

#[test]
fn a_reboot_takes_its_time_and_is_asked_for_once() {
    let mut lab = Lab::new(SCENARIO);
    let boot = lab.machine().boot_id();
    lab.guest().request_reboot();
    lab.guest().request_reboot();
    assert!(lab.machine().kubelet_up(), "software runs on for the time of the shutdown");
    assert_eq!(lab.guest().begin_download(&[Lab::update()]), Err(Hresult::SHUTDOWN_IN_PROGRESS));
    lab.pass(2);
    assert!(!lab.machine().is_up() && lab.world.guest("win-1", lab.now).is_none());
    assert_eq!(lab.machine().state(), MachineState::Booting);
    lab.pass(30);
    assert!(lab.machine().is_up() && !lab.machine().kubelet_up());
    lab.pass(5);
    assert!(lab.machine().kubelet_up());
    assert_eq!(lab.machine().boot_id(), boot + 1);
    assert_eq!((lab.machine().counters().boots, lab.machine().counters().reboots_requested), (1, 1));
}

#[test]
fn the_next_event_never_skips_anything() {
    // Jumping from event to event must end as ticking each second does.
    let drive = |jump: bool| {
        let mut lab = Lab::with_fault("phase: running, kb: KB5040437, delay: 17s", "dnsDead", "");
        lab.download();
        lab.install();
        lab.guest().request_reboot();
        let end = Period::seconds(90).after(lab.now);
        while lab.now < end {
            let next = if jump { lab.world.next_event().unwrap_or(end) } else { Period::seconds(1).after(lab.now) };
            assert!(next > lab.world.now(), "an event of the past would stop the clock");
            lab.now = next.min(end);
            lab.world.tick(lab.now);
        }
        (
            lab.machine().disk.clone(),
            lab.machine().kubelet_up(),
            lab.machine().dns_ok(),
            lab.machine().counters().clone(),
        )
    };
    assert_eq!(drive(true), drive(false));
}

#[test]
fn the_startup_task_is_due_once_for_each_boot() {
    let mut lab = Lab::new(SCENARIO);
    lab.guest().register_task("install".into());
    assert!(!lab.machine().startup_task_due(), "not before a boot");
    lab.reboot();
    assert_eq!(lab.guest().take_startup_task().as_deref(), Some("install"));
    assert_eq!(lab.guest().take_startup_task(), None);
    lab.reboot();
    assert!(lab.machine().startup_task_due());
    assert!(lab.guest().remove_task());
    assert_eq!((lab.guest().take_startup_task(), lab.guest().remove_task()), (None, false));
}

#[test]
fn the_task_starts_on_request_and_runs_once() {
    let mut lab = Lab::new(SCENARIO);
    lab.guest().start_task();
    assert!(!lab.guest().task_runs(), "there is none");
    lab.guest().register_task("install".into());
    lab.guest().start_task();
    assert!(lab.guest().task_runs() && lab.guest().take_startup_task().is_some());
    lab.guest().start_task();
    assert_eq!(lab.guest().take_startup_task(), None, "it runs already");
    lab.guest().end_task();
    assert!(!lab.guest().task_runs());
    lab.guest().start_task();
    assert!(lab.guest().take_startup_task().is_some());
}

#[test]
fn the_catalogue_decides_what_is_offered() {
    let mut lab = Lab::new(&SCENARIO.replace("updates:", "updates:
- {kb: KB5039227, released: 2024-06-11, targetBuilds: {10.0.20348: 10.0.20348.2527}}
- {kb: KB5044281, released: 2024-10-08, targetBuilds: {10.0.20348: 10.0.20348.2762}, supersedes: [KB5040437], published: false}
- {kb: KB5044284, released: 2024-10-08, classification: Upgrades, featureUpgradeTo: 10.0.26100.2033, published: false}
- {kb: KB5034439, released: 2024-01-09, rebootRequired: false}"));
    let kbs = |lab: &mut Lab| lab.guest().search().iter().map(|u| u.kb.to_string()).collect::<Vec<_>>();
    assert_eq!(kbs(&mut lab), ["KB5034439", "KB5040437"], "what the build already has is not offered");
    assert!(lab.world.publish("KB5044281".parse().expect("a KB"), true));
    assert_eq!(kbs(&mut lab), ["KB5034439", "KB5044281"], "a newer one takes its place");
    assert_eq!(lab.state(), UpdateState::Missing);
    assert!(lab.world.publish("KB5044284".parse().expect("a KB"), true));
    let upgrade = lab.guest().search().pop().expect("an offer");
    assert_eq!(
        (upgrade.classification.as_str(), upgrade.target_build),
        ("Upgrades", Some(Build::new(10, 0, 26100, 2033)))
    );
    assert!(!lab.world.publish("KB9999999".parse().expect("a KB"), true));
    let other = PinnedUpdate { revision: 201, ..Lab::update() };
    assert_eq!(lab.guest().update_state(&other), UpdateState::Missing, "another revision is another update");
}

#[test]
fn an_update_without_reboot_is_in_at_once() {
    let mut lab = Lab::new(&SCENARIO.replace("2024-07-09,", "2024-07-09, rebootRequired: false,"));
    lab.download();
    assert_eq!(lab.install(), Some(Hresult::OK));
    assert_eq!((lab.state(), lab.machine().disk.build), (UpdateState::Installed, AFTER));
    assert_eq!(lab.machine().kernel_version(), BEFORE, "the kubelet read the build when it started");
}

#[test]
fn an_update_of_two_rounds_is_in_after_the_second() {
    let mut lab = Lab::new(&SCENARIO.replace("2024-07-09,", "2024-07-09, rounds: 2,"));
    lab.update_fully();
    assert_eq!((lab.state(), lab.machine().disk.build), (UpdateState::Staged, BEFORE));
    assert_eq!(lab.install(), Some(Hresult::REBOOT_REQUIRED));
    lab.reboot();
    assert_eq!((lab.state(), lab.machine().disk.build), (UpdateState::Installed, AFTER));
    let disk = &lab.machine().disk;
    assert!(disk.rounds.is_empty() && disk.staged.is_empty(), "nothing is left of it");
}

#[test]
fn an_older_update_does_not_take_a_newer_build_back() {
    // The older one has the higher number: they are applied in the order of their numbers.
    let older = "- {kb: KB5040999, released: 2024-06-11, targetBuilds: {10.0.20348: 10.0.20348.2530}}";
    let older_update = PinnedUpdate {
        update_id: "5eed0000-0000-4000-8000-000005040999".into(),
        revision: 200,
        kb: "KB5040999".parse().expect("a KB"),
    };
    let staged = || {
        let mut lab = Lab::new(&SCENARIO.replace("updates:", &format!("updates:\n{older}")));
        lab.guest().begin_download(&[Lab::update(), older_update.clone()]).expect("it begins");
        lab.pass(20);
        lab
    };
    let mut lab = staged();
    lab.guest().begin_install(&[Lab::update(), older_update.clone()]).expect("both at once");
    lab.pass(40);
    lab.reboot();
    assert_eq!((lab.machine().disk.build, lab.machine().disk.installed.len()), (AFTER, 2));
    let mut lab = staged();
    lab.install();
    lab.reboot();
    let job = lab.guest().begin_install(std::slice::from_ref(&older_update)).expect("it begins");
    lab.pass(20);
    assert_eq!(lab.code(job), Some(Hresult::NOT_APPLICABLE));
    assert_eq!(lab.guest().update_state(&older_update), UpdateState::NotApplicable);
}

#[test]
fn machines_start_as_the_scenario_says() {
    let mut lab = Lab::new(&SCENARIO.replace("traits: [struck]", "rebootPending: true, policy: {'AU\\NoAutoUpdate': 1}, services: [kubelet], installed: [KB5040437], attachedVolumes: [pvc-1]"));
    assert!(lab.guest().reboot_signals().due());
    assert_eq!(lab.state(), UpdateState::Installed);
    assert_eq!(lab.guest().policy().get("AU\\NoAutoUpdate"), Some(&1));
    assert_eq!(lab.machine().attached_volumes, ["pvc-1"]);
    assert!(lab.machine().can_start_pods() && lab.machine().pod_network_ok(), "a service that never was is not missed");
    lab.reboot();
    assert!(!lab.guest().reboot_signals().due());
}

#[test]
fn a_kubelet_renews_its_certificate_and_dies_without() {
    let mut lab = Lab::new(&SCENARIO.replace("timings: {", "timings: {kubeletCertificate: 100s, "));
    let first = lab.machine().disk.certificate;
    let snapshot = lab.snapshot();
    lab.pass(75);
    let second = lab.machine().disk.certificate;
    assert!(second.issued > first.issued && second.not_after > first.not_after);
    lab.pass(300);
    assert!(lab.machine().kubelet_up(), "renewed again and again");
    lab.restore(&snapshot);
    assert_eq!(lab.machine().disk.certificate, first);
    assert!(lab.machine().is_up() && !lab.machine().kubelet_up(), "the old certificate is no longer valid");
}

#[test]
fn a_domain_takes_the_last_password_only() {
    let mut lab = Lab::new(&SCENARIO.replace("timings: {", "timings: {machinePassword: 100s, "));
    let first = lab.machine().disk.password;
    let snapshot = lab.snapshot();
    lab.restore(&snapshot);
    assert!(lab.machine().domain_ok() && lab.machine().disk.password == first, "it was not changed since");
    lab.pass(300);
    assert!(lab.machine().domain_ok() && lab.machine().disk.password.set > first.set, "changed again and again");
    lab.restore(&snapshot);
    lab.pass(300);
    assert_eq!(lab.machine().disk.password, first, "and the domain is not told another one by it");
    assert!(!lab.machine().domain_ok() && lab.machine().kubelet_up(), "only what asks the domain is refused");
}
