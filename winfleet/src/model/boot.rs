//! How a machine goes down, starts, and moves on in time.

use super::{Certificate, Disk, Installed, Machine, Origin, Password, Site, machine::Boot};
use crate::scenario::{Effect, MachineSpec, Phase, Update};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use windlass_protocol::KbId;

impl Machine {
    /// A machine that has been running for a while, with its faults still ahead.
    pub(super) fn new(spec: MachineSpec, origin: Origin, site: &Site, now: Timestamp) -> Self {
        let disk = Disk::fresh(&spec.group, now, &site.timings);
        let mut machine = Self {
            provider_id: origin.provider_id,
            faults: origin.faults,
            dice: origin.dice,
            start: now,
            attached_volumes: spec.group.attached_volumes.clone(),
            root_attached: true,
            boot: Boot::Up,
            up_since: Some(now),
            kubelet_at: Some(now),
            kubelet_build: disk.build,
            startup_task_due: false,
            startup_task_runs: false,
            jobs: BTreeMap::new(),
            conditions: BTreeMap::new(),
            uses: BTreeMap::new(),
            once: BTreeSet::new(),
            down_by: BTreeSet::new(),
            foreign: None,
            unready_since: None,
            generation: 0,
            writes: 0,
            counters: super::Counters::default(),
            clock: now,
            domain_knows: disk.password,
            disk,
            spec,
        };
        machine.begin_timed(now);
        machine.meets(Phase::Running, site);
        machine
    }

    /// Lets time pass up to `now`.
    pub(super) fn advance(&mut self, now: Timestamp, site: &Site) {
        while let Some(at) = self.next_event().filter(|at| *at <= now) {
            let before = self.clock;
            self.clock = self.clock.max(at);
            self.begin_timed(before);
            self.boot_on(site);
            self.finish_jobs(site);
            self.renew_certificate(site);
            self.change_password(site);
            self.happen(site);
        }
        self.clock = self.clock.max(now);
    }

    /// The next moment at which something changes by itself.
    pub fn next_event(&self) -> Option<Timestamp> {
        let boot = match self.boot {
            Boot::Booting { until } | Boot::ShuttingDown { until } => Some(until),
            Boot::Up | Boot::Off | Boot::Dark | Boot::Hung | Boot::Loop | Boot::Prompt => None,
        };
        let kubelet = self.kubelet_at.filter(|at| *at > self.clock);
        let certificate = self.kubelet_at.map(|_| self.disk.certificate.renew_at()).filter(|at| *at > self.clock);
        let password = self.up_since.map(|_| self.disk.password.due).filter(|at| *at > self.clock);
        let jobs = self.jobs.values().filter_map(super::job::Job::ends_at).min();
        let by_faults =
            if self.faults.is_empty() { None } else { self.next_turn().into_iter().chain(self.next_happening()).min() };
        [boot, kubelet, certificate, password, jobs, by_faults].into_iter().flatten().min()
    }

    fn boot_on(&mut self, site: &Site) {
        match self.boot {
            Boot::ShuttingDown { until } if until <= self.clock => {
                self.stop();
                self.start(site);
            }
            Boot::Booting { until } if until <= self.clock => self.start_services(site),
            _ => {}
        }
    }

    /// Cuts the power: whatever ran is gone.
    pub(super) fn stop(&mut self) {
        self.boot = Boot::Off;
        self.up_since = None;
        self.kubelet_at = None;
        self.startup_task_runs = false;
        self.foreign = None;
        self.jobs.clear();
    }

    /// Starts a machine that is down: installs what waits for the boot, and sees whether it comes up.
    pub(super) fn start(&mut self, site: &Site) {
        if self.suffers(|effect| *effect == Effect::PowerLost) {
            self.boot = Boot::Dark;
            return;
        }
        if !self.root_attached {
            // Power, and nothing to start from.
            self.boot = Boot::Hung;
            return;
        }
        self.heal_by_restart();
        self.disk.boots += 1;
        self.counters.boots += 1;
        let pending: Vec<KbId> = self.disk.pending.iter().copied().collect();
        self.begin(Phase::Reboot, &pending);
        self.apply_pending(&pending, site);
        self.begin_with_installed(Phase::Boot);
        self.boot = self.fate_of_boot(site);
    }

