//! UpdateHolds: what is held is not installed, whatever is pinned.

use super::{GOOD, GOOD_BUILD, untouched, updated_once};
use crate::harness::{Scene, Story, Workload, reason_of};
use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use windlass::api::{Outcome, RolloutState, Step, UpdateHold};

/// The stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story::new("hold-pauses", pauses).machines("ring", 1, &[]),
        Story::new("hold-beats-the-pin", beats_the_pin).machines("ring", 1, &[]),
    ]
}

/// A hold on everything pauses the rollout that it names, until it expires.
async fn pauses(scene: Scene) -> Result<()> {
    let expires = Timestamp::now() + SignedDuration::from_secs(30);
    let expires = expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let scope = json!({"rollouts": [scene.own("rollout")]});
    hold(&scene, json!({"reason": "night shift", "expiresAt": expires, "scope": scope})).await?;
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    rollout.reaches(RolloutState::Paused).await?;
    rollout.says(&["UpdateHold", scene.name(), "night shift"]).await?;
    ensure!(rollout.updates().is_empty(), "a node was started under a hold");
    rollout.ends(RolloutState::Completed).await?;
    updated_once(&scene, &scene.machine("ring", 1), GOOD_BUILD, 1).await
}

/// A hold on the KB arrives while the node is being emptied: it is given back. When the hold is gone it is taken along.
async fn beats_the_pin(scene: Scene) -> Result<()> {
    scene.workload("slow", "ring", Workload { replicas: 1, min_available: 0, ends_after: 10 }).await?;
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    let machine = scene.machine("ring", 1);
    rollout.is_in(&machine, Step::Drain).await?;
    let scope = json!({"rollouts": [rollout.name]});
    hold(&scene, json!({"reason": "it breaks", "updates": {"kbs": [GOOD]}, "scope": scope})).await?;
    let first = rollout.node_ends(&machine, Outcome::Aborted).await?;
    let reason = reason_of(&first)?;
    ensure!(reason.contains(&format!("{GOOD} is held by UpdateHold {}", scene.name())), "{reason}");
    rollout.says(&["it breaks", "is held by UpdateHold"]).await?;
    untouched(&scene, &machine).await?;
    scene.in_service(&machine).await?;

    let holds: Api<UpdateHold> = Api::all(scene.stage.client.clone());
    holds.delete(scene.name(), &DeleteParams::default()).await?;
    rollout.ends(RolloutState::Completed).await?;
    let kept = rollout.updates().into_iter().find(|update| update.uid() == first.uid()).context("the first is gone")?;
    ensure!(kept.status == first.status, "what had ended was changed");
    updated_once(&scene, &machine, GOOD_BUILD, 1).await
}

async fn hold(scene: &Scene, spec: Value) -> Result<()> {
    scene.apply::<UpdateHold>(scene.name(), json!({"spec": spec})).await
}
