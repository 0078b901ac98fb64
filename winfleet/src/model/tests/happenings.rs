//! What happens to a machine by itself, and what it makes of those who use its pods.

use super::*;
use crate::scenario::{Metric, Over, Shows};

const WHEN_IN: &str = "phase: running, kb: KB5040437";

fn broken_by(lab: &Lab) -> Vec<&str> {
    lab.machine().broken_by().map(|fault| fault.name.as_str()).collect()
}

#[test]
fn a_leak_ends_in_a_crash_and_a_restart_frees_it() {
    let mut lab = Lab::with_fault(WHEN_IN, "memoryLeaks: {exhaustedAfter: 10h}", "");
    lab.update_fully();
    lab.pass(5 * 3600 - 5);
    assert!((lab.machine().leaked_memory() - 0.5).abs() < 1e-6);
    assert!(lab.machine().serves() && broken_by(&lab).is_empty(), "nobody feels it yet");
    lab.pass(5 * 3600);
    assert_eq!((lab.machine().state(), lab.machine().counters().crashes), (MachineState::Booting, 1));
    assert_eq!(broken_by(&lab), ["f"]);
    lab.pass(35);
    assert!(lab.machine().kubelet_up() && lab.machine().leaked_memory() < 0.01);
    assert!(lab.machine().serves() && broken_by(&lab).is_empty(), "it serves until it crashes again");
    assert!(lab.guest().critical_events().contains(&"BugCheck/1001".to_owned()));
    lab.pass(11 * 3600);
    assert_eq!(lab.machine().counters().crashes, 2);
}

#[test]
fn a_crash_is_felt_also_where_the_restart_heals_it() {
    let mut lab = Lab::with_fault(WHEN_IN, "crashesAfter: {up: 5m}", ", heals: restart");
    lab.update_fully();
    lab.pass(301);
    assert_eq!((lab.machine().state(), broken_by(&lab)), (MachineState::Booting, vec!["f"]));
    lab.pass(3600);
    assert_eq!(lab.machine().counters().crashes, 1);
    assert!(lab.machine().serves());
    lab.reboot();
    assert!(broken_by(&lab).is_empty());
}

#[test]
fn a_machine_crashes_again_and_again() {
    let mut lab = Lab::with_fault(WHEN_IN, "crashesAfter: {up: 5m}", "");
    lab.update_fully();
    lab.pass(3600);
    // Each time 300 s of running and 30 s of booting.
    assert_eq!(lab.machine().counters().crashes, 11);
}

#[test]
fn a_service_runs_out_of_handles() {
    let mut lab = Lab::with_fault(WHEN_IN, "handlesLeak: {service: hns, exhaustedAfter: 48h}", "");
    lab.update_fully();
    lab.pass(47 * 3600);
    assert!(lab.machine().pod_network_ok() && broken_by(&lab).is_empty());
    let event = lab.world.next_event().expect("it is announced");
    lab.now = event;
    lab.world.tick(event);
    assert_eq!((lab.machine().pod_network_ok(), broken_by(&lab)), (false, vec!["f"]));
    lab.reboot();
    assert!(lab.machine().pod_network_ok());
}

#[test]
fn something_else_installs_and_restarts_once() {
    let mut lab = Lab::with_fault("after: 1h", "otherAgentInstalls: {kb: KB5040437}", "");
    lab.pass(3600 + 15);
    assert!(lab.guest().servicing_busy(), "ours is refused meanwhile");
    lab.pass(15);
    assert!(lab.guest().reboot_signals().due());
    lab.pass(2 + 30 + 5);
    let counters = lab.machine().counters();
    assert_eq!(
        (lab.machine().disk.build, counters.restarts_by_itself, counters.installs_by_others.len()),
        (AFTER, 1, 1)
    );
    assert!(counters.installs_finished.is_empty(), "not our doing");
    lab.pass(10_000);
    assert_eq!(lab.machine().counters().boots, 1);
}

