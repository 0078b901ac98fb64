//! Windows builds and KB numbers, compared as numbers.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A Windows build, `major.minor.build.UBR`, as `nodeInfo.kernelVersion` shows it (`10.0.20348.2582`).
///
/// Ordered as numbers: Windows Server 2025 went from `26100.7462` to `26100.32230`, which text order gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Build([u32; 4]);

impl Build {
    /// Makes a build of its four numbers.
    pub const fn new(major: u32, minor: u32, build: u32, ubr: u32) -> Self {
        Self([major, minor, build, ubr])
    }

    /// The update build revision, the number a cumulative update raises.
    pub const fn ubr(self) -> u32 {
        self.0[3]
    }

    /// The OS build without the UBR, as text (`10.0.20348`): what a feature upgrade would change.
    pub fn os_build(self) -> String {
        let [major, minor, build, _] = self.0;
        format!("{major}.{minor}.{build}")
    }

    /// Whether both are the same Windows version, only the UBR may differ.
    pub fn same_os(self, other: Self) -> bool {
        self.0[..3] == other.0[..3]
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, build, ubr] = self.0;
        write!(f, "{major}.{minor}.{build}.{ubr}")
    }
}

/// A text that is not a Windows build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a Windows build of the form 10.0.20348.2582")]
pub struct ParseBuildError(String);

impl FromStr for Build {
    type Err = ParseBuildError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseBuildError(text.chars().take(64).collect());
        let mut parts = [0; 4];
        let mut words = text.split('.');
        for part in &mut parts {
            *part = words.next().and_then(parse_number).ok_or_else(refuse)?;
        }
        if words.next().is_some() { Err(refuse()) } else { Ok(Self(parts)) }
    }
}

/// Digits only: `u32::from_str` alone would take `+7`.
fn parse_number(word: &str) -> Option<u32> {
    word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse().ok()).flatten()
}

impl TryFrom<String> for Build {
    type Error = ParseBuildError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Build> for String {
    fn from(build: Build) -> Self {
        build.to_string()
    }
}

/// A Microsoft knowledge-base number, `KB5040437`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KbId(u32);

impl fmt::Display for KbId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KB{}", self.0)
    }
}

/// A text that is not a KB number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a KB of the form KB5040437 (KB and 6 to 8 digits)")]
pub struct ParseKbError(String);

impl FromStr for KbId {
    type Err = ParseKbError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseKbError(text.chars().take(64).collect());
        let digits = text.strip_prefix("KB").ok_or_else(refuse)?;
        if !(6..=8).contains(&digits.len()) || digits.starts_with('0') {
            return Err(refuse());
        }
        parse_number(digits).map(Self).ok_or_else(refuse)
    }
}

impl TryFrom<String> for KbId {
    type Error = ParseKbError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<KbId> for String {
    fn from(kb: KbId) -> Self {
        kb.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_compare_as_numbers() {
        let december: Build = "10.0.26100.7462".parse().expect("a build");
        let january: Build = "10.0.26100.32230".parse().expect("a build");
        assert!(january > december, "text order would say otherwise");
        assert!(january.same_os(december));
        assert_eq!(january.os_build(), "10.0.26100");
        assert_eq!(january.to_string().parse(), Ok(january));
    }

    #[test]
    fn refuses_what_is_no_build_or_kb() {
        for text in
            ["", "10.0.20348", "10.0.20348.1.2", "10.0.20348.-1", "10.0.20348.+1", "10.0.20348.99999999999", "a.b.c.d"]
        {
            assert!(text.parse::<Build>().is_err(), "{text}");
        }
        for text in ["", "5040437", "KB", "kb5040437", "KB12345", "KB123456789", "KB50404x7", "KB0504043"] {
            assert!(text.parse::<KbId>().is_err(), "{text}");
        }
        assert_eq!("KB5040437".parse::<KbId>().expect("a KB").to_string(), "KB5040437");
    }
}
