//! What becomes of snapshots after their rollout.

use super::{GOOD, untouched};
use crate::harness::{Rollout, Scene, Story, Workload, eventually, not_yet, reason_of, seen, steps};
use anyhow::{Context, Result, ensure};
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use windlass::api::{NodeSnapshot, Outcome, RolloutState, SnapshotLimit, Step};

/// How long it may take until a snapshot that is to go is gone, in minutes: the shortest retain time is one.
const SOON: Duration = Duration::from_mins(2);

/// The stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story::new("snapshot-outlives-its-time", outlives).machines("ring", 1, &[]),
        Story::new("snapshot-says-its-end", says_its_end).machines("ring", 1, &[]),
        Story::new("snapshot-would-not-count", would_not_count).machines_that("ring", 1, short_lived()),
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

/// A snapshot says until when it counts, and what ends it: the machine changes its password long before anything else.
async fn says_its_end(scene: Scene) -> Result<()> {
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    let captured = after_the_first(&scene, &rollout).await?.spec.captured.clone();
    let until = captured.restorable_until.as_ref().map(|until| until.0);
    // The machines were made when the stage was, with 30 days before them.
    let left = until.map(|until| until.duration_since(captured.at.0).as_hours());
    ensure!(left.is_some_and(|hours| (29 * 24..=30 * 24).contains(&hours)), "until {until:?}: {captured:?}");
    ensure!(captured.restorable_until_by == Some(SnapshotLimit::MachinePassword), "{captured:?}");
    rollout.ends(RolloutState::Completed).await.map(drop)
}

/// Machines that change their password sooner than an update with its revert may take by the usual policy.
fn short_lived() -> serde_json::Value {
    json!({"machinePassword": "10m"})
}

/// Where the machine changes its password before an update and its revert may be through, nothing is begun: a restored
/// machine would not be let in.
async fn would_not_count(scene: Scene) -> Result<()> {
    let policy = json!({"strategy": {"inPlace": {"install": {"attempts": 1}}}});
    let rollout = scene.simple(policy, json!({}), GOOD).await?;
    let machine = scene.machine("ring", 1);
    let update = rollout.node_ends(&machine, Outcome::Failed).await?;
    let reason = reason_of(&update)?;
    ensure!(reason.contains("password in the domain") && reason.contains("may take 12m"), "{reason}");
    ensure!(!steps(&update).iter().any(|(step, _)| *step == Step::Cordon), "it was claimed: {:?}", steps(&update));
    let inside = scene.stage.sim.inside(&machine).await?;
    ensure!(inside.counters.snapshots == 0, "a snapshot was taken: {:?}", inside.counters);
    untouched(&scene, &machine).await?;
    scene.in_service(&machine).await
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
    rollout.node_ends(&machine, Outcome::Updated).await?;
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
