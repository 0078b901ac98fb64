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
    NodeRef { name: "win-7".into(), uid: "n".into(), provider_id, system_uuid: String::new() }
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

/// Whether an error is the one that is wanted.
type Wanted = fn(&ProviderError) -> bool;

#[tokio::test]
async fn one_call_examines_an_instance_before_its_node_is_touched() {
    let there = bench(|_, _| ok(INSTANCES)).await;
    assert_eq!(there.aws.examine(&node()).await, Ok(()));
    assert_eq!(there.fake.actions(), ["GetCallerIdentity", "DescribeInstances"]);

    let missing = "<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code><Message>no</Message></Error></Errors>\
        </Response>";
    let cases: [(Canned, Wanted); 5] = [
        ((400, None, missing.to_owned()), |e| matches!(e, ProviderError::NotFound(_))),
        (ok(&INSTANCES.replace("<name>running<", "<name>terminated<")), |e| matches!(e, ProviderError::NotFound(_))),
        (
            ok(&INSTANCES.replace("us-east-1a", "us-east-1b")),
            |e| matches!(e, ProviderError::Permanent(text) if text.contains("win-7") && text.contains("us-east-1b")),
        ),
        (ok(&INSTANCES.replace(">ebs<", ">instance-store<")), |e| matches!(e, ProviderError::Permanent(_))),
        (ok(&INSTANCES.replace(">attached<", ">detached<")), |e| matches!(e, ProviderError::RootDetached(_))),
    ];
    for (answer, wanted) in cases {
        let bench = bench(move |_, _| answer.clone()).await;
        let error = bench.aws.examine(&node()).await.expect_err("refused");
        assert!(wanted(&error), "{error:?}");
    }
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

/// The snapshot of `recorded/describe-snapshots.xml`, encrypted or not, in this state.
fn snapshots(state: &str, encrypted: bool) -> String {
    let key = "<encrypted>true</encrypted><kmsKeyId>arn:aws:kms:us-east-1:123456789012:key/k</kmsKeyId>";
    format!(
        "<DescribeSnapshotsResponse><snapshotSet><item><snapshotId>snap-0123456789abcdef0</snapshotId>\
         <volumeId>vol-ac83d4b5f2e68f5bb</volumeId><status>{state}</status><startTime>2026-11-22T21:11:40Z</startTime>\
         <volumeSize>50</volumeSize>{}<tagSet><item><key>windlass.dev/root-volume</key><value>vol-ac83d4b5f2e68f5bb</value>\
         </item><item><key>windlass.dev/instance</key><value>i-0d64ce8b8bedf5ea8</value></item></tagSet></item>\
         </snapshotSet></DescribeSnapshotsResponse>",
        if encrypted { key } else { "" }
    )
}

fn handle() -> Handle {
    Handle::new("snap-0123456789abcdef0")
}

#[tokio::test]
async fn a_snapshot_is_restorable_when_it_is_completed_and_its_key_can_be_used() {
    // KMS names its calls in a header: to the endpoint they have no action.
    let with = async |state: &'static str, key: Option<&'static str>| {
        let answer = move |action: &str, _| match action {
            "DescribeSnapshots" => (200, None, snapshots(state, key.is_some())),
            _ => ok(&format!(r#"{{"KeyMetadata": {{"KeyId": "k", "KeyState": "{}"}}}}"#, key.unwrap_or_default())),
        };
        let bench = bench(answer).await;
        let facts = bench.aws.inspect(&handle()).await.expect("facts");
        (bench.ensure().await, facts.restorable, facts.indications, bench.fake.actions().len())
    };
    let (taken, restorable, indications, asked) = with("completed", None).await;
    assert!(matches!(taken, Ok(Progress::Done { .. })) && restorable && indications.is_empty(), "{taken:?}");
    assert_eq!(asked, 1 + 2, "no key is asked for where there is none");
    let (taken, restorable, ..) = with("completed", Some("Enabled")).await;
    assert!(matches!(taken, Ok(Progress::Done { .. })) && restorable, "{taken:?}");
    let (taken, restorable, indications, _) = with("completed", Some("PendingDeletion")).await;
    assert!(matches!(&taken, Err(ProviderError::Denied(text)) if text.contains("PendingDeletion")), "{taken:?}");
    assert!(!restorable && indications == ["KmsKeyPendingDeletion"], "{indications:?}");
    let (taken, restorable, ..) = with("pending", Some("Enabled")).await;
    assert!(matches!(taken, Ok(Progress::Running { .. })) && !restorable, "{taken:?}");
}

#[tokio::test]
async fn every_state_of_a_task_that_replaces_a_root_volume_has_a_meaning() {
    let restore = async |state: &'static str| {
        let bench = bench(move |_, _| {
            ok(&format!(
                "<DescribeReplaceRootVolumeTasksResponse><replaceRootVolumeTaskSet><item>\
                 <replaceRootVolumeTaskId>replacevol-1</replaceRootVolumeTaskId><instanceId>i-0d64ce8b8bedf5ea8</instanceId>\
                 <taskState>{state}</taskState><tagSet><item><key>windlass.dev/key</key><value>u/Snapshot/1/1</value></item>\
                 </tagSet></item></replaceRootVolumeTaskSet></DescribeReplaceRootVolumeTasksResponse>"
            ))
        })
        .await;
        let answer = bench.aws.restore(&node(), &handle(), &key()).await;
        assert_eq!(bench.fake.actions(), ["GetCallerIdentity", "DescribeReplaceRootVolumeTasks"], "nothing is begun");
        answer
    };
    for state in ["pending", "in-progress", "failing", "failing-detached"] {
        let answer = restore(state).await;
        assert!(matches!(answer, Ok(Progress::Running { .. })), "{state}: {answer:?}");
    }
    assert_eq!(restore("succeeded").await, Ok(Progress::Done { handle: Some(handle()) }));
    let failed = restore("failed").await;
    assert!(matches!(failed, Err(ProviderError::Failed(_))), "{failed:?}");
    let detached = restore("failed-detached").await;
    assert!(matches!(detached, Err(ProviderError::RootDetached(_))), "{detached:?}");
    let unknown = restore("cogitating").await;
    assert!(matches!(&unknown, Err(ProviderError::Transient(text)) if text.contains("cogitating")), "{unknown:?}");
}

#[tokio::test]
async fn the_console_tells_the_status_checks_and_reads_the_screen_only_of_what_can_not_be_reached() {
    let screen = async |system: &'static str, instance: &'static str| {
        let bench = bench(move |action, _| match action {
            "DescribeInstances" => ok(INSTANCES),
            "DescribeInstanceStatus" => ok(&format!(
                "<DescribeInstanceStatusResponse><instanceStatusSet><item><systemStatus><status>{system}</status>\
                 </systemStatus><instanceStatus><status>{instance}</status></instanceStatus></item></instanceStatusSet>\
                 </DescribeInstanceStatusResponse>"
            )),
            _ => ok("<GetConsoleOutputResponse><output>Qm9vdGluZwpTVE9QIDB4N0IK\n</output></GetConsoleOutputResponse>"),
        })
        .await;
        let facts = bench.aws.console(&node()).await.expect("facts");
        assert!(facts.root_attached && facts.power == Power::On);
        (facts.state, bench.fake.actions().contains(&"GetConsoleOutput".to_owned()))
    };
    assert_eq!(screen("ok", "ok").await, ("Running".to_owned(), false));
    assert_eq!(screen("ok", "initializing").await, ("Booting".to_owned(), false));
    assert_eq!(screen("impaired", "ok").await, ("HostImpaired".to_owned(), false));
    assert_eq!(screen("ok", "impaired").await, ("Unreachable: STOP 0x7B".to_owned(), true));
}

/// An endpoint with a certificate of an authority of its own, which is given in PEM, with the number of requests that
/// came through.
fn tls_endpoint() -> (String, String, Arc<std::sync::atomic::AtomicUsize>) {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use std::io::{Read, Write};
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth();
    let config =
        Arc::new(config.with_single_cert(vec![certificate.der().clone()], key.into()).expect("a configuration"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    let through = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&through);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).expect("a session");
            let mut stream = rustls::StreamOwned::new(session, stream);
            let mut request = [0; 8192];
            // Who does not trust us sends nothing.
            let Ok(1..) = stream.read(&mut request) else { continue };
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let text = String::from_utf8_lossy(&request).into_owned();
            let body = if text.contains("GetCallerIdentity") { IDENTITY } else { NO_SNAPSHOTS };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (url, authority.pem(), through)
}

#[tokio::test]
async fn an_authority_is_trusted_only_by_its_secret() {
    let (url, authority, through) = tls_endpoint();
    let aws = |ca: Option<&str>, pem: &str| {
        let keys = Keys(Mutex::default());
        keys.set("AKIAPLANTED", "planted-key");
        keys.0.lock().expect("a lock").1.insert("ca.crt".to_owned(), pem.as_bytes().to_vec());
        let secrets: Arc<dyn Secrets> = Arc::new(keys);
        let settings =
            serde_json::json!({"region": "us-east-1", "endpoint": url, "credentialsSecret": "k", "caSecret": ca});
        let settings: api::Aws = serde_json::from_value(settings).expect("settings");
        Aws::new(&settings, "cluster-1", &secrets, &Shared::default())
    };
    let (_, another, _) = tls_endpoint();
    for stranger in [aws(None, ""), aws(Some("ca"), &another)] {
        let error = stranger.ready().await.expect_err("nobody vouches for it");
        assert!(matches!(&error, ProviderError::Transient(_)), "{error}");
    }
    assert_eq!(through.load(std::sync::atomic::Ordering::Relaxed), 0, "a request was sent to who was not known");
    assert_eq!(aws(Some("ca"), &authority).ready().await, Ok(()));
}
