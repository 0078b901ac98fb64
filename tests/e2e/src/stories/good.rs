//! Updates that go well.

use super::{GOOD, GOOD_BUILD, TWO_ROUNDS, TWO_ROUNDS_BUILD, updated_once};
use crate::harness::{Scene, Story, Witness, Workload, steps};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use windlass::api::{Outcome, RolloutState, Step};

/// The stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story::new("good-update", good_update).machines("canary", 2, &[]).machines("early", 3, &["cni-calico-vxlan"]),
        Story::new("two-rounds", two_rounds).machines("ring", 1, &[]),
        Story::new("extra-reboot", extra_reboot).machines("ring", 1, &[]),
        Story::new("download-retried", download_retried).machines("ring", 1, &["download-fails-once"]),
        Story::new("snapshot-found-again", snapshot_found_again).machines("ring", 1, &["snapshot-times-out"]),
    ]
}

/// Two rings with workloads: all updated, within budget, no disruption budget broken, every pod back.
async fn good_update(scene: Scene) -> Result<()> {
    let web = Workload { replicas: 3, min_available: 2, ends_after: 2 };
    scene.workload("web", "early", web).await?;
    scene.policy(json!({})).await?;
    scene.ring("canary", json!({})).await?;
    scene.ring("early", json!({"batch": {"maxUnavailable": 2}})).await?;
    let (canary, early) = (scene.witness("canary", 1).await?, scene.witness("early", 2).await?);
    let disruptions = Witness::of_disruptions(&scene.stage.client, scene.name());

    let rollout = scene.rollout("june", &["canary", "early"], GOOD).await?;
    let ended = rollout.ends(RolloutState::Completed).await?;

    ensure!(canary.testify()? == 1, "no canary was ever unavailable");
    ensure!(early.testify()? >= 1, "no early machine was ever unavailable");
    disruptions.testify()?;
    let status = ended.status.as_ref().context("no status")?;
    ensure!((status.counts.updated, status.counts.total) == (5, 5), "{:?}", status.counts);
    ensure!(status.pinned.len() == 1, "one OS build, but pinned are {:?}", status.pinned);
    for (ring, count) in [("canary", 2), ("early", 3)] {
        for number in 1..=count {
            let machine = scene.machine(ring, number);
            rollout.node_ends(&machine, Outcome::Updated).await?;
            updated_once(&scene, &machine, GOOD_BUILD, 1).await?;
            ensure!(scene.stage.lookout.snapshots(&machine).len() == 1, "not one NodeSnapshot of {machine}");
        }
    }
    scene.workload("web", "early", web).await
}

async fn two_rounds(scene: Scene) -> Result<()> {
    let rollout = scene.simple(json!({}), json!({}), TWO_ROUNDS).await?;
    rollout.ends(RolloutState::Completed).await?;
    updated_once(&scene, &scene.machine("ring", 1), TWO_ROUNDS_BUILD, 2).await
}

/// The extra reboot installs nothing and is verified again.
async fn extra_reboot(scene: Scene) -> Result<()> {
    let rollout = scene.simple(json!({"verify": {"extraReboots": 1}}), json!({}), GOOD).await?;
    rollout.ends(RolloutState::Completed).await?;
    let machine = scene.machine("ring", 1);
    let update = rollout.node_ends(&machine, Outcome::Updated).await?;
    let verified = steps(&update).iter().filter(|(step, _)| *step == Step::Verify).count();
    ensure!(verified == 2, "verified {verified} times");
    let counters = scene.stage.sim.inside(&machine).await?.counters;
    ensure!((counters.installs(), counters.reboots_requested) == (1, 2), "{counters:?}");
    scene.in_service(&machine).await
}

/// A download that fails because of the network is tried again, and nobody has to know.
async fn download_retried(scene: Scene) -> Result<()> {
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    rollout.ends(RolloutState::Completed).await?;
    updated_once(&scene, &scene.machine("ring", 1), GOOD_BUILD, 1).await
}

/// The provider says that a snapshot timed out, and has made it: it is found and used.
async fn snapshot_found_again(scene: Scene) -> Result<()> {
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    rollout.ends(RolloutState::Completed).await?;
    updated_once(&scene, &scene.machine("ring", 1), GOOD_BUILD, 1).await
}
