//! Keys: every outside call carries one, so that a repeat after a crash finds the first call's work.

use crate::api::Step;
use sha2::{Digest, Sha256};
use std::fmt;

/// Names one attempt of one step of one node update.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepKey {
    /// UID of the NodeUpdate.
    pub node_update_uid: String,
    /// The step.
    pub step: Step,
    /// Round of installing, from 1; 0 is a reboot that was due before we came.
    pub round: u32,
    /// Attempt within the round, from 1.
    pub attempt: u32,
}

impl StepKey {
    /// A short text that only this key has: 16 hex digits. It goes into names and is the challenge of agent requests.
    pub fn digest(&self) -> String {
        digest(&self.to_string())
    }
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:?}/{}/{}", self.node_update_uid, self.step, self.round, self.attempt)
    }
}

/// A short text that only this text has: 16 hex digits.
pub fn digest(text: &str) -> String {
    hex(text, 16)
}

/// Longest name of a child: a DNS label.
const MAX_NAME: usize = 63;

/// Names a child object: the parents, cut to fit, and 8 hex digits of a hash of `identity` (UIDs, keys).
///
/// The same identity gives the same name, so that creating a child twice is a conflict and not a second child.
pub fn child_name(parents: &[&str], identity: &str) -> String {
    let mut stem: String = parents
        .join("-")
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(MAX_NAME - 9)
        .collect();
    stem.truncate(stem.trim_end_matches('-').len());
    format!("{stem}-{}", hex(identity, 8))
}

/// The first `digits` hex digits of the text's SHA-256; at most 16.
fn hex(text: &str, digits: usize) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let mut hex = format!("{:016x}", u64::from_be_bytes(hash.first_chunk().copied().unwrap_or_default()));
    hex.truncate(digits);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_and_tell_identities_apart() {
        let long = "x".repeat(80);
        for parents in [vec!["patch-tuesday", "win-7"], vec![long.as_str(), "win-7"], vec!["Win.Node_1"]] {
            let name = child_name(&parents, "uid-1");
            assert!(name.len() <= MAX_NAME, "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
            assert_eq!(name, child_name(&parents, "uid-1"));
            assert_ne!(name, child_name(&parents, "uid-2"));
        }
    }

    #[test]
    fn each_attempt_has_its_own_digest() {
        let key = |attempt| StepKey { node_update_uid: "u".into(), step: Step::Install, round: 1, attempt };
        assert_eq!(key(1).digest().len(), 16);
        assert_ne!(key(1).digest(), key(2).digest());
    }
}
