//! The hypervisor's books: snapshots, and the asynchronous tasks that make and use them.

use super::{Disk, Machine, MachineState, World, machine::Boot};
use crate::scenario::{Effect, Period, Phase};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaskKind {
    /// Takes a snapshot.
    Snapshot,
    /// Puts a snapshot in the place of the disk.
    Restore,
    /// Changes the power.
    Power,
}

/// How a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaskState {
    /// Not begun.
    Queued,
    /// Begun.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly; `error` says why.
    Failed,
}

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Code {
    /// The hypervisor failed.
    Internal,
    /// The machine has another task under way.
    Busy,
    /// There is no such machine, snapshot or task.
    NotFound,
    /// The machine has no system disk any more.
    Detached,
    /// There may be no more snapshots.
    Quota,
    /// The task ran out of time; what it began may exist.
    TimedOut,
    /// The request is not one the hypervisor takes.
    Invalid,
    /// Too many requests.
    Throttled,
    /// The hypervisor does not answer now.
    Unavailable,
}

/// Why a task or a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct Fault {
    /// What kind of thing went wrong.
    pub code: Code,
    /// One sentence.
    pub message: String,
}

/// A change of power that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PowerRequest {
    /// Power on; a machine that has power is left alone.
    On,
    /// Power off at once.
    Off,
    /// Power off and on.
    Reset,
}

/// One asynchronous task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Its id.
    pub id: String,
    /// The caller's key: the same key again is the same task.
    pub key: String,
    /// What it does.
    pub kind: TaskKind,
    /// The machine it is for.
    pub machine: String,
    /// How it stands.
    pub state: TaskState,
    /// The snapshot it makes or uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Fault>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// What is asked of the power, for a task of that kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub want: Option<PowerRequest>,
    /// When it will end.
    ends: Timestamp,
}

/// How a snapshot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SnapshotState {
    /// Being made.
    Creating,
    /// Captured.
    Ready,
    /// Not made.
    Failed,
}

/// One snapshot of a system disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Its id.
    pub id: String,
    /// The machine it is of.
    pub machine: String,
    /// The caller's key.
    pub key: String,
    /// How it stands.
    pub state: SnapshotState,
    /// When it was asked for: the moment that it captures.
    pub created_at: Timestamp,
    /// From when a machine can be restored from it; none before it is captured.
    pub restorable_from: Option<Timestamp>,
    /// Until when a machine can be restored from it; none is for ever.
    pub restorable_until: Option<Timestamp>,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The caller's tags.
    pub tags: BTreeMap<String, String>,
    /// The machine's generation then: a replacement's disk is not of this lineage.
    generation: u32,
    disk: Disk,
}

impl Snapshot {
    /// Whether a machine can be restored from it at `now`.
    pub fn restorable(&self, now: Timestamp) -> bool {
        self.state == SnapshotState::Ready
            && self.restorable_from.is_some_and(|from| from <= now)
            && self.restorable_until.is_none_or(|until| now < until)
    }

    /// The next moment at which it begins or ceases to be restorable.
    pub(super) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        [self.restorable_from, self.restorable_until].into_iter().flatten().filter(|at| *at > now).min()
    }
}

fn fault(code: Code, message: impl Into<String>) -> Fault {
    Fault { code, message: message.into() }
}

impl World {
    /// Asks for a snapshot of a machine's system disk as it is now. The same key again gives the same task.
    ///
    /// # Errors
    /// [`Code::NotFound`], [`Code::Busy`] while another task runs on the machine, [`Code::Quota`], [`Code::Detached`],
    /// [`Code::Invalid`] for a key that another task has.
    pub fn snapshot(&mut self, machine: &str, key: &str, tags: BTreeMap<String, String>) -> Result<Task, Fault> {
        if let Some(task) = self.earlier(machine, key, TaskKind::Snapshot)? {
            return Ok(task);
        }
        let allowed = self.hypervisor.snapshots_per_machine;
        let there =
            self.snapshots.values().filter(|s| s.machine == machine && s.state != SnapshotState::Failed).count();
        let subject = self.idle_machine(machine)?;
        if !subject.root_attached {
            return Err(fault(Code::Detached, format!("{machine} has no system disk")));
        }
        if allowed.is_some_and(|allowed| there >= allowed) {
            return Err(fault(Code::Quota, format!("{machine} has {there} snapshots and may have no more")));
        }
        subject.counters.snapshots += 1;
        subject.begin(Phase::Snapshot, &[]);
        let slower = subject.slowed(|effect| if let Effect::SnapshotSlow { by } = effect { Some(*by) } else { None });
        let (disk, generation) = (subject.disk.clone(), subject.generation);
        let id = self.next_id("snap");
        let snapshot = Snapshot {
            id: id.clone(),
            machine: machine.to_owned(),
            key: key.to_owned(),
            state: SnapshotState::Creating,
            created_at: self.clock,
            restorable_from: None,
            restorable_until: self.hypervisor.snapshots_expire.map(|life| life.after(self.clock)),
            size_bytes: disk.total_bytes - disk.free_bytes,
            tags,
            generation,
            disk,
        };
        self.snapshots.insert(id.clone(), snapshot);
        let takes = self.hypervisor.snapshot_takes.plus(slower);
        Ok(self.enqueue(TaskKind::Snapshot, machine, key, takes, Some(id), None))
    }

