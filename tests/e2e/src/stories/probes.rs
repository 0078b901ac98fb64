//! Every kind of probe, passing and failing, and probes while a ring soaks.

use super::{GOOD, GOOD_BUILD, updated_once};
use crate::harness::{
    FakePrometheus, PATIENCE, RubbishServer, Scene, Story, Workload, eventually, not_yet, reason_of, seen,
};
use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};
use windlass::api::{Outcome, RolloutState};

/// The stories.
pub fn stories() -> Vec<Story> {
    let failing = |kind: &'static str| {
        Story::new(format!("{kind}-probe-fails"), move |scene| fails(scene, kind)).machines("ring", 1, &[])
    };
    vec![
        Story::new("all-probes-pass", all_pass).machines("ring", 1, &[]),
        failing("http"),
        failing("cel"),
        failing("pod"),
        Story::new("slo-burns-while-soaking", slo_burns).machines("ring", 1, &[]).machines("next", 1, &[]),
        Story::new("breaks-while-soaking", breaks_while_soaking).machines("ring", 1, &[]).machines("next", 1, &[]),
        Story::new("reboots-while-soaking", reboots_while_soaking).machines("ring", 2, &[]).machines("next", 1, &[]),
    ]
}

async fn all_pass(scene: Scene) -> Result<()> {
    let server = RubbishServer::start().await?;
    scene.workload("web", "ring", Workload { replicas: 1, min_available: 0, ends_after: 1 }).await?;
    let probes = json!([
        {"name": "ready", "node": {"readyFor": "1s"}},
        {"name": "build", "build": {}},
        {"name": "host", "host": {}},
        pod_probe(),
        http_probe(&server, 200),
        cel_probe(&scene, "object.spec.replicas == 1"),
    ]);
    let rollout = scene.simple(json!({"verify": {"probes": probes}}), json!({}), GOOD).await?;
    rollout.ends(RolloutState::Completed).await?;
    ensure!(server.asked() > 0, "nobody asked for the URL");
    updated_once(&scene, &scene.machine("ring", 1), GOOD_BUILD, 1).await
}

/// A probe that fails whatever is installed: the update is undone, but the revert cannot be proved either.
async fn fails(scene: Scene, kind: &str) -> Result<()> {
    let server = RubbishServer::start().await?;
    scene.workload("web", "ring", Workload { replicas: 1, min_available: 0, ends_after: 1 }).await?;
    let probe = match kind {
        "http" => http_probe(&server, 204),
        "cel" => cel_probe(&scene, "object.spec.replicas == 7"),
        _ => json!({"name": "pod-network", "pod": {"image": "x", "command": ["x"], "timeout": "1s"}}),
    };
    let name = probe["name"].as_str().unwrap_or_default().to_owned();
    let policy = json!({"verify": {"timeout": "15s", "probes": [probe]}});
    let rollout = scene.simple(policy, json!({}), GOOD).await?;
    let machine = scene.machine("ring", 1);
    let update = rollout.node_ends(&machine, Outcome::Held).await?;
    let reason = reason_of(&update)?;
    ensure!(reason.contains("VerifyRestored") && reason.contains(&name), "{name} is not named: {reason}");
    rollout.ends(RolloutState::Halted).await?;
    let inside = scene.stage.sim.inside(&machine).await?;
    ensure!(inside.counters.restores == 1, "{:?}", inside.counters);
    Ok(())
}

/// The update breaks a node only while its ring soaks: the rollout halts before the next ring.
async fn breaks_while_soaking(scene: Scene) -> Result<()> {
    scene.policy(json!({})).await?;
    scene.ring("ring", json!({"soak": {"duration": "10m"}})).await?;
    scene.ring("next", json!({})).await?;
    let rollout = scene.rollout("rollout", &["ring", "next"], GOOD).await?;
    let machine = scene.machine("ring", 1);
    rollout.reaches(RolloutState::Soaking).await?;
    scene.stage.sim.strike(&machine, &json!(["podNetworkDead"])).await?;
    rollout.ends(RolloutState::Halted).await?;
    rollout.says(&["soak failed", &machine, "pod-network", "not started"]).await?;
    ensure!(rollout.update(&scene.machine("next", 1)).is_none(), "the next ring was started");
    scene.in_service(&machine).await
}

