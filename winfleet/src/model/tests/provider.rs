//! Snapshots, restores and power as tasks, and what goes wrong with them.

use super::*;

fn error(task: &Task) -> Option<Code> {
    task.error.as_ref().map(|error| error.code)
}

#[test]
fn a_key_is_a_task() {
    let mut lab = Lab::new(SCENARIO);
    let first = lab.world.snapshot("win-1", "k", BTreeMap::new()).expect("it begins");
    let again = lab.world.snapshot("win-1", "k", BTreeMap::new()).expect("the same");
    assert_eq!((&first.id, &first.snapshot_id), (&again.id, &again.snapshot_id));
    lab.pass(10);
    let after = lab.world.snapshot("win-1", "k", BTreeMap::new()).expect("still the same");
    assert_eq!((&after.id, after.state), (&first.id, TaskState::Succeeded));
    assert_eq!((lab.world.snapshots().count(), lab.machine().counters().snapshots), (1, 1));
    assert_eq!(lab.world.snapshot("win-2", "k", BTreeMap::new()).map_err(|e| e.code), Err(Code::Conflict));
    assert_eq!(lab.world.power("win-1", PowerRequest::On, "k").map_err(|e| e.code), Err(Code::Conflict));
}

#[test]
fn a_machine_has_one_task_at_a_time() {
    let mut lab = Lab::new(SCENARIO);
    let task = lab.world.snapshot("win-1", "k", BTreeMap::new()).expect("it begins");
    let busy = lab.world.power("win-1", PowerRequest::Off, "p").expect_err("busy");
    assert!(busy.code == Code::Busy && busy.message.contains(&task.id), "{busy}");
    let id = task.snapshot_id.expect("a snapshot");
    assert_eq!(lab.world.delete_snapshot(&id).map_err(|e| e.code), Err(Code::Busy));
    assert!(lab.world.power("win-2", PowerRequest::Off, "q").is_ok(), "others are not held up");
    lab.pass(10);
    assert_eq!(lab.world.delete_snapshot(&id), Ok(()));
    assert_eq!(lab.world.delete_snapshot(&id).map_err(|e| e.code), Err(Code::NotFound));
}

#[test]
fn what_is_not_there_is_not_found() {
    let mut lab = Lab::new(SCENARIO);
    assert_eq!(lab.world.snapshot("win-9", "k", BTreeMap::new()).map_err(|e| e.code), Err(Code::NotFound));
    assert_eq!(lab.world.restore("win-1", "snap-9", "k").map_err(|e| e.code), Err(Code::NotFound));
    assert_eq!(lab.world.power("win-9", PowerRequest::On, "k").map_err(|e| e.code), Err(Code::NotFound));
}

#[test]
fn only_a_restorable_snapshot_of_this_very_machine_is_taken() {
    let mut lab =
        Lab::new(&SCENARIO.replace("hypervisor: {", "hypervisor: {restorableAfter: 20s, snapshotsExpire: 100s, "));
    let task = lab.snapshot();
    let id = task.snapshot_id.clone().expect("a snapshot");
    let facts =
        |lab: &Lab| lab.world.find_snapshot(&id).map(|s| (s.state, s.restorable(lab.now))).expect("it is there");
    let refused =
        |lab: &mut Lab, machine: &str| lab.world.restore(machine, &id, "r").map_err(|e| e.code).expect_err("refused");
    assert_eq!(facts(&lab), (SnapshotState::Ready, false), "captured, and still being copied");
    assert_eq!(refused(&mut lab, "win-1"), Code::Conflict);
    lab.pass(20);
    assert_eq!(facts(&lab), (SnapshotState::Ready, true));
    assert_eq!(refused(&mut lab, "win-2"), Code::Conflict);
    lab.pass(70);
    assert_eq!(facts(&lab), (SnapshotState::Ready, false), "expired");
    assert_eq!(refused(&mut lab, "win-1"), Code::Conflict);
    let mut lab = Lab::new(SCENARIO);
    let task = lab.snapshot();
    lab.world.replace("win-1");
    let of_the_old_one = lab.world.restore("win-1", &task.snapshot_id.expect("a snapshot"), "r");
    assert_eq!(of_the_old_one.map_err(|e| e.code), Err(Code::Conflict));
}

#[test]
fn a_quota_ends_with_a_delete() {
    let mut lab = Lab::new(&SCENARIO.replace("hypervisor: {", "hypervisor: {snapshotsPerMachine: 1, "));
    let first = lab.snapshot();
    assert_eq!(lab.world.snapshot("win-1", "second", BTreeMap::new()).map_err(|e| e.code), Err(Code::Quota));
    lab.world.delete_snapshot(&first.snapshot_id.expect("a snapshot")).expect("deleted");
    assert!(lab.world.snapshot("win-1", "second", BTreeMap::new()).is_ok());
}