#[test]
fn a_machine_restarts_by_itself_once() {
    let mut lab = Lab::with_fault("after: 1h", "restartsByItself", "");
    lab.pass(3600);
    assert_eq!(broken_by(&lab), Vec::<&str>::new(), "it goes down only");
    lab.pass(3);
    assert_eq!((lab.machine().state(), broken_by(&lab)), (MachineState::Booting, vec!["f"]));
    lab.pass(10_000);
    assert!(lab.machine().serves());
    assert_eq!(lab.machine().counters().restarts_by_itself, 1);
}

/// What happened once is over when the machine is back: a restart of ours is none of it, and it does not come again.
#[test]
fn a_machine_that_went_down_once_is_not_blamed_for_it_later() {
    for (effect, stays) in [("restartsByItself", true), ("machineReplaced", false)] {
        let mut lab = Lab::with_fault("phase: running, kb: KB5040437, delay: 1h", effect, "");
        let begun = |lab: &Lab| lab.machine().begun().map(|(_, goes_on)| goes_on).collect::<Vec<_>>();
        lab.update_fully();
        lab.pass(3595 + 4);
        assert_eq!((broken_by(&lab), begun(&lab)), (vec!["f"], vec![true]), "{effect}");
        lab.pass(1000);
        assert!(lab.machine().serves() && broken_by(&lab).is_empty(), "{effect}");
        assert_eq!(begun(&lab), [stays], "{effect}: what lies on the disk stays there");
        if !stays {
            lab.update_fully();
            lab.pass(3600);
            assert_eq!(begun(&lab), [false], "{effect}: it does not begin on the fresh disk");
        }
        lab.guest().request_reboot();
        lab.pass(10);
        assert_eq!((lab.machine().state(), broken_by(&lab)), (MachineState::Booting, vec![]), "{effect}");
        let counters = lab.machine().counters();
        assert_eq!(counters.restarts_by_itself + counters.replaced, 1, "{effect}");
    }
}

#[test]
fn a_lost_zone_comes_back() {
    let mut lab = Lab::with_fault("after: 1h", "powerLost", ", lasts: 2h");
    let snapshot = lab.snapshot();
    lab.pass(3600);
    assert_eq!((lab.machine().state(), broken_by(&lab)), (MachineState::Off, vec!["f"]));
    let key = lab.key();
    let id = snapshot.snapshot_id.clone().expect("a snapshot");
    assert_eq!(lab.world.restore("win-1", &id, &key).expect_err("no power").code, Code::Unavailable);
    assert_eq!(lab.power(PowerRequest::On).error.expect("no power").code, Code::Unavailable);
    assert_eq!(lab.machine().state(), MachineState::Off);
    lab.pass(2 * 3600);
    assert!(lab.machine().serves());
}

#[test]
fn a_cloud_repairs_what_is_not_ready_for_too_long() {
    for (by, replaced, cuts) in [("replace", 1, 0), ("restart", 0, 1)] {
        let effects = format!("unreadyRepaired: {{after: 20m, by: {by}}}");
        let mut lab = Lab::with_fault("after: 0s", &effects, "");
        lab.update_fully();
        lab.pass(3600);
        assert_eq!(lab.machine().counters().replaced, 0, "an update is shorter than that");
        assert!(lab.world.strike("win-1", vec![Effect::KubeletDead]));
        lab.pass(1199);
        assert!(lab.world.heal("win-1") && lab.world.strike("win-1", vec![Effect::KubeletDead]));
        lab.pass(1199);
        assert_eq!(lab.machine().counters().replaced + lab.machine().counters().power_cuts, 0, "it was ready between");
        lab.pass(2);
        assert_eq!((lab.machine().counters().replaced, lab.machine().counters().power_cuts), (replaced, cuts));
    }
}

