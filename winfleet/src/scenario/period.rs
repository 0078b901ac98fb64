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
#[error("{0:?} is not a duration: write a number with its unit, like 10s, 2m, 1h30m or 7d, not negative")]
pub struct ParsePeriodError(String);

impl FromStr for Period {
    type Err = ParsePeriodError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParsePeriodError(text.chars().take(64).collect());
        // Only the short form: ISO 8601 ("PT10S") and "3 days ago" would also parse, and nobody expects them here.
        if !text.starts_with(|c: char| c.is_ascii_digit()) || text.contains(' ') {
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
        for (text, seconds) in [("10s", 10), ("2m", 120), ("1h30m", 5400), ("7d", 604_800), ("0s", 0)] {
            let period: Period = text.parse().expect(text);
            assert_eq!(period, Period::seconds(seconds), "{text}");
            assert_eq!(period.to_string().parse(), Ok(period), "{text} survives being written");
        }
        assert_eq!("1500ms".parse::<Period>().expect("milliseconds").to_std().as_millis(), 1500);
    }

    #[test]
    fn refuses_what_has_no_unit_or_is_negative() {
        for text in ["", "10", "-10s", "10s ago", "soon", "1 hour", "PT10S", "3mo"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn time_does_not_overflow() {
        assert_eq!(Period::hours(1).after(Timestamp::MAX), Timestamp::MAX);
        assert_eq!(Period::seconds(2).times(3), Period::seconds(6));
    }
}
