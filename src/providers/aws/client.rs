//! One call to AWS: at the rate of its account and region, signed, repeated where that is safe, and its answer read.

use super::answers::IdentityAnswer;
use super::bucket::{Bucket, Buckets, Rate};
use super::call::{Again, Call, Service};
use super::credentials::{Credentials, Session};
use super::error::{Class, Refusal};
use super::machine::host;
use super::params::Params;
use super::sign::{Unsigned, plain, signed};
use super::trust::Trust;
use crate::ports::ProviderError;
use http::Request;
use quick_xml::events::Event;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::OwnedSemaphorePermit;

/// How long to wait when AWS is too busy and does not say how long.
pub(super) const RETRY_DEFAULT: Duration = Duration::from_secs(5);
/// Longest wait it may ask for: a longer one would hide it from the step's deadline.
const RETRY_CAP: Duration = Duration::from_mins(5);
/// How often a request is sent within one call, as the SDKs' standard mode does.
const ATTEMPTS: u32 = 3;
/// The first wait between two attempts is drawn from up to this, the next from up to twice as much ("full jitter").
const BACKOFF: Duration = Duration::from_millis(400);

/// Speaks to AWS in one region.
pub(super) struct Client {
    pub region: String,
    endpoint: Option<String>,
    /// Held as long as the class is as it is: the bucket's rate is made of those that are.
    rate: Arc<Rate>,
    credentials: Credentials,
    trust: Arc<Trust>,
    buckets: Arc<Buckets>,
}

/// Why an attempt came to nothing, and what another one would need.
struct Failure {
    error: ProviderError,
    next: Next,
}

enum Next {
    /// Nothing was done; AWS may have said how long to wait.
    Slower(Option<Duration>),
    /// Nobody knows whether it was done.
    Unsure,
    /// Nothing was done; other credentials may do.
    OtherCredentials,
    /// None.
    No,
}

impl Failure {
    fn last(error: ProviderError) -> Self {
        Self { error, next: Next::No }
    }

    fn unsure(text: String) -> Self {
        Self { error: ProviderError::Transient(text), next: Next::Unsure }
    }
}

impl Client {
    pub(super) fn new(
        region: String,
        endpoint: Option<String>,
        rate: Rate,
        credentials: Credentials,
        trust: Arc<Trust>,
        buckets: Arc<Buckets>,
    ) -> Self {
        Self { region, endpoint, rate: Arc::new(rate), credentials, trust, buckets }
    }

    /// Asks, and reads the answer strictly: one that does not parse may be a proxy's or cut off.
    pub(super) async fn ask<T: DeserializeOwned>(&self, call: Call, params: &Params) -> Result<T, ProviderError> {
        let attempt = |session: Arc<Session>| async move {
            self.bucket(&session).await?.token().await;
            self.send(call, params, &session).await
        };
        self.insist(call, attempt).await
    }

