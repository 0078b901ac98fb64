//! Points and stretches of a scenario's time.

use super::{Period, check::Complaint, updates::optional_date_or_time};
use jiff::Timestamp;
use serde::Deserialize;

/// A point of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long after the scenario's start.
    After(Period),
    /// At this time.
    At(Timestamp),
}

impl Moment {
    /// From the two fields by which a scenario says it; of the two, `at` counts.
    pub(super) const fn of(after: Option<Period>, at: Option<Timestamp>) -> Option<Self> {
        match (after, at) {
            (_, Some(at)) => Some(Self::At(at)),
            (Some(after), None) => Some(Self::After(after)),
            (None, None) => None,
        }
    }

    /// The time it is in a world that began at `start`.
    pub fn time(self, start: Timestamp) -> Timestamp {
        match self {
            Self::After(period) => period.after(start),
            Self::At(at) => at,
        }
    }
}

/// When a scenario begins, and how long it goes at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    /// When it begins.
    pub start: Timestamp,
    /// How long it goes.
    pub lasts: Period,
}

impl Course {
    /// What is wrong with a moment that these two fields give: it comes when the scenario is over.
    pub(super) fn reaches(self, after: Option<Period>, at: Option<Timestamp>) -> Result<(), Complaint> {
        let late = |moment: Moment| moment.time(self.start) >= self.lasts.after(self.start);
        if !Moment::of(after, at).is_some_and(late) {
            return Ok(());
        }
        let field = if at.is_some() { "at" } else { "after" };
        Err((field, format!("comes when all is over: the scenario lasts {}", self.lasts)))
    }

    /// The same, and that it does not come before the scenario begins: nobody is there yet to do or to suffer it.
    pub(super) fn holds(self, after: Option<Period>, at: Option<Timestamp>) -> Result<(), Complaint> {
        if at.is_some_and(|at| at < self.start) {
            return Err(("at", format!("comes before all begins: the scenario starts at {}", self.start)));
        }
        self.reaches(after, at)
    }
}

/// Something outside the machines that goes wrong for a while.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trouble<E> {
    /// How long after the scenario's start it begins; either this or `at`.
    #[serde(default)]
    pub after: Option<Period>,
    /// When it begins: a date (midnight, UTC) or a time.
    #[serde(default, deserialize_with = "optional_date_or_time")]
    pub at: Option<Timestamp>,
    /// How long it lasts.
    pub lasts: Period,
    /// What becomes false.
    pub effect: E,
}

impl<E> Trouble<E> {
    /// When it begins in a world that began at `start`.
    pub fn begins(&self, start: Timestamp) -> Timestamp {
        Moment::of(self.after, self.at).map_or(start, |moment| moment.time(start))
    }

    /// When it is over.
    pub fn ends(&self, start: Timestamp) -> Timestamp {
        self.lasts.after(self.begins(start))
    }

    /// Whether it holds at `now` in a world that began at `start`.
    pub fn holds(&self, start: Timestamp, now: Timestamp) -> bool {
        (self.begins(start)..self.ends(start)).contains(&now)
    }
}
