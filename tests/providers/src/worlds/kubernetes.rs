//! An API server behind the proxy: plain HTTP with a bearer token in front, the administrator's client behind.

use anyhow::Result;
use axum::body::Bytes;
use conformance::proxy::Answer;
use conformance::{Dialect, Forward};
use futures::future::BoxFuture;
use http::request::Parts;
use http::{HeaderMap, Method, Request};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Passes requests on to an API server, if they bring the token.
pub struct ToServer {
    pub client: Client,
    /// The token that counts.
    pub token: Arc<Mutex<String>>,
}

/// A `Status` of the API server.
pub fn status(code: u16, reason: &str, message: &str, retry_after: Option<u64>) -> Answer {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    if let Some(seconds) = retry_after {
        status["details"] = json!({ "retryAfterSeconds": seconds });
    }
    Answer::new(code, "application/json", status.to_string())
}

impl ToServer {
    fn knows(&self, headers: &HeaderMap) -> bool {
        let wanted = format!("Bearer {}", self.token.lock().unwrap_or_else(PoisonError::into_inner));
        headers.get("authorization").and_then(|value| value.to_str().ok()) == Some(wanted.as_str())
    }

    async fn pass(&self, parts: Parts, body: Bytes) -> Result<Answer> {
        if !self.knows(&parts.headers) {
            return Ok(status(401, "Unauthorized", "Unauthorized", None));
        }
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::builder().method(parts.method.clone()).uri(path);
        for name in ["content-type", "accept"] {
            if let Some(value) = parts.headers.get(name) {
                request = request.header(name, value);
            }
        }
        let answer = self.client.send(request.body(Body::from(body.to_vec()))?).await?;
        let (parts, body) = answer.into_parts();
        let content_type =
            parts.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let body = body.collect_bytes().await?;
        Ok(Answer::new(parts.status.as_u16(), &content_type, body))
    }
}

impl Forward for ToServer {
    fn forward(&self, parts: Parts, body: Bytes) -> BoxFuture<'_, Result<Answer>> {
        Box::pin(self.pass(parts, body))
    }
}

/// What an API server says.
pub struct Words;

impl Dialect for Words {
    fn is_write(&self, parts: &Parts, _: &[u8]) -> bool {
        parts.method != Method::GET
    }

    fn throttled(&self, retry_after: Duration) -> Option<Answer> {
        let message = "too many requests, please try again later";
        Some(
            status(429, "TooManyRequests", message, Some(retry_after.as_secs()))
                .with("retry-after", retry_after.as_secs().to_string()),
        )
    }

    fn denied(&self) -> Answer {
        status(403, "Forbidden", "it is forbidden: User \"windlass\" cannot do this", None)
    }

    fn quota(&self) -> Option<Answer> {
        Some(status(
            403,
            "Forbidden",
            "snapshots is forbidden: exceeded quota: disks, requested: count=1, used: 5, limited: 5",
            None,
        ))
    }

    fn with_unknown_states(&self, body: &[u8]) -> Option<Bytes> {
        let mut object: Value = serde_json::from_slice(body).ok()?;
        let status = object.get_mut("status").filter(|status| status.is_object())?;
        for field in ["phase", "printableStatus"] {
            if status.get(field).is_some() {
                status[field] = json!("Cogitating");
            }
        }
        Some(object.to_string().into())
    }

    fn not_visible(&self, parts: &Parts, _: &[u8]) -> Option<Answer> {
        // Only what was just made: the machines were there before.
        let path = parts.uri.path();
        let made = path.contains("/virtualmachinesnapshots/") || path.contains("/virtualmachinerestores/");
        made.then(|| status(404, "NotFound", "not found", None))
    }
}
