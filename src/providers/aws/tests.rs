//! The provider against a small endpoint on loopback that answers what a test tells it to. The flows against an EC2 that
//! remembers are in the conformance suite.

use super::*;
use crate::api::Step;
use crate::ports::SecretData;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use std::collections::BTreeMap;
use std::sync::Mutex;

const IDENTITY: &str = "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>\
    </GetCallerIdentityResult></GetCallerIdentityResponse>";
const NO_SNAPSHOTS: &str = "<DescribeSnapshotsResponse><snapshotSet/></DescribeSnapshotsResponse>";
const INSTANCES: &str = include_str!("recorded/describe-instances.xml");
const CREATED: &str = include_str!("recorded/create-snapshots.xml");
const THROTTLED: &str = "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Request limit exceeded.\
    </Message></Error></Errors></Response>";
const UNAVAILABLE: &str = "<Response><Errors><Error><Code>Unavailable</Code><Message>The server is overloaded.\
    </Message></Error></Errors></Response>";
const EXPIRED: &str = "<Response><Errors><Error><Code>ExpiredToken</Code><Message>expired</Message></Error></Errors>\
    </Response>";

type Canned = (u16, Option<&'static str>, String);
type Answering = Box<dyn Fn(&str, usize) -> Canned + Send + Sync>;

/// An endpoint: what it answers to the n-th request for an action, and what it was asked.
struct Fake {
    answer: Answering,
    asked: Mutex<Vec<(String, HeaderMap, String)>>,
}

impl Fake {
    fn actions(&self) -> Vec<String> {
        self.asked.lock().expect("a lock").iter().map(|(action, ..)| action.clone()).collect()
    }
}

async fn serve(State(fake): State<Arc<Fake>>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let body = String::from_utf8_lossy(&body).into_owned();
    let action =
        form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "Action").map(|(_, a)| a.into_owned());
    let action = action.unwrap_or_default();
    let mut asked = fake.asked.lock().expect("a lock");
    let times = asked.iter().filter(|(of, ..)| *of == action).count();
    asked.push((action.clone(), headers, body));
    drop(asked);
    let (status, retry, text) =
        if action == "GetCallerIdentity" { (200, None, IDENTITY.to_owned()) } else { (fake.answer)(&action, times) };
    let mut headers = HeaderMap::new();
    if let Some(retry) = retry {
        let name = if status == 301 { "location" } else { "retry-after" };
        headers.insert(name, retry.parse().expect("a header"));
    }
    (StatusCode::from_u16(status).expect("a status"), headers, text)
}

/// A Secret that tests change.
struct Keys(Mutex<(u32, BTreeMap<String, Vec<u8>>)>);

impl Keys {
    fn set(&self, id: &str, key: &str) {
        let mut data = self.0.lock().expect("a lock");
        data.0 += 1;
        let values =
            [("aws_access_key_id", id), ("aws_secret_access_key", key), ("aws_session_token", "planted-token")];
        data.1 = values.into_iter().map(|(k, v)| (k.to_owned(), v.as_bytes().to_vec())).collect();
    }
}

impl Secrets for Keys {
    fn read<'a>(&'a self, _name: &'a str) -> Answer<'a, SecretData> {
        let (version, values) = self.0.lock().expect("a lock").clone();
        async move { Ok(SecretData::new(version.to_string(), values)) }.boxed()
    }
}

struct Bench {
    aws: Aws,
    fake: Arc<Fake>,
    keys: Arc<Keys>,
}

