//! What software that runs on a machine can see and do there.
//!
//! The agent's host traits are written over this. Each operation is one that Windows has; what takes time is begun
//! and then asked after.

use super::{Catalogue, Hresult, JobKind, JobState, Machine, Site, machine::Boot};
use crate::scenario::Update;
use std::collections::{BTreeMap, BTreeSet};
use windlass_protocol::{Build, KbId, OfferedUpdate, PinnedUpdate, RebootSignals, ServiceState, UpdateState};

/// A running machine, from the inside. Made by [`super::World::guest`].
pub struct Guest<'a> {
    pub(super) machine: &'a mut Machine,
    pub(super) site: &'a Site,
}

impl Guest<'_> {
    /// The machine, as it is seen from outside.
    pub fn machine(&self) -> &Machine {
        self.machine
    }

    /// The build in the registry.
    pub fn build(&self) -> Build {
        self.machine.disk.build
    }

    /// Values of the Windows Update policy in the registry.
    pub fn policy(&self) -> &BTreeMap<String, u32> {
        &self.machine.disk.policy
    }

    /// Writes a value of the policy; none takes it off.
    pub fn set_policy(&mut self, name: &str, value: Option<u32>) {
        match value {
            Some(value) => self.machine.disk.policy.insert(name.to_owned(), value),
            None => self.machine.disk.policy.remove(name),
        };
    }

    /// Signs that Windows wants a reboot.
    pub fn reboot_signals(&self) -> RebootSignals {
        let disk = &self.machine.disk;
        RebootSignals {
            update_agent: !disk.pending.is_empty() || disk.reboot_pending,
            packages_pending: !disk.pending.is_empty(),
            servicing_lingers: disk.servicing_lingers_until.is_some_and(|until| self.machine.clock < until),
        }
    }

    /// Whether servicing works right now: a reboot would break it off.
    pub fn servicing_busy(&self) -> bool {
        self.machine.busy(JobKind::Install) || self.machine.foreign.is_some()
    }

    /// The update catalogue.
    pub fn catalogue(&self) -> &Catalogue {
        &self.site.catalogue
    }

    /// Asks the update service.
    ///
    /// # Errors
    /// The code with which it fails.
    pub fn begin_search(&mut self) -> Result<(), Hresult> {
        self.machine.update_service_fails(None).map_or(Ok(()), Err)
    }

    /// The updates that the source offers to this machine and that are not installed.
    pub fn search(&self) -> Vec<OfferedUpdate> {
        self.applicable().filter(|update| self.machine.wants(update)).map(|update| update.offer(self.build())).collect()
    }

    /// Published updates for this Windows version that no other published one replaces.
    fn applicable(&self) -> impl Iterator<Item = &Update> {
        let fits = |update: &&Update| update.target_for(self.build()).is_some() && !self.machine.withdrawn(update.kb);
        let superseded: BTreeSet<KbId> =
            self.site.catalogue.published().filter(fits).flat_map(|update| update.supersedes.iter().copied()).collect();
        self.site.catalogue.published().filter(fits).filter(move |update| !superseded.contains(&update.kb))
    }

    /// How far one update came on this machine.
    pub fn update_state(&self, pinned: &PinnedUpdate) -> UpdateState {
        let disk = &self.machine.disk;
        if disk.installed.contains_key(&pinned.kb) {
            return UpdateState::Installed;
        }
        if disk.pending.contains(&pinned.kb) {
            return UpdateState::PendingReboot;
        }
        let Some(update) = self.site.catalogue.find(pinned) else { return UpdateState::Missing };
        if !self.machine.wants(update) {
            return UpdateState::NotApplicable;
        }
        if disk.failed.contains_key(&pinned.kb) {
            return UpdateState::Failed;
        }
        if disk.staged.contains(&pinned.kb) {
            return UpdateState::Staged;
        }
        if self.applicable().any(|offered| offered.kb == pinned.kb) {
            UpdateState::Offered
        } else {
            UpdateState::Missing
        }
    }

    /// The code of an update's last failed installation.
    pub fn last_failure(&self, kb: KbId) -> Option<Hresult> {
        self.machine.disk.failed.get(&kb).copied()
    }

    /// Begins to download updates.
    ///
    /// # Errors
    /// [`Hresult::OPERATION_IN_PROGRESS`] while another download runs, [`Hresult::SHUTDOWN_IN_PROGRESS`] once the
    /// machine goes down, [`Hresult::NO_UPDATE`] for an empty list.
    pub fn begin_download(&mut self, updates: &[PinnedUpdate]) -> Result<u64, Hresult> {
        self.check_ready(updates)?;
        if self.machine.busy(JobKind::Download) {
            return Err(Hresult::OPERATION_IN_PROGRESS);
        }
        Ok(self.machine.begin_job(JobKind::Download, updates, self.site))
    }

    /// Drops what was downloaded of an update.
    pub fn discard_download(&mut self, kb: KbId) {
        self.machine.disk.staged.remove(&kb);
    }

    /// Begins to install updates that are downloaded.
    ///
    /// # Errors
    /// [`Hresult::INSTALL_NOT_ALLOWED`] while another installation runs or a reboot is pending,
    /// [`Hresult::NOT_DOWNLOADED`] for an update that is not, [`Hresult::SHUTDOWN_IN_PROGRESS`] once the machine goes
    /// down, [`Hresult::NO_UPDATE`] for an empty list.
    pub fn begin_install(&mut self, updates: &[PinnedUpdate]) -> Result<u64, Hresult> {
        self.check_ready(updates)?;
        if self.servicing_busy() || self.reboot_signals().due() {
            return Err(Hresult::INSTALL_NOT_ALLOWED);
        }
        if updates.iter().any(|update| !self.machine.disk.staged.contains(&update.kb)) {
            return Err(Hresult::NOT_DOWNLOADED);
        }
        Ok(self.machine.begin_job(JobKind::Install, updates, self.site))
    }

    fn check_ready(&self, updates: &[PinnedUpdate]) -> Result<(), Hresult> {
        match self.machine.boot {
            Boot::Up if updates.is_empty() => Err(Hresult::NO_UPDATE),
            Boot::Up => Ok(()),
            _ => Err(Hresult::SHUTDOWN_IN_PROGRESS),
        }
    }

    /// Asks after a job.
    ///
    /// # Errors
    /// [`Hresult::NOT_FOUND`] for a job that is not of this boot.
    pub fn job(&self, id: u64) -> Result<JobState, Hresult> {
        self.machine.jobs.get(&id).map(|job| job.state.clone()).ok_or(Hresult::NOT_FOUND)
    }

    /// Services by name, as they are now.
    pub fn services(&self) -> BTreeMap<String, ServiceState> {
        let names = self.machine.disk.services.keys();
        names.map(|name| (name.clone(), self.machine.service(name))).collect()
    }

    /// Names of the host networks (HNS).
    pub fn networks(&self) -> Vec<String> {
        self.machine.networks()
    }

    /// Names of the disks that can be used.
    pub fn disks(&self) -> Vec<String> {
        self.machine.usable_disks()
    }

    /// Names of the network adapters' drivers.
    pub fn drivers(&self) -> Vec<String> {
        self.machine.drivers()
    }

    /// Kinds of critical events in the log (`source/id`).
    pub fn critical_events(&self) -> Vec<String> {
        self.machine.critical_events()
    }

    /// Free bytes on the system disk.
    pub fn free_bytes(&self) -> u64 {
        self.machine.free_bytes()
    }

    /// A file of the agent's state folder.
    pub fn read_file(&self, name: &str) -> Option<&[u8]> {
        self.machine.disk.files.get(name).map(AsRef::as_ref)
    }

    /// Names of the files in the agent's state folder.
    pub fn file_names(&self) -> impl Iterator<Item = &str> {
        self.machine.disk.files.keys().map(String::as_str)
    }

    /// Writes or replaces a file of the agent's state folder, all of it or nothing.
    ///
    /// # Errors
    /// [`Hresult::DISK_FULL`] when it does not fit.
    pub fn write_file(&mut self, name: &str, content: &[u8]) -> Result<(), Hresult> {
        let bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
        if self.free_bytes() < bytes {
            return Err(Hresult::DISK_FULL);
        }
        self.machine.writes += 1;
        self.machine.disk.files.insert(name.to_owned(), content.into());
        Ok(())
    }

    /// Removes a file of the agent's state folder; says whether it was there.
    pub fn remove_file(&mut self, name: &str) -> bool {
        self.machine.writes += 1;
        self.machine.disk.files.remove(name).is_some()
    }

    /// The registered one-shot startup task.
    pub fn task(&self) -> Option<&str> {
        self.machine.disk.task.as_deref()
    }

    /// Registers the one-shot startup task, in place of one that was there.
    pub fn register_task(&mut self, task: String) {
        self.machine.disk.task = Some(task);
    }

    /// Takes the one-shot startup task off; says whether it was there.
    pub fn remove_task(&mut self) -> bool {
        self.machine.startup_task_due = false;
        self.machine.disk.task.take().is_some()
    }

    /// Asks for the registered task to be started now. One that runs goes on; without one nothing happens.
    pub fn start_task(&mut self) {
        if self.machine.disk.task.is_some() && !self.machine.startup_task_runs {
            self.machine.startup_task_due = true;
        }
    }

    /// Whether the task's process runs, or is just being started.
    pub fn task_runs(&self) -> bool {
        self.machine.startup_task_runs || self.machine.startup_task_due
    }

    /// Starts the task that is due: gives it, once for each boot and each request.
    pub fn take_startup_task(&mut self) -> Option<String> {
        let due = std::mem::take(&mut self.machine.startup_task_due);
        let task = self.machine.disk.task.clone().filter(|_| due);
        self.machine.startup_task_runs |= task.is_some();
        task
    }

    /// Says that the task's process ended by itself.
    pub fn end_task(&mut self) {
        self.machine.startup_task_runs = false;
    }

    /// Asks Windows to restart. Software goes on for the time a shutdown takes; asking again changes nothing.
    pub fn request_reboot(&mut self) {
        if self.machine.boot == Boot::Up {
            self.machine.counters.reboots_requested += 1;
            self.machine.boot = Boot::ShuttingDown { until: self.site.timings.shutdown.after(self.machine.clock) };
        }
    }
}
