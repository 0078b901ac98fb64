//! The operator dies, by SIGKILL, at each step of a node, and is started again: the same end, and nothing done twice.

use super::{BAD, GOOD, GOOD_BUILD, reverted_once, updated_once};
use crate::harness::{OPERATOR, PATIENCE, Rollout, Scene, Story, Venue, eventually, not_yet, seen};
use anyhow::{Result, ensure};
use serde_json::json;
use std::collections::BTreeSet;
use windlass::api::{Outcome, RolloutState, Step};

/// The stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story::new("killed-on-the-way-forth", way_forth).machines("ring", 3, &[]).on(Venue::Crashes).within(400),
        Story::new("killed-on-the-way-back", way_back)
            .machines("ring", 1, &["cni-calico-vxlan"])
            .on(Venue::Crashes)
            .within(300),
    ]
}

/// Three nodes at once; the first one's steps say when.
async fn way_forth(scene: Scene) -> Result<()> {
    scene.policy(json!({"verify": {"settle": "2s"}})).await?;
    scene.ring("ring", json!({"batch": {"maxUnavailable": 3}})).await?;
    let rollout = scene.rollout("rollout", &["ring"], GOOD).await?;
    rollout.reaches(RolloutState::Pending).await?;
    crash(&scene)?;
    let before = [Step::Stage, Step::Cordon, Step::Drain, Step::Snapshot, Step::Install];
    let mut hit = crash_in(&scene, &rollout, &before).await?;
    // The machine reboots by itself, whatever the operator has noticed of it.
    let machine = scene.machine("ring", 1);
    eventually("the machine boots", PATIENCE, async || {
        let state = scene.stage.sim.inside(&machine).await?.state;
        Ok(if state == "Booting" { seen(()) } else { not_yet(state) })
    })
    .await?;
    crash(&scene)?;
    hit.extend(crash_in(&scene, &rollout, &[Step::Reboot, Step::Verify, Step::Uncordon]).await?);
    let long = [Step::Stage, Step::Snapshot, Step::Install, Step::Verify];
    ensure!(long.iter().all(|step| hit.contains(step)), "killed only in the midst of {hit:?}");

    rollout.ends(RolloutState::Completed).await?;
    for number in 1..=3 {
        let machine = scene.machine("ring", number);
        rollout.node_ends(&machine, Outcome::Updated).await?;
        updated_once(&scene, &machine, GOOD_BUILD, 1).await?;
    }
    Ok(())
}

async fn way_back(scene: Scene) -> Result<()> {
    let rollout = scene.simple(json!({"verify": {"settle": "2s"}}), json!({}), BAD).await?;
    let long = [Step::Verify, Step::Restore, Step::VerifyRestored];
    let all = [&long[..], &[Step::Uncordon]].concat();
    let hit = crash_in(&scene, &rollout, &all).await?;
    ensure!(long.iter().all(|step| hit.contains(step)), "killed only in the midst of {hit:?}");

    rollout.ends(RolloutState::Halted).await?;
    let machine = scene.machine("ring", 1);
    rollout.node_ends(&machine, Outcome::Reverted).await?;
    reverted_once(&scene, &machine).await
}

/// Kills the operator whenever the first node comes into one of these steps, and says which of them were still under way
/// when it was dead.
async fn crash_in(scene: &Scene, rollout: &Rollout, steps: &[Step]) -> Result<BTreeSet<Step>> {
    let machine = scene.machine("ring", 1);
    let mut order = steps.to_vec();
    order.sort_unstable();
    let mut hit = BTreeSet::new();
    for step in order {
        rollout.is_in(&machine, step).await?;
        scene.stage.cluster()?.kill(OPERATOR)?;
        hit.extend(rollout.open_step(&machine).await?);
        scene.stage.cluster()?.restart(OPERATOR)?;
    }
    Ok(hit)
}

/// Kills the operator and starts it again.
fn crash(scene: &Scene) -> Result<()> {
    let cluster = scene.stage.cluster()?;
    cluster.kill(OPERATOR)?;
    cluster.restart(OPERATOR)
}
