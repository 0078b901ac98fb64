//! `format: duration` as the API server reads it: more loosely than our patterns, which are checked beside it.

use regex::Regex;
use std::time::Duration;

/// Units with the nanoseconds that each has; of a longer word the beginning counts.
const UNITS: [(&[&str], &str, u64); 8] = [
    (&["ns"], "nano", 1),
    (&["us", "µs"], "micro", 1_000),
    (&["ms"], "milli", 1_000_000),
    (&["s"], "sec", 1_000_000_000),
    (&["m"], "min", 60_000_000_000),
    (&["h", "hr"], "hour", 3_600_000_000_000),
    (&["d"], "day", 86_400_000_000_000),
    (&["w", "wk"], "week", 604_800_000_000_000),
];

/// Adds up all numbers with a unit, wherever they stand; none when there is not one.
pub(super) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let part = Regex::new(r"([0-9]+)\s*([A-Za-zµ]+)").ok()?;
    let mut sum: Option<Duration> = None;
    for found in part.captures_iter(text) {
        let (count, unit) = (found.get(1)?.as_str().parse::<u64>().ok()?, found.get(2)?.as_str().to_lowercase());
        let is = |(names, start, _): &&(&[&str], &str, u64)| names.contains(&unit.as_str()) || unit.starts_with(start);
        if let Some((_, _, nanoseconds)) = UNITS.iter().find(is) {
            let more = Duration::from_nanos(count.checked_mul(*nanoseconds)?);
            sum = Some(sum.unwrap_or_default().checked_add(more)?);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_loosely_as_the_api_server_does() {
        for (text, seconds) in [("0", 0), ("1h30m", 5400), ("7d", 604_800), ("5 minutes", 300), ("1w", 604_800)] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("1500ms"), Some(Duration::from_millis(1500)));
        for text in ["", "5", "soon", "h1", "5 apples"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
