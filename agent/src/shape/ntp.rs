//! One question to a time server (SNTP, RFC 4330).

use jiff::{SignedDuration, Timestamp};

/// Seconds from 1900-01-01, where NTP begins, to 1970-01-01.
const EPOCH: i64 = 2_208_988_800;

/// A question: version 4, mode 3 (client), all else zero.
pub(crate) fn question() -> [u8; 48] {
    let mut packet = [0; 48];
    packet[0] = 0x23;
    packet
}

/// How far our clock is ahead of the server's, from its answer to a question sent at `sent` and answered at `received`.
/// `None` for what is no answer of a server that knows the time.
pub(crate) fn ahead(answer: &[u8], sent: Timestamp, received: Timestamp) -> Option<SignedDuration> {
    let (mode, alarm, stratum) = (answer.first()? & 7, answer.first()? >> 6, *answer.get(1)?);
    if answer.len() < 48 || mode != 4 || alarm == 3 || stratum == 0 || stratum > 15 {
        return None;
    }
    let (arrived, left) = (time(answer.get(32..40)?)?, time(answer.get(40..48)?)?);
    // The mean of both ways: what the way itself took falls out.
    let there = sent.duration_since(arrived);
    let back = received.duration_since(left);
    there.checked_add(back)?.checked_div(2)
}

/// Why a server tells no time, where it says so: the code of a kiss of death (stratum 0; RFC 4330, 8), such as `RATE` for a
/// client that asks too often.
pub(crate) fn kiss(answer: &[u8]) -> Option<&str> {
    let code = answer.get(12..16).filter(|_| answer.len() >= 48 && answer.get(1) == Some(&0))?;
    std::str::from_utf8(code).ok().filter(|code| code.bytes().all(|b| b.is_ascii_uppercase()))
}

fn time(field: &[u8]) -> Option<Timestamp> {
    let seconds = u32::from_be_bytes(field.get(..4)?.try_into().ok()?);
    let fraction = u32::from_be_bytes(field.get(4..)?.try_into().ok()?);
    // Era 1 begins in 2036: small numbers are of that era.
    let era = if seconds < 0x8000_0000 { 1i64 << 32 } else { 0 };
    let nanos = i32::try_from((u64::from(fraction) * 1_000_000_000) >> 32).ok()?;
    Timestamp::new(i64::from(seconds) + era - EPOCH, nanos).ok().filter(|_| seconds != 0 || fraction != 0)
}

/// The servers that `NtpServer` of the time service names: `time.windows.com,0x8 ...`.
pub(crate) fn servers(list: &str) -> impl Iterator<Item = &str> {
    list.split_whitespace().filter_map(|server| server.split(',').next()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn answer(arrived: i64, left: i64) -> Vec<u8> {
        let mut packet = vec![0x24, 2];
        packet.resize(32, 0);
        for second in [arrived, left] {
            packet.extend(u32::try_from(second + EPOCH).expect("before 2036").to_be_bytes());
            packet.extend([0; 4]);
        }
        packet
    }

    #[test]
    fn the_way_falls_out() {
        // Our clock is 100 s ahead; each way takes 2 s.
        let seen = ahead(&answer(1_700_000_002, 1_700_000_003), at(1_700_000_100), at(1_700_000_105));
        assert_eq!(seen, Some(SignedDuration::from_secs(100)));
    }

    #[test]
    fn who_knows_no_time_is_not_believed() {
        let good = answer(1_700_000_000, 1_700_000_000);
        let spoilt = |at: usize, byte: u8| {
            let mut packet = good.clone();
            packet[at] = byte;
            ahead(&packet, self::at(1), self::at(1))
        };
        assert_eq!(spoilt(0, 0xE4), None, "not synchronised");
        assert_eq!(spoilt(0, 0x23), None, "a question");
        assert_eq!(spoilt(1, 0), None, "a kiss of death");
        assert_eq!(ahead(&good[..40], at(1), at(1)), None);
        assert_eq!(ahead(&[], at(1), at(1)), None);
    }

    #[test]
    fn a_kiss_says_why() {
        let mut packet = answer(1_700_000_000, 1_700_000_000);
        assert_eq!(kiss(&packet), None, "it tells the time");
        packet[1] = 0;
        assert_eq!(kiss(&packet), None, "no code");
        packet[12..16].copy_from_slice(b"RATE");
        assert_eq!(kiss(&packet), Some("RATE"));
        assert_eq!(kiss(&packet[..40]), None);
        packet[12] = 0xFF;
        assert_eq!(kiss(&packet), None);
    }

    #[test]
    fn the_servers_are_named() {
        let named = |list| servers(list).collect::<Vec<_>>();
        assert_eq!(named("time.windows.com,0x8"), ["time.windows.com"]);
        assert_eq!(named("a,0x1  b ,0x2"), ["a", "b"]);
        assert!(named("").is_empty());
    }
}
