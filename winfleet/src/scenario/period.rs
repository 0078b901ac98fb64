//! Lengths of time as a scenario writes them: `10s`, `2m`, `1h30m`, `7d`.

use jiff::{
    SignedDuration, Span, SpanRelativeTo, Timestamp,
    fmt::friendly::{Spacing, SpanPrinter},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A length of time that is not negative; written with its unit (`10s`, `2m`, `1h30m`; a day is 24 hours).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(SignedDuration);

impl Period {
    /// No time at all.
    pub const ZERO: Self = Self(SignedDuration::ZERO);

    /// A period of whole seconds.
    pub const fn seconds(seconds: u32) -> Self {
        // A cast that only widens; `From` is not const.
        Self(SignedDuration::from_secs(seconds as i64))
    }

    /// A period of whole hours.
    pub const fn hours(hours: u32) -> Self {
        Self(SignedDuration::from_secs(hours as i64 * 3600))
    }

    /// The instant this long after `start`; the end of time when there is no such instant.
    pub fn after(self, start: Timestamp) -> Timestamp {
        start.checked_add(self.0).unwrap_or(Timestamp::MAX)
    }

    /// The instant this long before `end`; the beginning of time when there is no such instant.
    pub fn before(self, end: Timestamp) -> Timestamp {
        end.checked_sub(self.0).unwrap_or(Timestamp::MIN)
    }

    /// Both, one after the other.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// This period `n` times.
    #[must_use]
    pub fn times(self, n: usize) -> Self {
        (0..n).fold(Self::ZERO, |sum, _| sum.plus(self))
    }

    /// The same as the standard library's type.
    pub fn to_std(self) -> std::time::Duration {
        self.0.unsigned_abs()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&SpanPrinter::new().spacing(Spacing::None).duration_to_string(&self.0))
    }
}

/// A text that is no period.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a duration: write a whole number with its unit (ms, s, m, h, d), like 10s, 2m, 1h30m or 7d, not negative"
)]
pub struct ParsePeriodError(String);

/// The units, in the order in which they stand.
const UNITS: [&str; 5] = ["d", "h", "m", "s", "ms"];

/// Whether it is whole numbers with units of the list, each at most once and in this order.
fn is_plain(text: &str) -> bool {
    let (mut rest, mut units) = (text, &UNITS[..]);
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let after = unit.trim_start_matches(|c: char| c.is_ascii_lowercase());
        let name = &unit[..unit.len() - after.len()];
        let place = units.iter().position(|one| *one == name).filter(|_| unit.len() < rest.len());
        let Some(place) = place else { return false };
        (rest, units) = (after, &units[place + 1..]);
    }
    !text.is_empty()
}

impl FromStr for Period {
    type Err = ParsePeriodError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParsePeriodError(text.chars().take(64).collect());
        // The parser knows many more spellings ("PT10S", "3 days ago", "1.5h", "1w"), which policies refuse.
        if !is_plain(text) {
            return Err(refuse());
        }
        let span: Span = text.parse().map_err(|_| refuse())?;
        span.to_duration(SpanRelativeTo::days_are_24_hours()).map(Self).map_err(|_| refuse())
    }
}

impl TryFrom<String> for Period {
    type Error = ParsePeriodError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_with_units() {
        let cases = [
            ("10s", 10),
            ("2m", 120),
            ("90m", 5400),
            ("1h30m", 5400),
            ("7d", 604_800),
            ("0s", 0),
            ("1d2h3m4s", 93_784),
        ];
        for (text, seconds) in cases {
            let period: Period = text.parse().expect(text);
            assert_eq!(period, Period::seconds(seconds), "{text}");
            assert_eq!(period.to_string().parse(), Ok(period), "{text} survives being written");
        }
        assert_eq!("1s500ms".parse(), "1500ms".parse::<Period>());
        assert_eq!("1500ms".parse::<Period>().expect("milliseconds").to_std().as_millis(), 1500);
    }

    #[test]
    fn refuses_what_is_no_whole_number_with_a_unit() {
        let cases = ["", "10", "-10s", "+10s", "s", "10s ago", "soon", "1 hour", "1 h", "2h 30m", "PT10S", "3mo"];
        // What a parser of durations takes and policies do not.
        let friendly = [
            "1w",
            "1.5h",
            "1,5h",
            "30days",
            "1hr",
            "90sec",
            "1M",
            "1H",
            "30m1h",
            "1h1h",
            "5us",
            "1h,30m",
            "1d00:00:10",
        ];
        for text in cases.iter().chain(&friendly) {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn time_does_not_overflow() {
        assert_eq!(Period::hours(1).after(Timestamp::MAX), Timestamp::MAX);
        assert_eq!(Period::seconds(2).times(3), Period::seconds(6));
    }
}
