//! Downloads and installations: begun, then asked after; a reboot kills them.

use super::{Hresult, Machine, Site};
use crate::scenario::{Effect, Phase, Update};
use jiff::Timestamp;
use windlass_protocol::{KbId, PinnedUpdate};

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Downloads updates.
    Download,
    /// Installs downloaded updates.
    Install,
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It goes on.
    Running,
    /// It ended, with one code for each update in the order asked for.
    Finished(Vec<(PinnedUpdate, Hresult)>),
}

/// One download or installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub kind: JobKind,
    pub updates: Vec<PinnedUpdate>,
    /// When it ends; none when it hangs.
    pub ends: Option<Timestamp>,
    pub state: JobState,
}

impl Job {
    /// When a job that runs will end.
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        self.ends.filter(|_| self.runs())
    }

    /// Whether it goes on.
    pub(super) fn runs(&self) -> bool {
        self.state == JobState::Running
    }
}

impl Machine {
    /// Begins a job and the faults that wait for its phase.
    pub(super) fn begin_job(&mut self, kind: JobKind, updates: &[PinnedUpdate], site: &Site) -> u64 {
        let kbs: Vec<KbId> = updates.iter().map(|update| update.kb).collect();
        let (phase, each) = match kind {
            JobKind::Download => (Phase::Stage, site.timings.stage),
            JobKind::Install => (Phase::Install, site.timings.install),
        };
        let started = match kind {
            JobKind::Download => &mut self.counters.downloads_started,
            JobKind::Install => &mut self.counters.installs_started,
        };
        for kb in &kbs {
            *started.entry(*kb).or_default() += 1;
        }
        self.begin(phase, &kbs);
        let hangs = kind == JobKind::Install && kbs.iter().any(|kb| self.struck_by(Some(*kb), &Effect::InstallHangs));
        let ends = (!hangs).then(|| each.times(kbs.len()).after(self.clock));
        let id = self.jobs.keys().next_back().map_or(1, |last| last + 1);
        self.jobs.insert(id, Job { kind, updates: updates.to_vec(), ends, state: JobState::Running });
        id
    }

    /// Whether a job of this kind goes on.
    pub(super) fn busy(&self, kind: JobKind) -> bool {
        self.jobs.values().any(|job| job.kind == kind && job.runs())
    }

    /// Ends the jobs whose time is up.
    pub(super) fn finish_jobs(&mut self, site: &Site) {
        let due = |job: &Job, now| job.ends_at().is_some_and(|at| at <= now);
        let ended: Vec<_> =
            self.jobs.iter().filter(|(_, job)| due(job, self.clock)).map(|(id, job)| (*id, job.clone())).collect();
        for (id, job) in ended {
            let results = job.updates.into_iter().map(|update| {
                let code = self.finish_one(job.kind, &update, site);
                (update, code)
            });
            let state = JobState::Finished(results.collect());
            if let Some(job) = self.jobs.get_mut(&id) {
                job.state = state;
            }
        }
    }

    fn finish_one(&mut self, kind: JobKind, update: &PinnedUpdate, site: &Site) -> Hresult {
        if let Some(code) = self.update_service_fails(Some(update.kb)) {
            return code;
        }
        match (kind, site.catalogue.find(update)) {
            (_, None) => Hresult::NO_UPDATE,
            (JobKind::Download, Some(update)) => self.finish_download(update),
            (JobKind::Install, Some(update)) => self.finish_install(update),
        }
    }

    /// The code with which the update service answers now, where it does not work; counts it.
    pub(super) fn update_service_fails(&mut self, kb: Option<KbId>) -> Option<Hresult> {
        let fails =
            |e: &Effect| if let Effect::UpdateServiceFails { hresult } = e { Some(Hresult(*hresult)) } else { None };
        self.strikes(kb, fails)
    }

    fn finish_download(&mut self, update: &Update) -> Hresult {
        if !update.published || self.withdrawn(update.kb) {
            return Hresult::NO_UPDATE;
        }
        if self.free_bytes() < update.size_bytes {
            return Hresult::DISK_FULL;
        }
        let fails = |e: &Effect| if let Effect::DownloadFails { hresult } = e { Some(Hresult(*hresult)) } else { None };
        if let Some(code) = self.strikes(Some(update.kb), fails) {
            return code;
        }
        self.disk.staged.insert(update.kb);
        Hresult::OK
    }

    fn finish_install(&mut self, update: &Update) -> Hresult {
        if !self.wants(update) {
            return Hresult::NOT_APPLICABLE;
        }
        let full = self.free_bytes() == 0;
        let fails = |effect: &Effect| match effect {
            Effect::InstallFails { hresult } => Some(Hresult(*hresult)),
            Effect::DiskFull if full => Some(Hresult::DISK_FULL),
            _ => None,
        };
        if let Some(code) = self.strikes(Some(update.kb), fails) {
            self.disk.failed.insert(update.kb, code);
            return code;
        }
        *self.counters.installs_finished.entry(update.kb).or_default() += 1;
        self.disk.failed.remove(&update.kb);
        if update.reboot_required {
            self.disk.pending.insert(update.kb);
            return Hresult::REBOOT_REQUIRED;
        }
        self.apply(update);
        Hresult::OK
    }

    /// Not installed, not waiting for a reboot, and not below what the machine has.
    pub(super) fn wants(&self, update: &Update) -> bool {
        let disk = &self.disk;
        let newer = update.target_builds.is_empty() || update.target_for(disk.build).is_some_and(|to| to > disk.build);
        // What counts as installed is not offered again, even when the build stayed behind.
        newer && !disk.installed.contains_key(&update.kb) && !disk.pending.contains(&update.kb)
    }

    /// Whether the source hides this update from this machine.
    pub(super) fn withdrawn(&self, kb: KbId) -> bool {
        self.says(kb, |effect| (*effect == Effect::UpdateWithdrawn).then_some(())).is_some()
    }
}
