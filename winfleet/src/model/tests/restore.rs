//! A restore rewinds the disk, all of it, and nothing else.

use super::*;
use proptest::prelude::*;

/// One thing that may happen to a machine.
#[derive(Clone, Debug)]
enum Act {
    Download,
    Install,
    Reboot,
    Reset,
    Write(u8, Vec<u8>),
    Remove(u8),
    Task,
    Policy(u8, Option<u32>),
    Pass(u32),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::Download),
        Just(Act::Install),
        Just(Act::Reboot),
        Just(Act::Reset),
        (0..3u8, prop::collection::vec(any::<u8>(), 0..8)).prop_map(|(name, content)| Act::Write(name, content)),
        (0..3u8).prop_map(Act::Remove),
        Just(Act::Task),
        (0..3u8, any::<Option<u32>>()).prop_map(|(name, value)| Act::Policy(name, value)),
        (1..200u32).prop_map(Act::Pass),
    ]
}

/// Does it as far as the machine lets; a refusal is part of life.
fn perform(lab: &mut Lab, act: Act) {
    let now = lab.now;
    if let Act::Pass(seconds) = act {
        lab.pass(seconds);
    } else if let Act::Reset = act {
        let key = lab.key();
        drop(lab.world.power("win-1", PowerRequest::Reset, &key));
        lab.pass(2);
    } else if let Some(mut guest) = lab.world.guest("win-1", now) {
        match act {
            Act::Download => drop(guest.begin_download(&[Lab::update()])),
            Act::Install => drop(guest.begin_install(&[Lab::update()])),
            Act::Reboot => guest.request_reboot(),
            Act::Write(name, content) => drop(guest.write_file(&format!("file-{name}"), &content)),
            Act::Remove(name) => drop(guest.remove_file(&format!("file-{name}"))),
            Act::Task => guest.register_task("install".into()),
            Act::Policy(name, value) => guest.set_policy(&format!("value-{name}"), value),
            Act::Reset | Act::Pass(_) => unreachable!(),
        }
    }
}

proptest! {
    #[test]
    fn a_restore_gives_back_the_disk_of_the_snapshot(
        before in prop::collection::vec(act(), 0..12),
        after in prop::collection::vec(act(), 0..12),
    ) {
        let mut lab = Lab::with_fault("phase: running, kb: KB5040437, delay: 60s", "podNetworkDead", "");
        for act in before {
            perform(&mut lab, act);
        }
        lab.pass(1);
        let captured = lab.machine().disk.clone();
        let snapshot = lab.snapshot();
        prop_assert_eq!(snapshot.state, TaskState::Succeeded);
        for act in after {
            perform(&mut lab, act);
        }
        lab.pass(300);
        let counters = lab.machine().counters().clone();
        let restored = lab.restore(&snapshot);
        prop_assert_eq!(restored.state, TaskState::Succeeded);
        // Starting from the captured disk is the boot that the restore ends with: do the same to a twin.
        let mut twin = lab.machine().clone();
        twin.disk = captured;
        twin.stop();
        twin.clock = restored.finished_at.expect("it ended");
        twin.start(&lab.world.site);
        twin.advance(lab.now, &lab.world.site);
        prop_assert_eq!(&lab.machine().disk, &twin.disk);
        prop_assert_eq!(lab.machine().counters().boots, counters.boots + 1, "what happened is not rewound");
        prop_assert_eq!(lab.machine().counters().restores, 1);
    }
}

#[test]
fn a_restore_of_the_good_disk_heals_and_the_update_breaks_again() {
    let mut lab = Lab::with_fault("phase: running, kb: KB5040437", "podNetworkDead", "");
    lab.guest().write_file("nonce-a", b"a").expect("written");
    let snapshot = lab.snapshot();
    let boot = lab.machine().boot_id();
    lab.guest().write_file("nonce-b", b"b").expect("written");
    lab.update_fully();
    assert_eq!((lab.machine().disk.build, lab.machine().pod_network_ok()), (AFTER, false));
    let updated_boot = lab.machine().boot_id();
    lab.restore(&snapshot);
    assert_eq!((lab.machine().disk.build, lab.machine().pod_network_ok()), (BEFORE, true));
    assert_eq!(lab.machine().kernel_version(), BEFORE);
    assert_eq!(lab.machine().boot_id(), boot + 1);
    assert_eq!(lab.machine().boot_id(), updated_boot, "the boot id alone proves nothing");
    assert_eq!(lab.guest().file_names().collect::<Vec<_>>(), ["nonce-a"]);
    assert_eq!(lab.state(), UpdateState::Offered);
    lab.update_fully();
    assert!(!lab.machine().pod_network_ok());
}

#[test]
fn what_nothing_heals_outlives_the_disk() {
    let mut lab = Lab::with_fault("phase: running, kb: KB5040437", "podNetworkDead", ", heals: never");
    let snapshot = lab.snapshot();
    lab.update_fully();
    lab.restore(&snapshot);
    assert_eq!((lab.machine().disk.build, lab.machine().pod_network_ok()), (BEFORE, false));
}

#[test]
fn what_a_snapshot_broke_ends_with_a_restore() {
    let mut lab = Lab::with_fault("phase: snapshot", "dnsDead", "");
    assert!(lab.machine().dns_ok());
    let snapshot = lab.snapshot();
    assert!(!lab.machine().dns_ok());
    lab.reboot();
    assert!(!lab.machine().dns_ok());
    lab.restore(&snapshot);
    assert!(lab.machine().dns_ok());
}

#[test]
fn a_snapshot_is_of_the_moment_it_was_asked_for() {
    let mut lab = Lab::new(SCENARIO);
    let task = lab.world.snapshot("win-1", "k", BTreeMap::new()).expect("it begins");
    lab.guest().write_file("later", b"x").expect("written");
    lab.pass(10);
    lab.restore(&task);
    assert_eq!(lab.guest().read_file("later"), None);
}

#[test]
fn a_restored_machine_runs_the_task_that_was_registered_then() {
    let mut lab = Lab::new(SCENARIO);
    let disarmed = lab.snapshot();
    lab.guest().register_task("install".into());
    let armed = lab.snapshot();
    lab.restore(&disarmed);
    assert!(!lab.machine().startup_task_due() && lab.guest().task().is_none());
    lab.restore(&armed);
    assert!(lab.machine().startup_task_due());
}

#[test]
fn software_sees_a_restore_that_ended_since_the_last_tick() {
    let mut lab = Lab::new(SCENARIO);
    let snapshot = lab.snapshot();
    lab.guest().write_file("later", b"x").expect("written");
    lab.world.restore("win-1", &snapshot.snapshot_id.expect("a snapshot"), "r").expect("it begins");
    lab.now = Period::seconds(15 + 30).after(lab.now);
    assert_eq!(lab.guest().read_file("later"), None, "no tick in between");
    assert_eq!(
        lab.world.tasks().last().and_then(|task| task.finished_at),
        Period::seconds(15).after(snapshot.finished_at.expect("it ended")).into()
    );
}
