//! Who we are at AWS: the class's Secret, or the operator's own identity by the chain that the SDKs use.
//!
//! The chain is written by hand: the official crate (`aws-config`) brings the STS client and a second TLS stack, for four
//! requests.

mod chain;
mod environment;
mod metadata;
#[cfg(test)]
mod tests;

pub(super) use chain::Chain;
pub(super) use environment::Environment;

use crate::ports::{ProviderError, SecretData, Secrets};
use aws_credential_types::Credentials as Keys;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{Mutex, OnceCell};

/// How long before their end credentials are fetched anew.
const EARLY: Duration = Duration::from_mins(5);
/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// Credentials that are in use, and the account they are of.
pub(super) struct Session {
    pub credentials: Keys,
    /// Asked for once.
    pub account: OnceCell<String>,
}

impl Session {
    fn new(credentials: Keys) -> Arc<Self> {
        Arc::new(Self { credentials, account: OnceCell::new() })
    }

    /// A text of somebody else's with our secrets taken out.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        let keys = &self.credentials;
        let secrets = [Some(keys.secret_access_key()), keys.session_token(), Some(keys.access_key_id())];
        let secrets = secrets.into_iter().flatten().filter(|secret| !secret.is_empty());
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
    }

    fn is_same(&self, keys: &Keys) -> bool {
        let shape = |k: &Keys| {
            (k.access_key_id().to_owned(), k.secret_access_key().to_owned(), k.session_token().map(str::to_owned))
        };
        shape(&self.credentials) == shape(keys)
    }

    fn is_good_at(&self, time: SystemTime) -> bool {
        self.credentials.expiry().is_none_or(|end| end > time)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// Where credentials come from.
pub(super) enum Source {
    /// A Secret in the operator's namespace.
    Secret { name: String, secrets: Arc<dyn Secrets> },
    /// The operator's own identity.
    Chain(Box<Chain>),
}

/// The credentials of one provider: fetched when needed, kept while they are good.
pub(super) struct Credentials {
    source: Source,
    kept: Mutex<Option<Arc<Session>>>,
}

impl Credentials {
    pub(super) fn new(source: Source) -> Self {
        Self { source, kept: Mutex::default() }
    }

    /// Those of now.
    ///
    /// # Errors
    /// [`ProviderError::Denied`] when there are none; it says where they were looked for.
    pub(super) async fn get(&self) -> Result<Arc<Session>, ProviderError> {
        let mut kept = self.kept.lock().await;
        if let (Source::Chain(_), Some(session)) = (&self.source, kept.as_ref())
            && session.is_good_at(SystemTime::now() + EARLY)
        {
            return Ok(Arc::clone(session));
        }
        let fetched = match self.fetch().await {
            Ok(fetched) => fetched,
            // Better those that end soon than none.
            Err(error) => match kept.as_ref().filter(|s| s.is_good_at(SystemTime::now())) {
                Some(session) if matches!(error, ProviderError::Transient(_)) => return Ok(Arc::clone(session)),
                _ => return Err(error),
            },
        };
        match kept.as_ref() {
            Some(session) if session.is_same(&fetched) => Ok(Arc::clone(session)),
            _ => Ok(Arc::clone(kept.insert(Session::new(fetched)))),
        }
    }

    /// Other credentials than those that AWS did not take; none when there are no others.
    pub(super) async fn other_than(&self, refused: &Session) -> Result<Option<Arc<Session>>, ProviderError> {
        {
            let mut kept = self.kept.lock().await;
            if kept.as_ref().is_some_and(|session| session.is_same(&refused.credentials)) {
                *kept = None;
            }
        }
        let session = self.get().await?;
        Ok((!session.is_same(&refused.credentials)).then_some(session))
    }

    async fn fetch(&self) -> Result<Keys, ProviderError> {
        match &self.source {
            Source::Secret { name, secrets } => of_secret(name, &secrets.read(name).await?),
            Source::Chain(chain) => chain.fetch().await,
        }
    }
}

/// The credentials in a Secret, under the names that they have in AWS's own credentials file.
fn of_secret(name: &str, secret: &SecretData) -> Result<Keys, ProviderError> {
    let read = |key: &str| {
        let text = secret.get(key).and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::trim);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let need = |key: &str| {
        read(key).ok_or_else(|| ProviderError::Denied(format!("Secret {name} has no text under its key {key}")))
    };
    let (id, key) = (need("aws_access_key_id")?, need("aws_secret_access_key")?);
    Ok(Keys::new(id, key, read("aws_session_token"), None, "secret"))
}
