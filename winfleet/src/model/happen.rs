//! What happens to a machine by itself while faults hold: crashes, lost power, other agents, a cloud that repairs.

use super::{Machine, Site, machine::Boot};
use crate::scenario::{Effect, Fault, Phase, Repair};
use jiff::Timestamp;
use windlass_protocol::KbId;

/// What stands in the log of a machine that started without having been shut down.
const UNEXPECTED: &str = "Kernel-Power/41";
/// What stands in the log of a machine that crashed.
const BUG_CHECK: &str = "BugCheck/1001";

/// An update that something else on the machine installs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    pub kb: KbId,
    pub until: Timestamp,
}

/// Something that happens once for each fault.
enum Once {
    Replaced,
    Restarts,
    Installs(KbId),
}

impl Machine {
    /// Lets happen what is due now.
    pub(super) fn happen(&mut self, site: &Site) {
        self.follow_power(site);
        self.happen_once(site);
        self.finish_foreign(site);
        self.crash_if_due(site);
        self.follow_readiness();
        self.repair_if_due(site);
    }

    /// The next moment at which one of these is due.
    pub(super) fn next_happening(&self) -> Option<Timestamp> {
        let foreign = self.foreign.map(|foreign| foreign.until);
        let crash = self.next_crash().map(|(at, _)| at);
        let leak = self.next_exhaustion();
        let repair = self.next_repair().map(|(at, _, _)| at);
        [foreign, crash, leak, repair].into_iter().flatten().min()
    }

    fn follow_power(&mut self, site: &Site) {
        let lost = self.suffers(|effect| *effect == Effect::PowerLost);
        match self.boot {
            Boot::Dark if !lost => self.start(site),
            Boot::Dark | Boot::Off => {}
            _ if lost => {
                self.stop();
                self.boot = Boot::Dark;
            }
            _ => {}
        }
    }

    fn happen_once(&mut self, site: &Site) {
        let up = self.boot == Boot::Up;
        let of = |effect: &Effect| match effect {
            Effect::MachineReplaced => Some(Once::Replaced),
            Effect::RestartsByItself if up => Some(Once::Restarts),
            Effect::OtherAgentInstalls { kb } if up => Some(Once::Installs(*kb)),
            _ => None,
        };
        let new = |fault: &Fault| !self.once.contains(&fault.name);
        let due = self.effects().filter(|(fault, _)| new(fault)).find_map(|(f, e)| Some((f.name.clone(), of(e)?)));
        let Some((name, what)) = due else { return };
        if !matches!(what, Once::Installs(_)) {
            self.down_by.insert(name.clone());
        }
        self.once.insert(name);
        match what {
            Once::Replaced => self.replace(site),
            Once::Restarts => self.go_down(site),
            Once::Installs(kb) => self.begin_foreign(kb, site),
        }
    }

    fn go_down(&mut self, site: &Site) {
        self.counters.restarts_by_itself += 1;
        self.boot = Boot::ShuttingDown { until: site.timings.shutdown.after(self.clock) };
    }

    fn begin_foreign(&mut self, kb: KbId, site: &Site) {
        if !self.disk.installed.contains_key(&kb) && !self.disk.pending.contains(&kb) {
            let until = site.timings.stage.plus(site.timings.install).after(self.clock);
            self.foreign = Some(Foreign { kb, until });
        }
    }

    fn finish_foreign(&mut self, site: &Site) {
        let Some(Foreign { kb, .. }) = self.foreign.take_if(|foreign| foreign.until <= self.clock) else { return };
        self.disk.pending.insert(kb);
        *self.counters.installs_by_others.entry(kb).or_default() += 1;
        self.go_down(site);
    }

    /// When it crashes, and by which fault, if it goes on like this.
    fn next_crash(&self) -> Option<(Timestamp, String)> {
        let up = self.up_since.filter(|_| self.boot == Boot::Up)?;
        self.effects()
            .filter_map(|(fault, effect)| {
                let after = match effect {
                    Effect::CrashesAfter { up } => up,
                    Effect::MemoryLeaks { exhausted_after } => exhausted_after,
                    _ => return None,
                };
                Some((after.after(self.since(fault)?.max(up)), fault.name.clone()))
            })
            .min()
    }

    fn crash_if_due(&mut self, site: &Site) {
        let Some((_, fault)) = self.next_crash().filter(|(at, _)| *at <= self.clock) else { return };
        self.down_by.insert(fault);
        self.counters.crashes += 1;
        self.disk.critical_events.extend([UNEXPECTED.to_owned(), BUG_CHECK.to_owned()]);
        self.stop();
        self.start(site);
    }

    /// The next moment at which a service has used up its handles.
    fn next_exhaustion(&self) -> Option<Timestamp> {
        self.effects().filter_map(|(fault, e)| self.exhausted_at(fault, e)).filter(|at| *at > self.clock).min()
    }

    /// When an effect's service has used up its handles.
    pub(super) fn exhausted_at(&self, fault: &Fault, effect: &Effect) -> Option<Timestamp> {
        let Effect::HandlesLeak { exhausted_after, .. } = effect else { return None };
        Some(exhausted_after.after(self.since(fault)?.max(self.up_since?)))
    }

    fn follow_readiness(&mut self) {
        if self.kubelet_up() {
            self.unready_since = None;
            // One that goes down has a kubelet until it is down.
            if self.boot == Boot::Up {
                self.down_by.clear();
            }
        } else {
            self.unready_since = self.unready_since.or(Some(self.clock));
        }
    }

    /// When the cloud does something about this machine, what, and by which fault.
    fn next_repair(&self) -> Option<(Timestamp, Repair, String)> {
        let since = self.unready_since?;
        let of = |(fault, effect): (&Fault, &Effect)| match effect {
            Effect::UnreadyRepaired { after, by } => Some((after.after(since), *by, fault.name.clone())),
            _ => None,
        };
        self.effects().filter_map(of).min_by_key(|(at, _, _)| *at)
    }

    fn repair_if_due(&mut self, site: &Site) {
        let Some((_, by, fault)) = self.next_repair().filter(|(at, _, _)| *at <= self.clock) else { return };
        *self.uses.entry(fault).or_default() += 1;
        // The cloud looks anew from here.
        self.unready_since = Some(self.clock);
        match by {
            Repair::Replace => self.replace(site),
            Repair::Restart => {
                self.counters.power_cuts += 1;
                self.stop();
                self.start(site);
            }
        }
    }

    /// Begins what waits for a phase, and what follows from it at once.
    pub(super) fn meets(&mut self, phase: Phase, site: &Site) {
        self.begin_with_installed(phase);
        self.happen(site);
    }
}
