//! The agent's traits over the inside of a simulated machine.

use crate::model::{Guest, Hresult, JobState};
use jiff::Timestamp;
use std::collections::BTreeSet;
use windlass_agent::HostError;
use windlass_agent::host::{
    Files, FoundUpdate, HistoryEntry, HostResult, ItemResult, Job, Power, Presence, Registry, StoreHealth, TaskState,
    Tasks, UpdatePolicy, Updates,
};
use windlass_protocol::{Build, KbId, OfferedUpdate, PinnedUpdate, RebootSignals, Source};

/// What the agent registers as the task's action.
const TASK_ACTION: &str = "windlass-agent.exe task";

/// `ERROR_NOT_SUPPORTED`: what the model does not have.
const NOT_THERE: u32 = 0x8007_0032;

/// The value of the policy that turns automatic updates off.
const NO_AUTO_UPDATE: &str = "NoAutoUpdate";

/// The value of the policy that says what automatic updates do.
const AU_OPTIONS: &str = "AUOptions";

/// The job that a process began. It is the process's own: another process does not see its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    Search,
    Download(u64),
    Install(u64),
}

/// A simulated machine as one process of the agent has it.
pub(super) struct SimulatedHost<'a> {
    pub guest: Guest<'a>,
    pub job: &'a mut Option<Begun>,
}

fn failed(what: &str) -> impl FnOnce(Hresult) -> HostError {
    move |code| HostError::new(code.0, what)
}

impl SimulatedHost<'_> {
    /// What is offered, and what is installed or waits for a reboot.
    fn found(&self) -> Vec<FoundUpdate> {
        let disk = &self.guest.machine().disk;
        let offered = self.guest.search();
        let seen: BTreeSet<KbId> = offered.iter().map(|offer| offer.kb).collect();
        let had = disk.installed.keys().chain(&disk.pending).filter(|kb| !seen.contains(kb));
        let had = had.filter_map(|kb| self.guest.catalogue().get(*kb)).map(|update| update.offer(self.guest.build()));
        had.chain(offered.iter().cloned()).map(|offer| self.as_found(offer)).collect()
    }

    fn as_found(&self, offer: OfferedUpdate) -> FoundUpdate {
        let disk = &self.guest.machine().disk;
        let presence = if disk.installed.contains_key(&offer.kb) {
            Presence::Installed
        } else if disk.pending.contains(&offer.kb) {
            Presence::PendingReboot
        } else if disk.staged.contains(&offer.kb) {
            Presence::Downloaded
        } else {
            Presence::Offered
        };
        // The scenario's catalogue knows no update that must go alone.
        FoundUpdate { offer, presence, exclusive: false, deadline: None }
    }

    /// The results of a job of the machine; none while it runs.
    fn results(&mut self, id: u64) -> HostResult<Option<Vec<ItemResult>>> {
        let JobState::Finished(results) = self.guest.job(id).map_err(failed("job"))? else { return Ok(None) };
        let item = |(update, code): (PinnedUpdate, Hresult)| ItemResult {
            update_id: update.update_id,
            revision: update.revision,
            hresult: code.0,
            reboot_required: code == Hresult::REBOOT_REQUIRED,
        };
        Ok(Some(results.into_iter().map(item).collect()))
    }
}

