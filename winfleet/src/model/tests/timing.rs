//! When a fault holds: times of the calendar, how long, how often, and what heals it.

use super::*;

const DNS: &str = "dnsDead";

/// Seconds from the beginning at which the machine resolves no name, looked at every `step` seconds.
fn dead_at(lab: &mut Lab, step: u32, until: u32) -> Vec<u32> {
    let mut seconds = Vec::new();
    for at in (step..=until).step_by(step as usize) {
        lab.pass(step);
        if !lab.machine().dns_ok() {
            seconds.push(at);
        }
    }
    seconds
}

#[test]
fn a_fault_holds_for_as_long_as_said() {
    let mut lab = Lab::with_fault("after: 1h", DNS, ", lasts: 30m");
    assert_eq!(dead_at(&mut lab, 600, 7200), [3600, 4200, 4800], "the end does not belong to it");
    let mut lab = Lab::with_fault("at: 2026-11-22T13:00:00Z", DNS, "");
    assert_eq!(dead_at(&mut lab, 1800, 7200), [3600, 5400, 7200], "the lab begins at noon");
    let lab = Lab::with_fault("at: 2026-11-21", DNS, "");
    assert!(!lab.machine().dns_ok(), "what is past holds from the start");
}

#[test]
fn a_phase_can_wait_for_a_date() {
    let mut lab = Lab::with_fault("phase: running, kb: KB5040437, after: 1h", DNS, "");
    lab.pass(4000);
    assert!(lab.machine().dns_ok(), "the date alone is not enough");
    lab.update_fully();
    assert!(!lab.machine().dns_ok());
    let mut lab = Lab::with_fault("phase: running, kb: KB5040437, after: 1h", DNS, "");
    lab.update_fully();
    assert!(lab.machine().dns_ok(), "nor is the phase");
    lab.pass(3600);
    assert!(!lab.machine().dns_ok());
}

#[test]
fn a_disk_from_before_a_date_does_not_have_it_and_one_from_after_does() {
    let mut lab = Lab::with_fault("after: 1h", "bootLoop", "");
    let before = lab.snapshot();
    lab.pass(3600);
    let after = lab.snapshot();
    lab.reboot();
    assert_eq!(lab.machine().state(), MachineState::BootLoop);
    lab.restore(&after);
    assert_eq!(lab.machine().state(), MachineState::BootLoop);
    lab.restore(&before);
    assert!(lab.machine().kubelet_up());
    lab.pass(10_000);
    lab.reboot();
    assert!(lab.machine().kubelet_up(), "its moment does not come again");
}

#[test]
fn an_intermittent_fault_is_there_for_its_share_of_time() {
    let mut lab = Lab::with_fault("after: 0s", DNS, ", intermittent: {bad: 1, of: 3}");
    let dead = dead_at(&mut lab, 60, 60 * 3000);
    // A thousand groups of three minutes, but for the halves of groups at both ends.
    assert!((999..=1001).contains(&dead.len()), "one minute of each three: {}", dead.len());
    let gaps: std::collections::BTreeSet<u32> = dead.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.len() > 1, "and not always the same one: {gaps:?}");
    let again = dead_at(&mut Lab::with_fault("after: 0s", DNS, ", intermittent: {bad: 1, of: 3}"), 60, 60 * 3000);
    assert_eq!(dead, again, "the seed's draw");
    let jumps = {
        let mut lab = Lab::with_fault("after: 0s", DNS, ", intermittent: {bad: 1, of: 3}, lasts: 1h");
        let mut turns = 0;
        while let Some(next) = lab.world.next_event().filter(|at| *at <= Period::hours(2).after(lab.now)) {
            lab.world.tick(next);
            turns += 1;
        }
        turns
    };
    assert_eq!(jumps, 60, "each slice's end is announced, until it is over");
}

#[test]
fn a_slope_grows() {
    let mut lab =
        Lab::with_fault("after: 0s", "requestsFail: {share: 0.4}, requestsSlow: {by: 2s}, diskFull", ", ramps: 10h");
    let free = lab.machine().disk.free_bytes;
    lab.pass(5 * 3600);
    assert!(
        (lab.machine().failing_requests() - 0.2).abs() < 1e-9 && (lab.machine().slower_requests() - 1.0).abs() < 1e-9
    );
    assert_eq!(lab.machine().free_bytes(), free / 2);
    lab.pass(20 * 3600);
    assert!((lab.machine().failing_requests() - 0.4).abs() < 1e-9 && lab.machine().free_bytes() == 0);
    assert_eq!(lab.download(), Hresult::DISK_FULL);
}

#[test]
fn the_second_restart_heals_what_the_first_does_not() {
    let mut lab = Lab::with_fault("phase: running, kb: KB5040437", DNS, ", heals: secondRestart");
    lab.update_fully();
    lab.reboot();
    assert!(!lab.machine().dns_ok());
    lab.reboot();
    lab.pass(1000);
    assert!(lab.machine().dns_ok(), "for good");
}

const TWO: &str = "
machines:
- {names: [win-1], build: 10.0.20348.2527}
updates:
- {kb: KB5040437, released: 2024-07-09, targetBuilds: {10.0.20348: 10.0.20348.2582}}
- {kb: KB5044281, released: 2024-10-08, rebootRequired: false}
timings: {stage: 10s, install: 20s, shutdown: 2s, reboot: 30s, kubeletStart: 5s}
faults:
- {name: f, when: {phase: running, kb: KB5040437}, effects: [dnsDead], heals: {kb: KB5044281}}
";

#[test]
fn a_later_update_heals() {
    let mut lab = Lab::new(TWO);
    lab.update_fully();
    assert!(!lab.machine().dns_ok());
    lab.reboot();
    assert!(!lab.machine().dns_ok(), "a restart does not");
    let later = PinnedUpdate {
        kb: "KB5044281".parse().expect("a KB"),
        update_id: "5eed0000-0000-4000-8000-000005044281".into(),
        revision: 200,
    };
    lab.guest().begin_download(std::slice::from_ref(&later)).expect("it begins");
    lab.pass(10);
    lab.guest().begin_install(&[later]).expect("it begins");
    lab.pass(20);
    assert!(lab.machine().dns_ok());
    lab.reboot();
    assert!(lab.machine().dns_ok());
}

#[test]
fn where_knows_os_builds_and_updates() {
    let scenario = |chosen: &str| {
        format!(
            "
machines:
- {{names: [old], build: 10.0.17763.5820}}
- {{names: [new], build: 10.0.20348.2527, installed: [KB5040437]}}
updates: [{{kb: KB5040437, released: 2024-07-09}}]
faults: [{{name: f, when: {{after: 0s}}, where: {{{chosen}}}, effects: [dnsDead]}}]"
        )
    };
    let struck = |chosen: &str| {
        let lab = Lab::new(&scenario(chosen));
        lab.world.machines().filter(|m| !m.dns_ok()).map(|m| m.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(struck("osBuilds: [10.0.17763]"), ["old"]);
    assert_eq!(struck("osBuilds: [10.0.17763, 10.0.20348]"), ["new", "old"]);
    assert_eq!(struck("installed: [KB5040437]"), ["new"]);
}