#[test]
fn a_snapshot_fails_once_and_works_with_another_key() {
    let mut lab = Lab::with_fault("phase: snapshot", "snapshotFails", ", times: 1");
    let failed = lab.snapshot();
    assert_eq!((failed.state, error(&failed)), (TaskState::Failed, Some(Code::Internal)));
    let snapshot = lab.world.find_snapshot(&failed.snapshot_id.expect("listed")).expect("it is there");
    assert_eq!((snapshot.state, snapshot.restorable(lab.now)), (SnapshotState::Failed, false));
    assert_eq!(lab.snapshot().state, TaskState::Succeeded);
}

#[test]
fn a_snapshot_is_slow() {
    let mut lab = Lab::with_fault("phase: snapshot", "snapshotSlow: {by: 1m}", "");
    let slow = lab.snapshot();
    assert_eq!(slow.state, TaskState::Running);
    lab.pass(60);
    assert_eq!(lab.world.task(&slow.id).map(|t| t.state), Some(TaskState::Succeeded));
}

#[test]
fn a_snapshot_times_out_and_is_there() {
    let mut lab = Lab::with_fault("phase: snapshot", "snapshotTimesOutButExists", "");
    let task = lab.snapshot();
    assert_eq!((task.state, error(&task)), (TaskState::Failed, Some(Code::TimedOut)));
    let found = lab.world.snapshots().find(|s| s.key == task.key).expect("found by its key");
    assert!(found.restorable(lab.now));
    assert_eq!(lab.restore(&task).state, TaskState::Succeeded);
}

#[test]
fn a_failed_restore_leaves_the_old_disk() {
    let mut lab = Lab::with_fault("phase: restore", "restoreFails", ", times: 1");
    let snapshot = lab.snapshot();
    lab.update_fully();
    let failed = lab.restore(&snapshot);
    assert_eq!((failed.state, error(&failed)), (TaskState::Failed, Some(Code::Internal)));
    assert_eq!(
        (lab.machine().disk.build, lab.machine().kubelet_up(), lab.machine().counters().restores),
        (AFTER, true, 0)
    );
    assert_eq!(lab.restore(&snapshot).state, TaskState::Succeeded);
    assert_eq!(lab.machine().disk.build, BEFORE);
}

#[test]
fn a_detached_machine_needs_another_restore() {
    let mut lab = Lab::with_fault("phase: restore", "restoreDetachesRoot", ", times: 1");
    let snapshot = lab.snapshot();
    let failed = lab.restore(&snapshot);
    assert_eq!((failed.state, error(&failed)), (TaskState::Failed, Some(Code::Detached)));
    assert_eq!((lab.machine().state(), lab.machine().disks().len()), (MachineState::Detached, 0));
    let started = lab.power(PowerRequest::On);
    assert_eq!((started.state, error(&started)), (TaskState::Failed, Some(Code::Detached)));
    assert!(!lab.machine().is_up());
    assert_eq!(lab.world.snapshot("win-1", "s", BTreeMap::new()).map_err(|e| e.code), Err(Code::Detached));
    assert_eq!(lab.restore(&snapshot).state, TaskState::Succeeded);
    assert!(lab.machine().kubelet_up() && lab.machine().disks().len() == 1);
}

#[test]
fn a_restore_powers_the_machine_off_first_and_on_at_its_end() {
    let mut lab = Lab::new(SCENARIO);
    let snapshot = lab.snapshot();
    let id = snapshot.snapshot_id.expect("a snapshot");
    lab.world.restore("win-1", &id, "r").expect("it begins");
    assert_eq!((lab.machine().power(), lab.machine().kubelet_up()), (Power::Off, false));
    assert_eq!(lab.world.next_event(), Some(Period::seconds(15).after(lab.now)));
    lab.pass(15);
    assert_eq!(lab.machine().state(), MachineState::Booting);
    lab.pass(35);
    assert!(lab.machine().kubelet_up());
}

#[test]
fn power_goes_off_and_on_and_on_again_is_nothing() {
    let mut lab = Lab::new(SCENARIO);
    assert_eq!(lab.power(PowerRequest::On).state, TaskState::Succeeded);
    assert_eq!(lab.machine().counters().boots, 0);
    lab.power(PowerRequest::Off);
    assert_eq!((lab.machine().power(), lab.machine().state()), (Power::Off, MachineState::Off));
    lab.power(PowerRequest::On);
    lab.power(PowerRequest::Reset);
    let counters = lab.machine().counters();
    assert_eq!((lab.machine().kubelet_up(), counters.boots, counters.power_cuts), (true, 2, 2));
}
