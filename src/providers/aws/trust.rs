//! Whom we speak to: an HTTP client whose TLS trusts the system's authorities, and those of a Secret beside them.
//! Certificates are always verified. Redirects are not followed: a request holds a signature that is not for others.

use crate::ports::{ProviderError, Secrets};
use reqwest::{Certificate, Client, redirect};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The key of a Secret that holds certificates, as in Secrets of type `kubernetes.io/tls`.
const CA_KEY: &str = "ca.crt";
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Makes the client, and makes it anew when its Secret changed.
pub(super) struct Trust {
    ca_secret: Option<String>,
    secrets: Arc<dyn Secrets>,
    kept: Mutex<Option<(String, Client)>>,
}

impl Trust {
    pub(super) fn new(ca_secret: Option<String>, secrets: Arc<dyn Secrets>) -> Self {
        // reqwest panics without a process-wide TLS provider. `main` sets ours first; where it did not, this one counts.
        drop(rustls::crypto::ring::default_provider().install_default());
        Self { ca_secret, secrets, kept: Mutex::default() }
    }

    /// The client of now.
    ///
    /// # Errors
    /// [`ProviderError::Denied`] when the Secret is missing or has no certificates.
    pub(super) async fn client(&self) -> Result<Client, ProviderError> {
        let Some(name) = &self.ca_secret else { return self.keep(String::new(), || client(Vec::new())) };
        let secret = self.secrets.read(name).await?;
        self.keep(secret.version().to_owned(), || {
            let pem = secret.get(CA_KEY).ok_or_else(|| denied(name, &format!("has no key {CA_KEY}")))?;
            let certificates = Certificate::from_pem_bundle(pem).unwrap_or_default();
            if certificates.is_empty() {
                return Err(denied(name, &format!("has no certificate, PEM, under its key {CA_KEY}")));
            }
            client(certificates)
        })
    }

    fn keep(
        &self,
        version: String,
        make: impl FnOnce() -> Result<Client, ProviderError>,
    ) -> Result<Client, ProviderError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = kept.as_ref().filter(|(of, _)| *of == version) {
            return Ok(client.clone());
        }
        let client = make()?;
        *kept = Some((version, client.clone()));
        Ok(client)
    }
}

fn denied(secret: &str, why: &str) -> ProviderError {
    ProviderError::Denied(format!("Secret {secret} {why}"))
}

fn client(certificates: Vec<Certificate>) -> Result<Client, ProviderError> {
    let builder = Client::builder().timeout(TIMEOUT).redirect(redirect::Policy::none());
    let builder = if certificates.is_empty() { builder } else { builder.tls_certs_merge(certificates) };
    builder.build().map_err(|error| ProviderError::Permanent(format!("no HTTP client can be made: {error}")))
}
