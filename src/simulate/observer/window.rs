//! Maintenance windows, looked at minute for minute of the week.

use crate::api::{Maintenance, Weekday, Window};
use jiff::civil::Weekday as Day;
use jiff::{Timestamp, ToSpan, Zoned};

/// Whether a node may start at this time.
pub fn open(maintenance: &Maintenance, at: Timestamp) -> bool {
    let local = at.to_zoned(maintenance.time_zone.get().clone());
    let denied = maintenance.deny.iter().any(|deny| *deny.from.get() <= local.date() && local.date() <= *deny.to.get());
    !denied && (maintenance.allow.is_empty() || maintenance.allow.iter().any(|window| inside(window, &local)))
}

/// Whether the window that opened last on one of its days is still open.
fn inside(window: &Window, local: &Zoned) -> bool {
    (0..8).any(|days_ago: i64| {
        let Ok(day) = local.date().checked_sub(days_ago.days()) else { return false };
        let Ok(opened) = day.to_datetime(*window.start.get()).to_zoned(local.time_zone().clone()) else { return false };
        let lasted = local.timestamp().as_second() - opened.timestamp().as_second();
        let lasts = i64::try_from(window.duration.get().as_secs()).unwrap_or(i64::MAX);
        window.days.iter().any(|name| is(*name, day.weekday())) && (0..lasts).contains(&lasted)
    })
}

fn is(name: Weekday, day: Day) -> bool {
    let names = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];
    names.iter().position(|other| *other == name) == usize::try_from(day.to_monday_zero_offset()).ok()
}
