//! What goes over the wire: bodies, answers, errors.

use crate::{
    model::{Code, Machine, MachineState, Power, Refusal, Snapshot, SnapshotState, Task, TaskKind, TaskState},
    scenario::Period,
};
use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Query, Request, rejection::JsonRejection},
    http::{StatusCode, header::RETRY_AFTER, request::Parts},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

/// A request that is not done.
#[derive(Debug)]
pub(super) struct Failure {
    refusal: Refusal,
    retry_after: Option<Period>,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Refusal { code, message: message.into() }.into()
    }

    /// There is no thing of this kind and name.
    pub(super) fn absent(kind: &str, name: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no {kind} {name}"))
    }

    pub(super) fn retry_after(self, after: Period) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    fn status(&self) -> StatusCode {
        match self.refusal.code {
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::Busy | Code::Conflict | Code::Detached | Code::Quota => StatusCode::CONFLICT,
            Code::Invalid => StatusCode::BAD_REQUEST,
            Code::Throttled => StatusCode::TOO_MANY_REQUESTS,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Internal | Code::TimedOut => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, retry_after: None }
    }
}

#[derive(Serialize)]
struct ErrorBody {
    error: Refusal,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = Json(ErrorBody { error: self.refusal });
        match self.retry_after {
            Some(after) => (status, [(RETRY_AFTER, whole_seconds(after).to_string())], body).into_response(),
            None => (status, body).into_response(),
        }
    }
}

/// `Retry-After` has whole seconds; rounded up, so that nobody comes back too early.
fn whole_seconds(period: Period) -> u64 {
    let exact = period.to_std();
    exact.as_secs() + u64::from(exact.subsec_nanos() > 0)
}

/// A JSON body; one that does not parse is answered like any other error.
pub(super) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let body = Json::from_request(request, state).await;
        body.map(|Json(value)| Self(value)).map_err(|e: JsonRejection| Failure::new(Code::Invalid, e.body_text()))
    }
}

/// A query string; one that does not parse is answered like any other error.
pub(super) struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|e| Failure::new(Code::Invalid, e.body_text()))
    }
}

/// The answer to a path that is not there.
pub(super) async fn no_route(request: Request) -> Failure {
    Failure::absent("path", request.uri().path())
}

/// `Task` of the API.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskView {
    id: String,
    key: String,
    kind: TaskKind,
    machine: String,
    state: TaskState,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Refusal>,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<Timestamp>,
}

impl From<&Task> for TaskView {
    fn from(task: &Task) -> Self {
        Self {
            id: task.id.clone(),
            key: task.key.clone(),
            kind: task.kind,
            machine: task.machine.clone(),
            state: task.state,
            snapshot_id: task.snapshot_id.clone(),
            error: task.error.clone(),
            created_at: task.created_at,
            finished_at: task.finished_at,
        }
    }
}

/// `Snapshot` of the API.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SnapshotView {
    id: String,
    machine: String,
    key: String,
    state: SnapshotState,
    created_at: Timestamp,
    restorable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    restorable_until: Option<Timestamp>,
    size_bytes: u64,
    tags: BTreeMap<String, String>,
}

impl SnapshotView {
    /// The snapshot as it is at `now`.
    pub(super) fn at(snapshot: &Snapshot, now: Timestamp) -> Self {
        Self {
            id: snapshot.id.clone(),
            machine: snapshot.machine.clone(),
            key: snapshot.key.clone(),
            state: snapshot.state,
            created_at: snapshot.created_at,
            restorable: snapshot.restorable(now),
            restorable_until: snapshot.restorable_until,
            size_bytes: snapshot.size_bytes,
            tags: snapshot.tags.clone(),
        }
    }
}

/// `Machine` of the API.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MachineView {
    name: String,
    provider_id: String,
    power: Power,
    state: MachineState,
    boots: u64,
    disks: Vec<String>,
    attached_volumes: Vec<String>,
    console: &'static str,
}

impl From<&Machine> for MachineView {
    fn from(machine: &Machine) -> Self {
        Self {
            name: machine.name().to_owned(),
            provider_id: machine.provider_id().to_owned(),
            power: machine.power(),
            state: machine.state(),
            boots: machine.counters().boots,
            disks: machine.disks(),
            attached_volumes: machine.attached_volumes.clone(),
            console: machine.console(),
        }
    }
}