async fn bench(answer: impl Fn(&str, usize) -> Canned + Send + Sync + 'static) -> Bench {
    let fake = Arc::new(Fake { answer: Box::new(answer), asked: Mutex::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().fallback(serve).with_state(Arc::clone(&fake));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let settings = serde_json::json!({"region": "us-east-1", "endpoint": endpoint, "credentialsSecret": "keys"});
    let settings: api::Aws = serde_json::from_value(settings).expect("settings");
    let keys = Arc::new(Keys(Mutex::default()));
    keys.set("AKIAPLANTED", "planted-key");
    let secrets: Arc<dyn Secrets> = keys.clone();
    Bench { aws: Aws::new(&settings, "cluster-1", &secrets, &Shared::default()), fake, keys }
}

fn node() -> NodeRef {
    let provider_id = "aws:///us-east-1a/i-0d64ce8b8bedf5ea8".into();
    NodeRef { name: "win-7".into(), uid: "n".into(), provider_id }
}

fn key() -> StepKey {
    StepKey { node_update_uid: "u".into(), step: Step::Snapshot, round: 1, attempt: 1 }
}

impl Bench {
    async fn ensure(&self) -> Result<Progress, ProviderError> {
        let expires_at = "2026-12-01T00:00:00Z".parse().ok();
        self.aws.ensure(&Order { node: &node(), key: &key(), expires_at }).await
    }
}

fn ok(text: &str) -> Canned {
    (200, None, text.to_owned())
}

#[tokio::test]
async fn a_snapshot_is_asked_for_with_its_tags_and_without_data_volumes() {
    let bench = bench(|action, _| match action {
        "DescribeSnapshots" => ok(NO_SNAPSHOTS),
        "DescribeInstances" => ok(INSTANCES),
        _ => ok(CREATED),
    })
    .await;
    assert!(matches!(bench.ensure().await, Ok(Progress::Running { .. })));
    assert!(matches!(bench.ensure().await, Ok(Progress::Running { .. })), "it is not visible yet");
    let wanted =
        ["GetCallerIdentity", "DescribeSnapshots", "DescribeInstances", "CreateSnapshots", "DescribeSnapshots"];
    assert_eq!(bench.fake.actions(), wanted);
    let asked = bench.fake.asked.lock().expect("a lock");
    let (_, headers, body) = &asked[3];
    let fields: BTreeMap<_, _> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    assert_eq!(fields["InstanceSpecification.InstanceId"], "i-0d64ce8b8bedf5ea8");
    assert_eq!(fields["InstanceSpecification.ExcludeDataVolumeId.1"], "vol-742b6aaf4314b70b0");
    let tags: BTreeMap<_, _> = (1..=7)
        .map(|n| format!("TagSpecification.1.Tag.{n}"))
        .map(|tag| (fields[&format!("{tag}.Key")].clone(), fields[&format!("{tag}.Value")].clone()))
        .collect();
    assert_eq!(tags["windlass.dev/key"], "u/Snapshot/1/1");
    assert_eq!(tags["windlass.dev/expires-at"], "2026-12-01T00:00:00Z");
    assert_eq!(tags["windlass.dev/installation"], "cluster-1");
    assert_eq!(tags["windlass.dev/root-volume"], "vol-ac83d4b5f2e68f5bb");
    let authorization = headers["authorization"].to_str().expect("text");
    assert!(authorization.contains("/us-east-1/ec2/aws4_request"), "{authorization}");
}

#[tokio::test]
async fn what_is_throttled_is_asked_again_and_then_given_back() {
    let bench = bench(|_, times| if times < 2 { (503, None, THROTTLED.to_owned()) } else { ok(NO_SNAPSHOTS) }).await;
    assert_eq!(bench.aws.list().await, Ok(vec![]));
    assert_eq!(bench.fake.actions().len(), 1 + 3);

    let patient = self::bench(|_, _| (503, Some("90"), THROTTLED.to_owned())).await;
    let error = patient.aws.list().await.expect_err("throttled");
    assert_eq!(error, ProviderError::Throttled { retry_after: Duration::from_secs(90) });
    assert_eq!(patient.fake.actions().len(), 1 + 1, "so long a wait is not waited for inside a call");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_unless_that_would_double_the_work() {
    let bench = bench(|action, times| match (action, times) {
        ("DescribeSnapshots", 0) => (500, None, UNAVAILABLE.to_owned()),
        ("DescribeSnapshots", 1) => ok("<DescribeSnapshotsResponse><snapsh"),
        ("DescribeSnapshots", _) => ok(NO_SNAPSHOTS),
        ("DescribeInstances", _) => ok(INSTANCES),
        _ => (500, None, "<html>Bad Gateway</html>".to_owned()),
    })
    .await;
    let error = bench.ensure().await.expect_err("a lost answer");
    assert!(matches!(error, ProviderError::Transient(_)), "{error}");
    let creations = |bench: &Bench| bench.fake.actions().iter().filter(|a| *a == "CreateSnapshots").count();
    assert_eq!(creations(&bench), 1);
    assert!(matches!(bench.ensure().await, Ok(Progress::Running { .. })), "it may have been made");
    assert_eq!(creations(&bench), 1);
}

#[tokio::test]
async fn credentials_that_are_not_taken_are_read_anew_once() {
    let bench = bench(|_, times| if times == 0 { (400, None, EXPIRED.to_owned()) } else { ok(NO_SNAPSHOTS) }).await;
    let error = bench.aws.list().await.expect_err("the same credentials");
    assert!(matches!(&error, ProviderError::Denied(text) if text.contains("ExpiredToken")), "{error}");
    bench.keys.set("AKIAROTATED", "other");
    assert_eq!(bench.aws.list().await, Ok(vec![]));
    let asked = bench.fake.asked.lock().expect("a lock");
    let last = asked.last().expect("a request").1["authorization"].to_str().expect("text").to_owned();
    assert!(last.contains("Credential=AKIAROTATED/"), "{last}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let bench = bench(|_, _| (301, Some("http://127.0.0.1:1/"), String::new())).await;
    let error = bench.aws.list().await.expect_err("a redirect");
    assert!(matches!(&error, ProviderError::Permanent(text) if text.contains("redirect")), "{error}");
}

#[tokio::test]
async fn what_an_endpoint_sends_back_of_a_request_is_not_told() {
    let planted = "planted-token planted-key AKIAPLANTED";
    for answer in [
        format!("<Response><Errors><Error><Code>Odd</Code><Message>{planted}</Message></Error></Errors></Response>"),
        format!("<html>{planted}</html>"),
        format!("{{\"__type\": \"Odd\", \"message\": \"{planted}\"}}"),
    ] {
        for status in [200, 400, 403, 500] {
            let answer = answer.clone();
            let bench = bench(move |_, _| (status, None, answer.clone())).await;
            let error = bench.aws.list().await.expect_err("no answer");
            let shown = format!("{error} {error:?}").to_lowercase();
            assert!(!shown.contains("planted"), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_ca_secret_without_certificates_is_named() {
    let keys: Arc<dyn Secrets> = Arc::new(Keys(Mutex::default()));
    let settings = serde_json::json!({"region": "us-east-1", "endpoint": "https://127.0.0.1:1", "caSecret": "ca"});
    let settings: api::Aws = serde_json::from_value(settings).expect("settings");
    let environment = Environment {
        access_key_id: Some("AKIA".into()),
        secret_access_key: Some("s".into()),
        ..Environment::default()
    };
    let aws = Aws::within(environment, &settings, "cluster-1", &keys, &Shared::default());
    let error = aws.ready().await.expect_err("no certificates");
    assert!(matches!(&error, ProviderError::Denied(text) if text.contains("Secret ca has no key ca.crt")), "{error}");
}

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

/// Also not at the level `trace`, at which the signer tells what it signs and the HTTP client what it sends. The secrets
/// come back in every answer, too.
#[tokio::test]
async fn no_log_of_any_crate_tells_a_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let bench = bench(|action, times| match (action, times) {
        ("DescribeSnapshots", 0) => (500, None, "planted-token planted-key AKIAPLANTED".to_owned()),
        ("DescribeSnapshots", _) => ok(NO_SNAPSHOTS),
        ("DescribeInstances", _) => ok(INSTANCES),
        _ => {
            let message = "planted-token planted-key AKIAPLANTED";
            let body = format!(
                "<Response><Errors><Error><Code>Odd</Code><Message>{message}</Message></Error></Errors></Response>"
            );
            (400, None, body)
        }
    })
    .await;
    let error = bench.ensure().await.expect_err("a refusal");
    let text = String::from_utf8(log.0.lock().expect("a lock").clone()).expect("text");
    assert!(
        text.contains("aws_sigv4") && text.contains("asked again"),
        "the log has nothing of the signer or of us:\n{text}"
    );
    for secret in ["planted-token", "planted-key"] {
        assert!(!text.contains(secret) && !error.to_string().contains(secret), "{secret} is in:\n{text}\n{error}");
    }
}
