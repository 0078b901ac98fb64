//! The front of moto behind the proxy, and what AWS says.

use super::simulated::Fleet;
use anyhow::Result;
use axum::body::Bytes;
use conformance::proxy::Answer;
use conformance::{Dialect, Forward};
use futures::future::BoxFuture;
use http::request::Parts;
use std::sync::Arc;
use std::time::Duration;
use xtask::moto::Front;

/// Passes requests on to the front.
pub struct ToFront {
    pub front: Arc<Front>,
    /// The machines under it.
    pub fleet: Fleet,
}

impl Forward for ToFront {
    fn forward(&self, parts: Parts, body: Bytes) -> BoxFuture<'_, Result<Answer>> {
        self.fleet.settle();
        Box::pin(async move {
            let body = String::from_utf8_lossy(&body).into_owned();
            let reply = self.front.answer(&parts.headers, body).await?;
            Ok(Answer::new(reply.status, &reply.content_type, reply.body))
        })
    }
}

/// What AWS says.
pub struct Words;

/// The value of a parameter of the query protocol; nothing of it is escaped that is looked for here.
fn param<'a>(body: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(body).ok()?;
    text.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn refusal(status: u16, code: &str, message: &str) -> Answer {
    let text = format!(
        "<?xml version=\"1.0\"?><Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
         <RequestID>case</RequestID></Response>"
    );
    Answer::new(status, "text/xml", text)
}

impl Dialect for Words {
    fn is_write(&self, parts: &Parts, body: &[u8]) -> bool {
        // KMS, which is only asked about keys, names its calls in a header.
        let reads = |action: &str| action.starts_with("Describe") || action.starts_with("Get");
        !parts.headers.contains_key("x-amz-target") && !param(body, "Action").is_some_and(reads)
    }

    fn throttled(&self, retry_after: Duration) -> Option<Answer> {
        let refused = refusal(503, "RequestLimitExceeded", "Request limit exceeded.");
        Some(refused.with("retry-after", retry_after.as_secs().to_string()))
    }

    fn denied(&self) -> Answer {
        refusal(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
    }

    fn quota(&self) -> Option<Answer> {
        Some(refusal(400, "SnapshotLimitExceeded", "You have reached the limit on snapshots."))
    }

    fn with_unknown_states(&self, body: &[u8]) -> Option<Bytes> {
        let mut text = String::from_utf8_lossy(body).into_owned();
        for (element, states) in [
            ("status", ["completed", "pending"]),
            ("taskState", ["succeeded", "in-progress"]),
            ("name", ["running", "stopped"]),
        ] {
            for state in states {
                let known = format!("<{element}>{state}</{element}>");
                text = text.replace(&known, &format!("<{element}>cogitating</{element}>"));
            }
        }
        Some(text.into())
    }

    fn not_visible(&self, _: &Parts, body: &[u8]) -> Option<Answer> {
        let empty = |action: &str, set: &str| {
            let text = format!("<{action}Response><requestId>case</requestId><{set}/></{action}Response>");
            Answer::new(200, "text/xml", text)
        };
        match param(body, "Action")? {
            "DescribeSnapshots" if param(body, "SnapshotId.1").is_some() => {
                Some(refusal(400, "InvalidSnapshot.NotFound", "The snapshot does not exist."))
            }
            action @ "DescribeSnapshots" => Some(empty(action, "snapshotSet")),
            action @ "DescribeReplaceRootVolumeTasks" => Some(empty(action, "replaceRootVolumeTaskSet")),
            _ => None,
        }
    }
}
