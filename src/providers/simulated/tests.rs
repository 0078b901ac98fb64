//! The provider against a small hypervisor on loopback that answers what a test tells it to.

use super::*;
use crate::api::Step;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method as AxumMethod, StatusCode, Uri},
    response::IntoResponse,
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

/// One answer: status, `Retry-After`, body.
type Canned = (u16, Option<&'static str>, String);

/// A hypervisor that gives canned answers, the last one for ever, and remembers what it was asked.
#[derive(Default)]
struct Fake {
    answers: Mutex<VecDeque<Canned>>,
    asked: Mutex<Vec<String>>,
}

async fn answer(State(fake): State<Arc<Fake>>, method: AxumMethod, uri: Uri, body: Bytes) -> impl IntoResponse {
    fake.asked.lock().expect("a lock").push(format!("{method} {uri} {}", String::from_utf8_lossy(&body)));
    let mut answers = fake.answers.lock().expect("a lock");
    let (code, retry, text) =
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.expect("an answer");
    let mut headers = HeaderMap::new();
    if let Some(retry) = retry {
        headers.insert("retry-after", retry.parse().expect("a header"));
    }
    (StatusCode::from_u16(code).expect("a status"), headers, text)
}

/// Who asks.
const US: &str = "cluster-1";

fn order<'a>(node: &'a NodeRef, key: &'a StepKey) -> Order<'a> {
    Order { node, key, expires_at: "2026-12-01T00:00:00Z".parse().ok() }
}

async fn hypervisor(answers: &[(u16, Option<&'static str>, &str)]) -> (Simulated, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    *fake.answers.lock().expect("a lock") = answers.iter().map(|(c, r, t)| (*c, *r, (*t).to_owned())).collect();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().fallback(answer).with_state(fake.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (Simulated::new(&api::Simulated { endpoint }, US).expect("a provider"), fake)
}

fn node() -> NodeRef {
    NodeRef {
        name: "win-7".into(),
        uid: "n".into(),
        provider_id: "simulated://hv/win-7".into(),
        system_uuid: String::new(),
    }
}

fn key() -> StepKey {
    StepKey { node_update_uid: "u".into(), step: Step::Snapshot, round: 1, attempt: 1 }
}

fn task(state: &str, rest: &str) -> String {
    format!(r#"{{"task":{{"id":"task-1","key":"k","kind":"Snapshot","machine":"win-7","state":"{state}"{rest}}}}}"#)
}

fn snapshot(state: &str) -> String {
    format!(
        r#"{{"id":"snap-1","machine":"win-7","key":"u/Snapshot/1/1","state":"{state}","createdAt":"2026-11-22T10:00:00Z",
        "restorable":true,"sizeBytes":5,"tags":{{}}}}"#
    )
}

#[tokio::test]
async fn the_same_key_is_asked_for_until_its_task_ends() {
    let running = task("Running", "");
    let done = task("Succeeded", r#","snapshotId":"snap-1""#);
    let (provider, fake) = hypervisor(&[(202, None, &running), (202, None, &done)]).await;
    let (node, key) = (node(), key());
    assert!(matches!(provider.ensure(&order(&node, &key)).await, Ok(Progress::Running { .. })));
    assert_eq!(provider.ensure(&order(&node, &key)).await, Ok(Progress::Done { handle: Some(Handle::new("snap-1")) }));
    let asked = fake.asked.lock().expect("a lock").clone();
    assert!(asked[0].starts_with("POST /v1/machines/win-7/snapshots "), "{asked:?}");
    assert!(asked[0].contains(r#""key":"u/Snapshot/1/1""#) && asked[0] == asked[1], "{asked:?}");
}

#[tokio::test]
async fn a_snapshot_that_timed_out_is_looked_for() {
    let failed = task("Failed", r#","error":{"code":"TimedOut","message":"late"}"#);
    let (node, key) = (node(), key());
    for (list, want) in [
        (
            format!(r#"{{"snapshots":[{}]}}"#, snapshot("Ready")),
            Ok(Progress::Done { handle: Some(Handle::new("snap-1")) }),
        ),
        (r#"{"snapshots":[]}"#.to_owned(), Err(())),
    ] {
        let (provider, fake) = hypervisor(&[(202, None, &failed), (200, None, &list)]).await;
        let got = provider.ensure(&order(&node, &key)).await;
        match want {
            Ok(want) => assert_eq!(got, Ok(want)),
            Err(()) => assert!(matches!(got, Err(ProviderError::Failed(_))), "{got:?}"),
        }
        let asked = fake.asked.lock().expect("a lock").clone();
        assert_eq!(asked[1].trim(), "GET /v1/snapshots?machine=win-7&key=u%2FSnapshot%2F1%2F1");
    }
}

#[tokio::test]
async fn a_failed_task_says_what_may_be_done() {
    let (node, key) = (node(), key());
    for (code, permanent, detached) in [
        ("Internal", false, false),
        ("Busy", false, false),
        ("Invalid", true, false),
        ("Quota", false, false),
        ("Detached", false, true),
    ] {
        let failed = task("Failed", &format!(r#","error":{{"code":"{code}","message":"m"}}"#));
        let (provider, _) = hypervisor(&[(202, None, &failed)]).await;
        let error = provider.restore(&node, &Handle::new("snap-1"), &key).await.expect_err("a failure");
        match error {
            ProviderError::Failed(_) => assert!(!permanent && !detached, "{code}"),
            ProviderError::Permanent(_) => assert!(permanent, "{code}"),
            ProviderError::RootDetached(_) => assert!(detached, "{code}"),
            ProviderError::Quota(_) => assert_eq!(code, "Quota"),
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn refusals_and_rubbish_are_told_apart() {
    let (node, key) = (node(), key());
    let error = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#);
    let transient = |e: &ProviderError| matches!(e, ProviderError::Transient(_));
    for (status, retry, body, fits) in [
        (200, None, "<html>hello</html>".to_owned(), &transient as &dyn Fn(&ProviderError) -> bool),
        (202, None, r#"{"task":{"id":"t"}}"#.to_owned(), &transient),
        (502, None, "bad gateway".to_owned(), &transient),
        (503, None, error("Unavailable"), &transient),
        (409, None, error("Busy"), &transient),
        (409, None, error("Conflict"), &|e| matches!(e, ProviderError::Permanent(_))),
        (400, None, error("Invalid"), &|e| matches!(e, ProviderError::Permanent(_))),
        (404, None, error("NotFound"), &|e| matches!(e, ProviderError::NotFound(_))),
        (429, Some("7"), error("Throttled"), &|e| {
            *e == ProviderError::Throttled { retry_after: Duration::from_secs(7) }
        }),
        (429, Some("99999"), String::new(), &|e| {
            *e == ProviderError::Throttled { retry_after: Duration::from_mins(5) }
        }),
    ] {
        let (provider, _) = hypervisor(&[(status, retry, &body)]).await;
        let got = provider.ensure(&order(&node, &key)).await.expect_err("no success");
        assert!(fits(&got), "{status} {body}: {got:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    // Takes the connection and hangs up.
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let provider = Simulated::new(&api::Simulated { endpoint }, US).expect("a provider");
    let got = provider.ensure(&order(&node(), &key())).await;
    assert!(matches!(&got, Err(ProviderError::Transient(_))), "{got:?}");
}

#[tokio::test]
async fn a_snapshot_is_inspected_and_deleted_once_or_twice() {
    let ready = snapshot("Ready");
    let gone = r#"{"error":{"code":"NotFound","message":"there is no snapshot snap-1"}}"#;
    let answers = [(200, None, ready.as_str()), (200, None, "It works!"), (204, None, ""), (404, None, gone)];
    let (provider, _) = hypervisor(&answers).await;
    let handle = Handle::new("snap-1");
    let facts = provider.inspect(&handle).await.expect("facts");
    assert_eq!((facts.restorable, facts.restorable_until, facts.size_bytes), (true, None, Some(5)));
    let page = provider.delete(&handle).await;
    assert!(matches!(page, Err(ProviderError::Transient(_))), "{page:?}: nobody has deleted it");
    assert_eq!(provider.delete(&handle).await, Ok(()));
    assert_eq!(provider.delete(&handle).await, Ok(()));
}

#[tokio::test]
async fn the_console_tells_power_and_disk() {
    let off = r#"{"name":"win-7","power":"Off","state":"Detached","boots":3}"#;
    let (provider, fake) = hypervisor(&[(200, None, off), (202, None, &task("Running", ""))]).await;
    let facts = provider.console(&node()).await.expect("facts");
    assert_eq!((facts.power, facts.root_attached), (Power::Off, false));
    assert!(matches!(provider.power(&node(), Power::On, &key()).await, Ok(Progress::Running { .. })));
    let asked = fake.asked.lock().expect("a lock")[1].clone();
    assert!(asked.contains(r#""want":"On""#) && asked.contains("u/Snapshot/1/1/power-On"), "{asked}");
}

#[tokio::test]
async fn foreign_machines_are_refused_before_anything_is_sent() {
    let (provider, fake) = hypervisor(&[(200, None, "")]).await;
    for id in ["", "aws:///eu-1/i-1", "simulated://hv", "simulated://hv/", "simulated://hv/../x?y"] {
        let foreign = NodeRef { provider_id: id.into(), ..node() };
        let got = provider.ensure(&order(&foreign, &key())).await;
        assert!(matches!(&got, Err(ProviderError::Permanent(text)) if text.contains("win-7")), "{id}: {got:?}");
    }
    assert!(fake.asked.lock().expect("a lock").is_empty());
}

#[tokio::test]
async fn only_snapshots_of_this_installation_are_listed() {
    let tagged = |id: &str, tags: &str| {
        snapshot("Ready").replace("snap-1", id).replace(r#""tags":{}"#, &format!(r#""tags":{{{tags}}}"#))
    };
    let ours = tagged(
        "ours",
        r#""windlass.dev/installation":"cluster-1","windlass.dev/node":"win-7","windlass.dev/node-update":"u",
        "windlass.dev/expires-at":"2026-12-01T00:00:00Z""#,
    );
    let theirs = tagged("theirs", r#""windlass.dev/installation":"cluster-2""#);
    let list = format!(r#"{{"snapshots":[{ours},{theirs},{}]}}"#, tagged("bare", ""));
    let (provider, _) = hypervisor(&[(200, None, &list)]).await;
    let found = provider.list().await.expect("a list");
    let shown: Vec<_> = found.iter().map(|f| (f.handle.as_str(), f.node.as_str(), f.expires_at.is_some())).collect();
    assert_eq!(shown, [("ours", "win-7", true)]);
}
