//! One request to the hypervisor, and what its answer means.

use super::wire::ErrorBody;
use crate::ports::ProviderError;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// How long one request may take: the hypervisor only starts and looks up.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait when it is too busy and does not say how long.
const RETRY_DEFAULT: Duration = Duration::from_secs(10);
/// Longest wait it may ask for: a longer one would hide it from the step's deadline.
const RETRY_CAP: Duration = Duration::from_mins(5);
/// How much of an answer that is not understood is shown.
const SHOWN: usize = 80;

/// The hypervisor at one endpoint.
pub(super) struct Http {
    client: Client,
    base: Url,
}

impl Http {
    /// # Errors
    /// When the endpoint is no URL, or TLS can not be set up; in words.
    pub(super) fn new(endpoint: &str) -> Result<Self, String> {
        let base: Url = endpoint.parse().map_err(|e| format!("{endpoint:?} is no URL: {e}"))?;
        // reqwest panics without a process-wide TLS provider. `main` sets ours first; where it did not, this one counts.
        drop(rustls::crypto::ring::default_provider().install_default());
        // Not through a proxy: a simulated hypervisor is never behind one.
        let client = Client::builder().timeout(TIMEOUT).no_proxy().build().map_err(|e| e.to_string())?;
        Ok(Self { client, base })
    }

    /// Asks, and reads the answer strictly: one that does not parse may be a proxy's, and is asked for again.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, ProviderError> {
        let text = self.send(method, path, body).await?;
        serde_json::from_str(&text).map_err(|e| self.rubbish(path, &text, &e.to_string()))
    }

    /// Asks for something that has no answer but that it was done. Somebody else's page is no such answer.
    pub(super) async fn tell(&self, method: Method, path: &str) -> Result<(), ProviderError> {
        let text = self.send(method, path, None).await?;
        if text.is_empty() { Ok(()) } else { Err(self.rubbish(path, &text, "it should be empty")) }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<String, ProviderError> {
        let url = self.base.join(path).map_err(|e| ProviderError::Permanent(format!("{path}: {e}")))?;
        let request = self.client.request(method, url);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let lost = |e: reqwest::Error| ProviderError::Transient(format!("{}: {}", self.base, plain(&e)));
        let response = request.send().await.map_err(lost)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.map_err(lost)?;
        if status.is_success() { Ok(text) } else { Err(self.refusal(path, status, &headers, &text)) }
    }

    fn refusal(&self, path: &str, status: StatusCode, headers: &HeaderMap, text: &str) -> ProviderError {
        if status == StatusCode::TOO_MANY_REQUESTS {
            return ProviderError::Throttled { retry_after: retry_after(headers) };
        }
        match serde_json::from_str::<ErrorBody>(text) {
            Ok(body) => body.error.meaning(),
            Err(e) => self.rubbish(path, text, &format!("{status}, {e}")),
        }
    }

    fn rubbish(&self, path: &str, text: &str, why: &str) -> ProviderError {
        let shown: String = text.chars().take(SHOWN).collect();
        let base = self.base.as_str().trim_end_matches('/');
        ProviderError::Transient(format!("{base}{path} answers {shown:?}, which is not understood: {why}"))
    }
}

/// What went wrong, with its causes but without the URL, which may hold a key that changes from pass to pass.
fn plain(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {}s", TIMEOUT.as_secs());
    }
    let mut source: &dyn std::error::Error = error;
    while let Some(cause) = source.source() {
        source = cause;
    }
    source.to_string()
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
    seconds.map_or(RETRY_DEFAULT, Duration::from_secs).min(RETRY_CAP)
}