    /// Asks to put a snapshot in the place of a machine's system disk: power off now, swap, power on at the end. The
    /// same key again gives the same task.
    ///
    /// # Errors
    /// [`Code::NotFound`], [`Code::Busy`], [`Code::Invalid`] for a snapshot that is not restorable or not of this very
    /// machine, or a key that another task has.
    pub fn restore(&mut self, machine: &str, snapshot_id: &str, key: &str) -> Result<Task, Fault> {
        if let Some(task) = self.earlier(machine, key, TaskKind::Restore)? {
            return Ok(task);
        }
        let now = self.clock;
        let missing = || fault(Code::NotFound, format!("there is no snapshot {snapshot_id}"));
        let snapshot = self.snapshots.get(snapshot_id).ok_or_else(missing)?;
        let (of, generation, restorable) = (snapshot.machine.clone(), snapshot.generation, snapshot.restorable(now));
        let subject = self.idle_machine(machine)?;
        if of != machine || generation != subject.generation {
            return Err(fault(Code::Invalid, format!("snapshot {snapshot_id} is not of this machine's disk")));
        }
        if !restorable {
            return Err(fault(Code::Invalid, format!("snapshot {snapshot_id} is not restorable now")));
        }
        subject.begin(Phase::Restore, &[]);
        subject.stop();
        let takes = self.hypervisor.restore_takes;
        Ok(self.enqueue(TaskKind::Restore, machine, key, takes, Some(snapshot_id.to_owned()), None))
    }

    /// Asks for a change of a machine's power. The same key again gives the same task.
    ///
    /// # Errors
    /// [`Code::NotFound`], [`Code::Busy`], [`Code::Invalid`] for a key that another task has.
    pub fn power(&mut self, machine: &str, want: PowerRequest, key: &str) -> Result<Task, Fault> {
        if let Some(task) = self.earlier(machine, key, TaskKind::Power)? {
            return Ok(task);
        }
        self.idle_machine(machine)?;
        Ok(self.enqueue(TaskKind::Power, machine, key, self.hypervisor.power_takes, None, Some(want)))
    }

