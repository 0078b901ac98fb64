//! Objects that got past an older schema and do not parse: they stop, say so where they can, and hold up nobody else.

use super::{GOOD, GOOD_BUILD, updated_once};
use crate::harness::{Scene, Story, Venue, eventually, not_yet, seen};
use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;
use windlass::api::RolloutState;

/// How long the API server may take to serve a changed schema, in seconds, and the operator to tell what it can not read.
const SOON: Duration = Duration::from_secs(30);

/// The stories.
pub fn stories() -> Vec<Story> {
    vec![Story::new("unreadable-objects", unreadable).machines("ring", 1, &[]).on(Venue::Outages)]
}

/// A ring and a rollout whose values no version of ours could mean, stored while the schema let them pass.
async fn unreadable(scene: Scene) -> Result<()> {
    scene.policy(json!({})).await?;
    scene.ring("ring", json!({})).await?;
    store_unreadable(&scene).await?;

    let on_it = scene.rollout("on-it", &["unreadable"], GOOD).await?;
    let good = scene.rollout("good", &["ring"], GOOD).await?;
    on_it.reaches(RolloutState::Stalled).await?;
    on_it.says(&[&scene.own("unreadable")]).await?;
    good.ends(RolloutState::Completed).await?;
    updated_once(&scene, &scene.machine("ring", 1), GOOD_BUILD, 1).await
}

/// Its status says that it can not be read. The API server takes that as long as it takes the object.
async fn is_told(scene: &Scene) -> Result<()> {
    let get = ["get", "uro", &scene.own("unreadable"), "--output=jsonpath={.status.conditions[?(@.type=='Stalled')]}"];
    eventually("the unreadable rollout says that it is", SOON, async || {
        let said = scene.kubectl(&get, None).await?.said;
        let told = said.contains(r#""status":"True""#) && said.contains("can not be read");
        Ok(if told { seen(()) } else { not_yet(said) })
    })
    .await
}

/// Takes the patterns out of the schemas, stores what they would refuse, and puts them back.
async fn store_unreadable(scene: &Scene) -> Result<()> {
    let any = json!({"x-kubernetes-int-or-string": true, "maxLength": 32});
    let rings = loosen(scene, "updaterings", "batch/properties/maxUnavailable", &any).await?;
    let rollouts = loosen(scene, "updaterollouts", "updates/properties/deferral", &any).await?;
    let stored = eventually("the loose schemas are served", SOON, async || {
        let ring = json!({"batch": {"maxUnavailable": "150%"}});
        scene.ring("unreadable", ring).await?;
        let updates = json!({"include": [GOOD], "deferral": "5 fortnights"});
        scene.rollout_of("unreadable", json!({"rings": [scene.own("ring")], "updates": updates})).await?;
        Ok(seen(()))
    });
    let stored = match stored.await {
        Ok(()) => is_told(scene).await,
        failed => failed,
    };
    put_versions(scene, "updaterings", &rings).await?;
    put_versions(scene, "updaterollouts", &rollouts).await?;
    stored?;
    eventually("the strict schemas are served again", SOON, async || {
        let again = scene.ring("refused", json!({"batch": {"maxUnavailable": "150%"}})).await;
        Ok(if again.is_err() { seen(()) } else { not_yet("it was accepted") })
    })
    .await
}

/// Puts `schema` in the place of a field of the spec, and returns the versions of the CRD as they were.
async fn loosen(scene: &Scene, plural: &str, field: &str, schema: &Value) -> Result<Value> {
    let crd = serde_json::to_value(crds(scene).get(&format!("{plural}.windlass.dev")).await?)?;
    let strict = crd["spec"]["versions"].clone();
    let mut loose = strict.clone();
    let pointer = format!("/0/schema/openAPIV3Schema/properties/spec/properties/{field}");
    *loose.pointer_mut(&pointer).with_context(|| format!("{plural} has no {field}"))? = schema.clone();
    put_versions(scene, plural, &loose).await?;
    Ok(strict)
}

async fn put_versions(scene: &Scene, plural: &str, versions: &Value) -> Result<()> {
    let patch = Patch::Merge(json!({"spec": {"versions": versions}}));
    crds(scene).patch(&format!("{plural}.windlass.dev"), &PatchParams::default(), &patch).await?;
    Ok(())
}

fn crds(scene: &Scene) -> Api<CustomResourceDefinition> {
    Api::all(scene.stage.client.clone())
}
