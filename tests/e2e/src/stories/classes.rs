//! What becomes of SnapshotClasses: what they say of themselves, what keeps them, and what nobody knows at their providers.

use super::{BAD, GOOD, untouched};
use crate::harness::{RING_LABEL, RubbishServer, Scene, Story, condition, eventually, not_yet, seen};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;
use windlass::api::{NodeSnapshot, Outcome, PROVIDER_ID, RolloutState, SnapshotClass, Step, UpdatePolicy, UpdateRing};

/// How long the operator may take to say what it saw of a class, in seconds; it counts once a minute.
const SOON: Duration = Duration::from_secs(90);

/// The stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story::new("class-finds-an-orphan", orphan).machines("ring", 1, &[]),
        Story::new("class-kept-by-its-snapshots", kept).machines("ring", 1, &[]).within(400),
        Story::new("class-that-retains", retains).machines("ring", 1, &[]),
        Story::new("class-of-a-node-in-work", in_work).machines("ring", 1, &["cni-calico-vxlan"]),
        Story::new("class-that-can-not", can_not).machines("ring", 1, &[]).within(400),
        Story::new("class-of-other-machines", other_machines),
    ]
}

/// A snapshot at the hypervisor that nobody put on record is told of, and deleted once the class says so. What is kept for
/// ever, and what another cluster made, is left alone.
async fn orphan(scene: Scene) -> Result<()> {
    let machine = scene.machine("ring", 1);
    let system = Api::<Namespace>::all(scene.stage.client.clone()).get("kube-system").await?;
    let ours = system.uid().context("no UID")?;
    let (past, future) = (Some("2026-01-01T00:00:00Z"), Some("2999-01-01T00:00:00Z"));
    let make = async |key: &str, installation: &str, expires: Option<&str>| {
        let mut tags = json!({"windlass.dev/installation": installation, "windlass.dev/node": machine, "windlass.dev/node-update": "ended"});
        if let Some(at) = expires {
            tags["windlass.dev/expires-at"] = json!(at);
        }
        scene.stage.sim.take_snapshot(&machine, &scene.own(key), &tags).await
    };
    let orphan = make("orphan", &ours, past).await?;
    let others = [
        make("kept-for-ever", &ours, None).await?,
        make("not-yet", &ours, future).await?,
        make("of-another-cluster", "another-cluster", past).await?,
    ];

    let class = class(&scene, json!({})).await?;
    says(&scene, &class, "Orphans", ("True", "Found"), &[&orphan, "orphans: Delete"]).await?;
    says(&scene, &class, "Ready", ("True", "ProviderReady"), &[]).await?;
    event(&scene, &class, "OrphansFound", &orphan).await?;
    metric(&scene, &format!("windlass_snapshot_orphans{{class=\"{class}\"}} 1")).await?;
    ensure!(scene.stage.sim.has_snapshot(&orphan).await?, "it was deleted before anybody said so");

    self::class(&scene, json!({"orphans": "Delete"})).await?;
    event(&scene, &class, "OrphanDeleted", &orphan).await?;
    ensure!(!scene.stage.sim.has_snapshot(&orphan).await?, "it is there still");
    metric(&scene, &format!("windlass_snapshot_orphans{{class=\"{class}\"}} 0")).await?;
    eventually("the class has no orphans any more", SOON, async || {
        let conditions = status(&scene, &class).await?.conditions;
        Ok(if condition(&conditions, "Orphans").is_err() { seen(()) } else { not_yet(format!("{conditions:?}")) })
    })
    .await?;
    for other in others {
        ensure!(scene.stage.sim.has_snapshot(&other).await?, "{other} was deleted, and is no orphan of ours");
    }
    Ok(())
}

