//! What only shows at run time: that object stops and says why, nothing is changed, the others go on.

use super::{GOOD, GOOD_BUILD, untouched, updated_once};
use crate::harness::{RING_LABEL, Rollout, RubbishServer, STORY_LABEL, Scene, Story, condition, reason_of, steps};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use windlass::api::{NodeUpdate, Outcome, RolloutState, SnapshotClass, Step, StepPhase, UpdatePolicy};

/// Label of the nodes of the ring without a Windows node.
const LINUX: &str = "windlass.example/linux-of";

/// The stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story::new("bad-names-stop-alone", bad_names).machines("ring", 2, &[]),
        Story::new("budget-zero", budget_zero).machines("ring", 1, &[]),
        Story::new("provider-answers-rubbish", provider_rubbish).machines("ring", 1, &[]),
        Story::new("machine-that-is-not-there", not_there).machines("ring", 2, &[]).provider_id(
            "ring",
            1,
            "simulated://hypervisor/no-such-machine",
        ),
        Story::new("impossible-log", impossible_log).machines("ring", 2, &[]),
    ]
}

/// Rollouts whose rings, policies, classes or nodes are not as they should be, beside one that is in order.
async fn bad_names(scene: Scene) -> Result<()> {
    linux_node(&scene).await?;
    scene.policy(json!({})).await?;
    scene.ring("ring", json!({})).await?;
    let selects = |labels: Value| json!({"nodeSelector": {"matchLabels": labels}});
    scene.ring("overlapping", selects(json!({STORY_LABEL: scene.name(), RING_LABEL: null}))).await?;
    scene.ring("no-node", selects(json!({RING_LABEL: "nothing-has-this"}))).await?;
    scene.ring("linux", selects(json!({LINUX: scene.name(), RING_LABEL: null}))).await?;
    scene.ring("no-policy", json!({"policyName": "there-is-none"})).await?;
    scene.ring("no-class", json!({"policyName": policy_without_class(&scene).await?})).await?;

    let bad: [(&[&str], &[&str]); 6] = [
        (&["ring", "missing"], &["missing", "no UpdateRing of that name"]),
        (&["no-policy"], &["no UpdatePolicy there-is-none"]),
        (&["no-class"], &["no SnapshotClass there-is-none"]),
        (&["ring", "overlapping"], &["both select node"]),
        (&["ring", "no-node"], &["selects no Windows node"]),
        (&["linux"], &["selects no Windows node", "1 node that does not run Windows"]),
    ];
    let mut stopped = Vec::new();
    for (at, (rings, words)) in bad.into_iter().enumerate() {
        stopped.push((scene.rollout(&format!("bad-{at}"), rings, GOOD).await?, words));
    }
    for (rollout, words) in &stopped {
        stalls(rollout, words).await?;
    }
    for number in [1, 2] {
        untouched(&scene, &scene.machine("ring", number)).await?;
    }
    let good = scene.rollout("good", &["ring"], GOOD).await?;
    good.ends(RolloutState::Completed).await?;
    for (rollout, words) in &stopped {
        stalls(rollout, words).await?;
        ensure!(rollout.updates().is_empty(), "{} has started nodes", rollout.name);
    }
    for number in [1, 2] {
        updated_once(&scene, &scene.machine("ring", number), GOOD_BUILD, 1).await?;
    }
    Ok(())
}

async fn stalls(rollout: &Rollout, words: &[&str]) -> Result<()> {
    rollout.reaches(RolloutState::Stalled).await?;
    let said = rollout.says(words).await?;
    let (stalled, _, message) = condition(&said.status.as_ref().context("no status")?.conditions, "Stalled")?;
    ensure!(stalled == "True", "{}: Stalled is {stalled}: {message}", rollout.name);
    ensure!(words.iter().all(|word| message.contains(word)), "{}: the condition says {message}", rollout.name);
    Ok(())
}

/// A policy of another name, that names a class that is not there.
async fn policy_without_class(scene: &Scene) -> Result<String> {
    let name = scene.own("classless");
    let spec = json!({
        "strategy": {"type": "InPlace", "inPlace": {"snapshot": {"className": "there-is-none"}}},
        "verify": {"probes": [{"name": "ready", "node": {}}]},
    });
    scene.apply::<UpdatePolicy>(&name, json!({"spec": spec})).await?;
    Ok(name)
}

