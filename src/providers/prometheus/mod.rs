//! Instant queries to the HTTP API of Prometheus (<https://prometheus.io/docs/prometheus/latest/querying/api/>).
//!
//! Whoever may write an UpdatePolicy chooses where the operator asks, so that little can be done with it: only its path
//! `/api/v1/query` is asked, by GET and without credentials, no redirect is followed, TLS is verified, addresses that only
//! serve a machine's own cloud are refused, and of an answer that is none of Prometheus' nothing is shown.

mod address;
mod answer;

use crate::ports::{Monitoring, MonitoringError};
use address::{Guard, usable};
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::{Client, Url, redirect};
use std::sync::Arc;
use std::time::Duration;

/// How long one query may take: a rule that takes longer is no alert.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer that is read, in bytes: some thousand series.
const MAX_ANSWER: usize = 1 << 20;

/// Asks any Prometheus.
pub struct Prometheus {
    client: Client,
}

impl Prometheus {
    /// # Errors
    /// TLS can not be set up; in words.
    pub fn new() -> Result<Self, String> {
        // reqwest panics without a process-wide TLS provider. `main` sets ours first; where it did not, this one counts.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Guard))
            .build()
            .map_err(|e| e.to_string())?;
        Ok(Self { client })
    }

    async fn ask(&self, address: &str, query: &str) -> Result<Vec<f64>, String> {
        let mut response = self.client.get(url(address, query)?).send().await.map_err(|e| plain(&e))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| plain(&e))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err(format!("the answer is longer than {MAX_ANSWER} bytes"));
            }
        }
        answer::read(&body).ok_or_else(|| format!("no answer of a Prometheus, HTTP status {}", status.as_u16()))?
    }
}

impl Monitoring for Prometheus {
    fn query<'a>(&'a self, address: &'a str, query: &'a str) -> BoxFuture<'a, Result<Vec<f64>, MonitoringError>> {
        let told = move |why| MonitoringError(format!("{address}: {why}"));
        async move { self.ask(address, query).await.map_err(told) }.boxed()
    }
}

/// The URL of a query.
fn url(address: &str, query: &str) -> Result<Url, String> {
    let mut url: Url = format!("{}/api/v1/query", address.trim_end_matches('/')).parse().map_err(|e| format!("{e}"))?;
    usable(&url)?;
    url.query_pairs_mut().append_pair("query", query);
    Ok(url)
}

/// What went wrong, without the URL and without what changes from call to call.
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

#[cfg(test)]
mod tests;