/// A class that a person deletes stays while a snapshot is to be deleted through it, says so, and goes with the last. A
/// provider that does not answer loses no snapshot.
async fn kept(scene: Scene) -> Result<()> {
    let price = json!({"price": {"perGibMonth": "0.05", "currency": "EUR"}});
    let class = class(&scene, price.clone()).await?;
    let snapshot = after_rollout(&scene, &class).await?;
    metric(&scene, &format!("windlass_snapshots{{class=\"{class}\"}} 1")).await?;
    let figures = metrics(&scene).await?;
    for name in ["snapshot_bytes", "snapshot_oldest_timestamp_seconds", "snapshot_cost_per_month"] {
        let line = figures.lines().find(|line| line.starts_with(&format!("windlass_{name}{{class=\"{class}\"")));
        let line = line.with_context(|| format!("no {name} of {class}"))?;
        let value: f64 = line.rsplit(' ').next().unwrap_or_default().parse()?;
        ensure!(value > 0.0, "{line}");
        ensure!(name != "snapshot_cost_per_month" || line.contains("currency=\"EUR\""), "{line}");
    }

    classes(&scene).delete(&class, &DeleteParams::default()).await?;
    says(&scene, &class, "Reconciling", ("True", "SnapshotsExist"), &["1"]).await?;
    let nowhere = RubbishServer::start().await?;
    self::class(&scene, crate::harness::merged(price.clone(), simulated(nowhere.url()))).await?;
    says(&scene, &class, "Ready", ("False", "ProviderNotReady"), &[]).await?;
    let snapshots: Api<NodeSnapshot> = Api::all(scene.stage.client.clone());
    snapshots.delete(&snapshot.name_any(), &DeleteParams::default()).await?;
    metric(&scene, &format!("windlass_snapshot_delete_errors_total{{class=\"{class}\"}}")).await?;
    ensure!(snapshots.get_opt(&snapshot.name_any()).await?.is_some(), "its record is gone, and it is not");

    self::class(&scene, price).await?;
    eventually("class and snapshot are gone", SOON, async || {
        let class = classes(&scene).get_opt(&class).await?.is_some();
        let record = snapshots.get_opt(&snapshot.name_any()).await?.is_some();
        let disk = scene.stage.sim.has_snapshot(&snapshot.spec.handle).await?;
        Ok(if class || record || disk {
            not_yet(format!("class {class}, record {record}, disk {disk}"))
        } else {
            seen(())
        })
    })
    .await?;
    uncounted(&scene, &class).await
}

/// Where the class says `Retain`, the record goes and the snapshot stays; the class is kept by nothing.
async fn retains(scene: Scene) -> Result<()> {
    let class = class(&scene, json!({"deletionPolicy": "Retain"})).await?;
    let snapshot = after_rollout(&scene, &class).await?;
    classes(&scene).delete(&class, &DeleteParams::default()).await?;
    eventually("the class is gone, as nothing needs it", SOON, async || {
        Ok(if classes(&scene).get_opt(&class).await?.is_some() { not_yet("it is there") } else { seen(()) })
    })
    .await?;
    let snapshots: Api<NodeSnapshot> = Api::all(scene.stage.client.clone());
    snapshots.delete(&snapshot.name_any(), &DeleteParams::default()).await?;
    eventually("the record is gone", SOON, async || {
        Ok(if snapshots.get_opt(&snapshot.name_any()).await?.is_some() { not_yet("it is there") } else { seen(()) })
    })
    .await?;
    ensure!(scene.stage.sim.has_snapshot(&snapshot.spec.handle).await?, "the snapshot is gone at the provider");
    uncounted(&scene, &class).await
}

/// A class that is deleted while a node is being updated stays: the update is bad, and is reverted through it.
async fn in_work(scene: Scene) -> Result<()> {
    let class = class(&scene, json!({"deletionPolicy": "Retain"})).await?;
    let policy = json!({"strategy": {"inPlace": {"snapshot": {"className": class}}}});
    let rollout = scene.simple(policy, json!({}), BAD).await?;
    rollout.is_in(&scene.machine("ring", 1), Step::Install).await?;
    classes(&scene).delete(&class, &DeleteParams::default()).await?;
    says(&scene, &class, "Reconciling", ("True", "SnapshotsExist"), &["delete: 0", "in work: 1"]).await?;
    rollout.node_ends(&scene.machine("ring", 1), Outcome::Reverted).await?;
    eventually("the class is gone, as nothing needs it", SOON, async || {
        Ok(if classes(&scene).get_opt(&class).await?.is_some() { not_yet("it is there") } else { seen(()) })
    })
    .await
}