/// Machines that crash and boot again and again between two probings: no probe sees it, and the boot IDs do. One of two may.
async fn reboots_while_soaking(scene: Scene) -> Result<()> {
    scene.policy(json!({})).await?;
    scene.ring("ring", json!({"batch": {"maxUnavailable": 2}, "soak": {"duration": "10m", "interval": "9m"}})).await?;
    scene.ring("next", json!({})).await?;
    let rollout = scene.rollout("rollout", &["ring", "next"], GOOD).await?;
    rollout.reaches(RolloutState::Soaking).await?;
    let [first, second] = [1, 2].map(|number| scene.machine("ring", number));
    for machine in [&first, &first, &second] {
        reboots(&scene, machine).await?;
        rollout.reaches(RolloutState::Soaking).await?;
    }
    reboots(&scene, &second).await?;
    rollout.ends(RolloutState::Halted).await?;
    rollout.says(&["reboots by itself again and again since its update (and 1 more node)", "not started"]).await?;
    ensure!(rollout.update(&scene.machine("next", 1)).is_none(), "the next ring was started");
    scene.in_service(&second).await
}

/// Has the machine restart, and waits until its node shows the new boot.
async fn reboots(scene: &Scene, machine: &str) -> Result<()> {
    let boot_id = |node: Node| node.status.and_then(|status| status.node_info).map(|info| info.boot_id);
    let before = boot_id(scene.node(machine).await?);
    scene.stage.sim.strike(machine, &json!(["restartsByItself"])).await?;
    eventually("the node shows another boot", PATIENCE, async || {
        let now = boot_id(scene.node(machine).await?);
        Ok(if now == before { not_yet(format!("boot ID {now:?}")) } else { seen(()) })
    })
    .await
}

/// Without data nothing is known, and it is waited; an error rate that rises while the ring soaks halts the rollout.
async fn slo_burns(scene: Scene) -> Result<()> {
    let server = FakePrometheus::start().await?;
    let prometheus = json!({"address": server.url(), "query": "sum(rate(errors[5m]))", "failWhen": "> 0.01"});
    let probes = json!([{"name": "build", "build": {}}, {"name": "slo", "prometheus": prometheus}]);
    scene.policy(json!({"verify": {"probes": probes}})).await?;
    scene.ring("ring", json!({"soak": {"duration": "10m"}})).await?;
    scene.ring("next", json!({})).await?;
    let rollout = scene.rollout("rollout", &["ring", "next"], GOOD).await?;
    let machine = scene.machine("ring", 1);
    rollout.waits_on(&machine, &["slo", "no data"]).await?;
    server.set(0.001);
    rollout.reaches(RolloutState::Soaking).await?;
    server.set(0.5);
    rollout.ends(RolloutState::Halted).await?;
    rollout.says(&["soak failed", "slo", "0.5", "> 0.01"]).await?;
    updated_once(&scene, &machine, GOOD_BUILD, 1).await?;
    ensure!(rollout.update(&scene.machine("next", 1)).is_none(), "the next ring was started");
    Ok(())
}

fn pod_probe() -> Value {
    json!({"name": "pod-network", "pod": {"image": "registry.example/net-probe:1", "command": ["net-probe.exe"]}})
}

fn http_probe(server: &RubbishServer, status: u16) -> Value {
    json!({"name": "shop", "http": {"url": format!("{}/healthz", server.url()), "expectStatus": [status]}})
}

fn cel_probe(scene: &Scene, expression: &str) -> Value {
    let resource = json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": scene.name(), "name": "web"});
    json!({"name": "replicas", "cel": {"resource": resource, "expression": expression}})
}
