//! The machine's password in its domain: when it is due to be changed.

use jiff::{SignedDuration, Timestamp};

/// Seconds from 1601, where Windows' file times begin, to 1970.
const TO_1970: i64 = 11_644_473_600;

/// How many days a password is kept where nobody says it ("Domain member: Maximum machine account password age").
const USUAL_AGE: u32 = 30;

/// The largest age that Windows takes, in days; it stands for "never".
const NEVER: u32 = 1_000_000;

/// When a password is due that was set at this file time; `None` where it is never changed.
pub(crate) fn due(set: &[u8], maximum_age: Option<u32>, disabled: Option<u32>) -> Result<Option<Timestamp>, String> {
    let bytes = set.first_chunk::<8>().ok_or_else(|| format!("{} bytes are no time", set.len()))?;
    // 100 ns each.
    let seconds = i64::from_le_bytes(*bytes) / 10_000_000 - TO_1970;
    let set = Timestamp::from_second(seconds).map_err(|e| e.to_string())?;
    let days = maximum_age.unwrap_or(USUAL_AGE);
    if disabled.unwrap_or(0) != 0 || days >= NEVER {
        return Ok(None);
    }
    set.checked_add(SignedDuration::from_hours(24 * i64::from(days))).map(Some).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_due_thirty_days_after_it_was_set_unless_somebody_says_otherwise() {
        // The value of Microsoft's own example (troubleshooting of secure channels), which is 2024-08-22.
        let set = 0x01DA_F4A0_1A8C_A326_i64.to_le_bytes();
        let day = |due: Option<Timestamp>| due.map(|due| due.strftime("%Y-%m-%d").to_string());
        let due = |age, disabled| due(&set, age, disabled).map(day);
        assert_eq!(due(None, None), Ok(Some("2024-09-21".to_owned())));
        assert_eq!(due(Some(7), Some(0)), Ok(Some("2024-08-29".to_owned())));
        assert_eq!(due(Some(7), Some(1)), Ok(None));
        assert_eq!(due(Some(1_000_000), None), Ok(None));
        assert!(super::due(&set[..7], None, None).is_err_and(|why| why.contains("7 bytes")));
    }
}
