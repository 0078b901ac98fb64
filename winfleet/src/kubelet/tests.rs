//! The two workers of a node against an API server that records what it is asked.

use super::{
    api::ApiServer,
    dispatch::{Inbox, NodeSeen},
    events,
    heartbeat::{Heartbeat, HeartbeatTimings},
    lifecycle::PodTimings,
    logs::LogStore,
    machine::{self, MachineFacts},
    node_object::KubeletInfo,
    pod::PodView,
    pods::PodWorker,
};
use crate::{hypervisor::SharedWorld, model::World, scenario::Scenario};
use axum::http::{Request, Response, StatusCode};
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{mpsc, watch};

const SCENARIO: &str = "machines: [{names: [win-1], build: 10.0.20348.2461}]";

/// One request: method, path, body.
type Asked = (String, String, Value);

/// An API server that records requests and answers each with the next status of its script, then with 200.
#[derive(Clone, Default)]
struct Recorder {
    asked: Arc<Mutex<Vec<Asked>>>,
    script: Arc<Mutex<VecDeque<u16>>>,
}

impl Recorder {
    fn answering(script: &[u16]) -> Self {
        Self { script: Arc::new(Mutex::new(script.iter().copied().collect())), ..Self::default() }
    }

    fn api(&self) -> Arc<ApiServer> {
        let recorder = self.clone();
        let service = tower::service_fn(move |request| recorder.clone().answer(request));
        let client = kube::Client::new(service, "default");
        Arc::new(ApiServer::new(client.clone(), client, 10_000))
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, std::convert::Infallible> {
        let (parts, body) = request.into_parts();
        let body = serde_json::from_slice(&body.collect_bytes().await.expect("a body")).unwrap_or(Value::Null);
        self.asked.lock().expect("a log").push((parts.method.to_string(), parts.uri.path().to_owned(), body));
        let status = self.script.lock().expect("a script").pop_front().unwrap_or(200);
        let answer = if status == 200 {
            json!({"metadata": {"name": "win-1", "uid": "node-1"}, "spec": {"containers": []}})
        } else {
            json!({"kind": "Status", "status": "Failure", "code": status, "message": "scripted", "reason": "Scripted"})
        };
        let status = StatusCode::from_u16(status).expect("a status");
        Ok(Response::builder().status(status).body(Body::from(answer.to_string().into_bytes())).expect("an answer"))
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("a log").clone()
    }

    /// What was asked since the last call, once `enough` of it is there; panics when it does not come.
    async fn take(&self, enough: impl Fn(&[Asked]) -> bool) -> Vec<Asked> {
        for _ in 0..500 {
            if enough(&self.asked.lock().expect("a log")) {
                return std::mem::take(&mut *self.asked.lock().expect("a log"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not asked: {:?}", self.asked());
    }
}

fn methods(asked: &[Asked]) -> Vec<String> {
    asked.iter().map(|(method, path, _)| format!("{method} {path}")).collect()
}

fn phases(asked: &[Asked]) -> Vec<&str> {
    asked.iter().filter_map(|(_, _, body)| body["status"]["phase"].as_str()).collect()
}

/// A pod worker on a healthy machine.
struct Node {
    server: Recorder,
    facts: watch::Sender<MachineFacts>,
    inbox: Arc<Inbox>,
    logs: Arc<LogStore>,
}

impl Node {
    fn start(server: Recorder) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let (facts, seen) = watch::channel(machine::tests::facts(Timestamp::UNIX_EPOCH));
        let scenario = Scenario::parse(SCENARIO).expect("a scenario");
        let (inbox, logs) = (Arc::<Inbox>::default(), Arc::<LogStore>::default());
        let api = server.api();
        let brief = Duration::from_millis(30);
        let worker = PodWorker {
            wine: None,
            identity: machine::tests::identity(),
            facts: seen,
            inbox: inbox.clone(),
            events: events::recorder(&api, "win-1"),
            api,
            world: SharedWorld::new(World::new(&scenario, Timestamp::now())),
            logs: logs.clone(),
            timings: PodTimings { start: brief, runs: brief, stop: brief },
        };
        tokio::spawn(worker.run());
        Self { server, facts, inbox, logs }
    }

    fn job(&self, phase: &str, deleted: bool) {
        let mut pod = json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "pod-1"},
            "spec": {"nodeName": "win-1", "restartPolicy": "Never", "containers": [{"name": "c"}]},
            "status": {"phase": phase}
        });
        if deleted {
            pod["metadata"]["deletionTimestamp"] = json!("2026-11-22T10:00:00Z");
            pod["metadata"]["deletionGracePeriodSeconds"] = json!(30);
        }
        let pod = PodView::from_pod(&serde_json::from_value(pod).expect("a pod"));
        self.inbox.put("pod-1".into(), pod);
    }
}

#[tokio::test]
async fn a_job_is_reported_from_its_arrival_to_its_removal() {
    let node = Node::start(Recorder::default());
    node.job("Pending", false);
    let asked = node.server.take(|a| phases(a).contains(&"Succeeded")).await;
    assert_eq!(phases(&asked), ["Pending", "Running", "Succeeded"]);
    assert!(asked.iter().all(|(_, path, body)| path == "/api/v1/namespaces/n/pods/p/status"
        && body["metadata"]["uid"] == "pod-1"
        && body.as_object().is_some_and(|o| o.len() == 2)));
    assert_eq!(node.logs.node_of("n", "p").as_deref(), Some("win-1"));

    node.job("Succeeded", true);
    let asked = node.server.take(|a| !a.is_empty()).await;
    assert_eq!(methods(&asked), ["DELETE /api/v1/namespaces/n/pods/p"], "its end was reported before");
    assert_eq!((&asked[0].2["gracePeriodSeconds"], &asked[0].2["preconditions"]["uid"]), (&json!(0), &json!("pod-1")));

    node.inbox.put("pod-1".into(), None);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((node.server.asked(), node.logs.node_of("n", "p")), (vec![], None), "nothing of it is left");
}

#[tokio::test]
async fn a_write_that_failed_is_made_again() {
    let node = Node::start(Recorder::answering(&[500, 503]));
    node.job("Pending", false);
    let asked = node.server.take(|a| a.len() >= 3).await;
    assert_eq!(phases(&asked), ["Pending", "Succeeded", "Succeeded"], "what is true by then");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(node.server.asked(), [], "and not once more");
}

#[tokio::test]
async fn nothing_is_written_while_the_machine_is_down() {
    let node = Node::start(Recorder::default());
    node.job("Running", false);
    node.server.take(|a| phases(a) == ["Failed"]).await;

    node.facts.send_modify(|f| (f.os_up, f.kubelet_up) = (false, false));
    node.job("Running", true);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(node.server.asked(), [], "the pod stays Terminating");

    node.facts.send_modify(|f| (f.os_up, f.kubelet_up, f.boot) = (true, true, Timestamp::now()));
    let asked = node.server.take(|a| !a.is_empty()).await;
    assert_eq!(asked[0].0, "DELETE");
}

/// A heartbeat on a healthy machine, with the watch's view of its Node object.
struct Beat {
    server: Recorder,
    facts: watch::Sender<MachineFacts>,
    node: watch::Sender<Option<NodeSeen>>,
    _registered: mpsc::Receiver<()>,
}

impl Beat {
    fn start(server: Recorder) -> Self {
        let (facts, facts_seen) = watch::channel(machine::tests::facts(Timestamp::UNIX_EPOCH));
        let (node, node_seen) = watch::channel(None);
        let api = server.api();
        let heartbeat = Heartbeat {
            identity: machine::tests::identity(),
            facts: facts_seen,
            node: node_seen,
            events: events::recorder(&api, "win-1"),
            api,
            kubelet: KubeletInfo { version: "v1.36.3".into(), port: 1 },
            timings: HeartbeatTimings { lease: Duration::from_millis(50), status: Duration::from_mins(5) },
        };
        let (sender, registered) = mpsc::channel(1);
        tokio::spawn(heartbeat.run(sender));
        Self { server, facts, node, _registered: registered }
    }