impl Updates for SimulatedHost<'_> {
    fn begin_search(&mut self, source: &Source, _pinned: &[PinnedUpdate]) -> HostResult<()> {
        if *source != Source::WindowsUpdate {
            return Err(HostError::new(NOT_THERE, format!("search: this machine has no source {source:?}")));
        }
        self.guest.begin_search().map_err(failed("search"))?;
        *self.job = Some(Begun::Search);
        Ok(())
    }

    fn begin_download(&mut self, updates: &[PinnedUpdate]) -> HostResult<()> {
        *self.job = Some(Begun::Download(self.guest.begin_download(updates).map_err(failed("download"))?));
        Ok(())
    }

    fn begin_install(&mut self, updates: &[PinnedUpdate]) -> HostResult<()> {
        *self.job = Some(Begun::Install(self.guest.begin_install(updates).map_err(failed("install"))?));
        Ok(())
    }

    fn poll_job(&mut self) -> HostResult<Job> {
        let Some(begun) = self.job.take() else { return Ok(Job::Idle) };
        let ended = match begun {
            Begun::Search => Some(Job::Searched(self.found())),
            Begun::Download(id) => self.results(id)?.map(Job::Downloaded),
            Begun::Install(id) => self.results(id)?.map(Job::Installed),
        };
        if ended.is_none() {
            *self.job = Some(begun);
        }
        Ok(ended.unwrap_or(Job::Running))
    }

    fn servicing_busy(&self) -> HostResult<bool> {
        Ok(self.guest.servicing_busy())
    }

    fn discard_downloads(&mut self, updates: &[PinnedUpdate]) -> HostResult<()> {
        for update in updates {
            self.guest.discard_download(update.kb);
        }
        Ok(())
    }

    fn update_history(&self, _count: u32) -> HostResult<Vec<HistoryEntry>> {
        Err(HostError::new(NOT_THERE, "history: a simulated machine keeps none"))
    }

    fn component_store(&self) -> HostResult<StoreHealth> {
        Ok(StoreHealth::Healthy)
    }
}

impl Files for SimulatedHost<'_> {
    fn read(&self, name: &str) -> HostResult<Option<Vec<u8>>> {
        Ok(self.guest.read_file(name).map(<[u8]>::to_vec))
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> HostResult<()> {
        self.guest.write_file(name, bytes).map_err(failed(name))
    }

    fn remove(&mut self, name: &str) -> HostResult<()> {
        self.guest.remove_file(name);
        Ok(())
    }
}

impl Tasks for SimulatedHost<'_> {
    fn task(&self) -> HostResult<TaskState> {
        Ok(match (self.guest.task_runs(), self.guest.task()) {
            (true, _) => TaskState::Running,
            (false, Some(_)) => TaskState::Ready,
            (false, None) => TaskState::Absent,
        })
    }

    fn register_task(&mut self) -> HostResult<()> {
        self.guest.register_task(TASK_ACTION.into());
        Ok(())
    }

    fn start_task(&mut self) -> HostResult<()> {
        self.guest.start_task();
        Ok(())
    }

    fn remove_task(&mut self) -> HostResult<()> {
        self.guest.remove_task();
        Ok(())
    }
}

impl Registry for SimulatedHost<'_> {
    fn build(&self) -> HostResult<Build> {
        Ok(self.guest.build())
    }

    fn reboot_signals(&self) -> HostResult<RebootSignals> {
        Ok(self.guest.reboot_signals())
    }

    fn update_policy(&self) -> HostResult<UpdatePolicy> {
        let value = |name: &str| self.guest.policy().get(name).copied();
        let (no_auto_update, au_options) = (value(NO_AUTO_UPDATE), value(AU_OPTIONS));
        Ok(UpdatePolicy { no_auto_update, au_options, ..UpdatePolicy::default() })
    }

    fn set_no_auto_update(&mut self, value: Option<u32>) -> HostResult<()> {
        self.guest.set_policy(NO_AUTO_UPDATE, value);
        Ok(())
    }
}

impl Power for SimulatedHost<'_> {
    fn boot_id(&self) -> HostResult<String> {
        Ok(self.guest.machine().boot_id().to_string())
    }

    fn reboot(&mut self, _reason: &str) -> HostResult<()> {
        self.guest.request_reboot();
        Ok(())
    }

    fn boot_time(&self) -> HostResult<Timestamp> {
        self.guest.machine().up_since().ok_or_else(|| HostError::new(NOT_THERE, "boot: the machine is down"))
    }

    fn on_battery(&self) -> HostResult<bool> {
        Ok(false)
    }
}