#[test]
fn a_prompt_is_on_the_console_only() {
    let mut lab = Lab::with_fault("phase: reboot, kb: KB5040437", "recoveryPrompt", "");
    let snapshot = lab.snapshot();
    lab.update_fully();
    lab.pass(10_000);
    assert_eq!(
        (lab.machine().state(), lab.machine().console()),
        (MachineState::Hung, "Enter the recovery key for this drive.")
    );
    lab.power(PowerRequest::Reset);
    assert_eq!(lab.machine().state(), MachineState::Hung);
    lab.restore(&snapshot);
    assert!(lab.machine().serves());
}

#[test]
fn the_update_service_fails_its_callers() {
    let mut lab = Lab::with_fault("after: 0s", "updateServiceFails: {hresult: 0x80240438}", ", lasts: 1h");
    assert_eq!(lab.guest().begin_search(), Err(Hresult(0x8024_0438)));
    assert_eq!(lab.download(), Hresult(0x8024_0438));
    lab.pass(3600);
    assert_eq!(lab.guest().begin_search(), Ok(()));
    lab.update_fully();
}

#[test]
fn an_update_leaves_another_version() {
    let mut lab =
        Lab::with_fault("phase: install, kb: KB5040437", "otherVersionInstalled: {build: 10.0.26100.1742}", "");
    lab.update_fully();
    assert_eq!(lab.machine().kernel_version(), Build::new(10, 0, 26100, 1742));
}

#[test]
fn a_kubelet_reports_the_build_of_before() {
    let mut lab = Lab::with_fault(WHEN_IN, "kernelVersionStale", "");
    lab.update_fully();
    lab.reboot();
    assert_eq!((lab.machine().disk.build, lab.machine().kernel_version()), (AFTER, BEFORE));
}

#[test]
fn a_restored_disk_can_be_too_old_for_the_cluster() {
    let mut lab = Lab::with_fault("phase: restored", "certificateExpired, domainTrustLost", "");
    let snapshot = lab.snapshot();
    lab.update_fully();
    assert!(lab.machine().serves() && lab.machine().domain_ok());
    assert_eq!(lab.restore(&snapshot).state, TaskState::Succeeded);
    assert_eq!((lab.machine().state(), lab.machine().kubelet_up()), (MachineState::Running, false));
    assert!(!lab.machine().domain_ok() && broken_by(&lab) == ["f", "f"]);
}

#[test]
fn a_wrong_clock_ends_certificates() {
    let mut lab = Lab::with_fault("after: 1h", "clockOff: {by: 400d}", "");
    lab.pass(3600);
    assert!(!lab.machine().kubelet_up(), "its certificate is valid for a year");
    assert_eq!(broken_by(&lab), ["f"], "its node can take no pods");
    let mut lab = Lab::with_fault("after: 1h", "clockOff: {by: 2h, behind: true}", "");
    lab.pass(7200);
    assert!(lab.machine().kubelet_up() && broken_by(&lab).is_empty());
    assert_eq!(lab.machine().wall_clock(), Period::hours(2).before(lab.now));
}

#[test]
fn disks_and_drivers_change() {
    let scenario = SCENARIO.replace("traits: [struck]", "traits: [struck], disks: [disk0, data, logs]");
    let fault = "diskMissing: {name: data}, diskRaw: {name: logs}, driverReplaced: {name: netkvm, by: e1g60}";
    let mut lab = Lab::new(&format!(
        "{scenario}faults: [{{name: f, when: {{{WHEN_IN}}}, where: {{traits: [struck]}}, effects: [{fault}]}}]"
    ));
    assert_eq!((lab.guest().disks().len(), lab.guest().drivers()), (3, vec!["netkvm".to_owned()]));
    lab.update_fully();
    assert_eq!((lab.guest().disks(), lab.guest().drivers()), (vec!["disk0".to_owned()], vec!["e1g60".to_owned()]));
    assert_eq!(lab.machine().disks(), ["disk0", "logs"], "a raw disk is there for the hypervisor");
}