/// Classes whose provider lacks what the policy needs, or can not work, stop a rollout before any node starts, and say so
/// themselves. Once a class is mended, its rollout goes on by itself.
async fn can_not(scene: Scene) -> Result<()> {
    let lacking = class(&scene, json!({})).await?;
    let (no_secret, no_rights) = (scene.own("no-secret"), scene.own("no-rights"));
    let aws = json!({"aws": {"region": "eu-central-1", "credentialsSecret": "there-is-none"}});
    scene.apply::<SnapshotClass>(&no_secret, json!({"spec": {"provider": aws}})).await?;
    let kubevirt = json!({"kubevirt": {"namespace": "machines"}});
    scene.apply::<SnapshotClass>(&no_rights, json!({"spec": {"provider": kubevirt}})).await?;
    let mut rollouts = Vec::new();
    for (name, class, consistency, code, words) in [
        ("lacking", &lacking, "FileSystem", "CapabilityMissing", ["lacks FileSystemConsistent", "policy"]),
        ("no-secret", &no_secret, "Crash", "ProviderNotReady", ["there-is-none", "SnapshotClass"]),
        ("no-rights", &no_rights, "Crash", "ProviderNotReady", ["forbidden", "VirtualMachines in machines"]),
    ] {
        let policy = json!({"className": class, "consistency": consistency});
        policy_of(&scene, &scene.own(name), policy).await?;
        scene.ring("ring", json!({"policyName": scene.own(name)})).await?;
        let rollout = scene.rollout(name, &["ring"], GOOD).await?;
        let stalled = rollout.reaches(RolloutState::Stalled).await?;
        let (_, reason, message) = condition(&stalled.status.as_ref().context("no status")?.conditions, "Stalled")?;
        ensure!(reason == code && words.iter().all(|word| message.contains(word)), "{name}: {reason}: {message}");
        rollouts.push(rollout);
    }
    says(&scene, &lacking, "Ready", ("True", "ProviderReady"), &[]).await?;
    let can = status(&scene, &lacking).await?.capabilities;
    ensure!(can.contains(&"InPlace".to_owned()) && !can.contains(&"FileSystemConsistent".to_owned()), "{can:?}");
    says(&scene, &no_secret, "Stalled", ("True", "ProviderNotReady"), &["there-is-none"]).await?;
    says(&scene, &no_rights, "Stalled", ("True", "ProviderNotReady"), &["forbidden"]).await?;
    ensure!(rollouts.iter().all(|rollout| rollout.updates().is_empty()), "a node was started");
    let ring: Api<UpdateRing> = Api::all(scene.stage.client.clone());
    ensure!(ring.get_opt(&scene.own("ring")).await?.is_some(), "the ring is gone");
    untouched(&scene, &scene.machine("ring", 1)).await?;
    let mended = json!({"spec": simulated(scene.stage.sim.url())});
    scene.apply::<SnapshotClass>(&no_rights, mended).await?;
    rollouts.pop().context("no rollout")?.ends(RolloutState::Completed).await.map(drop)
}

/// A node that is no machine of the class's provider stops the rollout by its name, until a person writes on it which
/// machine it is.
async fn other_machines(scene: Scene) -> Result<()> {
    let name = scene.own("node");
    let labels = json!({"kubernetes.io/os": "windows", RING_LABEL: scene.own("ring")});
    let node = json!({"metadata": {"labels": labels}, "spec": {"providerID": "rke2://somewhere"}});
    scene.apply::<Node>(&name, node).await?;
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    let stalled = rollout.reaches(RolloutState::Stalled).await?;
    let (_, reason, message) = condition(&stalled.status.as_ref().context("no status")?.conditions, "Stalled")?;
    let told = [name.as_str(), "rke2://somewhere", "simulated://"].iter().all(|word| message.contains(word));
    ensure!(reason == "NodeNotAccepted" && told, "{reason}: {message}");

    let written = json!({"metadata": {"annotations": {PROVIDER_ID: "simulated://elsewhere/machine"}}});
    scene.patch_node(&name, written).await?;
    scene
        .until("the node is accepted", |lookout| {
            let status = lookout.rollout(&rollout.name).and_then(|rollout| rollout.status.clone()).unwrap_or_default();
            let stalled = status.conditions.into_iter().find(|condition| condition.type_ == "Stalled");
            match stalled {
                Some(condition) if condition.reason != "NodeNotAccepted" => seen(()),
                other => not_yet(format!("{other:?}")),
            }
        })
        .await?;
    rollout.delete().await
}

