//! Maintenance windows: whether a node may start now, and when the next one may.
//!
//! All times are of the policy's IANA zone, so that 01:00 stays 01:00 over a change of daylight saving; a start that
//! the change skips is moved behind it. A window's duration is elapsed time: five hours are five hours in any night.

use crate::api::{DenyDates, Maintenance, Weekday, Window};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::fmt;
use std::time::Duration;

/// How many days on which something opens, and which are not denied, are searched for one that is long enough. Windows are
/// weekly: so many have them all at least twice, be they cut short by denied days or not.
const SEARCH_DAYS: u32 = 14;

/// Furthest day that is searched, counted from today: a year and a bit, behind any sensible freeze.
const HORIZON_DAYS: u32 = 400;

/// How far the end of windows that touch each other is looked for: longer than any one window may be.
const LOOK_AHEAD: Duration = Duration::from_hours(14 * 24);

/// How long a node will need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Measured: its update and its revert.
    Measured(Duration),
    /// A guess, cut to half of the window it starts in, so that a first node can start and be measured.
    Guess(Duration),
}

impl Need {
    /// How much must be left of a window of this length; `None` is a time that no window bounds.
    fn within(self, length: Option<Duration>) -> Duration {
        match (self, length) {
            (Self::Guess(guess), Some(length)) => guess.min(length / 2),
            (Self::Measured(need) | Self::Guess(need), _) => need,
        }
    }
}

/// Why no node may start now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// When a node may start again; `None` when no window of the next year is long enough.
    pub opens_at: Option<Timestamp>,
    /// The sentence for users.
    message: String,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Checks whether a node that needs `need` may start at `now`.
///
/// It must fit, with its revert, before the window's end and before the next denied day. Windows that touch or overlap
/// are one.
///
/// # Errors
/// [`Closed`], with the reason and the next opening.
pub fn check(maintenance: &Maintenance, need: Need, now: Timestamp) -> Result<(), Closed> {
    let calendar = Calendar { maintenance, zone: maintenance.time_zone.get() };
    if calendar.fits(need, now) {
        return Ok(());
    }
    let opens_at = calendar.next_opening(need, now);
    Err(Closed { opens_at, message: calendar.explain(need, now, opens_at) })
}

struct Calendar<'a> {
    maintenance: &'a Maintenance,
    zone: &'a TimeZone,
}

/// A time in which nodes may be worked on, `[start, end)`.
#[derive(Clone, Copy)]
struct Opening {
    /// `None`: no window has opened it, it is open because the policy names none.
    start: Option<Timestamp>,
    /// `None`: it does not end.
    end: Option<Timestamp>,
}

