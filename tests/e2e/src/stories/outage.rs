//! Servers that go away for a while, and operators that take over from each other.

use super::{GOOD, GOOD_BUILD, updated_once};
use crate::harness::{OPERATOR, Scene, Story, Venue, eventually, not_yet, seen};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use nix::sys::signal::Signal;
use serde_json::json;
use std::time::{Duration, Instant};
use windlass::api::{RolloutState, Step};

/// Name of a second operator.
const SECOND: &str = "second";
/// How long a graceful end may take, in seconds: the promise to Kubernetes, whose default grace is 30.
const SHUTDOWN: Duration = Duration::from_secs(20);
/// How long a change of leaders may take, in seconds: a lease is 15.
const TAKE_OVER: Duration = Duration::from_secs(40);

/// The stories.
pub fn stories() -> Vec<Story> {
    let outage = |story: Story| story.machines("ring", 1, &[]).on(Venue::Outages).within(300);
    vec![
        outage(Story::new("leader-killed", leader_killed)),
        outage(Story::new("api-server-away", api_server_away)),
        outage(Story::new("hypervisor-away", hypervisor_away)),
        outage(Story::new("shutdown-without-api-server", shutdown_without_api_server)),
    ]
}

/// Two operators: one leads. It is killed in the midst of an installation, and the other goes on where it was.
async fn leader_killed(scene: Scene) -> Result<()> {
    let cluster = scene.stage.cluster()?;
    leader(&scene, OPERATOR).await?;
    cluster.start_operator(SECOND).await?;
    let claims = scene.witness_claims("ring");
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    rollout.is_in(&scene.machine("ring", 1), Step::Install).await?;
    ensure!(cluster.pid(SECOND).is_some(), "the second operator did not stand by");
    cluster.kill(OPERATOR)?;
    leader(&scene, SECOND).await?;
    rollout.ends(RolloutState::Completed).await?;
    claims.testify()?;
    updated_once(&scene, &scene.machine("ring", 1), GOOD_BUILD, 1).await?;

    // A graceful end hands over at once, and leaves the stage as it was found.
    cluster.restart(OPERATOR)?;
    cluster.stop(SECOND)?;
    leader(&scene, OPERATOR).await
}

/// The API server is killed in the midst of an update, and comes back.
async fn api_server_away(scene: Scene) -> Result<()> {
    let cluster = scene.stage.cluster()?;
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    rollout.is_in(&scene.machine("ring", 1), Step::Install).await?;
    cluster.kill("kube-apiserver")?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    cluster.restart("kube-apiserver")?;
    // An operator that lost its lease ends, as a pod would, and is started again.
    eventually("the operator lives", TAKE_OVER, async || {
        if cluster.pid(OPERATOR).is_none() {
            cluster.restart(OPERATOR)?;
        }
        scene.node(&scene.machine("ring", 1)).await?;
        Ok(seen(()))
    })
    .await?;
    let ended = rollout.ends_with(RolloutState::Completed, || {
        if cluster.pid(OPERATOR).is_none() { cluster.restart(OPERATOR) } else { Ok(()) }
    });
    ended.await?;
    updated_once(&scene, &scene.machine("ring", 1), GOOD_BUILD, 1).await
}

/// The provider answers 503 while a snapshot is wanted: waited for, said so, and gone on.
async fn hypervisor_away(scene: Scene) -> Result<()> {
    let machine = scene.machine("ring", 1);
    scene.stage.sim.hypervisor(&json!({"down": true})).await?;
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    let waits = rollout.waits_on(&machine, &["provider", "the hypervisor is down"]).await;
    scene.stage.sim.hypervisor(&json!({})).await?;
    waits?;
    rollout.ends(RolloutState::Completed).await?;
    updated_once(&scene, &machine, GOOD_BUILD, 1).await
}

/// SIGTERM while the API server is away: the operator ends in time, and its successor finishes the work.
async fn shutdown_without_api_server(scene: Scene) -> Result<()> {
    let cluster = scene.stage.cluster()?;
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    rollout.is_in(&scene.machine("ring", 1), Step::Stage).await?;
    cluster.kill("kube-apiserver")?;
    cluster.signal(OPERATOR, Signal::SIGTERM)?;
    let asked = Instant::now();
    let ended = eventually("the operator ends", SHUTDOWN, async || {
        Ok(if cluster.pid(OPERATOR).is_none() { seen(asked.elapsed()) } else { not_yet("it lives") })
    });
    let ended = ended.await;
    cluster.restart("kube-apiserver")?;
    ended?;
    eventually("the API server answers", TAKE_OVER, async || {
        scene.node(&scene.machine("ring", 1)).await?;
        Ok(seen(()))
    })
    .await?;
    cluster.restart(OPERATOR)?;
    rollout.ends(RolloutState::Completed).await?;
    updated_once(&scene, &scene.machine("ring", 1), GOOD_BUILD, 1).await
}

/// Waits until the operator of this name leads.
async fn leader(scene: &Scene, name: &str) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(scene.stage.client.clone(), "windlass-system");
    eventually(&format!("{name} leads"), TAKE_OVER, async || {
        let spec = leases.get("windlass").await?.spec.context("the Lease has no spec")?;
        let holder = spec.holder_identity.unwrap_or_default();
        Ok(if holder.starts_with(name) { seen(()) } else { not_yet(format!("{holder:?} leads")) })
    })
    .await
}
