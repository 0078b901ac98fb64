//! What the hypervisor does: it takes snapshots, restores them, and changes the power, each as a task.

use super::{
    Code, Machine, MachineState, PowerRequest, Refusal, Snapshot, SnapshotState, Task, TaskKind, TaskState, World,
    machine::Boot,
};
use crate::scenario::{Effect, HypervisorEffect, Period, Phase};
use jiff::Timestamp;
use std::collections::BTreeMap;

fn refusal(code: Code, message: impl Into<String>) -> Refusal {
    Refusal { code, message: message.into() }
}

impl World {
    /// Asks for a snapshot of a machine's system disk as it is now. The same key again gives the same task.
    ///
    /// # Errors
    /// [`Code::NotFound`], [`Code::Busy`] while another task runs on the machine, [`Code::Quota`], [`Code::Detached`],
    /// [`Code::Conflict`] for a key that another task has.
    pub fn snapshot(&mut self, machine: &str, key: &str, tags: BTreeMap<String, String>) -> Result<Task, Refusal> {
        if let Some(task) = self.earlier(machine, key, TaskKind::Snapshot)? {
            return Ok(task);
        }
        let allowed = self.hypervisor.snapshots_per_machine;
        let there =
            self.snapshots.values().filter(|s| s.machine == machine && s.state != SnapshotState::Failed).count();
        let subject = self.idle_machine(machine)?;
        if !subject.root_attached {
            return Err(refusal(Code::Detached, format!("{machine} has no system disk")));
        }
        if allowed.is_some_and(|allowed| there >= allowed) {
            return Err(refusal(Code::Quota, format!("{machine} has {there} snapshots and may have no more")));
        }
        subject.counters.snapshots += 1;
        subject.begin_with_installed(Phase::Snapshot);
        let slower =
            subject.strikes(None, |effect| if let Effect::SnapshotSlow { by } = effect { Some(*by) } else { None });
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
        let takes = self.hypervisor.snapshot_takes.plus(slower.unwrap_or_default()).plus(self.slower());
        Ok(self.enqueue(TaskKind::Snapshot, machine, key, takes, Some(id), None))
    }

    /// Asks to put a snapshot in the place of a machine's system disk: power off now, swap, power on at the end. The
    /// same key again gives the same task.
    ///
    /// # Errors
    /// [`Code::NotFound`], [`Code::Busy`], [`Code::Conflict`] for a snapshot that is not restorable or not of this very
    /// machine, or a key that another task has.
    pub fn restore(&mut self, machine: &str, snapshot_id: &str, key: &str) -> Result<Task, Refusal> {
        if let Some(task) = self.earlier(machine, key, TaskKind::Restore)? {
            return Ok(task);
        }
        let now = self.clock;
        let missing = || refusal(Code::NotFound, format!("there is no snapshot {snapshot_id}"));
        let snapshot = self.snapshots.get(snapshot_id).ok_or_else(missing)?;
        let (of, generation, restorable) = (snapshot.machine.clone(), snapshot.generation, snapshot.restorable(now));
        let subject = self.idle_machine(machine)?;
        if of != machine || generation != subject.generation {
            return Err(refusal(Code::Conflict, format!("snapshot {snapshot_id} is not of this machine's disk")));
        }
        if !restorable {
            return Err(refusal(Code::Conflict, format!("snapshot {snapshot_id} is not restorable now")));
        }
        if subject.boot == Boot::Dark {
            return Err(refusal(Code::Unavailable, format!("the host of {machine} has no power")));
        }
        subject.begin_with_installed(Phase::Restore);
        subject.stop();
        let takes = self.hypervisor.restore_takes.plus(self.slower());
        Ok(self.enqueue(TaskKind::Restore, machine, key, takes, Some(snapshot_id.to_owned()), None))
    }

