//! `/v1`: what a provider speaks to.

use super::{
    SharedWorld,
    wire::{Body, Failure, MachineView, Params, SnapshotView, TaskView},
};
use crate::model::{PowerRequest, Refusal, Task};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The routes of `/v1`.
pub(super) fn routes() -> Router<SharedWorld> {
    Router::new()
        .route("/machines/{name}", get(machine))
        .route("/machines/{name}/snapshots", post(snapshot))
        .route("/machines/{name}/restore", post(restore))
        .route("/machines/{name}/power", post(power))
        .route("/tasks", get(tasks))
        .route("/tasks/{id}", get(task))
        .route("/snapshots", get(snapshots))
        .route("/snapshots/{id}", get(find_snapshot).delete(delete_snapshot))
}

/// What starts something: 202 and its task.
type Accepted = Result<(StatusCode, Json<TaskBody>), Failure>;

#[derive(Serialize)]
struct TaskBody {
    task: TaskView,
}

#[derive(Serialize)]
struct TaskList {
    tasks: Vec<TaskView>,
}

#[derive(Serialize)]
struct SnapshotList {
    snapshots: Vec<SnapshotView>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SnapshotRequest {
    key: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RestoreRequest {
    snapshot_id: String,
    key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PowerBody {
    want: PowerRequest,
    key: String,
}

/// Which tasks or snapshots are meant: those that fit everything given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    machine: Option<String>,
    key: Option<String>,
}

impl Filter {
    fn fits(&self, machine: &str, key: &str) -> bool {
        self.machine.as_deref().is_none_or(|wanted| wanted == machine)
            && self.key.as_deref().is_none_or(|wanted| wanted == key)
    }
}

fn accepted(task: Result<Task, Refusal>) -> Accepted {
    let task = task?;
    Ok((StatusCode::ACCEPTED, Json(TaskBody { task: TaskView::from(&task) })))
}

async fn machine(State(world): State<SharedWorld>, Path(name): Path<String>) -> Result<Json<MachineView>, Failure> {
    let view = world.with(|world, _| world.machine(&name).map(MachineView::from));
    view.map(Json).ok_or_else(|| Failure::absent("machine", &name))
}

async fn snapshot(
    State(world): State<SharedWorld>,
    Path(name): Path<String>,
    Body(asked): Body<SnapshotRequest>,
) -> Accepted {
    accepted(world.with(|world, _| world.snapshot(&name, &asked.key, asked.tags)))
}

async fn restore(
    State(world): State<SharedWorld>,
    Path(name): Path<String>,
    Body(asked): Body<RestoreRequest>,
) -> Accepted {
    accepted(world.with(|world, _| world.restore(&name, &asked.snapshot_id, &asked.key)))
}

async fn power(State(world): State<SharedWorld>, Path(name): Path<String>, Body(asked): Body<PowerBody>) -> Accepted {
    accepted(world.with(|world, _| world.power(&name, asked.want, &asked.key)))
}

async fn tasks(State(world): State<SharedWorld>, Params(filter): Params<Filter>) -> Json<TaskList> {
    let fits = |task: &&Task| filter.fits(&task.machine, &task.key);
    Json(TaskList { tasks: world.with(|world, _| world.tasks().filter(fits).map(TaskView::from).collect()) })
}

async fn task(State(world): State<SharedWorld>, Path(id): Path<String>) -> Result<Json<TaskView>, Failure> {
    let view = world.with(|world, _| world.task(&id).map(TaskView::from));
    view.map(Json).ok_or_else(|| Failure::absent("task", &id))
}

async fn snapshots(State(world): State<SharedWorld>, Params(filter): Params<Filter>) -> Json<SnapshotList> {
    let snapshots = world.with(|world, now| {
        let fitting = world.snapshots().filter(|snapshot| filter.fits(&snapshot.machine, &snapshot.key));
        fitting.map(|snapshot| SnapshotView::at(snapshot, now)).collect()
    });
    Json(SnapshotList { snapshots })
}

async fn find_snapshot(
    State(world): State<SharedWorld>,
    Path(id): Path<String>,
) -> Result<Json<SnapshotView>, Failure> {
    let view = world.with(|world, now| world.find_snapshot(&id).map(|snapshot| SnapshotView::at(snapshot, now)));
    view.map(Json).ok_or_else(|| Failure::absent("snapshot", &id))
}

async fn delete_snapshot(State(world): State<SharedWorld>, Path(id): Path<String>) -> Result<StatusCode, Failure> {
    world.with(|world, _| world.delete_snapshot(&id))?;
    Ok(StatusCode::NO_CONTENT)
}
