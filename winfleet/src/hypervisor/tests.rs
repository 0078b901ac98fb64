//! The API over real HTTP on the loopback.

use super::*;
use crate::{model::World, scenario::Scenario};
use axum::http::StatusCode;
use jiff::Timestamp;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SCENARIO: &str = "
machines:
- {names: [win-1, win-2], build: 10.0.20348.2527, attachedVolumes: [pvc-1]}
updates:
- {kb: KB5040437, released: 2024-07-09, targetBuilds: {10.0.20348: 10.0.20348.2582}, published: false}
timings: {reboot: 50ms, kubeletStart: 0s}
hypervisor: {id: lab, snapshotTakes: 50ms, restoreTakes: 50ms, powerTakes: 50ms}
";

/// A hypervisor on a free port, which ends with the test.
struct Lab {
    base: String,
    client: Client,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Lab {
    async fn new(scenario: &str) -> Self {
        let scenario = Scenario::parse(scenario).expect("a scenario");
        let world = SharedWorld::new(World::new(&scenario, Timestamp::now()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move { axum::serve(listener, router(world)).await.expect("served") });
        // The process picks its provider once; another test may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().timeout(Duration::from_secs(10)).build().expect("a client");
        Self { base, client, server }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match body {
            Some(body) => request.json(&body),
            None => request,
        }
        .send()
        .await
        .expect("an answer")
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let response = self.send(method, path, body).await;
        let status = response.status();
        let text = response.text().await.expect("a body");
        (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) })
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Starts a task and waits for its end.
    async fn task(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        assert!(answer["task"]["finishedAt"].is_null(), "it takes time: {answer}");
        let id = answer["task"]["id"].as_str().expect("an id").to_owned();
        self.until(&format!("/v1/tasks/{id}"), |task| !task["finishedAt"].is_null()).await
    }

    async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let (status, value) = self.get(path).await;
            assert_eq!(status, StatusCode::OK, "{value}");
            if holds(&value) {
                return value;
            }
            assert!(Instant::now() < end, "{path} stays {value}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn code(answer: &(StatusCode, Value)) -> (u16, &str) {
    (answer.0.as_u16(), answer.1["error"]["code"].as_str().expect("a code"))
}

#[tokio::test]
async fn a_snapshot_and_a_restore_from_end_to_end() {
    let lab = Lab::new(SCENARIO).await;
    let task = lab.task("/v1/machines/win-1/snapshots", json!({"key": "a/1", "tags": {"node": "win-1"}})).await;
    assert_eq!(
        (&task["kind"], &task["state"], &task["machine"]),
        (&json!("Snapshot"), &json!("Succeeded"), &json!("win-1"))
    );
    let id = task["snapshotId"].as_str().expect("a snapshot");
    let (_, snapshot) = lab.get(&format!("/v1/snapshots/{id}")).await;
    assert_eq!((&snapshot["state"], &snapshot["restorable"]), (&json!("Ready"), &json!(true)));
    assert_eq!((&snapshot["tags"]["node"], &snapshot["key"]), (&json!("win-1"), &json!("a/1")));
    assert!(snapshot["sizeBytes"].as_u64().is_some_and(|bytes| bytes > 0));
    let task = lab.task("/v1/machines/win-1/restore", json!({"snapshotId": id, "key": "r/1"})).await;
    assert_eq!((&task["kind"], &task["state"]), (&json!("Restore"), &json!("Succeeded")));
    let machine = lab.until("/v1/machines/win-1", |machine| machine["state"] == "Running").await;
    assert_eq!((&machine["boots"], &machine["power"]), (&json!(1), &json!("On")));
    assert_eq!(machine["providerId"], "simulated://lab/win-1");
    assert_eq!((&machine["disks"], &machine["attachedVolumes"]), (&json!(["disk0"]), &json!(["pvc-1"])));
    assert_eq!(machine["console"], "Press Ctrl+Alt+Delete to unlock.");
}

#[tokio::test]
async fn a_key_finds_its_task_and_its_snapshot() {
    let lab = Lab::new(SCENARIO).await;
    let first = lab.task("/v1/machines/win-1/snapshots", json!({"key": "k"})).await;
    let (status, again) = lab.post("/v1/machines/win-1/snapshots", json!({"key": "k"})).await;
    assert_eq!((status, &again["task"]), (StatusCode::ACCEPTED, &first));
    let (_, found) = lab.get("/v1/tasks?key=k").await;
    assert_eq!(found["tasks"], json!([first]));
    let (_, none) = lab.get("/v1/tasks?key=other").await;
    assert_eq!(none["tasks"], json!([]));
    let (_, found) = lab.get("/v1/snapshots?machine=win-1&key=k").await;
    assert_eq!(
        (found["snapshots"].as_array().map(Vec::len), &found["snapshots"][0]["id"]),
        (Some(1), &first["snapshotId"])
    );
    let (_, none) = lab.get("/v1/snapshots?machine=win-2&key=k").await;
    assert_eq!(none["snapshots"], json!([]));
    assert_eq!(code(&lab.post("/v1/machines/win-2/snapshots", json!({"key": "k"})).await), (409, "Conflict"));
}

#[tokio::test]
async fn a_second_delete_finds_nothing() {
    let lab = Lab::new(SCENARIO).await;
    let task = lab.task("/v1/machines/win-1/snapshots", json!({"key": "k"})).await;
    let path = format!("/v1/snapshots/{}", task["snapshotId"].as_str().expect("a snapshot"));
    assert_eq!(lab.call(Method::DELETE, &path, None).await, (StatusCode::NO_CONTENT, Value::Null));
    assert_eq!(code(&lab.call(Method::DELETE, &path, None).await), (404, "NotFound"));
    assert_eq!(code(&lab.get(&path).await), (404, "NotFound"));
}

#[tokio::test]
async fn power_goes_off_and_on() {
    let lab = Lab::new(SCENARIO).await;
    lab.task("/v1/machines/win-1/power", json!({"want": "Off", "key": "p/1"})).await;
    let (_, machine) = lab.get("/v1/machines/win-1").await;
    assert_eq!((&machine["power"], &machine["state"]), (&json!("Off"), &json!("Off")));
    let task = lab.task("/v1/machines/win-1/power", json!({"want": "On", "key": "p/2"})).await;
    assert_eq!(task["state"], "Succeeded");
    lab.until("/v1/machines/win-1", |machine| machine["state"] == "Running").await;
}

#[tokio::test]
async fn errors_are_json_with_a_code() {
    let lab = Lab::new(SCENARIO).await;
    for path in ["/v1/machines/win-9", "/v1/tasks/t", "/v1/snapshots/s", "/v2", "/sim/machines/win-9"] {
        assert_eq!(code(&lab.get(path).await), (404, "NotFound"), "{path}");
    }
    let unknown = lab.post("/v1/machines/win-1/snapshots", json!({"key": "k", "bogus": 1})).await;
    assert!(code(&unknown) == (400, "Invalid") && unknown.1.to_string().contains("bogus"), "{unknown:?}");
    assert_eq!(
        code(&lab.post("/v1/machines/win-1/power", json!({"want": "Maybe", "key": "k"})).await),
        (400, "Invalid")
    );
    assert_eq!(code(&lab.get("/v1/tasks?kee=k").await), (400, "Invalid"));
    let slow = Lab::new(&SCENARIO.replace("snapshotTakes: 50ms", "snapshotTakes: 1h")).await;
    slow.post("/v1/machines/win-1/snapshots", json!({"key": "k"})).await;
    assert_eq!(code(&slow.post("/v1/machines/win-1/power", json!({"want": "Off", "key": "p"})).await), (409, "Busy"));
}

#[tokio::test]
async fn of_each_n_requests_one_is_throttled() {
    let lab = Lab::new(&SCENARIO.replace("id: lab", "id: lab, throttle: {everyNth: 3, retryAfter: 1500ms}")).await;
    for row in 0..6 {
        let mut throttled = 0;
        for _ in 0..3 {
            let response = lab.send(Method::GET, "/v1/machines/win-1", None).await;
            if response.status().as_u16() == 429 {
                throttled += 1;
                assert_eq!(response.headers()["retry-after"], "2", "whole seconds, rounded up");
                assert_eq!(response.json::<Value>().await.expect("JSON")["error"]["code"], "Throttled");
            }
        }
        assert_eq!(throttled, 1, "row {row}");
    }
    assert_eq!(lab.get("/sim/counters").await.0, StatusCode::OK, "the controls are not throttled");
}

#[tokio::test]
async fn it_misbehaves_when_told_and_does_nothing_then() {
    let lab = Lab::new(SCENARIO).await;
    let begin = || json!({"key": "k"});
    assert_eq!(lab.post("/sim/hypervisor", json!({"down": true})).await.0, StatusCode::NO_CONTENT);
    assert_eq!(code(&lab.post("/v1/machines/win-1/snapshots", begin()).await), (503, "Unavailable"));
    lab.post("/sim/hypervisor", json!({"rubbish": true})).await;
    let rubbish = lab.send(Method::POST, "/v1/machines/win-1/snapshots", Some(begin())).await;
    assert_eq!(rubbish.status(), StatusCode::OK);
    assert!(rubbish.text().await.expect("a body").starts_with("<html>"));
    lab.post("/sim/hypervisor", json!({"answersLate": "300ms"})).await;
    assert_eq!(lab.get("/v1/tasks").await.1["tasks"], json!([]), "nothing was begun");
    let asked = Instant::now();
    assert_eq!(lab.post("/v1/machines/win-1/snapshots", begin()).await.0, StatusCode::ACCEPTED);
    assert!(asked.elapsed() >= Duration::from_millis(300));
    assert_eq!(code(&lab.post("/sim/hypervisor", json!({"bogus": true})).await), (400, "Invalid"));
    assert_eq!(lab.get("/sim/hypervisor").await.1["answersLate"], "300ms");
}

#[tokio::test]
async fn a_test_sees_and_breaks_machines() {
    let lab = Lab::new(SCENARIO).await;
    let struck = lab
        .post("/sim/machines/win-1/effects", json!({"effects": ["podNetworkDead", {"slowBoot": {"by": "1s"}}]}))
        .await;
    assert_eq!(struck.0, StatusCode::NO_CONTENT);
    let (_, inside) = lab.get("/sim/machines/win-1").await;
    assert_eq!((&inside["podNetworkOk"], &inside["kubeletUp"]), (&json!(false), &json!(true)));
    assert_eq!((&inside["disk"]["build"], &inside["generation"]), (&json!("10.0.20348.2527"), &json!(0)));
    assert_eq!(lab.call(Method::DELETE, "/sim/machines/win-1/effects", None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(lab.get("/sim/machines/win-1").await.1["podNetworkOk"], true);
    assert_eq!(lab.call(Method::POST, "/sim/machines/win-1/replace", None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(lab.get("/sim/machines/win-1").await.1["generation"], 1);
    let volumes = lab.call(Method::PUT, "/sim/machines/win-2/volumes", Some(json!({"volumes": []}))).await;
    assert_eq!(
        (volumes.0, &lab.get("/v1/machines/win-2").await.1["attachedVolumes"]),
        (StatusCode::NO_CONTENT, &json!([]))
    );
    let (_, counters) = lab.get("/sim/counters").await;
    assert_eq!((&counters["total"]["replaced"], &counters["machines"]["win-2"]["replaced"]), (&json!(1), &json!(0)));
    assert_eq!(code(&lab.post("/sim/machines/win-1/effects", json!({"effects": ["pigsFly"]})).await), (400, "Invalid"));
    assert_eq!(code(&lab.post("/sim/machines/win-9/effects", json!({"effects": []})).await), (404, "NotFound"));
}

#[tokio::test]
async fn updates_are_published_and_withdrawn() {
    let lab = Lab::new(SCENARIO).await;
    for what in ["publish", "withdraw"] {
        assert_eq!(
            lab.call(Method::POST, &format!("/sim/updates/KB5040437/{what}"), None).await.0,
            StatusCode::NO_CONTENT
        );
        assert_eq!(
            code(&lab.call(Method::POST, &format!("/sim/updates/KB5999999/{what}"), None).await),
            (404, "NotFound")
        );
        assert_eq!(
            code(&lab.call(Method::POST, &format!("/sim/updates/5040437/{what}"), None).await),
            (400, "Invalid")
        );
    }
}