    /// Asks for a change of a machine's power. The same key again gives the same task.
    ///
    /// # Errors
    /// [`Code::NotFound`], [`Code::Busy`], [`Code::Conflict`] for a key that another task has.
    pub fn power(&mut self, machine: &str, want: PowerRequest, key: &str) -> Result<Task, Refusal> {
        if let Some(task) = self.earlier(machine, key, TaskKind::Power)? {
            return Ok(task);
        }
        self.idle_machine(machine)?;
        let takes = self.hypervisor.power_takes.plus(self.slower());
        Ok(self.enqueue(TaskKind::Power, machine, key, takes, None, Some(want)))
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

    /// Ends the lifetime of a snapshot: it can not be restored any more. `false`: there is no such snapshot.
    pub fn expire_snapshot(&mut self, id: &str) -> bool {
        let now = self.clock;
        self.snapshots.get_mut(id).map(|snapshot| snapshot.restorable_until = Some(now)).is_some()
    }

    /// Deletes a snapshot.
    ///
    /// # Errors
    /// [`Code::NotFound`], [`Code::Busy`] while a task makes or uses it.
    pub fn delete_snapshot(&mut self, id: &str) -> Result<(), Refusal> {
        if let Some(task) = self.open_tasks().find(|task| task.snapshot_id.as_deref() == Some(id)) {
            return Err(refusal(Code::Busy, format!("snapshot {id} is in use by task {}", task.id)));
        }
        self.snapshots.remove(id).map(drop).ok_or_else(|| refusal(Code::NotFound, format!("there is no snapshot {id}")))
    }

    fn earlier(&self, machine: &str, key: &str, kind: TaskKind) -> Result<Option<Task>, Refusal> {
        match self.keys.get(key).and_then(|id| self.tasks.get(id)) {
            Some(task) if task.kind == kind && task.machine == machine => Ok(Some(task.clone())),
            Some(task) => {
                Err(refusal(Code::Conflict, format!("key {key} is that of task {} for {}", task.id, task.machine)))
            }
            None => Ok(None),
        }
    }

    /// The machine, advanced to now, if no task is under way on it.
    fn idle_machine(&mut self, name: &str) -> Result<&mut Machine, Refusal> {
        if let Some(task) = self.open_tasks().find(|task| task.machine == name) {
            return Err(refusal(Code::Busy, format!("{name} has task {} ({:?}) under way", task.id, task.kind)));
        }
        let missing = || refusal(Code::NotFound, format!("there is no machine {name}"));
        let machine = self.machines.get_mut(name).ok_or_else(missing)?;
        machine.advance(self.clock, &self.site);
        Ok(machine)
    }

    fn open_tasks(&self) -> impl Iterator<Item = &Task> {
        self.open.iter().filter_map(|(_, id)| self.tasks.get(id))
    }

    /// How much longer tasks take that begin now.
    fn slower(&self) -> Period {
        let by = |effect: HypervisorEffect| if let HypervisorEffect::Slow { by } = effect { Some(by) } else { None };
        self.hypervisor_troubles(self.clock).filter_map(by).fold(Period::ZERO, Period::plus)
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
        self.open.insert((task.ends, task.id.clone()));
        self.keys.insert(task.key.clone(), task.id.clone());
        self.tasks.insert(task.id.clone(), task.clone());
        task
    }

    /// Ends the tasks whose time has come, in the order of their ends.
    pub(super) fn finish_tasks(&mut self, now: Timestamp) {
        while self.open.first().is_some_and(|(at, _)| *at <= now) {
            let Some((at, id)) = self.open.pop_first() else { return };
            self.clock = self.clock.max(at);
            self.finish_task(&id);
        }
    }

    /// Ends a task: what it does happens now.
    fn finish_task(&mut self, id: &str) {
        let Some(task) = self.tasks.get(id).cloned() else { return };
        self.touched.push(task.machine.clone());
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

    fn finish_snapshot(&mut self, task: &Task) -> Result<(), Refusal> {
        let lag = self.hypervisor.restorable_after;
        let (Some(machine), Some(snapshot)) =
            (self.machines.get_mut(&task.machine), task.snapshot_id.as_ref().and_then(|id| self.snapshots.get_mut(id)))
        else {
            return Err(refusal(Code::NotFound, "the machine or the snapshot is gone"));
        };
        if machine.struck_by(None, &Effect::SnapshotFails) {
            snapshot.state = SnapshotState::Failed;
            return Err(refusal(Code::Internal, format!("the snapshot of {} failed", task.machine)));
        }
        snapshot.state = SnapshotState::Ready;
        snapshot.restorable_from = Some(lag.after(task.ends));
        if machine.struck_by(None, &Effect::SnapshotTimesOutButExists) {
            return Err(refusal(Code::TimedOut, format!("the snapshot of {} did not end in time", task.machine)));
        }
        Ok(())
    }

    fn finish_restore(&mut self, task: &Task) -> Result<(), Refusal> {
        let (Some(machine), Some(snapshot)) =
            (self.machines.get_mut(&task.machine), task.snapshot_id.as_ref().and_then(|id| self.snapshots.get(id)))
        else {
            return Err(refusal(Code::NotFound, "the machine or the snapshot is gone"));
        };
        if machine.struck_by(None, &Effect::RestoreDetachesRoot) {
            machine.root_attached = false;
            return Err(refusal(Code::Detached, format!("{} was left without a system disk", task.machine)));
        }
        if machine.struck_by(None, &Effect::RestoreFails) {
            machine.start(&self.site);
            return Err(refusal(
                Code::Internal,
                format!("the restore of {} failed, its disk is as before", task.machine),
            ));
        }
        machine.disk = snapshot.disk.clone();
        machine.root_attached = true;
        machine.counters.restores += 1;
        machine.heal_by_restore();
        machine.begin_with_installed(Phase::Restored);
        machine.start(&self.site);
        Ok(())
    }

    fn finish_power(&mut self, task: &Task) -> Result<(), Refusal> {
        let Some(machine) = self.machines.get_mut(&task.machine) else {
            return Err(refusal(Code::NotFound, "the machine is gone"));
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
            _ if machine.boot == Boot::Dark && want != PowerRequest::Off => {
                Err(refusal(Code::Unavailable, format!("the host of {} has no power", task.machine)))
            }
            MachineState::Detached if want != PowerRequest::Off => {
                Err(refusal(Code::Detached, format!("{} has no system disk to start from", task.machine)))
            }
            _ => Ok(()),
        }
    }
}
