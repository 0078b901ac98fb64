//! When faults begin on a machine, what holds now, and what heals them.

use super::{
    Machine,
    dice::{self, dice},
};
use crate::scenario::{Effect, Fault, Heals, Intermittent, Phase};
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
    /// How often the machine restarted since.
    pub restarts: u32,
    /// Whether it is over. It stays on record so that it does not begin again.
    pub healed: bool,
}

impl Condition {
    const fn from(since: Timestamp) -> Self {
        Self { since, restarts: 0, healed: false }
    }
}

impl Machine {
    /// The effects that hold now, with their faults.
    pub(super) fn effects(&self) -> impl Iterator<Item = (&Fault, &Effect)> {
        self.faults
            .iter()
            .map(AsRef::as_ref)
            .filter(|fault| self.holds(fault))
            .flat_map(|fault| fault.effects.iter().map(move |effect| (fault, effect)))
            .flat_map(|(fault, effect)| self.unfolded(fault, effect).iter().map(move |one| (fault, one)))
    }

    /// The faults that have begun on it, each with whether it goes on; one that comes and goes does so all the while. One
    /// that took the disk with it on which it lay goes on until the machine is back.
    pub fn begun(&self) -> impl Iterator<Item = (&Fault, bool)> {
        let begun = |fault: &Fault| match self.since(fault) {
            Some(since) => (since <= self.clock).then(|| self.lies(fault)),
            None => self.once.contains(&fault.name).then(|| self.down_by.contains(&fault.name)),
        };
        self.faults.iter().map(AsRef::as_ref).filter_map(move |fault| Some((fault, begun(fault)?)))
    }

    /// Whether a fault's effects hold now.
    fn holds(&self, fault: &Fault) -> bool {
        self.lies(fault) && fault.intermittent.is_none_or(|comes_and_goes| self.bad_now(fault, comes_and_goes))
    }

    /// Whether a fault has begun and is not over.
    fn lies(&self, fault: &Fault) -> bool {
        self.condition(fault).is_some_and(|c| {
            !c.healed && c.since <= self.clock && fault.lasts.is_none_or(|lasts| self.clock < lasts.after(c.since))
        }) && fault.times.is_none_or(|times| self.uses(fault) < times)
            && !self.healed_by_update(fault)
    }

    /// Since when a fault's effects hold, where they have begun to.
    pub(super) fn since(&self, fault: &Fault) -> Option<Timestamp> {
        self.condition(fault).map(|condition| condition.since)
    }

    fn healed_by_update(&self, fault: &Fault) -> bool {
        matches!(fault.heals, Heals::Kb(kb) if self.disk.installed.contains_key(&kb))
    }

    /// Whether a fault that comes and goes is there in the present slice of time. Of each `of` slices exactly `bad` are
    /// bad: a draw says which the first one is.
    fn bad_now(&self, fault: &Fault, Intermittent { bad, of, each }: Intermittent) -> bool {
        let (slice, of) = (slice(self.clock, each.to_std()), u64::from(of.get()));
        let first = dice(&[self.dice, dice::of(&fault.name), slice / of]) % of;
        (slice % of + of - first) % of < u64::from(bad.get())
    }

    /// How far effects with a size have grown, from 0 to 1.
    pub(super) fn grown(&self, fault: &Fault) -> f64 {
        let (Some(ramps), Some(since)) = (fault.ramps, self.since(fault)) else { return 1.0 };
        let passed = self.clock.duration_since(since).as_secs_f64();
        (passed / ramps.to_std().as_secs_f64().max(1.0)).clamp(0.0, 1.0)
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
        let now = self.clock;
        let waits = |fault: &Fault| {
            fault.when.phase == Some(phase)
                && fault.when.kb.is_none_or(|kb| kbs.contains(&kb))
                && self.is_nth_boot(fault)
        };
        let due: Vec<_> = self.faults.iter().filter(|fault| waits(fault)).cloned().collect();
        for fault in due {
            let not_before = fault.when.moment().map_or(now, |moment| moment.time(self.start));
            self.begin_one(&fault, fault.when.delay.after(now).max(not_before));
        }
    }

    /// Begins the faults that wait for no phase and whose time has come since the clock stood at `before`.
    pub(super) fn begin_timed(&mut self, before: Timestamp) {
        let (start, now) = (self.start, self.clock);
        let due = |fault: &Fault| {
            let at = fault.when.moment().filter(|_| fault.when.phase.is_none()).map(|moment| moment.time(start))?;
            (at <= now && (at > before || before <= start)).then_some(at)
        };
        let faults: Vec<_> = self.faults.iter().filter_map(|fault| due(fault).map(|at| (fault.clone(), at))).collect();
        for (fault, at) in faults {
            self.begin_one(&fault, at);
        }
    }

