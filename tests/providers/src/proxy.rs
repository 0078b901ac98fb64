//! What stands between a provider and its world: it counts requests, and misbehaves as a case says.

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use futures::stream;
use http::StatusCode;
use http::request::Parts;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest body that is passed on, in bytes.
const MAX_BODY: usize = 16 << 20;

/// Passes a request on to the world and gives its answer.
pub trait Forward: Send + Sync {
    /// Passes it on.
    fn forward(&self, parts: Parts, body: Bytes) -> BoxFuture<'_, Result<Answer>>;
}

/// An answer as it goes over the wire.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// `Content-Type`.
    pub content_type: String,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// An answer without further headers.
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, content_type: content_type.to_owned(), headers: Vec::new(), body: body.into() }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header, value.into()));
        self
    }
}

/// How a wire protocol says things.
pub trait Dialect: Send + Sync {
    /// Whether a request begins or changes something.
    fn is_write(&self, parts: &Parts, body: &[u8]) -> bool;
    /// Too many requests, with how long to wait. `None`: this protocol has no such answer.
    fn throttled(&self, retry_after: Duration) -> Option<Answer>;
    /// Forbidden.
    fn denied(&self) -> Answer;
    /// No room for another snapshot.
    fn quota(&self) -> Option<Answer>;
    /// The same answer with states in it that nobody knows; `None` where it has no state.
    fn with_unknown_states(&self, body: &[u8]) -> Option<Bytes>;
    /// What is answered when what a read asks for is not visible yet: the same answer as if it were not there. `None`: such
    /// a world shows what is written at once.
    fn not_visible(&self, parts: &Parts, body: &[u8]) -> Option<Answer>;
}

/// How the proxy misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done: too many requests, come back after this.
    Throttled(Duration),
    /// Nothing is done: forbidden.
    Denied,
    /// Nothing is done: no room.
    Quota,
    /// Nothing is done: a gateway says 503 in HTML.
    Down,
    /// Nothing is done: 200 and a page that is no answer.
    Rubbish,
    /// It is done, and the connection ends before the answer.
    AnswerLost,
    /// It is done, and the connection ends in the middle of the answer.
    AnswerCut,
    /// It is done, and the answer has states that nobody knows.
    UnknownStates,
    /// It is done, and answered this much later.
    Slow(Duration),
    /// What was made is not there yet for who reads.
    NotVisible,
}

/// Which requests a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requests {
    /// All.
    All,
    /// Those that begin or change something.
    Writes,
    /// The others.
    Reads,
}

/// A proxy on a loopback port.
pub struct Proxy {
    endpoint: String,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

struct Shared {
    forward: Box<dyn Forward>,
    dialect: Box<dyn Dialect>,
    fault: Mutex<Option<(Fault, Requests, u32)>>,
    calls: Mutex<Vec<Instant>>,
    struck: Mutex<u32>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Proxy {
    /// Starts a proxy in front of a world.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(forward: Box<dyn Forward>, dialect: Box<dyn Dialect>) -> Result<Self> {
        let shared =
            Shared { forward, dialect, fault: Mutex::default(), calls: Mutex::default(), struck: Mutex::default() };
        let shared = Arc::new(shared);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { endpoint, shared, server })
    }

    /// Its base URL.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Misbehaves from now on, at most `times` times. `false`: this protocol has no such answer.
    #[must_use]
    pub fn misbehave(&self, fault: Fault, on: Requests, times: u32) -> bool {
        let dialect = &self.shared.dialect;
        let speaks = match fault {
            Fault::Throttled(after) => dialect.throttled(after).is_some(),
            Fault::Quota => dialect.quota().is_some(),
            _ => true,
        };
        if speaks {
            *lock(&self.shared.fault) = Some((fault, on, times));
            *lock(&self.shared.struck) = 0;
        }
        speaks
    }

    /// Behaves again. Gives how many requests were struck.
    pub fn behave(&self) -> u32 {
        *lock(&self.shared.fault) = None;
        *lock(&self.shared.struck)
    }

    /// How many requests there were so far.
    pub fn calls(&self) -> usize {
        lock(&self.shared.calls).len()
    }

    /// When each request came, from this one on.
    pub fn times(&self, from: usize) -> Vec<Instant> {
        lock(&self.shared.calls).iter().skip(from).copied().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The fault that strikes this request, if any.
    fn next_fault(&self, is_write: bool) -> Option<Fault> {
        let mut planned = lock(&self.fault);
        let (fault, on, left) = planned.as_mut()?;
        let strikes = match on {
            Requests::All => true,
            Requests::Writes => is_write,
            Requests::Reads => !is_write,
        };
        if !strikes || *left == 0 {
            return None;
        }
        *left -= 1;
        *lock(&self.struck) += 1;
        Some(*fault)
    }

    async fn answer(&self, parts: Parts, body: Bytes) -> Response {
        lock(&self.calls).push(Instant::now());
        let fault = self.next_fault(self.dialect.is_write(&parts, &body));
        let page = "<html><body>It works!</body></html>";
        let early = match fault {
            Some(Fault::Throttled(after)) => self.dialect.throttled(after),
            Some(Fault::Denied) => Some(self.dialect.denied()),
            Some(Fault::Quota) => self.dialect.quota(),
            Some(Fault::Down) => Some(Answer::new(503, "text/html", page)),
            Some(Fault::Rubbish) => Some(Answer::new(200, "text/html", page)),
            Some(Fault::NotVisible) => self.dialect.not_visible(&parts, &body),
            _ => None,
        };
        if let Some(early) = early {
            return response(&early);
        }
        let answer = match self.forward.forward(parts, body).await {
            Ok(answer) => answer,
            Err(error) => Answer::new(502, "text/plain", format!("{error:#}")),
        };
        match fault {
            Some(Fault::AnswerLost) => cut(answer, 0),
            Some(Fault::AnswerCut) => {
                let half = answer.body.len() / 2;
                cut(answer, half)
            }
            Some(Fault::Slow(late)) => {
                tokio::time::sleep(late).await;
                response(&answer)
            }
            Some(Fault::UnknownStates) => {
                let body = self.dialect.with_unknown_states(&answer.body).unwrap_or(answer.body.clone());
                response(&Answer { body, ..answer })
            }
            _ => response(&answer),
        }
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match axum::body::to_bytes(body, MAX_BODY).await {
        Ok(body) => shared.answer(parts, body).await,
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

fn response(answer: &Answer) -> Response {
    build(answer, Body::from(answer.body.clone()))
}

/// The answer up to so many bytes of its body; then the connection breaks.
fn cut(answer: Answer, bytes: usize) -> Response {
    let shown = answer.body.slice(..bytes);
    let broken = Err(std::io::Error::other("the connection is cut"));
    let body = Body::from_stream(stream::iter([Ok(shown), broken]));
    // With its length announced, a client can not take what came for all.
    let answer =
        Answer { body: answer.body.clone(), ..answer }.with("content-length", answer.body.len().max(1).to_string());
    build(&answer, body)
}

fn build(answer: &Answer, body: Body) -> Response {
    let mut builder = Response::builder().status(answer.status).header("content-type", &answer.content_type);
    for (name, value) in &answer.headers {
        builder = builder.header(*name, value);
    }
    builder.body(body).unwrap_or_else(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response())
}
