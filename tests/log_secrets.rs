//! No log tells a secret, of whatever crate and at whatever level. Alone in its process: `tracing` asks each place that
//! logs once whether anybody listens, and while a log of one thread began, other tests' threads were answered "no".

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where something is wrong")]

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use futures::FutureExt;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use windlass::api::{self, Step};
use windlass::domain::{NodeRef, StepKey};
use windlass::ports::{Answer, Order, SecretData, Secrets, SnapshotProvider};
use windlass::providers::aws::{Aws, Shared};

const IDENTITY: &str = "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>\
    </GetCallerIdentityResult></GetCallerIdentityResponse>";
const INSTANCES: &str = include_str!("../src/providers/aws/recorded/describe-instances.xml");
const NO_SNAPSHOTS: &str = "<DescribeSnapshotsResponse><snapshotSet/></DescribeSnapshotsResponse>";
const PLANTED: &str = "planted-token planted-key AKIAPLANTED";

/// What is written to a log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("a lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Credentials that are in a Secret.
struct Keys;

impl Secrets for Keys {
    fn read<'a>(&'a self, _name: &'a str) -> Answer<'a, SecretData> {
        let values = [
            ("aws_access_key_id", "AKIAPLANTED"),
            ("aws_secret_access_key", "planted-key"),
            ("aws_session_token", "planted-token"),
        ];
        let values: BTreeMap<_, _> = values.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into();
        async move { Ok(SecretData::new("1", values)) }.boxed()
    }
}

/// An EC2 that repeats the secrets in what it refuses: the first question for snapshots, and whatever is to be made.
async fn answer(State(looked): State<Arc<AtomicU32>>, body: String) -> (StatusCode, String) {
    let action = form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "Action");
    match action.expect("an action").1.as_ref() {
        "GetCallerIdentity" => (StatusCode::OK, IDENTITY.to_owned()),
        "DescribeInstances" => (StatusCode::OK, INSTANCES.to_owned()),
        "DescribeSnapshots" if looked.fetch_add(1, Ordering::Relaxed) == 0 => {
            (StatusCode::INTERNAL_SERVER_ERROR, PLANTED.to_owned())
        }
        "DescribeSnapshots" => (StatusCode::OK, NO_SNAPSHOTS.to_owned()),
        _ => {
            let refusal = format!("<Error><Code>Odd</Code><Message>{PLANTED}</Message></Error>");
            (StatusCode::BAD_REQUEST, format!("<Response><Errors>{refusal}</Errors></Response>"))
        }
    }
}

/// Also not at the level `trace`, at which the signer tells what it signs and the HTTP client what it sends. The secrets
/// come back in every refusal, too.
#[tokio::test]
async fn no_log_of_any_crate_tells_a_secret() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().fallback(answer).with_state(Arc::default());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let settings = serde_json::json!({"region": "us-east-1", "endpoint": endpoint, "credentialsSecret": "keys"});
    let settings: api::Aws = serde_json::from_value(settings).expect("settings");
    let secrets: Arc<dyn Secrets> = Arc::new(Keys);
    let aws = Aws::new(&settings, "cluster-1", &secrets, &Shared::default());

    let node = NodeRef {
        name: "win-7".into(),
        uid: "n".into(),
        provider_id: "aws:///us-east-1a/i-0d64ce8b8bedf5ea8".into(),
        system_uuid: String::new(),
    };
    let key = StepKey { node_update_uid: "u".into(), step: Step::Snapshot, round: 1, attempt: 1 };
    let order = Order { node: &node, key: &key, expires_at: "2026-12-01T00:00:00Z".parse().ok() };
    let error = aws.ensure(&order).await.expect_err("a refusal").to_string();

    let text = String::from_utf8(log.0.lock().expect("a lock").clone()).expect("text");
    for told in ["aws_sigv4", "hyper_util", "asked again"] {
        assert!(text.contains(told), "the log has nothing of {told}:\n{text}");
    }
    for secret in ["planted-token", "planted-key"] {
        assert!(!text.contains(secret) && !error.contains(secret), "{secret} is in:\n{text}\n{error}");
    }
}
