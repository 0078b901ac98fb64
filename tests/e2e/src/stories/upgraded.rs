//! The operator's release is upgraded by helm, as a user does it.

use crate::harness::{PATIENCE, Scene, Story, Venue, eventually, not_yet, seen};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ListParams, ObjectMeta, PostParams};
use xtask::cluster::owns_its_namespace;

/// The namespace of the release.
const RELEASE: &str = "windlass-system";

/// The stories. It changes what all stories of a cluster stand on, so it is told alone.
pub fn stories() -> Vec<Story> {
    vec![Story::new("upgraded-release", upgraded_release).on(Venue::Outages)]
}

/// A chart that shows helm another list of objects at the second look has the difference deleted: once it was the release's own
/// namespace, with the credentials of SnapshotClasses and the release itself in it.
async fn upgraded_release(scene: Scene) -> Result<()> {
    let (client, cluster) = (scene.stage.client.clone(), scene.stage.cluster()?);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), RELEASE);
    let metadata = ObjectMeta { name: Some(scene.name().to_owned()), ..ObjectMeta::default() };
    secrets.create(&PostParams::default(), &Secret { metadata, ..Secret::default() }).await?;
    // Two upgrades: what one leaves in the release, the next could take away.
    for level in ["debug", "info"] {
        let before = standing(&scene).await?;
        cluster.set_values(&[&format!("operator.logLevel={level}")]).await?;
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), RELEASE);
        let deployment = serde_json::to_string(&deployments.get("windlass").await?)?;
        ensure!(deployment.contains(&format!(r#""name":"RUST_LOG","value":"{level}""#)), "nothing was upgraded");
        let after = standing(&scene).await?;
        let missing: Vec<_> = before.iter().filter(|one| !after.contains(one)).collect();
        ensure!(missing.is_empty(), "the upgrade took away or made anew: {missing:?}");
    }
    ensure!(!owns_its_namespace(&cluster.release_manifest().await?), "the release owns its own namespace");
    still_leads(&scene).await
}

/// All namespaces, and the Secrets and the Lease of the operator's, by kind, name and UID.
///
/// # Errors
/// One of them is being deleted.
async fn standing(scene: &Scene) -> Result<Vec<String>> {
    let (client, all) = (&scene.stage.client, ListParams::default());
    let namespaces = Api::<Namespace>::all(client.clone()).list(&all).await?.items;
    let secrets = Api::<Secret>::namespaced(client.clone(), RELEASE).list(&all).await?.items;
    let leases = Api::<Lease>::namespaced(client.clone(), RELEASE).list(&all).await?.items;
    ensure!(!leases.is_empty(), "the operator has no Lease");
    let seen = namespaces.iter().map(|one| ("Namespace", &one.metadata));
    let seen = seen.chain(secrets.iter().map(|one| ("Secret", &one.metadata)));
    let seen = seen.chain(leases.iter().map(|one| ("Lease", &one.metadata)));
    let mut standing = Vec::new();
    for (kind, metadata) in seen {
        let name = format!("{kind} {}", metadata.name.clone().unwrap_or_default());
        ensure!(metadata.deletion_timestamp.is_none(), "{name} is being deleted");
        standing.push(format!("{name} {}", metadata.uid.clone().unwrap_or_default()));
    }
    Ok(standing)
}

/// The operator renews its Lease after this moment: it still has its rights.
async fn still_leads(scene: &Scene) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(scene.stage.client.clone(), RELEASE);
    let now = Timestamp::now();
    eventually("the operator renews its lease", PATIENCE, async || {
        let spec = leases.get("windlass").await?.spec.context("the Lease has no spec")?;
        let renewed = spec.renew_time.map(|time| time.0);
        Ok(if renewed.is_some_and(|time| time > now) { seen(()) } else { not_yet(format!("renewed at {renewed:?}")) })
    })
    .await
}