#[test]
fn pods_feel_what_the_node_does_not_show() {
    type Seen = fn(&Machine) -> bool;
    let cases: [(&str, Seen); 6] = [
        ("servicePolicyLost", |m| !m.services_ok() && m.pod_network_ok() && m.dns_ok()),
        ("hostNetworkDead", |m| m.is_up() && !m.kubelet_up() && !m.pod_network_ok() && !m.dns_ok()),
        ("domainTrustLost", |m| !m.domain_ok() && m.can_start_pods()),
        ("podsStuckTerminating", |m| !m.pods_stop()),
        ("imagePullSlow: {by: 15m}", |m| m.pod_start_delay() == Period::seconds(900)),
        ("requestsFail: {share: 0.05}", |m| (m.failing_requests() - 0.05).abs() < 1e-9 && m.kubelet_up()),
    ];
    for (effect, shows) in cases {
        let mut lab = Lab::with_fault(WHEN_IN, effect, "");
        assert!(!shows(lab.machine()) && lab.machine().serves(), "{effect}: not before");
        lab.update_fully();
        assert!(shows(lab.machine()), "{effect}");
        let felt = !effect.starts_with("pods") && !effect.starts_with("image");
        assert_eq!((lab.machine().serves(), !broken_by(&lab).is_empty()), (!felt, felt), "{effect}");
    }
}

#[test]
fn a_metric_shows_the_worst_or_the_mean() {
    let mut lab = Lab::with_fault(WHEN_IN, "requestsFail: {share: 0.04}, requestsSlow: {by: 500ms}", "");
    lab.update_fully();
    let metric = |shows, over| Metric { query: "q".into(), shows, workload: None, over, usually: 0.01 };
    let now = lab.now;
    let mut shown = |shows, over, nodes: &[&str]| lab.world.metric(&metric(shows, over), nodes, now);
    let close = |value: Option<f64>, to: f64| value.is_some_and(|value| (value - to).abs() < 1e-9);
    let both = ["win-1", "win-2"];
    assert!(close(shown(Shows::FailedShare, Over::Worst, &both), 0.05));
    assert!(close(shown(Shows::FailedShare, Over::Mean, &both), 0.03));
    assert!(close(shown(Shows::FailedShare, Over::Worst, &["win-2"]), 0.01));
    assert!(close(shown(Shows::LatencySeconds, Over::Worst, &both), 0.51));
    assert_eq!(shown(Shows::FailedShare, Over::Worst, &[]), None, "no node, no data");
}

#[test]
fn a_metric_is_as_of_now_where_nothing_happened_for_days() {
    let mut lab = Lab::with_fault(WHEN_IN, "memoryLeaks: {exhaustedAfter: 100h}", "");
    lab.update_fully();
    let metric =
        Metric { query: "q".into(), shows: Shows::MemoryUsedShare, workload: None, over: Over::Worst, usually: 0.4 };
    let in_two_days = Period::hours(50).after(lab.now);
    let value = lab.world.metric(&metric, &["win-1"], in_two_days).expect("it is up");
    assert!((value - 0.7).abs() < 0.001, "{value}");
}

#[test]
fn a_slow_hypervisor_takes_longer() {
    let troubles =
        "troubles: [{after: 1h, lasts: 1h, effect: {slow: {by: 60s}}}, {after: 90m, lasts: 1m, effect: down}]";
    let mut lab = Lab::new(&SCENARIO.replace("powerTakes: 1s", &format!("powerTakes: 1s, {troubles}")));
    assert_eq!(lab.snapshot().state, TaskState::Succeeded);
    lab.pass(3600);
    let task = lab.snapshot();
    assert_eq!(task.state, TaskState::Running);
    lab.pass(60);
    assert_eq!(lab.world.task(&task.id).expect("it").state, TaskState::Succeeded);
    lab.pass(1750);
    assert_eq!(lab.world.hypervisor_troubles(lab.now).count(), 2);
    lab.pass(3600);
    assert_eq!(lab.world.hypervisor_troubles(lab.now).count(), 0);
}
