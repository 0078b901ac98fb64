//! What is due, and when: the queue of events in virtual time.

use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Something that happens by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The hypervisor's next task ends.
    Hypervisor,
    /// A machine, its agent or its pods go on.
    Machine(usize),
    /// A kubelet has been silent for as long as the node-lifecycle controller waits.
    Lost(usize),
    /// The pods of a lost node are told to leave.
    Evacuate(usize),
    /// What changed comes to the stores of an operator.
    Deliver(usize),
    /// Pods that wait for a place are looked at again.
    Place,
    /// Pods that have ended are counted.
    Terminated,
    /// A watch has lasted as long as it was asked to.
    WatchEnds(u64),
    /// A person does something.
    Act(usize),
    /// An operator is killed.
    Kill(usize),
}

/// The queue. Each thing is in it once: what is set anew replaces what was.
#[derive(Clone, Debug)]
pub struct Agenda<D> {
    queue: BTreeSet<(Timestamp, D)>,
    times: BTreeMap<D, Timestamp>,
}

impl<D> Default for Agenda<D> {
    fn default() -> Self {
        Self { queue: BTreeSet::new(), times: BTreeMap::new() }
    }
}

impl<D: Ord + Clone> Agenda<D> {
    /// Sets when something is due, in place of what was set; `None` takes it off.
    pub fn set(&mut self, due: D, at: Option<Timestamp>) {
        if let Some(before) = self.times.remove(&due) {
            self.queue.remove(&(before, due.clone()));
        }
        if let Some(at) = at {
            self.times.insert(due.clone(), at);
            self.queue.insert((at, due));
        }
    }

    /// Sets when something is due at the latest.
    pub fn not_after(&mut self, due: D, at: Timestamp) {
        if self.times.get(&due).is_none_or(|before| at < *before) {
            self.set(due, Some(at));
        }
    }

    /// Whether something of this kind is on the agenda.
    pub fn any(&self, kind: impl Fn(&D) -> bool) -> bool {
        self.times.keys().any(kind)
    }

    /// When the next thing is due.
    pub fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes the next thing that is due by now.
    pub fn take(&mut self, now: Timestamp) -> Option<D> {
        if self.next()? > now {
            return None;
        }
        let (_, due) = self.queue.pop_first()?;
        self.times.remove(&due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_anew_replaces_what_was() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let mut agenda = Agenda::default();
        agenda.set(Due::Machine(1), Some(at(5)));
        agenda.set(Due::Machine(2), Some(at(3)));
        agenda.not_after(Due::Machine(1), at(9));
        agenda.set(Due::Machine(2), Some(at(7)));
        assert_eq!(agenda.next(), Some(at(5)));
        assert_eq!(agenda.take(at(6)), Some(Due::Machine(1)));
        assert_eq!(agenda.take(at(6)), None);
        agenda.set(Due::Machine(2), None);
        assert_eq!(agenda.next(), None);
    }
}
