//! Each effect: what becomes false, and nothing else.

use super::*;
use windlass_protocol::ServiceState;

const AT_INSTALL: &str = "phase: install, kb: KB5040437";
const WHEN_IN: &str = "phase: running, kb: KB5040437";

#[test]
fn downloads_fail_as_often_as_said() {
    let mut lab = Lab::with_fault("phase: stage", "downloadFails: {hresult: 0x8024402C}", ", times: 2");
    assert_eq!(lab.download(), Hresult(0x8024_402C));
    assert_eq!(lab.download(), Hresult(0x8024_402C));
    assert_eq!(lab.download(), Hresult::OK);
}

#[test]
fn a_withdrawn_update_is_not_offered_any_more() {
    let mut lab = Lab::with_fault("phase: stage, kb: KB5040437, delay: 5s", "updateWithdrawn", "");
    assert_eq!(lab.guest().search().len(), 1);
    assert_eq!(lab.download(), Hresult::NO_UPDATE);
    assert_eq!((lab.guest().search().len(), lab.state()), (0, UpdateState::Missing));
    assert_eq!(lab.world.guest("win-2", lab.now).expect("it runs").search().len(), 1, "the others see it");
}

#[test]
fn a_full_disk_takes_neither_download_nor_file() {
    let mut lab = Lab::with_fault("phase: stage", "diskFull", "");
    assert!(lab.guest().free_bytes() > 0);
    assert_eq!(lab.download(), Hresult::DISK_FULL);
    assert_eq!(lab.guest().free_bytes(), 0);
    assert_eq!(lab.guest().write_file("state.json", b"{}"), Err(Hresult::DISK_FULL));
    assert_eq!(lab.guest().read_file("state.json"), None);
    let mut lab = Lab::with_fault(AT_INSTALL, "diskFull", "");
    assert_eq!(lab.download(), Hresult::OK);
    assert_eq!(lab.install(), Some(Hresult::DISK_FULL));
}

#[test]
fn an_installation_fails_with_its_code() {
    let mut lab = Lab::with_fault(AT_INSTALL, "installFails: {hresult: 0x80070643}", "");
    lab.download();
    assert_eq!(lab.install(), Some(Hresult(0x8007_0643)));
    assert_eq!(lab.state(), UpdateState::Failed);
    assert_eq!(lab.guest().last_failure(Lab::update().kb), Some(Hresult(0x8007_0643)));
    assert!(!lab.guest().reboot_signals().due());
    let counters = lab.machine().counters();
    assert_eq!((counters.installs_started.len(), counters.installs_finished.len()), (1, 0));
}

#[test]
fn a_later_success_clears_the_failure() {
    let mut lab = Lab::with_fault(AT_INSTALL, "installFails: {hresult: 0x80070643}", ", times: 1");
    lab.download();
    assert_eq!(lab.install(), Some(Hresult(0x8007_0643)));
    assert_eq!(lab.install(), Some(Hresult::REBOOT_REQUIRED));
    assert_eq!((lab.guest().last_failure(Lab::update().kb), lab.state()), (None, UpdateState::PendingReboot));
}

#[test]
fn an_installation_hangs_until_a_reboot() {
    let mut lab = Lab::with_fault(AT_INSTALL, "installHangs", ", times: 1");
    lab.download();
    assert_eq!(lab.install(), None);
    lab.pass(100_000);
    assert!(lab.guest().servicing_busy());
    lab.reboot();
    assert_eq!(lab.install(), Some(Hresult::REBOOT_REQUIRED), "it hung once");
}

#[test]
fn an_update_is_in_and_the_build_as_before() {
    let mut lab = Lab::with_fault(AT_INSTALL, "buildUnchanged", "");
    lab.update_fully();
    assert_eq!((lab.state(), lab.machine().disk.build), (UpdateState::Installed, BEFORE));
}

#[test]
fn an_update_needs_more_rounds() {
    let mut lab = Lab::with_fault(AT_INSTALL, "roundsNeeded: {n: 3}", "");
    lab.update_fully();
    for round in 2..=3 {
        assert_eq!(lab.state(), UpdateState::Staged, "before round {round}");
        lab.install();
        lab.reboot();
    }
    assert_eq!(lab.state(), UpdateState::Installed);
}

