//! Where a provider's credentials come from.

use super::Answer;
use std::collections::BTreeMap;
use std::fmt;

/// Reads Secrets of the operator's own namespace, and of no other.
pub trait Secrets: Send + Sync {
    /// The Secret of this name as it is now: a provider asks before each piece of work, so that a rotated credential is
    /// used from then on.
    ///
    /// # Errors
    /// [`ProviderError::Denied`](super::ProviderError::Denied) when there is no such Secret: somebody has to make it.
    fn read<'a>(&'a self, name: &'a str) -> Answer<'a, SecretData>;
}

/// What is in a Secret. It is never printed: `Debug` shows the names of its keys only.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretData {
    /// Changes when the Secret does.
    version: String,
    values: BTreeMap<String, Vec<u8>>,
}

impl SecretData {
    /// A Secret's values, at a version (`resourceVersion`).
    pub fn new(version: impl Into<String>, values: BTreeMap<String, Vec<u8>>) -> Self {
        Self { version: version.into(), values }
    }

    /// Changes when the Secret does.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The bytes of a key.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.values.get(key).map(Vec::as_slice)
    }
}

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretData").field("keys", &self.values.keys().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let values = BTreeMap::from([("token".to_owned(), b"hunter2".to_vec())]);
        let secret = SecretData::new("7", values);
        let shown = format!("{secret:?} {secret:#?}");
        assert!(shown.contains("token") && !shown.contains("hunter2") && !shown.contains("104"), "{shown}");
        assert_eq!(secret.get("token"), Some(b"hunter2".as_slice()));
    }
}
