//! Nodes that go away, and names that come to mean another machine.

use super::GOOD;
use crate::harness::{Scene, Story, Workload, annotation, is_cordoned, is_tainted};
use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use windlass::api::{CLAIMED_BY, Outcome, QUARANTINE, Step};

/// The stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story::new("node-deleted", node_deleted).machines("ring", 1, &[]),
        Story::new("machine-replaced", machine_replaced).machines("ring", 1, &[]),
        Story::new("registered-anew", registered_anew).machines("ring", 1, &[]),
    ]
}

/// The Node object is deleted in the midst of the drain and stays away: there is nothing left to do.
async fn node_deleted(scene: Scene) -> Result<()> {
    scene.workload("slow", "ring", Workload { replicas: 1, min_available: 0, ends_after: 8 }).await?;
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    let machine = scene.machine("ring", 1);
    rollout.is_in(&machine, Step::Drain).await?;
    nodes(&scene).delete(&machine, &DeleteParams::default()).await?;
    rollout.node_ends(&machine, Outcome::NodeGone).await?;
    let counters = scene.stage.sim.inside(&machine).await?.counters;
    ensure!((counters.installs(), counters.snapshots) == (0, 0), "{counters:?}");
    Ok(())
}

/// The cloud replaces the machine under the same name: the new one is none of our business.
async fn machine_replaced(scene: Scene) -> Result<()> {
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    let machine = scene.machine("ring", 1);
    let before = rollout.is_in(&machine, Step::Snapshot).await?.spec.node_uid.clone();
    scene.stage.sim.replace(&machine).await?;
    rollout.node_ends(&machine, Outcome::NodeGone).await?;
    scene.registered_other_than(&machine, &before).await?;
    scene.in_service(&machine).await?;
    let counters = scene.stage.sim.inside(&machine).await?.counters;
    ensure!(counters.restores == 0, "{counters:?}");
    Ok(())
}

/// The same machine registers as a new Node object in the midst of its update, without our cordon: it is kept out of service.
async fn registered_anew(scene: Scene) -> Result<()> {
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    let machine = scene.machine("ring", 1);
    let update = rollout.is_in(&machine, Step::Snapshot).await?;
    let mut node = scene.node(&machine).await?;
    nodes(&scene).delete(&machine, &DeleteParams::default()).await?;
    // The operator sees the name without a node, and waits for it.
    rollout.waits_on(&machine, &["to register again"]).await?;
    node.metadata.resource_version = None;
    node.metadata.uid = None;
    node.metadata.annotations = None;
    node.metadata.managed_fields = None;
    if let Some(spec) = &mut node.spec {
        (spec.unschedulable, spec.taints) = (None, None);
    }
    nodes(&scene).create(&PostParams::default(), &node).await?;
    rollout.node_ends(&machine, Outcome::Held).await?;
    let node = scene.node(&machine).await?;
    ensure!(is_cordoned(&node) && is_tainted(&node, QUARANTINE), "{machine} takes part in the cluster");
    ensure!(annotation(&node, CLAIMED_BY) == update.uid().as_deref(), "{machine} is not claimed");
    Ok(())
}

fn nodes(scene: &Scene) -> Api<Node> {
    Api::all(scene.stage.client.clone())
}
