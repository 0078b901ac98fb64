use super::*;
use crate::api::Step;
use http::{Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::future::Ready;
use std::task::{Context, Poll};

/// An API server that takes every write, or refuses every write with a code, and remembers what it was sent.
#[derive(Clone, Default)]
struct Server {
    refuse: Option<u16>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl tower::Service<Request<Body>> for Server {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut requests = self.requests.lock().expect("not poisoned");
        requests.push(format!("{} {}", request.method(), request.uri().path()));
        let (code, body) = match self.refuse {
            Some(code) => (
                code,
                json!({"status": "Failure", "code": code, "message": "m", "reason": "r", "apiVersion": "v1", "kind": "Status"}),
            ),
            None => (200, object(&(100 + requests.len()).to_string())),
        };
        let body = Body::from(serde_json::to_vec(&body).expect("JSON"));
        let code = StatusCode::from_u16(code).expect("a code");
        std::future::ready(Ok(Response::builder().status(code).body(body).expect("a response")))
    }
}

fn object(version: &str) -> Value {
    json!({
        "apiVersion": "windlass.dev/v1alpha1", "kind": "NodeUpdate",
        "metadata": {"name": "r-win-1", "uid": "nu-1", "resourceVersion": version, "generation": 1},
        "spec": {
            "rolloutName": "r", "rolloutUid": "u", "ring": "early", "nodeName": "win-1", "nodeUid": "n-1",
            "providerId": "simulated://win-1", "operation": "Update", "fromBuild": "10.0.20348.1",
            "toBuild": "10.0.20348.2", "updates": [], "snapshotClass": "sim",
            "policy": {
                "strategy": {"type": "InPlace", "inPlace": {"snapshot": {"className": "sim"}}},
                "verify": {"probes": [{"name": "build", "build": {}}]},
            },
        },
    })
}

fn update() -> NodeUpdate {
    serde_json::from_value(object("7")).expect("a NodeUpdate")
}

fn key(step: Step) -> StepKey {
    StepKey { node_update_uid: "nu-1".into(), step, round: 1, attempt: 1 }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

fn log(server: &Server) -> NodeUpdateLog {
    NodeUpdateLog::new(Client::new(server.clone(), "default"))
}

fn requests(server: &Server) -> Vec<String> {
    server.requests.lock().expect("not poisoned").clone()
}

const PUT: &str = "PUT /apis/windlass.dev/v1alpha1/nodeupdates/r-win-1/status";

#[tokio::test]
async fn an_end_and_the_next_beginning_are_one_write_and_give_leave() {
    let (server, update) = (Server::default(), update());
    let log = log(&server);
    let intent = Intent::parse(&update).expect("an intent");
    let first = log.begin(&update, &History::default(), (&[], &key(Step::Cordon), None), &intent, at(1)).await;
    let ((_, history), leave) = first.expect("written");
    assert_eq!(leave.get(), &key(Step::Cordon));
    let ended = StepRecord {
        phase: StepPhase::Succeeded,
        finished_at: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(at(2))),
        ..history.open().expect("begun").clone()
    };
    let next = log.begin(&update, &history, (&[ended], &key(Step::Drain), None), &intent, at(2)).await;
    let ((_, history), _) = next.expect("written");
    let phases: Vec<_> = history.records().iter().map(|r| (r.step, r.phase)).collect();
    assert_eq!(phases, [(Step::Cordon, StepPhase::Succeeded), (Step::Drain, StepPhase::Started)]);
    assert_eq!(requests(&server), [PUT, PUT]);
    assert!(NodeUpdateLog::resume(&update, &history, &key(Step::Drain)).is_some());
    assert!(NodeUpdateLog::resume(&update, &history, &key(Step::Cordon)).is_none(), "only what is in work");
}

/// The node update as it is once this log was written.
fn on_record(update: NodeUpdate, history: &History) -> NodeUpdate {
    let status = NodeUpdateStatus { steps: history.records().to_vec(), ..Default::default() };
    NodeUpdate { status: Some(status), ..update }
}

#[tokio::test]
async fn a_step_that_only_looks_is_recorded_with_what_comes_of_it() {
    let (server, update) = (Server::default(), update());
    let log = log(&server);
    let what = |step| NodeUpdateLog::look(&History::default(), (&[], &key(step), None), at(1));
    assert!(what(Step::Stage).is_none() && what(Step::Cordon).is_none(), "what changes something needs a record");
    let (history, leave) = what(Step::Preflight).expect("leave");
    assert_eq!((leave.get(), requests(&server)), (&key(Step::Preflight), vec![]));
    // What is waited for counts from the look: the look is on record from now on, and written once.
    let on = WaitingOn::Provider { doing: "examine".into() };
    let written = log.wait(&update, &history, &[], &on, at(2)).await.expect("fine");
    assert!(written.is_some());
    let update = on_record(update, &history);
    assert!(log.wait(&update, &history, &[], &on, at(3)).await.expect("fine").is_none());
    assert_eq!(requests(&server), [PUT]);
}

#[tokio::test]
async fn who_loses_the_race_gets_no_leave() {
    let (server, update) = (Server { refuse: Some(409), ..Server::default() }, update());
    let intent = Intent::parse(&update).expect("an intent");
    let lost = log(&server).begin(&update, &History::default(), (&[], &key(Step::Stage), None), &intent, at(1)).await;
    assert!(matches!(lost, Err(RecordError::Conflict { .. })));
}

#[tokio::test]
async fn a_wait_is_written_only_where_it_is_worth_it() {
    let (server, update) = (Server::default(), update());
    let log = log(&server);
    let intent = Intent::parse(&update).expect("an intent");
    let begun = log.begin(&update, &History::default(), (&[], &key(Step::Drain), None), &intent, at(0)).await;
    let ((_, history), _) = begun.expect("written");
    let update = on_record(update, &history);
    let pods = |left| WaitingOn::PodsTerminating { left, first: "shop/web-1".into() };
    let blocked = WaitingOn::DisruptionBudget { budget: "shop/web".into(), pod: "shop/web-1".into() };
    for (on, now, writes) in [(pods(5), 1, 1), (pods(4), 44, 1), (pods(3), 45, 2), (pods(2), 50, 2), (blocked, 51, 3)] {
        log.wait(&update, &history, &[], &on, at(now)).await.expect("fine");
        assert_eq!(requests(&server).len(), writes, "{on} at {now}");
    }
}

#[tokio::test]
async fn our_own_write_is_read_before_the_store_shows_it() {
    let (server, update) = (Server::default(), update());
    let log = log(&server);
    let reason = Reason { code: ReasonCode::Succeeded, message: "updated and verified".into() };
    let end = log.end(&update, &History::default(), &[], (Outcome::Updated, &reason), at(1)).await.expect("written");
    let latest = log.ledger().latest(Arc::new(update.clone()));
    assert_eq!(latest.metadata.resource_version, end.metadata.resource_version);
    let shown = NodeUpdate { metadata: end.metadata.clone(), ..update.clone() };
    assert!(log.ledger().latest(Arc::new(shown)).status.is_none(), "what the store shows by then counts");
}
