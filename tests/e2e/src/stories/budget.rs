//! Budgets and other people's wishes: PodDisruptionBudgets, cordons.

use super::{GOOD, GOOD_BUILD, untouched, updated_once};
use crate::harness::{Scene, Story, Workload, is_cordoned, reason_of};
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::Duration;
use windlass::api::{KEEP_CORDONED, Outcome, RolloutState, SKIP, Step};

/// The stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story::new("budget-never-allows", budget_never_allows).machines("ring", 1, &[]),
        Story::new("cordoned-by-somebody", cordoned_by_somebody).machines("ring", 3, &[]),
        Story::new("keep-cordoned", keep_cordoned).machines("ring", 1, &[]),
        Story::new("freeze", freeze).machines("ring", 1, &[]),
        Story::new("skipped-by-annotation", skipped_by_annotation).machines("ring", 2, &[]),
    ]
}

/// A PodDisruptionBudget that allows nothing: the drain ends without force, the node goes back, the blocker is named.
async fn budget_never_allows(scene: Scene) -> Result<()> {
    let web = Workload { replicas: 2, min_available: 2, ends_after: 1 };
    scene.workload("web", "ring", web).await?;
    let rollout = scene.simple(json!({"drain": {"timeout": "8s"}}), json!({}), GOOD).await?;
    let machine = scene.machine("ring", 1);
    let budget = format!("{}/web", scene.name());
    rollout.waits_on(&machine, &["PDB", &budget]).await?;
    let update = rollout.node_ends(&machine, Outcome::Failed).await?;
    ensure!(reason_of(&update)?.contains(&budget), "the budget is not named: {}", reason_of(&update)?);
    rollout.says(&["0 of at least 1 nodes updated", &budget]).await?;
    untouched(&scene, &machine).await?;
    scene.in_service(&machine).await?;
    scene.workload("web", "ring", web).await
}

/// A node that a person cordoned uses up the budget, and is never uncordoned by us.
async fn cordoned_by_somebody(scene: Scene) -> Result<()> {
    let theirs = scene.machine("ring", 3);
    scene.patch_node(&theirs, json!({"spec": {"unschedulable": true}})).await?;
    let witness = scene.witness("ring", 1).await?;
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;

    rollout.says(&["budget of 1 is spent", &theirs]).await?;
    let stays_cordoned = |lookout: &crate::harness::Lookout| {
        ensure!(lookout.node(&theirs).is_some_and(|node| is_cordoned(&node)), "{theirs} was uncordoned");
        Ok(())
    };
    scene.stage.lookout.throughout(Duration::from_secs(5), stays_cordoned).await?;
    for number in [1, 2] {
        ensure!(rollout.update(&scene.machine("ring", number)).is_none(), "a node was started above the budget");
    }

    scene.patch_node(&theirs, json!({"spec": {"unschedulable": false}})).await?;
    rollout.ends(RolloutState::Completed).await?;
    witness.testify()?;
    for number in 1..=3 {
        updated_once(&scene, &scene.machine("ring", number), GOOD_BUILD, 1).await?;
    }
    Ok(())
}

/// A person wants a node that is ours to stay cordoned: it does, and everything else of ours goes.
async fn keep_cordoned(scene: Scene) -> Result<()> {
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    let machine = scene.machine("ring", 1);
    rollout.is_in(&machine, Step::Snapshot).await?;
    scene.patch_node(&machine, json!({"metadata": {"annotations": {KEEP_CORDONED: "true"}}})).await?;
    rollout.node_ends(&machine, Outcome::Updated).await?;
    ensure!(is_cordoned(&scene.node(&machine).await?), "{machine} was uncordoned");
    scene.let_go(&machine).await
}

/// A freeze: no node starts, and the rollout gives the freeze's own reason.
async fn freeze(scene: Scene) -> Result<()> {
    let deny = json!([{"from": "2020-01-01", "to": "2099-12-31", "reason": "the long freeze"}]);
    let rollout = scene.simple(json!({"maintenance": {"timeZone": "UTC", "deny": deny}}), json!({}), GOOD).await?;
    rollout.says(&["the long freeze"]).await?;
    let machine = scene.machine("ring", 1);
    ensure!(rollout.update(&machine).is_none(), "a node was started");
    untouched(&scene, &machine).await
}

/// A node with the skip annotation is left alone, and counted as skipped.
async fn skipped_by_annotation(scene: Scene) -> Result<()> {
    let skipped = scene.machine("ring", 1);
    scene.patch_node(&skipped, json!({"metadata": {"annotations": {SKIP: "true"}}})).await?;
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    let ended = rollout.ends(RolloutState::Completed).await?;
    let counts = ended.status.clone().unwrap_or_default().counts;
    ensure!((counts.updated, counts.skipped) == (1, 1), "{counts:?}");
    untouched(&scene, &skipped).await?;
    updated_once(&scene, &scene.machine("ring", 2), GOOD_BUILD, 1).await
}
