//! Two rollouts that want the same node.

use super::{BAD, BAD_BUILD, GOOD};
use crate::harness::{RING_LABEL, STORY_LABEL, Scene, Story, Workload};
use anyhow::{Result, ensure};
use kube::ResourceExt;
use serde_json::json;
use windlass::api::RolloutState;

/// The stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story::new("second-rollout-waits", second_waits).machines("ring", 1, &[]).machines("spare", 1, &[]),
        Story::new("two-rollouts-at-once", both_at_once).machines("ring", 2, &[]),
    ]
}

/// The second waits for the one node that the first holds, says on whose claim, and has its turn.
async fn second_waits(scene: Scene) -> Result<()> {
    scene.workload("web", "ring", Workload { replicas: 1, min_available: 1, ends_after: 1 }).await?;
    let first = scene.simple(json!({}), json!({}), GOOD).await?;
    let machine = scene.machine("ring", 1);
    // The disruption budget holds the first up until the second has said its sentence.
    let holder = first.waits_on(&machine, &["PDB"]).await?.uid().unwrap_or_default();
    let all = json!({"nodeSelector": {"matchLabels": {STORY_LABEL: scene.name(), RING_LABEL: null}}});
    scene.ring("all", all).await?;
    let second = scene.rollout("second", &["all"], BAD).await?;
    second.says(&[&machine, "claimed", &holder]).await?;
    scene.allow_disruptions("web").await?;

    first.ends(RolloutState::Completed).await?;
    second.ends(RolloutState::Completed).await?;
    for (machine, times) in [(machine, 2), (scene.machine("spare", 1), 1)] {
        let inside = scene.stage.sim.inside(&machine).await?;
        ensure!(inside.kernel_version == BAD_BUILD, "{machine} runs {}", inside.kernel_version);
        let done = (inside.counters.installs(), inside.counters.snapshots);
        ensure!(done == (times, times), "{machine}: {:?}", inside.counters);
        scene.in_service(&machine).await?;
    }
    Ok(())
}

/// Made in the same moment, both for the same update: each node is in one hand at a time, and is updated once.
async fn both_at_once(scene: Scene) -> Result<()> {
    scene.policy(json!({})).await?;
    scene.ring("ring", json!({})).await?;
    let claims = scene.witness_claims("ring");
    let (first, second) =
        futures::try_join!(scene.rollout("first", &["ring"], GOOD), scene.rollout("second", &["ring"], GOOD))?;
    first.ends(RolloutState::Completed).await?;
    second.ends(RolloutState::Completed).await?;
    claims.testify()?;
    for number in [1, 2] {
        let machine = scene.machine("ring", number);
        let counters = scene.stage.sim.inside(&machine).await?.counters;
        ensure!((counters.installs(), counters.reboots_requested) == (1, 1), "{machine}: {counters:?}");
        scene.in_service(&machine).await?;
    }
    Ok(())
}