    /// The task of this id.
    pub fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.get(id)
    }

    /// All tasks, in the order they were asked for.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values()
    }

    /// The snapshot of this id.
    pub fn find_snapshot(&self, id: &str) -> Option<&Snapshot> {
        self.snapshots.get(id)
    }

    /// All snapshots, in the order they were asked for.
    pub fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        self.snapshots.values()
    }

    /// Deletes a snapshot.
    ///
    /// # Errors
    /// [`Code::NotFound`], [`Code::Busy`] while a task makes or uses it.
    pub fn delete_snapshot(&mut self, id: &str) -> Result<(), Fault> {
        let in_use = |task: &&Task| task.finished_at.is_none() && task.snapshot_id.as_deref() == Some(id);
        if let Some(task) = self.tasks.values().find(in_use) {
            return Err(fault(Code::Busy, format!("snapshot {id} is in use by task {}", task.id)));
        }
        self.snapshots.remove(id).map(drop).ok_or_else(|| fault(Code::NotFound, format!("there is no snapshot {id}")))
    }

    fn earlier(&self, machine: &str, key: &str, kind: TaskKind) -> Result<Option<Task>, Fault> {
        match self.tasks.values().find(|task| task.key == key) {
            Some(task) if task.kind == kind && task.machine == machine => Ok(Some(task.clone())),
            Some(task) => {
                Err(fault(Code::Invalid, format!("key {key} is that of task {} for {}", task.id, task.machine)))
            }
            None => Ok(None),
        }
    }

    /// The machine, advanced to now, if no task is under way on it.
    fn idle_machine(&mut self, name: &str) -> Result<&mut Machine, Fault> {
        let busy = self.tasks.values().find(|task| task.machine == name && task.finished_at.is_none());
        if let Some(task) = busy {
            return Err(fault(Code::Busy, format!("{name} has task {} ({:?}) under way", task.id, task.kind)));
        }
        let missing = || fault(Code::NotFound, format!("there is no machine {name}"));
        let machine = self.machines.get_mut(name).ok_or_else(missing)?;
        machine.advance(self.clock, &self.site);
        Ok(machine)
    }

    fn next_id(&mut self, what: &str) -> String {
        self.serial += 1;
        // Fixed width, so that the order of ids is the order of requests.
        format!("{what}-{:08}", self.serial - 1)
    }

    fn enqueue(
        &mut self,
        kind: TaskKind,
        machine: &str,
        key: &str,
        takes: Period,
        snapshot_id: Option<String>,
        want: Option<PowerRequest>,
    ) -> Task {
        let task = Task {
            id: self.next_id("task"),
            key: key.to_owned(),
            kind,
            machine: machine.to_owned(),
            state: TaskState::Running,
            snapshot_id,
            error: None,
            created_at: self.clock,
            finished_at: None,
            want,
            ends: takes.after(self.clock),
        };
        self.tasks.insert(task.id.clone(), task.clone());
        task
    }

    /// The task that ends next, and when.
    pub(super) fn next_task(&self) -> Option<(Timestamp, String)> {
        let open = self.tasks.values().filter(|task| task.finished_at.is_none());
        open.map(|task| (task.ends, task.id.clone())).min()
    }

    /// Ends a task: what it does happens now.
    pub(super) fn finish_task(&mut self, id: &str) {
        let Some(task) = self.tasks.get(id).cloned() else { return };
        if let Some(machine) = self.machines.get_mut(&task.machine) {
            machine.advance(task.ends, &self.site);
        }
        let result = match task.kind {
            TaskKind::Snapshot => self.finish_snapshot(&task),
            TaskKind::Restore => self.finish_restore(&task),
            TaskKind::Power => self.finish_power(&task),
        };
        if let Some(task) = self.tasks.get_mut(id) {
            task.state = if result.is_ok() { TaskState::Succeeded } else { TaskState::Failed };
            task.error = result.err();
            task.finished_at = Some(task.ends);
        }
    }

    fn finish_snapshot(&mut self, task: &Task) -> Result<(), Fault> {
        let lag = self.hypervisor.restorable_after;
        let (Some(machine), Some(snapshot)) =
            (self.machines.get(&task.machine), task.snapshot_id.as_ref().and_then(|id| self.snapshots.get_mut(id)))
        else {
            return Err(fault(Code::NotFound, "the machine or the snapshot is gone"));
        };
        if machine.suffers(|effect| *effect == Effect::SnapshotFails) {
            snapshot.state = SnapshotState::Failed;
            return Err(fault(Code::Internal, format!("the snapshot of {} failed", task.machine)));
        }
        snapshot.state = SnapshotState::Ready;
        snapshot.restorable_from = Some(lag.after(task.ends));
        if machine.suffers(|effect| *effect == Effect::SnapshotTimesOutButExists) {
            return Err(fault(Code::TimedOut, format!("the snapshot of {} did not end in time", task.machine)));
        }
        Ok(())
    }

    fn finish_restore(&mut self, task: &Task) -> Result<(), Fault> {
        let (Some(machine), Some(snapshot)) =
            (self.machines.get_mut(&task.machine), task.snapshot_id.as_ref().and_then(|id| self.snapshots.get(id)))
        else {
            return Err(fault(Code::NotFound, "the machine or the snapshot is gone"));
        };
        if machine.suffers(|effect| *effect == Effect::RestoreDetachesRoot) {
            machine.root_attached = false;
            return Err(fault(Code::Detached, format!("{} was left without a system disk", task.machine)));
        }
        if machine.suffers(|effect| *effect == Effect::RestoreFails) {
            machine.start(&self.site);
            return Err(fault(
                Code::Internal,
                format!("the restore of {} failed, its disk is as before", task.machine),
            ));
        }
        machine.disk = snapshot.disk.clone();
        machine.root_attached = true;
        machine.counters.restores += 1;
        machine.heal_by_restore();
        machine.start(&self.site);
        Ok(())
    }

    fn finish_power(&mut self, task: &Task) -> Result<(), Fault> {
        let Some(machine) = self.machines.get_mut(&task.machine) else {
            return Err(fault(Code::NotFound, "the machine is gone"));
        };
        let want = task.want.unwrap_or(PowerRequest::On);
        if want != PowerRequest::On && machine.boot != Boot::Off {
            machine.counters.power_cuts += 1;
            machine.stop();
        }
        if want != PowerRequest::Off && machine.boot == Boot::Off {
            machine.start(&self.site);
        }
        match machine.state() {
            MachineState::Detached if want != PowerRequest::Off => {
                Err(fault(Code::Detached, format!("{} has no system disk to start from", task.machine)))
            }
            _ => Ok(()),
        }
    }
}
