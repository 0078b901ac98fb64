//! When faults begin on a machine, what holds now, and what heals them.

use super::Machine;
use crate::scenario::{Effect, Fault, Heals, Phase};
use jiff::Timestamp;
use std::collections::BTreeMap;
use windlass_protocol::KbId;

/// Faults that began, by name.
pub(super) type Conditions = BTreeMap<String, Condition>;

/// A fault that began on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// From when it holds; the fault's delay may put it ahead.
    pub since: Timestamp,
    /// Whether it is over. It stays on record so that it does not begin again.
    pub healed: bool,
}

impl Machine {
    /// The effects that hold now, with their faults.
    pub(super) fn effects(&self) -> impl Iterator<Item = (&Fault, &Effect)> {
        self.faults
            .iter()
            .filter(|fault| fault.times.is_none_or(|times| self.uses(fault) < times))
            .filter(move |fault| self.condition(fault).is_some_and(|c| !c.healed && c.since <= self.clock))
            .flat_map(|fault| fault.effects.iter().map(move |effect| (fault, effect)))
            .flat_map(|(fault, effect)| self.unfolded(fault, effect).iter().map(move |one| (fault, one)))
    }

    /// Whether an effect of this kind holds now.
    pub(super) fn suffers(&self, kind: impl Fn(&Effect) -> bool) -> bool {
        self.effects().any(|(_, effect)| kind(effect))
    }

    /// What an effect of this kind says about an operation on one update, if one holds.
    pub(super) fn says<T>(&self, kb: KbId, kind: impl Fn(&Effect) -> Option<T>) -> Option<T> {
        self.find(Some(kb), kind).map(|(_, said)| said)
    }

    /// The same for an operation that happens now (on an update, where there is one), and counts it.
    pub(super) fn strikes<T>(&mut self, kb: Option<KbId>, kind: impl Fn(&Effect) -> Option<T>) -> Option<T> {
        let (fault, said) = self.find(kb, kind)?;
        *self.uses.entry(fault).or_default() += 1;
        Some(said)
    }

    /// The same for effects that are there or not.
    pub(super) fn struck_by(&mut self, kb: Option<KbId>, effect: &Effect) -> bool {
        self.strikes(kb, |one| (one == effect).then_some(())).is_some()
    }

    fn find<T>(&self, kb: Option<KbId>, kind: impl Fn(&Effect) -> Option<T>) -> Option<(String, T)> {
        self.effects()
            .filter(|(fault, _)| kb.is_none() || fault.when.kb.is_none() || fault.when.kb == kb)
            .find_map(|(fault, effect)| kind(effect).map(|said| (fault.name.clone(), said)))
    }

    fn uses(&self, fault: &Fault) -> u32 {
        self.uses.get(&fault.name).copied().unwrap_or(0)
    }

    fn unfolded<'a>(&self, fault: &Fault, effect: &'a Effect) -> &'a [Effect] {
        let Effect::BreaksAfterExtraReboot { effects } = effect else { return std::slice::from_ref(effect) };
        let second_boot = fault.when.kb.and_then(|kb| self.disk.boots_with(kb)).is_some_and(|boots| boots >= 2);
        if second_boot { effects } else { &[] }
    }

    fn condition(&self, fault: &Fault) -> Option<&Condition> {
        if on_disk(fault) { self.disk.conditions.get(&fault.name) } else { self.conditions.get(&fault.name) }
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
            conditions.entry(name).or_insert(Condition { since: delay.after(now), healed: false });
        }
    }

    /// Begins the faults that wait for this phase, with whatever is installed.
    pub(super) fn begin_with_installed(&mut self, phase: Phase) {
        let installed: Vec<KbId> = self.disk.installed.keys().copied().collect();
        self.begin(phase, &installed);
    }

    /// Begins one fault at once, whatever its phase.
    pub(super) fn begin_by_hand(&mut self, fault: &str) {
        self.conditions.insert(fault.to_owned(), Condition { since: self.clock, healed: false });
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

    /// The next moment at which a fault that began comes to hold.
    pub(super) fn next_onset(&self) -> Option<Timestamp> {
        let all = self.disk.conditions.values().chain(self.conditions.values());
        all.filter(|condition| !condition.healed && condition.since > self.clock).map(|condition| condition.since).min()
    }
}

/// Whether a fault's cause lies on the disk, so that an older disk does not have it. What nothing heals, and what
/// happens in the hypervisor, does not.
fn on_disk(fault: &Fault) -> bool {
    fault.heals != Heals::Never && !matches!(fault.when.phase, Phase::Snapshot | Phase::Restore)
}
