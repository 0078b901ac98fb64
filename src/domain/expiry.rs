//! When a snapshot ends to count, and by what: a disk that is put back later comes back, and is let in by nobody.

use crate::api::{SnapshotLimit, Span};
use jiff::{SignedDuration, Timestamp};
use std::{fmt, str::FromStr, time::Duration};
use windlass_protocol::DiskIdentity;

/// An end, and what makes it. The earlier is the less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    /// When.
    pub at: Timestamp,
    /// By what.
    pub by: SnapshotLimit,
}

impl Expiry {
    /// When a disk with this identity is not let in any more; `None` where nothing of it ends.
    pub fn of(identity: DiskIdentity) -> Option<Self> {
        let DiskIdentity { kubelet_certificate, machine_password } = identity;
        let by = |by| move |at| Self { at, by };
        let certificate = kubelet_certificate.map(by(SnapshotLimit::KubeletCertificate));
        certificate.into_iter().chain(machine_password.map(by(SnapshotLimit::MachinePassword))).min()
    }

    /// Why it is too soon for something that may take so long from now on; `None` when it is not. The text does not move
    /// with time.
    pub fn too_soon(self, now: Timestamp, needed: Duration) -> Option<String> {
        let end = SignedDuration::try_from(needed).ok().and_then(|needed| now.checked_add(needed).ok());
        let fits = end.is_some_and(|end| end <= self.at);
        (!fits).then(|| {
            format!("{}; an update and its revert may take {}", self.words(), Span::from_secs(needed.as_secs()))
        })
    }

    /// In words.
    pub fn words(self) -> String {
        let at = self.at.strftime("%Y-%m-%dT%H:%M:%SZ");
        match self.by {
            SnapshotLimit::ProviderExpiry => format!("the provider keeps it until {at}"),
            SnapshotLimit::KubeletCertificate => format!("the kubelet's client certificate on it ends at {at}"),
            SnapshotLimit::MachinePassword => format!("the machine's password in the domain is to be changed at {at}"),
        }
    }
}

/// As the log of steps keeps it.
impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.by, self.at)
    }
}

/// A text that is no [`Expiry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not what ends a snapshot, and when")]
pub struct ParseExpiryError;

impl FromStr for Expiry {
    type Err = ParseExpiryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (by, at) = text.split_once(' ').ok_or(ParseExpiryError)?;
        let all = [SnapshotLimit::ProviderExpiry, SnapshotLimit::KubeletCertificate, SnapshotLimit::MachinePassword];
        let by = all.into_iter().find(|limit| format!("{limit:?}") == by).ok_or(ParseExpiryError)?;
        Ok(Self { at: at.parse().map_err(|_| ParseExpiryError)?, by })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn the_earliest_end_counts_and_what_makes_it_is_told() {
        let (soon, late) = (at("2026-12-01T00:00:00Z"), at("2027-06-01T00:00:00Z"));
        let of =
            |kubelet_certificate, machine_password| Expiry::of(DiskIdentity { kubelet_certificate, machine_password });
        let (certificate, password) = (SnapshotLimit::KubeletCertificate, SnapshotLimit::MachinePassword);
        assert_eq!(of(None, None), None);
        assert_eq!(of(Some(late), None), Some(Expiry { at: late, by: certificate }));
        assert_eq!(of(Some(late), Some(soon)), Some(Expiry { at: soon, by: password }));
        assert_eq!(of(Some(soon), Some(late)), Some(Expiry { at: soon, by: certificate }));
        let provider = Expiry { at: soon, by: SnapshotLimit::ProviderExpiry };
        assert_eq!(of(Some(late), Some(late)).into_iter().chain([provider]).min(), Some(provider));
    }

    #[test]
    fn an_end_is_too_soon_when_an_update_and_its_revert_may_not_fit_before_it() {
        let end = Expiry { at: at("2026-12-01T06:00:00Z"), by: SnapshotLimit::MachinePassword };
        let why = |now: &str| end.too_soon(at(now), Duration::from_hours(5));
        assert_eq!(why("2026-12-01T01:00:00Z"), None);
        let text = why("2026-12-01T01:00:01Z").expect("a second too late");
        assert_eq!(
            text,
            "the machine's password in the domain is to be changed at 2026-12-01T06:00:00Z; an update and its revert may take 5h"
        );
        assert_eq!(why("2026-12-01T07:00:00Z"), Some(text), "the text holds still");
    }

    #[test]
    fn the_log_keeps_an_end_as_it_is() {
        for by in [SnapshotLimit::ProviderExpiry, SnapshotLimit::KubeletCertificate, SnapshotLimit::MachinePassword] {
            let end = Expiry { at: at("2026-12-01T06:00:00.25Z"), by };
            assert_eq!(end.to_string().parse(), Ok(end));
        }
        for text in ["", "MachinePassword", "Password 2026-12-01T06:00:00Z", "MachinePassword soon"] {
            assert_eq!(text.parse::<Expiry>(), Err(ParseExpiryError), "{text}");
        }
    }
}
