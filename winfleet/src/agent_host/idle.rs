//! Waiting: a process that only looks, and has found nothing new, finds nothing new until its machine has changed.
//!
//! The agent looks once a second while an update installs. Of those looks only the first and those after a change come to
//! anything: the others are left out, and the times of those that are made stay the same.

use super::after;
use crate::model::{Machine, Sight};
use jiff::Timestamp;
use std::time::Duration;

/// What a process that waits has seen, and until when it waits for nothing but a change of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    sight: Sight,
    every: Duration,
    until: Timestamp,
}

impl Idle {
    /// A process looked at a machine, will look again after `every`, and left it as it was; at `until` time alone may
    /// change what it finds.
    pub(super) fn of(before: Sight, machine: &Machine, every: Duration, until: Option<Timestamp>) -> Option<Self> {
        let same = machine.sight() == before && !every.is_zero();
        same.then(|| Self { sight: before, every, until: until.unwrap_or(Timestamp::MAX) })
    }

    /// Until when it waits.
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// Whether a look at `now` would find nothing new.
    pub fn holds(&self, machine: Option<&Machine>, now: Timestamp) -> bool {
        now < self.until && machine.is_some_and(|machine| machine.sight() == self.sight)
    }

    /// Leaves out the looks up to `now` that would have found nothing new: `next`, one of the looks, becomes the first that
    /// may. Once something has changed, it waits no more.
    pub(super) fn wake(idle: &mut Option<Self>, next: &mut Timestamp, machine: Option<&Machine>, now: Timestamp) {
        let Some(waits) = *idle else { return };
        *next = waits.look_from(*next, now);
        if !waits.holds(machine, now) {
            *idle = None;
        } else if *next == now {
            *next = after(now, waits.every);
        }
    }

    /// The first of its looks that is not before `now`; `next` is one of them.
    fn look_from(&self, next: Timestamp, now: Timestamp) -> Timestamp {
        let late = u128::try_from(now.duration_since(next).as_nanos()).unwrap_or_default();
        let every = self.every.as_nanos();
        match late % every {
            0 => next.max(now),
            since_a_look => after(now, Duration::from_nanos(u64::try_from(every - since_a_look).unwrap_or(u64::MAX))),
        }
    }
}
