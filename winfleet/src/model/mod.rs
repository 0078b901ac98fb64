//! The pure model of a fleet of Windows machines and of the hypervisor under them.
//!
//! No clock, no I/O, no thread: time is an argument, and chance comes from the scenario's seed, so that the same
//! scenario gives the same world. A [`World`] is advanced by [`World::tick`]; what software on a machine does goes
//! through [`Guest`], what a hypervisor does to it through [`World::snapshot`], [`World::restore`] and
//! [`World::power`]. A [`Disk`] is what a snapshot copies and a restore rewinds; [`Counters`] are what really happened.

mod boot;
mod catalogue;
mod counters;
mod dice;
mod disk;
mod fault;
mod guest;
mod happen;
mod health;
mod hresult;
mod job;
mod machine;
mod provider;
mod task;

pub use catalogue::Catalogue;
pub use counters::Counters;
pub use dice::one_of;
pub use disk::{Certificate, Disk, Installed, Password};
pub use guest::Guest;
pub use hresult::Hresult;
pub use job::{JobKind, JobState};
pub use machine::{Machine, MachineState, Power, Sight};
pub use task::{Code, PowerRequest, Refusal, Snapshot, SnapshotState, Task, TaskKind, TaskState};

use crate::scenario::{
    Effect, Fault, Heals, HypervisorEffect, HypervisorSpec, MachineSpec, Metric, Phase, Scenario, Timings, When, Where,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use windlass_protocol::KbId;

/// All machines, what surrounds them, and the hypervisor's books.
#[derive(Clone, Debug)]
pub struct World {
    site: Site,
    hypervisor: HypervisorSpec,
    machines: BTreeMap<String, Machine>,
    tasks: BTreeMap<String, Task>,
    /// The tasks under way, by their end.
    open: BTreeSet<(Timestamp, String)>,
    /// The task of each key.
    keys: BTreeMap<String, String>,
    snapshots: BTreeMap<String, Snapshot>,
    /// The number of the next task or snapshot.
    serial: u64,
    start: Timestamp,
    clock: Timestamp,
    /// Machines on which tasks ended, until somebody asks.
    touched: Vec<String>,
}

/// What a machine is born with.
pub(in crate::model) struct Origin {
    pub provider_id: String,
    /// The faults that strike it, each when its time comes.
    pub faults: Vec<Arc<Fault>>,
    /// Where its draws begin.
    pub dice: u64,
}

/// What all machines share.
#[derive(Clone, Debug)]
pub(in crate::model) struct Site {
    pub catalogue: Catalogue,
    pub timings: Timings,
}

impl World {
    /// The world of a scenario at its beginning: every machine runs, and chance is drawn.
    pub fn new(scenario: &Scenario, now: Timestamp) -> Self {
        Self::seeded(scenario, scenario.seed, now)
    }

    /// The same, with chance begun elsewhere than the scenario says.
    pub fn seeded(scenario: &Scenario, seed: u64, now: Timestamp) -> Self {
        let site = Site { catalogue: Catalogue::new(&scenario.updates), timings: scenario.timings.clone() };
        let faults: Vec<Arc<Fault>> = scenario.faults.iter().cloned().map(Arc::new).collect();
        let hypervisor = &scenario.hypervisor;
        let own = |name: &str| format!("simulated://{}/{name}", hypervisor.id);
        let machine = |spec: &MachineSpec| {
            let origin = Origin {
                provider_id: hypervisor.provider_ids.get(&spec.name).cloned().unwrap_or_else(|| own(&spec.name)),
                faults: faults_of(seed, &faults, spec),
                dice: dice::dice(&[seed, dice::of(&spec.name)]),
            };
            (spec.name.clone(), Machine::new(spec.clone(), origin, &site, now))
        };
        Self {
            machines: scenario.machines.iter().map(machine).collect(),
            hypervisor: hypervisor.clone(),
            tasks: BTreeMap::new(),
            open: BTreeSet::new(),
            keys: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            serial: 1,
            start: now,
            clock: now,
            touched: Vec::new(),
            site,
        }
    }

    /// Lets time pass up to `now`; a time that was passed before changes nothing.
    pub fn tick(&mut self, now: Timestamp) {
        self.finish_tasks(now);
        self.touched.clear();
        for machine in self.machines.values_mut() {
            machine.advance(now, &self.site);
        }
        self.clock = self.clock.max(now);
    }

    /// Lets time pass for one machine and the hypervisor alone: what is cheap where thousands of machines have each
    /// their own next event.
    pub fn tick_machine(&mut self, name: &str, now: Timestamp) {
        self.finish_tasks(now);
        if let Some(machine) = self.machines.get_mut(name) {
            machine.advance(now, &self.site);
        }
        self.clock = self.clock.max(now);
    }

    /// Lets time pass for the hypervisor alone.
    pub fn tick_hypervisor(&mut self, now: Timestamp) {
        self.finish_tasks(now);
        self.clock = self.clock.max(now);
    }

    /// The machines on which tasks of the hypervisor ended since this was last asked.
    pub fn take_touched(&mut self) -> Vec<String> {
        std::mem::take(&mut self.touched)
    }

    /// When the hypervisor's next task ends; none when none is under way.
    pub fn next_task_end(&self) -> Option<Timestamp> {
        self.open.first().map(|(at, _)| *at)
    }

    /// The next moment at which something changes by itself; none when nothing will.
    pub fn next_event(&self) -> Option<Timestamp> {
        let machines = self.machines.values().filter_map(Machine::next_event).min();
        let snapshots = self.snapshots.values().filter_map(|s| s.next_change(self.clock)).min();
        let task = self.open.first().map(|(at, _)| *at);
        [machines, snapshots, task].into_iter().flatten().min()
    }

    /// The time up to which the world has been advanced.
    pub fn now(&self) -> Timestamp {
        self.clock
    }

    /// The machine of this name.
    pub fn machine(&self, name: &str) -> Option<&Machine> {
        self.machines.get(name)
    }

    /// All machines, by name.
    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.machines.values()
    }

    /// The machine of this name from the inside, at `now`; none when there is no such machine or nothing runs on it.
    pub fn guest(&mut self, name: &str, now: Timestamp) -> Option<Guest<'_>> {
        self.finish_tasks(now);
        let machine = self.machines.get_mut(name)?;
        machine.advance(now, &self.site);
        machine.is_up().then_some(Guest { machine, site: &self.site })
    }

    /// Says which volumes of pods are attached to a machine; says whether there is such a machine.
    pub fn attach_volumes(&mut self, name: &str, volumes: Vec<String>) -> bool {
        self.machines.get_mut(name).map(|machine| machine.attached_volumes = volumes).is_some()
    }

    /// The update catalogue.
    pub fn catalogue(&self) -> &Catalogue {
        &self.site.catalogue
    }

    /// How long things take.
    pub fn timings(&self) -> &Timings {
        &self.site.timings
    }

    /// How the hypervisor behaves.
    pub fn hypervisor(&self) -> &HypervisorSpec {
        &self.hypervisor
    }

    /// What is wrong with the hypervisor's API at `now`.
    pub fn hypervisor_troubles(&self, now: Timestamp) -> impl Iterator<Item = HypervisorEffect> {
        let start = self.start;
        self.hypervisor.troubles.iter().filter(move |trouble| trouble.holds(start, now)).map(|trouble| trouble.effect)
    }

    /// What a metric shows at `now` of those of these machines that are up; nothing, where there is none. A machine on
    /// which nothing happens for days is as of its last tick: what grows with time has grown since.
    pub fn metric(&mut self, metric: &Metric, machines: &[impl AsRef<str>], now: Timestamp) -> Option<f64> {
        for name in machines {
            self.tick_machine(name.as_ref(), now);
        }
        metric.value(machines.iter().filter_map(|name| self.machines.get(name.as_ref())))
    }

    /// Publishes an update, or takes it back; says whether the KB is in the catalogue.
    pub fn publish(&mut self, kb: KbId, published: bool) -> bool {
        self.site.catalogue.publish(kb, published)
    }

    /// The sum of what really happened to all machines.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.machines.values().for_each(|machine| sum += machine.counters());
        sum
    }

    /// Makes effects hold on a machine from now on, until [`World::heal`]; says whether there is such a machine.
    pub fn strike(&mut self, name: &str, effects: Vec<Effect>) -> bool {
        let Some(machine) = self.machines.get_mut(name) else { return false };
        let when = When { phase: Some(Phase::Running), ..When::default() };
        let fault = format!("{BY_HAND}{}", machine.faults.len());
        machine.faults.push(Arc::new(Fault {
            name: fault.clone(),
            when,
            r#where: Where::default(),
            effects,
            lasts: None,
            ramps: None,
            intermittent: None,
            times: None,
            heals: Heals::Never,
        }));
        machine.begin_by_hand(&fault);
        machine.happen(&self.site);
        true
    }

    /// Takes off what [`World::strike`] put on a machine; says whether there is such a machine.
    pub fn heal(&mut self, name: &str) -> bool {
        let Some(machine) = self.machines.get_mut(name) else { return false };
        machine.faults.retain(|fault| !fault.name.starts_with(BY_HAND));
        machine.conditions.retain(|fault, _| !fault.starts_with(BY_HAND));
        machine.uses.retain(|fault, _| !fault.starts_with(BY_HAND));
        machine.once.retain(|fault| !fault.starts_with(BY_HAND));
        machine.down_by.retain(|fault| !fault.starts_with(BY_HAND));
        machine.happen(&self.site);
        true
    }

    /// Puts a fresh machine in the place of this one, as a cloud does; says whether there is such a machine.
    pub fn replace(&mut self, name: &str) -> bool {
        self.machines.get_mut(name).map(|machine| machine.replace(&self.site)).is_some()
    }
}

/// What the names of faults begin with that were put on by hand. No scenario can use it: it has a space.
const BY_HAND: &str = "by hand ";

/// The faults that strike a machine. Each pair of fault and machine has its own draw: adding a machine or a fault does
/// not change what others drew.
fn faults_of(seed: u64, faults: &[Arc<Fault>], spec: &MachineSpec) -> Vec<Arc<Fault>> {
    let drawn = |fault: &&Arc<Fault>| {
        let Some(chance) = fault.r#where.chance else { return true };
        let seed = format!("{seed}/{}/{}", fault.name, spec.name);
        let seed = seed.bytes().fold(0, |hash: u64, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
        fastrand::Rng::with_seed(seed).f64() < chance
    };
    let fits = |fault: &&Arc<Fault>| fault.r#where.fits(&spec.name, &spec.labels, &spec.group);
    faults.iter().filter(fits).filter(drawn).cloned().collect()
}

#[cfg(test)]
mod tests;