    fn begin_one(&mut self, fault: &Fault, since: Timestamp) {
        // What happens once for each fault has happened, whatever disk there is now.
        if self.once.contains(&fault.name) && fault.effects.iter().all(Effect::happens_once) {
            return;
        }
        let conditions = if on_disk(fault) { &mut self.disk.conditions } else { &mut self.conditions };
        conditions.entry(fault.name.clone()).or_insert(Condition::from(since));
    }

    /// Begins the faults that wait for this phase, with whatever is installed.
    pub(super) fn begin_with_installed(&mut self, phase: Phase) {
        if self.faults.is_empty() {
            return;
        }
        let installed: Vec<KbId> = self.disk.installed.keys().copied().collect();
        self.begin(phase, &installed);
    }

    /// Begins one fault at once, whatever its phase.
    pub(super) fn begin_by_hand(&mut self, fault: &str) {
        self.conditions.insert(fault.to_owned(), Condition::from(self.clock));
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
        let needs: BTreeMap<&str, u32> = self
            .faults
            .iter()
            .filter_map(|fault| match fault.heals {
                Heals::Restart => Some((fault.name.as_str(), 1)),
                Heals::SecondRestart => Some((fault.name.as_str(), 2)),
                Heals::Restore | Heals::Kb(_) | Heals::Never => None,
            })
            .collect();
        if needs.is_empty() {
            return;
        }
        for conditions in [&mut self.disk.conditions, &mut self.conditions] {
            conditions.retain(|name, condition| !needs.contains_key(name.as_str()) || condition.since <= now);
            for (name, condition) in conditions.iter_mut() {
                let Some(needed) = needs.get(name.as_str()) else { continue };
                condition.restarts += 1;
                condition.healed |= condition.restarts >= *needed;
            }
        }
    }

    /// A restore that worked ends what a restore heals and does not lie on the disk, but for what no restore reaches.
    pub(super) fn heal_by_restore(&mut self) {
        let reached = |fault: &&std::sync::Arc<Fault>| {
            fault.heals == Heals::Restore && !fault.effects.iter().any(Effect::outside_the_disk)
        };
        for fault in self.faults.iter().filter(reached) {
            self.conditions.remove(&fault.name);
        }
        self.down_by.clear();
    }

    /// The next moment at which a fault begins, comes to hold, pauses, goes on or is over.
    pub(super) fn next_turn(&self) -> Option<Timestamp> {
        self.faults.iter().filter_map(|fault| self.next_turn_of(fault)).filter(|at| *at > self.clock).min()
    }

    fn next_turn_of(&self, fault: &Fault) -> Option<Timestamp> {
        let Some(condition) = self.condition(fault) else {
            return fault.when.moment().filter(|_| fault.when.phase.is_none()).map(|moment| moment.time(self.start));
        };
        if condition.healed {
            return None;
        }
        if condition.since > self.clock {
            return Some(condition.since);
        }
        let over = fault.lasts.map(|lasts| lasts.after(condition.since));
        let turns = fault.intermittent.map(|comes_and_goes| {
            let each = comes_and_goes.each;
            let passed = i64::try_from(slice(self.clock, each.to_std()) + 1).unwrap_or(i64::MAX);
            let millis = i64::try_from(each.to_std().as_millis()).unwrap_or(i64::MAX);
            Timestamp::from_millisecond(passed.saturating_mul(millis)).unwrap_or(Timestamp::MAX)
        });
        match (over, turns) {
            (Some(over), _) if over <= self.clock => None,
            (Some(over), Some(turns)) => Some(over.min(turns)),
            (over, turns) => over.or(turns),
        }
    }
}

/// The number of the slice of time of this length that `now` is in.
fn slice(now: Timestamp, each: std::time::Duration) -> u64 {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    millis / u64::try_from(each.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Whether a fault's cause lies on the disk, so that an older disk does not have it. What nothing heals, and what
/// happens in the hypervisor or to it, does not.
fn on_disk(fault: &Fault) -> bool {
    fault.heals != Heals::Never
        && !matches!(fault.when.phase, Some(Phase::Snapshot | Phase::Restore))
        && !fault.effects.iter().any(Effect::outside_the_disk)
}
