//! Values that several kinds share, each with the schema that refuses what it can not parse.
//!
//! The patterns and bounds are those tried on a real API server: `format: duration` alone also takes `5 minutes`,
//! and unbounded strings make CEL rules cost more than a CRD may.

use k8s_openapi::jiff;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

/// A length of time as users write it: `30s`, `20m`, `2h`, `1h30m`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(Duration);

impl Span {
    /// A span of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A span of whole minutes.
    pub const fn from_mins(minutes: u64) -> Self {
        Self(Duration::from_secs(60 * minutes))
    }

    /// A span of whole days of 24 hours.
    pub const fn from_days(days: u64) -> Self {
        Self(Duration::from_secs(86_400 * days))
    }

    /// The same as a standard duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_secs();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, seconds) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
            if rest >= seconds {
                write!(f, "{}{unit}", rest / seconds)?;
                rest %= seconds;
            }
        }
        Ok(())
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("{text:?} is not a duration such as 30s, 20m, 2h, 1h30m or 7d");
        let (mut total, mut digits, mut units) = (0_u64, String::new(), "dhms");
        for c in text.chars() {
            if c.is_ascii_digit() {
                digits.push(c);
                continue;
            }
            // Each unit once, the larger first: what is left of the unit list are the units still allowed.
            let at = units.find(c).ok_or_else(refuse)?;
            units = units.get(at + 1..).unwrap_or_default();
            let seconds = match c {
                'd' => 86_400,
                'h' => 3_600,
                'm' => 60,
                _ => 1,
            };
            let count: u64 = digits.parse().map_err(|_| refuse())?;
            total = count.checked_mul(seconds).and_then(|s| total.checked_add(s)).ok_or_else(refuse)?;
            digits.clear();
        }
        if !digits.is_empty() || text.is_empty() { Err(refuse()) } else { Ok(Self(Duration::from_secs(total))) }
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "duration",
            "maxLength": 16,
            "pattern": "^([1-9][0-9]{0,2}d)?([0-9]{1,4}h)?([0-9]{1,4}m)?([0-9]{1,5}s)?$",
        })
    }
}

/// A count, or a percentage of a ring's nodes: `3` or `"10%"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawIntOrPercent", into = "RawIntOrPercent")]
pub enum IntOrPercent {
    /// So many nodes.
    Nodes(u32),
    /// So many percent of the ring's nodes, 0 to 100.
    Percent(u32),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum RawIntOrPercent {
    Int(u32),
    Text(String),
}

impl TryFrom<RawIntOrPercent> for IntOrPercent {
    type Error = String;

    fn try_from(raw: RawIntOrPercent) -> Result<Self, String> {
        match raw {
            RawIntOrPercent::Int(nodes) => Ok(Self::Nodes(nodes)),
            RawIntOrPercent::Text(text) => text
                .strip_suffix('%')
                .and_then(|digits| digits.parse().ok())
                .filter(|percent| *percent <= 100)
                .map(Self::Percent)
                .ok_or_else(|| format!("{text:?} is neither a count nor a percentage such as 10%")),
        }
    }
}

impl From<IntOrPercent> for RawIntOrPercent {
    fn from(value: IntOrPercent) -> Self {
        match value {
            IntOrPercent::Nodes(nodes) => Self::Int(nodes),
            IntOrPercent::Percent(percent) => Self::Text(format!("{percent}%")),
        }
    }
}

impl fmt::Display for IntOrPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes(nodes) => write!(f, "{nodes}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl JsonSchema for IntOrPercent {
    fn schema_name() -> Cow<'static, str> {
        "IntOrPercent".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "minimum": 0,
            "maximum": 5000,
            "maxLength": 4,
            "pattern": "^(100|[1-9]?[0-9])%$",
        })
    }
}

/// Makes a string newtype whose schema is a pattern and whose parser is a function of the text.
macro_rules! text_value {
    ($(#[$doc:meta])* $name:ident, max $max:literal, pattern $pattern:literal, $(format $format:literal,)? parse $inner:ty = $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name {
            text: String,
            value: $inner,
        }

        impl $name {
            /// The parsed value.
            pub fn get(&self) -> &$inner {
                &self.value
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let parse: fn(&str) -> Result<$inner, String> = $parse;
                let value = parse(&text).map_err(|e| format!("{text:?}: {e}"))?;
                Ok(Self { text, value })
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", $("format": $format,)? "maxLength": $max, "pattern": $pattern })
            }
        }
    };
}

text_value! {
    /// An IANA time zone, `Europe/Berlin`. `Local` and fixed offsets are refused: they mean another time elsewhere.
    TimeZone, max 64, pattern "^(UTC|[A-Za-z_]+(/[A-Za-z0-9_+-]+){1,2})$",
    parse jiff::tz::TimeZone = |text| jiff::tz::TimeZone::get(text).map_err(|e| e.to_string())
}

text_value! {
    /// A time of day, `01:30`.
    TimeOfDay, max 5, pattern "^([01][0-9]|2[0-3]):[0-5][0-9]$",
    parse jiff::civil::Time = |text| jiff::civil::Time::strptime("%H:%M", text).map_err(|e| e.to_string())
}

text_value! {
    /// A calendar date, `2026-12-18`.
    Date, max 10, pattern "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", format "date",
    parse jiff::civil::Date = |text| text.parse().map_err(|e: jiff::Error| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_and_print() {
        for (text, seconds) in
            [("30s", 30), ("20m", 1200), ("1h30m", 5400), ("7d", 604_800), ("1d1s", 86_401), ("0s", 0)]
        {
            let span: Span = text.parse().expect(text);
            assert_eq!(span.get().as_secs(), seconds, "{text}");
            assert_eq!(span.to_string(), text);
        }
        for text in ["", "5", "5 minutes", "1w", "m", "1m1h", "1s1s", "99999999999999999999d", "-1s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn counts_and_percents_read() {
        let read = |json: &str| serde_json::from_str::<IntOrPercent>(json);
        assert_eq!(read("3").expect("a count"), IntOrPercent::Nodes(3));
        assert_eq!(read("\"10%\"").expect("a percentage"), IntOrPercent::Percent(10));
        for bad in ["-1", "\"abc\"", "\"150%\"", "\"-1%\"", "\"3\"", "1.5"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn zones_times_and_dates_are_parsed_once() {
        assert!(TimeZone::try_from("Europe/Berlin".to_owned()).is_ok());
        assert!(TimeZone::try_from("Europe/Berln".to_owned()).is_err());
        assert!(TimeOfDay::try_from("01:30".to_owned()).is_ok());
        assert!(TimeOfDay::try_from("25:00".to_owned()).is_err());
        assert!(Date::try_from("2026-02-30".to_owned()).is_err());
    }
}
