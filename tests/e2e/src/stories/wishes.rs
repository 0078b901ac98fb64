//! What people want in the midst of it: abort, delete, pause, at each step of a node.

use super::{GOOD, GOOD_BUILD, untouched, updated_once};
use crate::harness::{Rollout, Scene, Story, Workload};
use anyhow::{Result, ensure};
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;
use windlass::api::{CLAIMED_BY, NodeUpdate, Outcome, RolloutState, Step};

/// The steps that can be met under way; Preflight and Uncordon are over with the write that begins them.
const STEPS: [Step; 7] =
    [Step::Stage, Step::Cordon, Step::Drain, Step::Snapshot, Step::Install, Step::Reboot, Step::Verify];

/// The stories.
pub fn stories() -> Vec<Story> {
    let mut stories = vec![Story::new("node-update-deleted", node_update_deleted).machines("ring", 1, &[])];
    for step in STEPS {
        let name = |wish: &str| format!("{wish}-at-{}", format!("{step:?}").to_lowercase());
        stories.push(Story::new(name("abort"), move |scene| abort(scene, step)).machines("ring", 1, &[]));
        stories.push(Story::new(name("delete"), move |scene| delete(scene, step)).machines("ring", 1, &[]));
        stories.push(Story::new(name("pause"), move |scene| pause(scene, step)).machines("ring", 2, &[]));
    }
    stories
}

/// Before the installation the node is given back as it was; from there on its update is finished.
async fn abort(scene: Scene, step: Step) -> Result<()> {
    let (rollout, machine) = meet(&scene, step).await?;
    rollout.set("Aborted").await?;
    let changed = step >= Step::Install;
    rollout.node_ends(&machine, if changed { Outcome::Updated } else { Outcome::Aborted }).await?;
    rollout.ends(RolloutState::Aborted).await?;
    is_in_order(&scene, &machine, step).await
}

/// Deleting is like aborting, and leaves nothing behind but the snapshot.
async fn delete(scene: Scene, step: Step) -> Result<()> {
    let (rollout, machine) = meet(&scene, step).await?;
    rollout.delete().await?;
    rollout.is_gone().await?;
    is_in_order(&scene, &machine, step).await?;
    let taken = scene.stage.sim.inside(&machine).await?.counters.snapshots;
    let kept = scene.stage.lookout.snapshots(&machine).len();
    ensure!(u64::try_from(kept)? == taken, "{taken} snapshots taken, {kept} NodeSnapshots kept");
    Ok(())
}

/// A node in work is finished, no further one starts, until the rollout is to go on.
async fn pause(scene: Scene, step: Step) -> Result<()> {
    let (rollout, machine) = meet(&scene, step).await?;
    rollout.set("Paused").await?;
    if step == Step::Cordon {
        rival_claim(&scene, &machine, Value::Null).await?;
    }
    rollout.node_ends(&machine, Outcome::Updated).await?;
    rollout.reaches(RolloutState::Paused).await?;
    let next = scene.machine("ring", 2);
    let rests = |_: &crate::harness::Lookout| {
        ensure!(rollout.update(&next).is_none(), "{next} was started although the rollout is paused");
        Ok(())
    };
    scene.stage.lookout.throughout(Duration::from_secs(3), rests).await?;

    rollout.set("Running").await?;
    rollout.ends(RolloutState::Completed).await?;
    for machine in [machine, next] {
        updated_once(&scene, &machine, GOOD_BUILD, 1).await?;
    }
    Ok(())
}

/// Deleting one node's update gives that node back; as its ring still wants it updated, it is taken along anew.
async fn node_update_deleted(scene: Scene) -> Result<()> {
    let (rollout, machine) = meet(&scene, Step::Drain).await?;
    let first = rollout.is_in(&machine, Step::Drain).await?;
    let updates: Api<NodeUpdate> = Api::all(scene.stage.client.clone());
    updates.delete(&first.name_any(), &DeleteParams::default()).await?;
    rollout.ends(RolloutState::Completed).await?;
    let second = rollout.node_ends(&machine, Outcome::Updated).await?;
    ensure!(second.uid() != first.uid(), "the deleted NodeUpdate was finished");
    updated_once(&scene, &machine, GOOD_BUILD, 1).await
}

/// A rollout whose first node is under way in this step.
async fn meet(scene: &Scene, step: Step) -> Result<(Rollout, String)> {
    let machine = scene.machine("ring", 1);
    if step == Step::Drain {
        let slow = Workload { replicas: 1, min_available: 0, ends_after: 5 };
        scene.workload("slow", "ring", slow).await?;
    }
    let rollout = scene.simple(json!({"verify": {"settle": "4s"}}), json!({}), GOOD).await?;
    if step == Step::Cordon {
        // One write to the API server: it is met only because somebody else's claim is in its way.
        rollout.is_in(&machine, Step::Stage).await?;
        rival_claim(scene, &machine, json!("somebody-else")).await?;
        rollout.waits_on(&machine, &["claim", "somebody-else"]).await?;
    }
    rollout.is_in(&machine, step).await?;
    Ok((rollout, machine))
}

/// Claims the machine for somebody, or for nobody.
async fn rival_claim(scene: &Scene, machine: &str, claim: Value) -> Result<()> {
    scene.patch_node(machine, json!({"metadata": {"annotations": {CLAIMED_BY: claim}}})).await
}

/// The machine is in service again, updated or untouched, by the step in which the wish came.
async fn is_in_order(scene: &Scene, machine: &str, step: Step) -> Result<()> {
    if step >= Step::Install {
        return updated_once(scene, machine, GOOD_BUILD, 1).await;
    }
    if step == Step::Cordon {
        // Their claim has to survive our end.
        let node = scene.node(machine).await?;
        ensure!(crate::harness::annotation(&node, CLAIMED_BY) == Some("somebody-else"), "their claim is gone");
        rival_claim(scene, machine, Value::Null).await?;
    }
    untouched(scene, machine).await?;
    scene.in_service(machine).await
}
