//! Values of the registry and lines of HTTP.

use windlass_protocol::Build;

/// The build from the values of `CurrentVersion`. A machine without `CurrentMajorVersionNumber` is older than any that
/// runs Windows containers.
pub(crate) fn build(
    major: Option<u32>,
    minor: Option<u32>,
    number: Option<&str>,
    ubr: Option<u32>,
) -> Result<Build, String> {
    let missing = |name: &str| format!("{name} is missing or no number");
    Ok(Build::new(
        major.ok_or_else(|| missing("CurrentMajorVersionNumber"))?,
        minor.ok_or_else(|| missing("CurrentMinorVersionNumber"))?,
        number.and_then(|n| n.parse().ok()).ok_or_else(|| missing("CurrentBuildNumber"))?,
        ubr.ok_or_else(|| missing("UBR"))?,
    ))
}

/// The status of an HTTP answer.
pub(crate) fn http_status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|b| *b == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

/// A Win32 error code as HRESULT (`HRESULT_FROM_WIN32`). "An error without a code" is `E_FAIL`: no failure may look like
/// success.
pub(crate) fn from_win32(code: u32) -> u32 {
    match code {
        0 => 0x8000_4005,
        hresult if hresult & 0x8000_0000 != 0 => hresult,
        win32 => 0x8007_0000 | (win32 & 0xFFFF),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_has_four_numbers() {
        assert_eq!(build(Some(10), Some(0), Some("20348"), Some(2582)), Ok(Build::new(10, 0, 20348, 2582)));
        assert!(build(None, Some(0), Some("20348"), Some(1)).is_err_and(|e| e.contains("Major")));
        assert!(build(Some(10), Some(0), Some("x"), Some(1)).is_err_and(|e| e.contains("CurrentBuildNumber")));
        assert!(build(Some(10), Some(0), Some("20348"), None).is_err_and(|e| e.contains("UBR")));
    }

    #[test]
    fn a_status_is_read_from_the_first_line() {
        assert_eq!(http_status(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Some(200));
        assert_eq!(http_status(b"HTTP/1.0 500\r\n"), Some(500));
        for none in [&b""[..], b"SSH-2.0-x\r\n", b"HTTP/1.1 ok\r\n", b"\xff\xfe"] {
            assert_eq!(http_status(none), None);
        }
    }

    #[test]
    fn no_failure_looks_like_success() {
        assert_eq!(from_win32(5), 0x8007_0005);
        assert_eq!(from_win32(0), 0x8000_4005);
        assert_eq!(from_win32(0x8024_0016), 0x8024_0016);
    }
}