    /// Waits for a turn to work. It is the credentials' account that has turns, so they have to be known to AWS.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, ProviderError> {
        let known = |session: Arc<Session>| async move { self.bucket(&session).await };
        self.insist(Call::GetCallerIdentity, known).await?.turn().await
    }

    /// Makes attempts until one is answered, or another would be of no use.
    async fn insist<T, F>(&self, call: Call, make: impl Fn(Arc<Session>) -> F) -> Result<T, ProviderError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut session = self.credentials.get().await?;
        let mut renewed = false;
        for attempt in 1.. {
            let failure = match make(Arc::clone(&session)).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let wait = match failure.next {
                Next::OtherCredentials if !renewed => {
                    renewed = true;
                    let Some(other) = self.credentials.other_than(&session).await? else { return Err(failure.error) };
                    session = other;
                    continue;
                }
                Next::Slower(asked) => asked.unwrap_or_default().max(backoff(attempt)),
                Next::Unsure if call.again() == Again::Harmless => backoff(attempt),
                _ => return Err(failure.error),
            };
            if attempt >= ATTEMPTS || wait > BACKOFF * 2_u32.pow(ATTEMPTS) {
                return Err(failure.error);
            }
            tracing::debug!(action = call.action(), attempt, error = %failure.error, "asked again");
            tokio::time::sleep(wait).await;
        }
        unreachable!("the loop only ends by returning")
    }

    /// The bucket of the session's account, which is asked for once.
    async fn bucket(&self, session: &Session) -> Result<Arc<Bucket>, Failure> {
        let ask = async || {
            let call = Call::GetCallerIdentity;
            let answer: IdentityAnswer = self.send(call, &Params::default(), session).await?;
            Ok(answer.result.account)
        };
        let account = session.account.get_or_try_init(ask).await?;
        Ok(self.buckets.of(account, &self.region, &self.rate))
    }

    async fn send<T: DeserializeOwned>(&self, call: Call, params: &Params, session: &Session) -> Result<T, Failure> {
        let text = self.exchange(call, params, session).await?;
        let read = match call.service() {
            Service::Kms => serde_json::from_str(&text).map_err(|_| "no such JSON"),
            Service::Ec2 | Service::Sts => read_xml(call, &text),
        };
        read.map_err(|why| Failure::unsure(not_understood(call, text.len(), why)))
    }

    async fn exchange(&self, call: Call, params: &Params, session: &Session) -> Result<String, Failure> {
        let http = self.trust.client().await.map_err(Failure::last)?;
        let request = self.request(call, params, session).map_err(|e| Failure::last(ProviderError::Permanent(e)))?;
        let answer = deliver(&http, call, request).await?;
        let (status, headers, text) = answer;
        if status.is_success() {
            return Ok(text);
        }
        Err(refused(call, status, &headers, &text, session))
    }

    fn request(&self, call: Call, params: &Params, session: &Session) -> Result<Request<String>, String> {
        let url = url(self.endpoint.as_deref(), call.service(), &self.region);
        let (headers, body) = match call.service() {
            Service::Kms => (
                vec![
                    ("content-type", "application/x-amz-json-1.1".to_owned()),
                    ("x-amz-target", format!("TrentService.{}", call.action())),
                ],
                params.json(),
            ),
            Service::Ec2 | Service::Sts => (vec![("content-type", FORM.to_owned())], params.form(call)),
        };
        let unsigned = Unsigned { service: call.service(), region: &self.region, url: &url, headers: &headers, body };
        let made = signed(unsigned, &session.credentials, SystemTime::now());
        made.map_err(|why| format!("{}: {why}", call.action()))
    }
}

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// Asks STS for what needs no signature.
pub(super) async fn ask_unsigned<T: DeserializeOwned>(
    http: &reqwest::Client,
    endpoint: Option<&str>,
    region: &str,
    call: Call,
    params: &Params,
) -> Result<T, ProviderError> {
    let url = url(endpoint, call.service(), region);
    let headers = [("content-type", FORM.to_owned())];
    let unsigned = Unsigned { service: call.service(), region, url: &url, headers: &headers, body: params.form(call) };
    let request = plain(unsigned).map_err(|why| ProviderError::Permanent(format!("{}: {why}", call.action())))?;
    let (status, _, text) = deliver(http, call, request).await.map_err(|failure| failure.error)?;
    if !status.is_success() {
        let Some(refusal) = Refusal::parse(&text) else {
            return Err(ProviderError::Transient(not_understood(call, text.len(), status.as_str())));
        };
        // Of its message nothing is shown: the token was in the request, and may come back.
        let class = refusal.class(status);
        return Err(Refusal { message: String::new(), ..refusal }.meaning(call, class));
    }
    read_xml(call, &text).map_err(|why| ProviderError::Transient(not_understood(call, text.len(), why)))
}

