//! Secrets that a case can change.

use futures::FutureExt;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use windlass::ports::{Answer, ProviderError, SecretData, Secrets};

/// One Secret, in memory.
#[derive(Default)]
pub struct OneSecret {
    data: Mutex<Option<SecretData>>,
}

impl OneSecret {
    /// Puts this in it; each time, it is another version.
    pub fn set(&self, values: &[(&str, &str)]) {
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        let version = data.as_ref().map_or(0, |d| d.version().parse::<u64>().unwrap_or_default()) + 1;
        let values = values.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()));
        *data = Some(SecretData::new(version.to_string(), values.collect::<BTreeMap<_, _>>()));
    }
}

impl Secrets for OneSecret {
    fn read<'a>(&'a self, name: &'a str) -> Answer<'a, SecretData> {
        let data = self.data.lock().unwrap_or_else(PoisonError::into_inner).clone();
        async move { data.ok_or_else(|| ProviderError::Denied(format!("there is no Secret {name}"))) }.boxed()
    }
}