async fn linux_node(scene: &Scene) -> Result<()> {
    let name = scene.own("linux");
    let labels = json!({"kubernetes.io/os": "linux", LINUX: scene.name()});
    scene.apply::<Node>(&name, json!({"metadata": {"labels": labels}})).await
}

/// maxUnavailable 0 is a person's word: no node starts, and the rollout says why.
async fn budget_zero(scene: Scene) -> Result<()> {
    let rollout = scene.simple(json!({}), json!({"batch": {"maxUnavailable": 0}}), GOOD).await?;
    stalls(&rollout, &["maxUnavailable is 0"]).await?;
    untouched(&scene, &scene.machine("ring", 1)).await
}

/// A provider that answers 200 and a web page: no node begins, and the rollout says why.
async fn provider_rubbish(scene: Scene) -> Result<()> {
    let server = RubbishServer::start().await?;
    let class = scene.own("rubbish");
    let provider = json!({"simulated": {"endpoint": server.url()}});
    scene.apply::<SnapshotClass>(&class, json!({"spec": {"provider": provider}})).await?;
    let policy = json!({"strategy": {"inPlace": {"snapshot": {"className": class}}}});
    let rollout = scene.simple(policy, json!({}), GOOD).await?;
    let machine = scene.machine("ring", 1);
    rollout.says(&[&class, "does not work", "which is not understood"]).await?;
    ensure!(server.asked() > 0, "the provider was never asked");
    ensure!(rollout.updates().is_empty(), "a node has begun");
    untouched(&scene, &machine).await?;
    scene.in_service(&machine).await
}

/// A machine that its provider does not have is found out before its node is touched; the others of its ring go on.
async fn not_there(scene: Scene) -> Result<()> {
    let (absent, there) = (scene.machine("ring", 1), scene.machine("ring", 2));
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    let update = rollout.node_ends(&absent, Outcome::Failed).await?;
    ensure!(reason_of(&update)?.contains("no-such-machine"), "the machine is not named: {}", reason_of(&update)?);
    let (ready, code, message) = condition(&update.status.as_ref().context("no status")?.conditions, "Ready")?;
    ensure!((ready, code) == ("False", "PreflightFailed"), "Ready is {ready}, {code}: {message}");
    ensure!(steps(&update) == [(Step::Preflight, StepPhase::Failed)], "more was done: {:?}", steps(&update));
    let inside = scene.stage.sim.inside(&absent).await?;
    ensure!(inside.counters.snapshots == 0, "a snapshot was taken: {:?}", inside.counters);
    untouched(&scene, &absent).await?;
    scene.in_service(&absent).await?;
    rollout.ends(RolloutState::Completed).await?;
    updated_once(&scene, &there, GOOD_BUILD, 1).await
}

/// A log that the operator would never write: it stops, says so, and touches nothing.
async fn impossible_log(scene: Scene) -> Result<()> {
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    let machine = scene.machine("ring", 1);
    let update = rollout.is_in(&machine, Step::Stage).await?;
    let now = "2026-01-01T00:00:00.000000Z";
    let install = json!({"step": "Install", "phase": "Started", "round": 1, "attempt": 1, "startedAt": now});
    let updates: Api<NodeUpdate> = Api::all(scene.stage.client.clone());
    let forged = Patch::Merge(json!({"status": {"steps": [install], "step": "Install"}}));
    updates.patch_status(&update.name_any(), &PatchParams::default(), &forged).await?;

    let update = rollout.node_ends(&machine, Outcome::Held).await?;
    let (stalled, code, message) = condition(&update.status.as_ref().context("no status")?.conditions, "Stalled")?;
    ensure!((stalled, code) == ("True", "ImpossibleLog"), "Stalled is {stalled}, {code}: {message}");
    ensure!(message.contains("status.steps[0]"), "the field is not named: {message}");
    rollout.ends(RolloutState::Halted).await?;
    untouched(&scene, &machine).await?;
    untouched(&scene, &scene.machine("ring", 2)).await
}
