//! X.509 certificates in PEM (RFC 7468, RFC 5280), as far as their end is concerned.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Takes what lacks its padding, and bits that are left over: only dates are wanted of it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// From when on the first certificate of a PEM file does not count; `None` where there is none, or it is none.
pub(crate) fn ends(pem: &str) -> Option<Timestamp> {
    let text = pem.split_once(BEGIN)?.1.split_once(END)?.0;
    not_after(&decode(text)?)
}

/// Base64 (RFC 4648), white space and padding left out.
fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=').collect();
    LENIENT.decode(bytes).ok()
}

/// `Certificate.tbsCertificate.validity.notAfter`.
fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = inside(der, SEQUENCE)?;
    let (mut rest, _) = inside(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // Serial number, signature, issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (validity, _) = inside(rest, SEQUENCE)?;
    let (_, _, rest) = element(validity)?;
    let (tag, text, _) = element(rest)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// What is inside of the first element, which has this tag, and what follows it.
fn inside(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    element(der).filter(|(tag, ..)| *tag == wanted).map(|(_, inside, rest)| (inside, rest))
}

/// The first element: its tag, what is inside, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ ..=0x7F => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7F))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (inside, rest) = rest.split_at_checked(length)?;
    Some((*tag, inside, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`; two digits of a year are of 1950 to 2049.
fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let (year, rest) = match tag {
        UTC_TIME => digits.split_at_checked(2)?,
        GENERALIZED_TIME => digits.split_at_checked(4)?,
        _ => return None,
    };
    let year = year.parse::<i16>().ok()?;
    let year = match (tag, year) {
        (UTC_TIME, 50..) => 1900 + year,
        (UTC_TIME, _) => 2000 + year,
        _ => year,
    };
    let number = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let day = Date::new(year, number(0)?, number(2)?).ok()?;
    let at = day.at(0, 0, 0, 0).to_zoned(TimeZone::UTC).ok()?.timestamp();
    let of_day = i64::from(number(4)?) * 3600 + i64::from(number(6)?) * 60 + i64::from(number(8)?);
    at.checked_add(SignedDuration::from_secs(of_day)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by OpenSSL, valid for a year: its end is a `UTCTime`.
    const A_YEAR: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIBujCCAWGgAwIBAgIUbkSOU3BkBnZU+H/+/Z3MqVDp54kwCgYIKoZIzj0EAwIw\n\
        MzEVMBMGA1UECgwMc3lzdGVtOm5vZGVzMRowGAYDVQQDDBFzeXN0ZW06bm9kZTp3\n\
        aW4tNzAeFw0yNjExMzAwOTE4MzZaFw0yNzExMzAwOTE4MzZaMDMxFTATBgNVBAoM\n\
        DHN5c3RlbTpub2RlczEaMBgGA1UEAwwRc3lzdGVtOm5vZGU6d2luLTcwWTATBgcq\n\
        hkjOPQIBBggqhkjOPQMBBwNCAAQZ7A0V+PMIoWgKQ0apeF3L4OTMakiEtsYDRir+\n\
        F9VRBXeUO0OCZPkpLfq54/hpEOZUIQ1/fNhNMV+Gw0TH379Po1MwUTAdBgNVHQ4E\n\
        FgQUj3oUXgNVerBqfXUDYbtCzhaKIYUwHwYDVR0jBBgwFoAUj3oUXgNVerBqfXUD\n\
        YbtCzhaKIYUwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiBte8GL\n\
        riCWNwNL/B/tK/2U3EnIjLaU4t/TDNlcPZQIxQIgU3ZqkHI+PPAt4iyiyaKci1/j\n\
        8AT+xm+M/wWsc+L1Uqk=\n\
        -----END CERTIFICATE-----";

    /// The same, beyond 2049: its end is a `GeneralizedTime`.
    const LONG: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIBvTCCAWOgAwIBAgIUVA3R2YnCX1zvjj7mUliIr8qgPAkwCgYIKoZIzj0EAwIw\n\
        MzEVMBMGA1UECgwMc3lzdGVtOm5vZGVzMRowGAYDVQQDDBFzeXN0ZW06bm9kZTp3\n\
        aW4tNzAgFw0yNjExMzAwOTE4MzZaGA8yMDU0MDQxNzA5MTgzNlowMzEVMBMGA1UE\n\
        CgwMc3lzdGVtOm5vZGVzMRowGAYDVQQDDBFzeXN0ZW06bm9kZTp3aW4tNzBZMBMG\n\
        ByqGSM49AgEGCCqGSM49AwEHA0IABFBvqvXUR70L9AreVfwtUnTDsXnLWC5U4vAc\n\
        1wny7fJepUxuWDbkCRTPJi2QM6Td9NAkCZXJEc08bQgtqvtzxu+jUzBRMB0GA1Ud\n\
        DgQWBBQ3digs/EYC+IKGiU8wkhtC1ngzyzAfBgNVHSMEGDAWgBQ3digs/EYC+IKG\n\
        iU8wkhtC1ngzyzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIG3f\n\
        D24z089iMwp6rpVbSIXkvdaL3CCDyhJcm7BCylPFAiEAr6DRdFO79pLGhEZIN07e\n\
        9SA+cdTycgIPZyeLG6JRgIQ=\n\
        -----END CERTIFICATE-----";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn the_end_of_the_first_certificate_is_found() {
        assert_eq!(ends(A_YEAR), Some(at("2027-11-30T09:18:36Z")));
        assert_eq!(ends(LONG), Some(at("2054-04-17T09:18:36Z")));
        // As the kubelet writes it: the key may come first or last, and what signed it may follow.
        let key = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
        assert_eq!(ends(&format!("{key}{A_YEAR}\r\n{LONG}")), Some(at("2027-11-30T09:18:36Z")));
        assert_eq!(ends(&A_YEAR.replace('\n', "\r\n")), Some(at("2027-11-30T09:18:36Z")));
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        for text in ["", "nonsense", BEGIN, "-----BEGIN CERTIFICATE-----\n%%\n-----END CERTIFICATE-----"] {
            assert_eq!(ends(text), None, "{text}");
        }
        let body = A_YEAR.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).expect("PEM").0;
        let der = decode(body).expect("base64");
        for length in 0..120 {
            assert_eq!(not_after(&der[..length]), None, "cut after {length} bytes");
        }
    }

    #[test]
    fn times_have_two_forms() {
        assert_eq!(time(UTC_TIME, "491231235959Z"), Some(at("2049-12-31T23:59:59Z")));
        assert_eq!(time(UTC_TIME, "500101000000Z"), Some(at("1950-01-01T00:00:00Z")));
        assert_eq!(time(GENERALIZED_TIME, "20540102030405Z"), Some(at("2054-01-02T03:04:05Z")));
        for wrong in ["", "Z", "261131000000Z", "2611300000Z", "26113000000\u{e9}Z"] {
            assert_eq!(time(UTC_TIME, wrong), None, "{wrong}");
        }
    }
}