impl Calendar<'_> {
    fn fits(&self, need: Need, at: Timestamp) -> bool {
        let Some(opening) = self.opening(at) else { return false };
        let Some(end) = opening.end else { return true };
        elapsed(at, end) >= need.within(opening.start.map(|start| elapsed(start, end)))
    }

    /// The opening that `at` is in.
    fn opening(&self, at: Timestamp) -> Option<Opening> {
        let today = self.day(at);
        if self.denied(today).is_some() {
            return None;
        }
        let freeze = self.next_denied(today).and_then(|date| self.midnight(date));
        if self.maintenance.allow.is_empty() {
            return Some(Opening { start: None, end: freeze });
        }
        let (start, end) = self.window(at)?;
        let thaw = self.last_denied(today).and_then(|date| self.midnight(date.tomorrow().ok()?));
        let end = freeze.map_or(end, |freeze| end.min(freeze));
        Some(Opening { start: Some(thaw.map_or(start, |thaw| start.max(thaw))), end: Some(end) })
    }

    /// Start and end of the windows around `at`, without a look at the denied days.
    fn window(&self, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let (start, mut end) = self.widest_at(at)?;
        // Windows that begin before this one ends make it longer. Windows that cover all of the week never end; no node
        // takes as long as is looked ahead here.
        while elapsed(at, end) < LOOK_AHEAD {
            match self.widest_at(end) {
                Some((_, later)) if later > end => end = later,
                _ => break,
            }
        }
        Some((start, end))
    }

    /// Of the windows that `at` is in: the earliest start and the latest end.
    fn widest_at(&self, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let today = self.day(at);
        let mut widest: Option<(Timestamp, Timestamp)> = None;
        for window in &self.maintenance.allow {
            let days_back = i64::try_from(window.duration.get().as_secs() / 86_400 + 1).unwrap_or(i64::MAX);
            for back in 0..=days_back {
                let Some((start, end)) = self.span_on(window, today, -back) else { continue };
                if start <= at && at < end {
                    let (s, e) = widest.unwrap_or((start, end));
                    widest = Some((s.min(start), e.max(end)));
                }
            }
        }
        widest
    }

    /// The window as it opens on the day `offset` days from `day`, if it does.
    fn span_on(&self, window: &Window, day: Date, offset: i64) -> Option<(Timestamp, Timestamp)> {
        let date = day.checked_add(offset.days()).ok()?;
        if !window.days.iter().any(|weekday| is_on(*weekday, date)) {
            return None;
        }
        let start = date.to_datetime(*window.start.get()).to_zoned(self.zone.clone()).ok()?.timestamp();
        Some((start, start.checked_add(window.duration.get()).ok()?))
    }

    fn next_opening(&self, need: Need, now: Timestamp) -> Option<Timestamp> {
        let mut date = self.day(now);
        let (mut searched, mut passed) = (0, 0);
        while searched < SEARCH_DAYS && passed < HORIZON_DAYS {
            if self.denied(date).is_none() {
                searched += u32::from(self.may_open_on(date));
                if let Some(at) = self.openings_on(date).into_iter().find(|at| *at > now && self.fits(need, *at)) {
                    return Some(at);
                }
            }
            date = date.tomorrow().ok()?;
            passed += 1;
        }
        None
    }

    /// Whether a window opens on this day, or it is one of many that are open throughout.
    fn may_open_on(&self, date: Date) -> bool {
        let windows = &self.maintenance.allow;
        windows.is_empty() || windows.iter().any(|window| self.span_on(window, date, 0).is_some())
    }

    /// The times of a day at which something may open, in order: its first minute, after a denied day, and its windows.
    fn openings_on(&self, date: Date) -> Vec<Timestamp> {
        let starts = self.maintenance.allow.iter().filter_map(|w| self.span_on(w, date, 0)).map(|(start, _)| start);
        let mut times: Vec<_> = self.midnight(date).into_iter().chain(starts).collect();
        times.sort_unstable();
        times
    }

    fn explain(&self, need: Need, now: Timestamp, opens_at: Option<Timestamp>) -> String {
        let zone = &self.maintenance.time_zone;
        let why = match (self.denied(self.day(now)), self.opening(now)) {
            (Some(deny), _) => format!("no maintenance until {} ({})", deny.to, deny.reason),
            (None, Some(Opening { end: Some(end), .. })) => {
                format!("too little is left of the maintenance window, which ends {} {zone}", self.text(end))
            }
            (None, _) => "outside of the maintenance windows".to_owned(),
        };
        match (opens_at, need) {
            (Some(at), _) => format!("{why}; the next node may start {} {zone}", self.text(at)),
            (None, Need::Measured(need) | Need::Guess(need)) => {
                format!("{why}; no window is long enough for a node and its revert ({})", minutes(need))
            }
        }
    }

    fn text(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%a %F %H:%M").to_string()
    }

    fn day(&self, at: Timestamp) -> Date {
        at.to_zoned(self.zone.clone()).date()
    }

    fn midnight(&self, date: Date) -> Option<Timestamp> {
        date.to_zoned(self.zone.clone()).ok().map(|zoned| zoned.timestamp())
    }

    fn denied(&self, date: Date) -> Option<&DenyDates> {
        self.maintenance.deny.iter().find(|deny| *deny.from.get() <= date && date <= *deny.to.get())
    }

    /// The first denied day after a day that is not denied.
    fn next_denied(&self, date: Date) -> Option<Date> {
        self.maintenance.deny.iter().map(|deny| *deny.from.get()).filter(|from| *from > date).min()
    }

    /// The last denied day before a day that is not denied.
    fn last_denied(&self, date: Date) -> Option<Date> {
        self.maintenance.deny.iter().map(|deny| *deny.to.get()).filter(|to| *to < date).max()
    }
}

fn is_on(weekday: Weekday, date: Date) -> bool {
    let weekday = match weekday {
        Weekday::Mon => jiff::civil::Weekday::Monday,
        Weekday::Tue => jiff::civil::Weekday::Tuesday,
        Weekday::Wed => jiff::civil::Weekday::Wednesday,
        Weekday::Thu => jiff::civil::Weekday::Thursday,
        Weekday::Fri => jiff::civil::Weekday::Friday,
        Weekday::Sat => jiff::civil::Weekday::Saturday,
        Weekday::Sun => jiff::civil::Weekday::Sunday,
    };
    date.weekday() == weekday
}

/// The time from one to the other, zero when it is the other way round.
fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

fn minutes(length: Duration) -> String {
    format!("{}m", length.as_secs().div_ceil(60))
}