    fn shown(&self, ready: bool) {
        let seen = NodeSeen { uid: "node-1".into(), ready_since: ready.then_some(Timestamp::UNIX_EPOCH) };
        self.node.send_replace(Some(seen));
    }
}

const NODE: &str = "/api/v1/nodes/win-1";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

#[tokio::test]
async fn heartbeats_stop_with_the_machine_and_come_back_with_it() {
    let beat = Beat::start(Recorder::default());
    let asked = beat.server.take(|a| a.len() >= 4).await;
    let renew = format!("PATCH {LEASES}/win-1");
    assert_eq!(methods(&asked)[..4], ["POST /api/v1/nodes".into(), format!("POST {LEASES}"), renew.clone(), renew]);

    beat.facts.send_modify(|f| (f.os_up, f.kubelet_up) = (false, false));
    tokio::time::sleep(Duration::from_millis(100)).await;
    beat.server.take(|_| true).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(beat.server.asked(), [], "no write at all");

    beat.server.script.lock().expect("a script").push_back(409);
    beat.facts.send_modify(|f| (f.os_up, f.kubelet_up, f.boot) = (true, true, Timestamp::now()));
    let asked = methods(&beat.server.take(|a| a.len() >= 5).await);
    let labels = format!("PATCH {NODE}");
    assert_eq!(
        asked[..4],
        ["POST /api/v1/nodes".into(), format!("GET {NODE}"), labels, format!("PATCH {NODE}/status")]
    );
}

#[tokio::test]
async fn a_node_that_is_held_for_lost_is_reported_again() {
    let beat = Beat::start(Recorder::default());
    beat.shown(true);
    beat.server.take(|a| a.len() >= 3).await;
    beat.shown(false);
    let status = format!("PATCH {NODE}/status");
    let asked = beat.server.take(|a| methods(a).contains(&status)).await;
    let (_, _, body) = asked.iter().find(|(_, path, _)| path.ends_with("/status")).expect("a report");
    assert_eq!(body["status"]["conditions"][3]["status"], "True");
    assert_eq!(body["metadata"]["uid"], "node-1");
}

#[tokio::test]
async fn a_node_that_somebody_deleted_is_left_alone_until_the_kubelet_starts_again() {
    let beat = Beat::start(Recorder::default());
    beat.shown(true);
    beat.server.take(|a| a.len() >= 3).await;
    beat.node.send_replace(None);
    tokio::time::sleep(Duration::from_millis(100)).await;
    beat.server.take(|_| true).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(beat.server.asked(), []);
    beat.facts.send_modify(|f| f.boot = Timestamp::now());
    let asked = beat.server.take(|a| !a.is_empty()).await;
    assert_eq!(methods(&asked)[0], "POST /api/v1/nodes");
}

#[tokio::test]
async fn a_replaced_machine_is_a_new_node() {
    let beat = Beat::start(Recorder::default());
    beat.shown(true);
    beat.server.take(|a| a.len() >= 3).await;
    beat.facts.send_modify(|f| (f.generation, f.os_up, f.kubelet_up) = (1, false, false));
    let delete = format!("DELETE {NODE}");
    let asked = beat.server.take(|a| methods(a).contains(&delete)).await;
    let (_, _, body) = asked.iter().find(|(method, _, _)| method == "DELETE").expect("the deletion");
    assert_eq!(body["preconditions"]["uid"], "node-1", "by UID, at once, whether or not the new one is up");
    beat.facts.send_modify(|f| (f.os_up, f.kubelet_up, f.boot) = (true, true, Timestamp::now()));
    let asked = beat.server.take(|a| !a.is_empty()).await;
    assert_eq!(methods(&asked)[0], "POST /api/v1/nodes");
}