#[test]
fn a_machine_does_not_come_back() {
    for (effect, state) in [("rebootNeverReturns", MachineState::Hung), ("bootLoop", MachineState::BootLoop)] {
        let mut lab = Lab::with_fault("phase: reboot, kb: KB5040437", effect, "");
        let snapshot = lab.snapshot();
        lab.reboot();
        assert!(lab.machine().kubelet_up(), "a reboot without the update is another matter");
        lab.update_fully();
        lab.pass(100_000);
        assert_eq!((lab.machine().state(), lab.machine().power()), (state, Power::On));
        assert!(!lab.machine().kubelet_up() && !lab.machine().console().is_empty());
        lab.power(PowerRequest::Reset);
        assert_eq!(lab.machine().state(), state, "a reset does not heal it");
        lab.restore(&snapshot);
        assert!(lab.machine().kubelet_up(), "the old disk does");
    }
}

#[test]
fn a_reset_heals_what_a_restart_heals() {
    let mut lab = Lab::with_fault("phase: reboot, kb: KB5040437", "rebootNeverReturns", ", heals: restart");
    lab.update_fully();
    assert_eq!(lab.machine().state(), MachineState::Hung);
    lab.power(PowerRequest::Reset);
    assert_eq!((lab.machine().state(), lab.machine().disk.build), (MachineState::Running, AFTER));
    let mut lab = Lab::with_fault(WHEN_IN, "podNetworkDead", ", heals: restart");
    lab.update_fully();
    assert!(!lab.machine().pod_network_ok());
    lab.reboot();
    lab.pass(1000);
    assert!(lab.machine().pod_network_ok(), "for good");
}

#[test]
fn a_boot_is_slow() {
    let mut lab = Lab::with_fault("phase: boot, nthBoot: 1", "slowBoot: {by: 10m}", ", times: 1");
    lab.reboot();
    assert_eq!(lab.machine().state(), MachineState::Booting);
    lab.pass(600);
    assert!(lab.machine().kubelet_up());
    lab.reboot();
    assert!(lab.machine().kubelet_up(), "the next one is not");
}

#[test]
fn some_updates_break_at_the_second_boot() {
    let mut lab = Lab::with_fault(AT_INSTALL, "breaksAfterExtraReboot: {effects: [bootLoop]}", "");
    lab.update_fully();
    assert!(lab.machine().kubelet_up());
    lab.reboot();
    assert_eq!(lab.machine().state(), MachineState::BootLoop);
    let mut lab = Lab::with_fault("phase: boot, kb: KB5040437, nthBoot: 2", "bootLoop", "");
    lab.update_fully();
    assert!(lab.machine().kubelet_up());
    lab.reboot();
    assert_eq!(lab.machine().state(), MachineState::BootLoop, "the same, said in another way");
}

/// What a node shows of its health.
fn health(machine: &Machine) -> [bool; 4] {
    [machine.kubelet_up(), machine.can_start_pods(), machine.pod_network_ok(), machine.dns_ok()]
}

#[test]
fn each_effect_of_running_breaks_only_its_own() {
    let cases = [
        ("podNetworkDead", [true, true, false, true]),
        ("dnsDead", [true, true, true, false]),
        ("newPodsDoNotStart", [true, false, true, true]),
        ("kubeletDead", [false, false, true, true]),
        ("serviceStopped: {name: kubelet}", [false, false, true, true]),
        ("serviceStopped: {name: containerd}", [true, false, true, true]),
        ("serviceStopped: {name: hns}", [true, true, false, true]),
        ("podNetworkDead, dnsDead", [true, true, false, false]),
    ];
    for (effects, expected) in cases {
        let mut lab = Lab::with_fault(WHEN_IN, effects, "");
        lab.reboot();
        assert_eq!(health(lab.machine()), [true; 4], "{effects}: not before the update");
        lab.update_fully();
        assert_eq!(health(lab.machine()), expected, "{effects}");
        assert_eq!(
            health(lab.world.machine("win-2").expect("the other")),
            [true; 4],
            "{effects}: where it does not strike"
        );
    }
}

