//! What becomes of snapshots after their rollout.

use super::GOOD;
use crate::harness::{Rollout, Scene, Story, Workload, eventually, not_yet, seen};
use anyhow::{Context, Result, ensure};
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use windlass::api::{NodeSnapshot, RolloutState};

/// How long it may take until a snapshot that is to go is gone, in minutes: the shortest retain time is one.
const SOON: Duration = Duration::from_mins(2);

/// The stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story::new("snapshot-outlives-its-time", outlives).machines("ring", 1, &[]),
        Story::new("snapshots-kept-at-most", at_most).machines("ring", 1, &[]),
        Story::new("snapshot-deleted", deleted).machines("ring", 1, &[]).machines("next", 1, &[]),
    ]
}

/// After the policy's retain time the snapshot goes, at the provider too.
async fn outlives(scene: Scene) -> Result<()> {
    let policy = json!({"strategy": {"inPlace": {"snapshot": {"retain": "1m"}}}});
    let rollout = scene.simple(policy, json!({}), GOOD).await?;
    let snapshot = after_the_first(&scene, &rollout).await?;
    rollout.ends(RolloutState::Completed).await?;
    ensure!(scene.stage.sim.has_snapshot(&snapshot.spec.handle).await?, "it was deleted at once");
    goes(&scene, &snapshot).await
}

/// One more than are to be kept at most goes, long before its time, once its rollout has ended.
async fn at_most(scene: Scene) -> Result<()> {
    let policy = json!({"strategy": {"inPlace": {"snapshot": {"keepAtMost": 1}}}});
    let june = scene.simple(policy, json!({}), GOOD).await?;
    let first = after_the_first(&scene, &june).await?;
    june.ends(RolloutState::Completed).await?;
    let august = scene.rollout("august", &["ring"], super::TWO_ROUNDS).await?;
    august.ends(RolloutState::Completed).await?;
    goes(&scene, &first).await?;
    let left = scene.stage.lookout.snapshots(&scene.machine("ring", 1));
    ensure!(!left.is_empty(), "the newer one is gone, too");
    for snapshot in left {
        ensure!(scene.stage.sim.has_snapshot(&snapshot.spec.handle).await?, "{} is gone", snapshot.name_any());
    }
    Ok(())
}

/// A person deletes a snapshot: not before its rollout has ended, then at the provider too.
async fn deleted(scene: Scene) -> Result<()> {
    // The second ring's budget keeps the rollout from ending until it is meant to.
    scene.policy(json!({})).await?;
    scene.ring("ring", json!({})).await?;
    scene.ring("next", json!({})).await?;
    scene.workload("web", "next", Workload { replicas: 1, min_available: 1, ends_after: 1 }).await?;
    let rollout = scene.rollout("rollout", &["ring", "next"], GOOD).await?;
    let snapshot = after_the_first(&scene, &rollout).await?;
    let snapshots: Api<NodeSnapshot> = Api::all(scene.stage.client.clone());
    snapshots.delete(&snapshot.name_any(), &DeleteParams::default()).await?;

    rollout.waits_on(&scene.machine("next", 1), &["PDB"]).await?;
    ensure!(snapshots.get_opt(&snapshot.name_any()).await?.is_some(), "it went before its rollout had ended");
    ensure!(scene.stage.sim.has_snapshot(&snapshot.spec.handle).await?, "it is gone at the provider");
    scene.allow_disruptions("web").await?;
    rollout.ends(RolloutState::Completed).await?;
    goes(&scene, &snapshot).await
}

/// The snapshot of the first machine, once it is updated.
async fn after_the_first(scene: &Scene, rollout: &Rollout) -> Result<Arc<NodeSnapshot>> {
    let machine = scene.machine("ring", 1);
    rollout.node_ends(&machine, windlass::api::Outcome::Updated).await?;
    scene.stage.lookout.snapshots(&machine).pop().context("there is no NodeSnapshot")
}

async fn goes(scene: &Scene, snapshot: &NodeSnapshot) -> Result<()> {
    let snapshots: Api<NodeSnapshot> = Api::all(scene.stage.client.clone());
    eventually("the snapshot is gone", SOON, async || {
        let object = snapshots.get_opt(&snapshot.name_any()).await?.is_some();
        let disk = scene.stage.sim.has_snapshot(&snapshot.spec.handle).await?;
        Ok(if object || disk { not_yet(format!("object there: {object}, at the provider: {disk}")) } else { seen(()) })
    })
    .await
}