fn classes(scene: &Scene) -> Api<SnapshotClass> {
    Api::all(scene.stage.client.clone())
}

fn simulated(endpoint: &str) -> Value {
    json!({"provider": {"simulated": {"endpoint": endpoint}}})
}

/// Makes the story's class over the stage's hypervisor, or changes it.
async fn class(scene: &Scene, change: Value) -> Result<String> {
    let name = scene.own("class");
    let spec = crate::harness::merged(simulated(scene.stage.sim.url()), change);
    scene.apply::<SnapshotClass>(&name, json!({ "spec": spec })).await?;
    Ok(name)
}

async fn policy_of(scene: &Scene, name: &str, snapshot: Value) -> Result<()> {
    let spec = json!({
        "strategy": {"type": "InPlace", "inPlace": {"snapshot": snapshot}},
        "verify": {"probes": [{"name": "ready", "node": {}}]},
    });
    scene.apply::<UpdatePolicy>(name, json!({ "spec": spec })).await
}

/// The snapshot of the story's machine, after a rollout that went well.
async fn after_rollout(scene: &Scene, class: &str) -> Result<std::sync::Arc<NodeSnapshot>> {
    let policy = json!({"strategy": {"inPlace": {"snapshot": {"className": class}}}});
    scene.simple(policy, json!({}), GOOD).await?.ends(RolloutState::Completed).await?;
    scene.stage.lookout.snapshots(&scene.machine("ring", 1)).pop().context("there is no NodeSnapshot")
}

async fn status(scene: &Scene, class: &str) -> Result<windlass::api::SnapshotClassStatus> {
    Ok(classes(scene).get(class).await?.status.unwrap_or_default())
}

/// Waits until a condition of the class is so, for this generation, with these words.
async fn says(scene: &Scene, class: &str, type_: &str, want: (&str, &str), words: &[&str]) -> Result<()> {
    eventually(&format!("{class}: {type_} is {want:?} with {words:?}"), SOON, async || {
        let class = classes(scene).get(class).await?;
        let status = class.status.unwrap_or_default();
        let current = status.observed_generation == class.metadata.generation;
        let (value, reason, message) = condition(&status.conditions, type_)?;
        let told = current && (value, reason) == want && words.iter().all(|word| message.contains(word));
        Ok(if told { seen(()) } else { not_yet(format!("{:?}", status.conditions)) })
    })
    .await
}

async fn event(scene: &Scene, class: &str, reason: &str, word: &str) -> Result<()> {
    let events: Api<Event> = Api::all(scene.stage.client.clone());
    eventually(&format!("an event {reason} at {class} with {word}"), SOON, async || {
        let all = events.list(&ListParams::default().fields(&format!("reason={reason}"))).await?.items;
        let of_class = |event: &&Event| event.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some(class);
        let notes: Vec<_> = all.iter().filter(of_class).filter_map(|event| event.note.clone()).collect();
        Ok(if notes.iter().any(|note| note.contains(word)) { seen(()) } else { not_yet(format!("{notes:?}")) })
    })
    .await
}

/// Waits until the operator's metrics have a line that begins so.
async fn metric(scene: &Scene, line: &str) -> Result<()> {
    eventually(line, SOON, async || {
        let text = metrics(scene).await?;
        Ok(if text.lines().any(|l| l.starts_with(line)) { seen(()) } else { not_yet("no such line") })
    })
    .await
}

/// Waits until nothing is counted of a class any more.
async fn uncounted(scene: &Scene, class: &str) -> Result<()> {
    eventually(&format!("no metric of {class}"), SOON, async || {
        let text = metrics(scene).await?;
        let left: Vec<_> = text.lines().filter(|line| line.contains(&format!("class=\"{class}\""))).collect();
        Ok(if left.is_empty() { seen(()) } else { not_yet(left.join("; ")) })
    })
    .await
}

async fn metrics(scene: &Scene) -> Result<String> {
    let url = scene.stage.cluster()?.operator(crate::harness::OPERATOR)?.url;
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
    Ok(http.get(format!("{url}/metrics")).send().await?.error_for_status()?.text().await?)
}