#[test]
fn the_host_shows_what_is_broken() {
    let effects =
        "serviceStopped: {name: kube-proxy}, networkMissing: {name: Calico}, eventLogged: {kind: disk/7}, kubeletDead";
    let mut lab = Lab::with_fault(WHEN_IN, effects, "");
    let guest = lab.guest();
    assert_eq!((guest.networks(), guest.critical_events()), (vec!["Calico".into(), "External".into()], vec![]));
    lab.update_fully();
    let guest = lab.guest();
    assert_eq!((guest.networks(), guest.critical_events()), (vec!["External".into()], vec!["disk/7".into()]));
    let services = guest.services();
    assert_eq!(
        (services["kube-proxy"], services["kubelet"], services["hns"]),
        (ServiceState::Stopped, ServiceState::Stopped, ServiceState::Running)
    );
    assert_eq!(guest.machine().service("spooler"), ServiceState::Missing);
}

#[test]
fn a_delay_counts_from_the_phase() {
    let mut lab = Lab::with_fault("phase: running, kb: KB5040437, delay: 1h", "dnsDead", "");
    lab.update_fully();
    lab.pass(3594);
    assert!(lab.machine().dns_ok());
    lab.pass(1);
    assert!(!lab.machine().dns_ok(), "an hour after the services started, five seconds before the kubelet was ready");
}

#[test]
fn a_cloud_replaces_a_machine_once() {
    let mut lab = Lab::with_fault(WHEN_IN, "machineReplaced", "");
    let (uuid, id) = (lab.machine().system_uuid(), lab.machine().provider_id().to_owned());
    lab.update_fully();
    lab.pass(35);
    let machine = lab.machine();
    assert_eq!((machine.node_generation(), machine.counters().replaced, machine.disk.build), (1, 1, BEFORE));
    assert!(machine.kubelet_up() && machine.system_uuid() != uuid && machine.provider_id() == id);
    lab.update_fully();
    lab.pass(100);
    assert_eq!(lab.machine().node_generation(), 1);
}

#[test]
fn a_replacement_does_not_count_as_a_use() {
    let mut lab = Lab::with_fault("phase: boot", "slowBoot: {by: 1m}, machineReplaced", "");
    lab.reboot();
    lab.pass(1000);
    assert_eq!((lab.machine().node_generation(), lab.machine().kubelet_up()), (1, true));
}

#[test]
fn chance_is_the_seeds() {
    let struck = |seed: u32, chance: &str| {
        let scenario = format!(
            "seed: {seed}
machines: [{{prefix: win-, count: 400, build: 10.0.20348.2527}}]
faults: [{{name: f, when: {{phase: running}}, where: {{chance: {chance}}}, effects: [dnsDead]}}]"
        );
        let lab = Lab::new(&scenario);
        lab.world.machines().filter(|m| !m.dns_ok()).map(|m| m.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(struck(1, "0.25"), struck(1, "0.25"));
    assert_ne!(struck(1, "0.25"), struck(2, "0.25"));
    assert_eq!(struck(1, "1.0").len(), 400);
    // 400 draws of a quarter: 100 on average, six standard deviations (8.7) to either side.
    assert!((48..=152).contains(&struck(3, "0.25").len()), "{}", struck(3, "0.25").len());
}

#[test]
fn a_hand_breaks_and_heals() {
    let mut lab = Lab::new(SCENARIO);
    assert!(
        lab.world.strike("win-1", vec![Effect::PodNetworkDead]) && lab.world.strike("win-1", vec![Effect::KubeletDead])
    );
    assert_eq!(health(lab.machine()), [false, false, false, true]);
    lab.reboot();
    assert!(!lab.machine().pod_network_ok(), "a restart does not heal it");
    assert!(lab.world.heal("win-1"));
    assert_eq!(health(lab.machine()), [true; 4]);
    assert!(lab.world.replace("win-1") && lab.machine().node_generation() == 1);
    assert!(!lab.world.strike("win-9", vec![]) && !lab.world.heal("win-9") && !lab.world.replace("win-9"));
}
