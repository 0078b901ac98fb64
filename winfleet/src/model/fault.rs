//! When faults begin on a machine, what holds now, and what heals them.

use super::Machine;
use crate::scenario::{Effect, Fault, Heals, Period, Phase};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use windlass_protocol::KbId;

/// Faults that began, by name.
pub(super) type Conditions = BTreeMap<String, Condition>;

/// A fault that began on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Condition {
    /// From when it holds; the fault's delay may put it ahead.
    pub since: Timestamp,
    /// Whether it is over. It stays on record so that it does not begin again.
    pub healed: bool,
    /// How often a counted effect struck, or a single event happened.
    pub uses: u32,
}

impl Machine {
    /// The effects that hold now, with their faults.
    pub(super) fn effects(&self) -> impl Iterator<Item = (&Fault, &Effect)> {
        self.faults
            .iter()
            .filter(move |fault| self.condition(fault).is_some_and(|c| !c.healed && c.since <= self.clock))
            .flat_map(|fault| fault.effects.iter().map(move |effect| (fault, effect)))
            .flat_map(|(fault, effect)| self.unfolded(fault, effect).iter().map(move |one| (fault, one)))
    }

    /// Whether an effect of this kind holds now.
    pub(super) fn suffers(&self, kind: impl Fn(&Effect) -> bool) -> bool {
        self.effects().any(|(_, effect)| kind(effect))
    }

    /// What an effect of this kind says about an operation on one update, if one holds.
    pub(super) fn strikes<T>(&self, kb: KbId, kind: impl Fn(&Fault, &Effect) -> Option<T>) -> Option<T> {
        self.effects().filter(|(fault, _)| fault.when.kb.is_none_or(|only| only == kb)).find_map(|(f, e)| kind(f, e))
    }

    /// The sum of the delays that effects of this kind add.
    pub(super) fn slowed(&self, kind: impl Fn(&Effect) -> Option<Period>) -> Period {
        self.effects().filter_map(|(_, effect)| kind(effect)).fold(Period::ZERO, Period::plus)
    }

    fn unfolded<'a>(&self, fault: &Fault, effect: &'a Effect) -> &'a [Effect] {
        let Effect::BreaksAfterExtraReboot { effects } = effect else { return std::slice::from_ref(effect) };
        let second_boot = fault.when.kb.and_then(|kb| self.disk.boots_with(kb)).is_some_and(|boots| boots >= 2);
        if second_boot { effects } else { &[] }
    }

    fn condition(&self, fault: &Fault) -> Option<&Condition> {
        if on_disk(fault) { self.disk.conditions.get(&fault.name) } else { self.conditions.get(&fault.name) }
    }

    fn condition_mut(&mut self, fault: &str) -> Option<&mut Condition> {
        match self.disk.conditions.get_mut(fault) {
            Some(condition) => Some(condition),
            None => self.conditions.get_mut(fault),
        }
    }

    /// Begins the faults that wait for this phase with one of these updates. One that began before does not begin
    /// again.
    pub(super) fn begin(&mut self, phase: Phase, kbs: &[KbId]) {
        let due = |machine: &Self, fault: &Fault| {
            fault.when.phase == phase && fault.when.kb.is_none_or(|kb| kbs.contains(&kb)) && machine.is_nth_boot(fault)
        };
        let now = self.clock;
        let names: Vec<_> =
            self.faults.iter().filter(|f| due(self, f)).map(|f| (f.name.clone(), f.when.delay, on_disk(f))).collect();
        for (name, delay, on_disk) in names {
            let conditions = if on_disk { &mut self.disk.conditions } else { &mut self.conditions };
            conditions.entry(name).or_insert(Condition { since: delay.after(now), healed: false, uses: 0 });
        }
    }

    /// Begins one fault at once, whatever its phase.
    pub(super) fn begin_by_hand(&mut self, fault: &str) {
        self.conditions.insert(fault.to_owned(), Condition { since: self.clock, healed: false, uses: 0 });
    }

    fn is_nth_boot(&self, fault: &Fault) -> bool {
        let Some(n) = fault.when.nth_boot else { return true };
        let boot = match fault.when.kb {
            Some(kb) => self.disk.boots_with(kb),
            None => Some(self.counters.boots),
        };
        boot == Some(u64::from(n))
    }

    /// A restart ends what a restart heals. What had not yet begun to hold may begin anew.
    pub(super) fn heal_by_restart(&mut self) {
        let now = self.clock;
        let healing: Vec<_> =
            self.faults.iter().filter(|f| f.heals == Heals::Restart).map(|f| f.name.clone()).collect();
        for conditions in [&mut self.disk.conditions, &mut self.conditions] {
            conditions.retain(|name, condition| !healing.contains(name) || condition.since <= now);
            for (_, condition) in conditions.iter_mut().filter(|(name, _)| healing.contains(name)) {
                condition.healed = true;
            }
        }
    }

    /// A restore that worked ends what a restore heals and does not lie on the disk.
    pub(super) fn heal_by_restore(&mut self) {
        for fault in self.faults.iter().filter(|fault| fault.heals == Heals::Restore) {
            self.conditions.remove(&fault.name);
        }
    }

    /// Counts one use of a fault's effect; gives the uses before this one.
    pub(super) fn count_use(&mut self, fault: &str) -> u32 {
        let Some(condition) = self.condition_mut(fault) else { return 0 };
        condition.uses += 1;
        condition.uses - 1
    }

    /// How often a fault's counted effect struck.
    pub(super) fn uses(&self, fault: &Fault) -> u32 {
        self.condition(fault).map_or(0, |condition| condition.uses)
    }

    /// The next moment at which a fault that began comes to hold.
    pub(super) fn next_onset(&self) -> Option<Timestamp> {
        let all = self.disk.conditions.values().chain(self.conditions.values());
        all.filter(|condition| !condition.healed && condition.since > self.clock).map(|condition| condition.since).min()
    }
}

/// Whether a fault's cause lies on the disk, so that an older disk does not have it. What nothing heals, what happens
/// in the hypervisor, and what takes the disk away does not.
fn on_disk(fault: &Fault) -> bool {
    fault.heals != Heals::Never
        && !matches!(fault.when.phase, Phase::Snapshot | Phase::Restore)
        && !fault.effects.contains(&Effect::MachineReplaced)
}
