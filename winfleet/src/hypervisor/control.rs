//! `/sim`: what a test or a demo sees and changes behind everybody's back.

use super::{
    Mode, SharedWorld,
    wire::{Body, Failure},
};
use crate::{
    model::{Code, Counters, Disk, Machine, MachineState, World},
    scenario::Effect,
};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post, put},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use windlass_protocol::{Build, KbId};

/// The routes of `/sim`.
pub(super) fn routes() -> Router<SharedWorld> {
    Router::new()
        .route("/counters", get(counters))
        .route("/machines/{name}", get(machine))
        .route("/machines/{name}/effects", post(strike).delete(heal))
        .route("/machines/{name}/replace", post(replace))
        .route("/machines/{name}/volumes", put(volumes))
        .route("/updates/{kb}/publish", post(publish))
        .route("/updates/{kb}/withdraw", post(withdraw))
        .route("/hypervisor", get(mode).post(set_mode))
}

/// A change that has no answer of its own.
type Changed = Result<StatusCode, Failure>;

#[derive(Serialize)]
struct AllCounters {
    total: Counters,
    machines: BTreeMap<String, Counters>,
}

/// Everything about a machine; of its files, the names only.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "an answer in JSON: each is a fact of its own")]
struct Inside {
    name: String,
    state: MachineState,
    provider_id: String,
    system_uuid: String,
    generation: u32,
    boot_id: u64,
    kernel_version: Build,
    kubelet_up: bool,
    can_start_pods: bool,
    pod_network_ok: bool,
    dns_ok: bool,
    counters: Counters,
    files: Vec<String>,
    disk: Disk,
}

impl From<&Machine> for Inside {
    fn from(machine: &Machine) -> Self {
        let files = machine.disk.files.keys().cloned().collect();
        Self {
            name: machine.name().to_owned(),
            state: machine.state(),
            provider_id: machine.provider_id().to_owned(),
            system_uuid: machine.system_uuid(),
            generation: machine.node_generation(),
            boot_id: machine.boot_id(),
            kernel_version: machine.kernel_version(),
            kubelet_up: machine.kubelet_up(),
            can_start_pods: machine.can_start_pods(),
            pod_network_ok: machine.pod_network_ok(),
            dns_ok: machine.dns_ok(),
            counters: machine.counters().clone(),
            files,
            disk: machine.disk.clone(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Effects {
    effects: Vec<Effect>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Volumes {
    volumes: Vec<String>,
}

/// Makes a change to a machine; `change` says whether there is such a machine.
fn change(world: &SharedWorld, name: &str, change: impl FnOnce(&mut World) -> bool) -> Changed {
    if world.with(|world, _| change(world)) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Failure::absent("machine", name))
}

async fn counters(State(world): State<SharedWorld>) -> Json<AllCounters> {
    Json(world.with(|world, _| AllCounters {
        total: world.counters(),
        machines: world.machines().map(|m| (m.name().to_owned(), m.counters().clone())).collect(),
    }))
}

async fn machine(State(world): State<SharedWorld>, Path(name): Path<String>) -> Result<Json<Inside>, Failure> {
    let inside = world.with(|world, _| world.machine(&name).map(Inside::from));
    inside.map(Json).ok_or_else(|| Failure::absent("machine", &name))
}

async fn strike(State(world): State<SharedWorld>, Path(name): Path<String>, Body(asked): Body<Effects>) -> Changed {
    change(&world, &name, |world| world.strike(&name, asked.effects))
}

async fn heal(State(world): State<SharedWorld>, Path(name): Path<String>) -> Changed {
    change(&world, &name, |world| world.heal(&name))
}

async fn replace(State(world): State<SharedWorld>, Path(name): Path<String>) -> Changed {
    change(&world, &name, |world| world.replace(&name))
}

async fn volumes(State(world): State<SharedWorld>, Path(name): Path<String>, Body(asked): Body<Volumes>) -> Changed {
    change(&world, &name, |world| world.attach_volumes(&name, asked.volumes))
}

async fn publish(State(world): State<SharedWorld>, Path(kb): Path<String>) -> Changed {
    offer(&world, &kb, true)
}

async fn withdraw(State(world): State<SharedWorld>, Path(kb): Path<String>) -> Changed {
    offer(&world, &kb, false)
}

fn offer(world: &SharedWorld, text: &str, published: bool) -> Changed {
    let kb: KbId = text.parse().map_err(|e| Failure::new(Code::Invalid, format!("{e}")))?;
    if world.with(|world, _| world.publish(kb, published)) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Failure::absent("update", text))
}

async fn mode(State(world): State<SharedWorld>) -> Json<Mode> {
    Json(world.with_mode(|mode| mode.clone()))
}

async fn set_mode(State(world): State<SharedWorld>, Body(asked): Body<Mode>) -> StatusCode {
    world.with_mode(|mode| *mode = asked);
    StatusCode::NO_CONTENT
}