    fn fate_of_boot(&mut self, site: &Site) -> Boot {
        if self.struck_by(None, &Effect::BootLoop) {
            return Boot::Loop;
        }
        if self.struck_by(None, &Effect::RebootNeverReturns) {
            return Boot::Hung;
        }
        if self.struck_by(None, &Effect::RecoveryPrompt) {
            return Boot::Prompt;
        }
        let slower = self.strikes(None, |effect| if let Effect::SlowBoot { by } = effect { Some(*by) } else { None });
        Boot::Booting { until: site.timings.reboot.plus(slower.unwrap_or_default()).after(self.clock) }
    }

    fn apply_pending(&mut self, pending: &[KbId], site: &Site) {
        self.disk.reboot_pending = false;
        self.disk.pending.clear();
        for update in pending.iter().filter_map(|kb| site.catalogue.get(*kb)) {
            self.apply(update);
        }
        if !pending.is_empty() {
            self.disk.servicing_lingers_until = Some(site.timings.servicing_lingers.after(self.clock));
        }
    }

    /// Makes an update effective, unless it needs further rounds.
    pub(super) fn apply(&mut self, update: &Update) {
        let kb = update.kb;
        let rounds_needed = self.says(kb, |e| if let Effect::RoundsNeeded { n } = e { Some(*n) } else { None });
        let rounds = self.disk.rounds.entry(kb).or_default();
        *rounds += 1;
        if *rounds < update.rounds.max(rounds_needed.unwrap_or(1)) {
            return;
        }
        self.disk.rounds.remove(&kb);
        self.disk.staged.remove(&kb);
        let other = self
            .strikes(Some(kb), |e| if let Effect::OtherVersionInstalled { build } = e { Some(*build) } else { None });
        let unchanged = self.struck_by(Some(kb), &Effect::BuildUnchanged);
        if let Some(build) = other {
            self.disk.build = build;
        } else if let Some(target) = update.target_for(self.disk.build).filter(|_| !unchanged) {
            // An older cumulative update does not take a newer build back.
            self.disk.build = self.disk.build.max(target);
        }
        self.disk.installed.insert(kb, Installed { boot: self.disk.boots });
    }

    fn start_services(&mut self, site: &Site) {
        self.boot = Boot::Up;
        self.up_since = Some(self.clock);
        self.kubelet_at = Some(site.timings.kubelet_start.after(self.clock));
        self.begin_with_installed(Phase::Running);
        if !self.suffers(|effect| *effect == Effect::KernelVersionStale) {
            self.kubelet_build = self.disk.build;
        }
        self.startup_task_due = self.disk.task.is_some();
    }

    fn renew_certificate(&mut self, site: &Site) {
        if self.kubelet_up() && self.disk.certificate.renew_at() <= self.clock {
            self.disk.certificate = Certificate::issue(self.clock, site.timings.kubelet_certificate);
        }
    }

    /// A machine that the domain does not know can not tell it another password.
    fn change_password(&mut self, site: &Site) {
        if self.is_up() && self.domain_ok() && self.disk.password.due <= self.clock {
            self.disk.password = Password::set(self.clock, &self.spec.group, &site.timings);
            self.domain_knows = self.disk.password;
        }
    }

    /// Puts a fresh machine in this one's place, as a cloud does with a broken instance.
    pub(super) fn replace(&mut self, site: &Site) {
        self.stop();
        self.generation += 1;
        self.counters.replaced += 1;
        self.root_attached = true;
        self.attached_volumes.clear();
        self.disk = Disk::fresh(&self.spec.group, self.clock, &site.timings);
        self.domain_knows = self.disk.password;
        self.start(site);
    }
}