/// Reads an answer in XML, whose root names the call: some other page would else be read as an empty list.
fn read_xml<T: DeserializeOwned>(call: Call, text: &str) -> Result<T, &'static str> {
    let mut reader = quick_xml::Reader::from_str(text);
    let root = loop {
        match reader.read_event() {
            Ok(Event::Start(root) | Event::Empty(root)) => break root,
            Ok(Event::Decl(_) | Event::Text(_) | Event::Comment(_)) => {}
            _ => return Err("no XML"),
        }
    };
    let named = root.local_name().as_ref().strip_suffix("Response") == Some(call.action());
    if !named {
        return Err("the answer to something else");
    }
    quick_xml::de::from_str(text).map_err(|_| "XML of another shape")
}

fn url(endpoint: Option<&str>, service: Service, region: &str) -> String {
    match endpoint {
        Some(endpoint) => format!("{}/", endpoint.trim_end_matches('/')),
        None => format!("https://{}/", host(service.name(), region)),
    }
}

async fn deliver(
    http: &reqwest::Client,
    call: Call,
    request: Request<String>,
) -> Result<(StatusCode, HeaderMap, String), Failure> {
    let lost = |error: reqwest::Error| Failure::unsure(format!("{}: {}", call.action(), cause(&error)));
    let (parts, body) = request.into_parts();
    let sent = http.post(parts.uri.to_string()).headers(parts.headers).body(body).send().await;
    let response: Response = sent.map_err(lost)?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok((status, headers, response.text().await.map_err(lost)?))
}

fn refused(call: Call, status: StatusCode, headers: &HeaderMap, text: &str, session: &Session) -> Failure {
    if status.is_redirection() {
        return Failure::last(ProviderError::Permanent(format!(
            "{}: the endpoint answers {status}, a redirect, which is not followed",
            call.action()
        )));
    }
    let Some(refusal) = Refusal::parse(text) else {
        if status == StatusCode::TOO_MANY_REQUESTS || (status.is_server_error() && headers.contains_key(RETRY_AFTER)) {
            return throttled(headers);
        }
        return Failure::unsure(not_understood(call, text.len(), status.as_str()));
    };
    let class = refusal.class(status);
    let refusal = Refusal { message: session.without_secrets(&refusal.message), ..refusal };
    let next = match class {
        Class::Throttled => return throttled(headers),
        Class::Credentials => Next::OtherCredentials,
        Class::Passing if status.is_server_error() => Next::Unsure,
        _ => Next::No,
    };
    Failure { error: refusal.meaning(call, class), next }
}

fn throttled(headers: &HeaderMap) -> Failure {
    let seconds = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
    let asked = seconds.map(|s| Duration::from_secs(s).min(RETRY_CAP));
    Failure {
        error: ProviderError::Throttled { retry_after: asked.unwrap_or(RETRY_DEFAULT) },
        next: Next::Slower(asked),
    }
}

/// What is said of an answer that makes no sense: its size, and nothing that is in it. An endpoint that is not AWS's may
/// send back what it was sent.
fn not_understood(call: Call, length: usize, why: &str) -> String {
    format!("{}: an answer of {length} bytes that is not understood ({why})", call.action())
}

/// What went wrong at the bottom, without the URL.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut source: &dyn std::error::Error = error;
    while let Some(cause) = source.source() {
        source = cause;
    }
    source.to_string()
}

/// A wait drawn from up to [`BACKOFF`], doubled with each attempt: callers that failed together do not come back
/// together.
fn backoff(attempt: u32) -> Duration {
    (BACKOFF * 2_u32.pow(attempt.min(ATTEMPTS) - 1)).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn waits_between_attempts_differ_grow_and_fit_into_a_call() {
        let longest = |attempt| (0..500).map(|_| backoff(attempt)).max().unwrap_or_default();
        let waits: BTreeSet<_> = (0..50).map(|_| backoff(1)).collect();
        assert!(waits.len() > 40, "callers that failed together come back together: {waits:?}");
        assert!(longest(1) <= BACKOFF && longest(2) <= 2 * BACKOFF && longest(2) > BACKOFF);
        assert!(longest(9) <= BACKOFF * 2_u32.pow(ATTEMPTS - 1), "it does not grow for ever");
    }
}
