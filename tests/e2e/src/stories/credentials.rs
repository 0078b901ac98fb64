//! Credentials of providers: by name, from one namespace, used when they change, and never told to anybody.

use super::{GOOD, untouched};
use crate::harness::{EchoServer, Form, OPERATOR, Rollout, Scene, Story, Venue, condition, eventually, not_yet, seen};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;
use windlass::api::{RolloutState, SnapshotClass, UpdatePolicy};
use xtask::cluster::Operator;

/// An operator that tells all that it has to tell.
const TALKER: &str = "talker";
/// What it logs: at debug level also what its HTTP clients do.
const LOGS: &str = "debug,kube_client=trace,kube_client::client=trace,kube_runtime=debug,hyper_util=trace";
/// The operator's namespace.
const NAMESPACE: &str = "windlass-system";
/// How long something may take that is tried again by itself.
const SOON: Duration = Duration::from_mins(2);

/// What is planted. Each begins with letters that are nowhere else.
const KEY_ID: &str = "AKIAPLANTEDKEYID";
const KEY: &str = "planted/secret+key";
const SESSION: &str = "planted-session-token";
const BEARER: &str = "planted-bearer-token";
const BROKEN: &str = "planted-in-what-does-not-parse";
const ELSEWHERE: &str = "planted-in-another-namespace";
/// What is looked for: the word that is in all of the above, as it is and as base64 has it, wherever it begins.
const TRACES: [&str; 8] =
    ["planted", "cGxhbnRlZ", "BsYW50ZW", "wbGFudGVk", "PLANTED", "UExBTlRFR", "BMQU5URU", "QTEFOVEVE"];

/// The stories.
pub fn stories() -> Vec<Story> {
    let mut story = Story::new("credentials-not-told", not_told).on(Venue::Outages).within(400);
    let of_ec2 = ["page", "refused", "redirected", "half", "elsewhere", "authority"];
    for (n, ring) in of_ec2.into_iter().enumerate() {
        let id = format!("aws:///us-east-1a/i-0123456789abcde{n:02}");
        story = story.machines(ring, 1, &[]).provider_id(ring, 1, &id);
    }
    for (ring, id) in [
        ("other-cluster", "kubevirt://vm-1"),
        ("unreadable", "kubevirt://vm-2"),
        ("foreign", "aws:///eu-west-1a/i-0123456789abcde77"),
        ("malformed", "aws:///us-east-1a/win-1"),
    ] {
        story = story.machines(ring, 1, &[]).provider_id(ring, 1, id);
    }
    let late = Story::new("credentials-come-late", come_late).machines("ring", 1, &[]);
    vec![story, late.provider_id("ring", 1, "aws:///us-east-1a/i-0123456789abcde88")]
}

/// A Secret that is missing stops the rollout; once it is there, the rollout goes on by itself, and soon.
async fn come_late(scene: Scene) -> Result<()> {
    // Nobody listens there: what may pass by itself does not stop a rollout, and no node begins before it has.
    let rollout = start(&scene, "ring", ec2(&scene, "https://127.0.0.1:1")).await?;
    stalls(&rollout, "ProviderNotReady", &["there is no Secret", NAMESPACE]).await?;
    untouched(&scene, &scene.machine("ring", 1)).await?;
    secret(&scene, "keys", NAMESPACE, &keys("AKIALATE", "late")).await?;
    scene
        .until("the rollout goes on", |lookout| {
            match lookout.rollout(&rollout.name).and_then(|found| found.status.clone()) {
                Some(status) if status.state != RolloutState::Stalled => seen(()),
                status => not_yet(format!("{:?}", status.map(|status| status.reason))),
            }
        })
        .await?;
    rollout.says(&["the provider of SnapshotClass", "does not work", "Connection refused"]).await?;
    ensure!(rollout.updates().is_empty(), "a node has begun");
    rollout.delete().await
}

/// Each way in which a provider fails, with credentials that an endpoint sends back: none of them is in what the operator
/// prints, logs, counts, or writes to the API server.
async fn not_told(scene: Scene) -> Result<()> {
    let cluster = scene.stage.cluster()?;
    cluster.stop(OPERATOR)?;
    let operator = cluster.start_operator_with(TALKER, &[("RUST_LOG", LOGS)]).await?;
    cluster.operator_is_ready(&operator).await?;
    let told = failing(&scene).await;
    let texts = texts(&scene, &operator).await;
    // The stage is left as it was found.
    cluster.stop(TALKER)?;
    cluster.restart(OPERATOR)?;
    cluster.operator_is_ready(&cluster.operator(OPERATOR)?).await?;
    told?;
    for (place, text) in texts? {
        let line = text.lines().find(|line| TRACES.iter().any(|trace| line.contains(trace)));
        ensure!(line.is_none(), "a credential is in {place}: {line:?}");
    }
    Ok(())
}

/// All that anybody but the providers' endpoints gets to see.
async fn texts(scene: &Scene, operator: &Operator) -> Result<[(&'static str, String); 4]> {
    let log = fs::read_to_string(scene.stage.cluster()?.log(TALKER))?;
    ensure!(log.contains("DEBUG") && log.contains("TRACE"), "the log has nothing of what is to be looked through");
    let http = reqwest::Client::builder().no_proxy().build()?;
    let metrics = http.get(format!("{}/metrics", operator.url)).send().await?.text().await?;
    let kinds = "uro,nu,nsnap,snapshotclasses,updatepolicies,updaterings,nodes,events,leases,pods";
    let objects = scene.kubectl(&["get", kinds, "--all-namespaces", "--output=json"], None).await?;
    let descriptions = scene.kubectl(&["describe", "uro,nu,snapshotclasses"], None).await?;
    ensure!(objects.accepted && descriptions.accepted, "{} {}", objects.said, descriptions.said);
    Ok([
        ("the log", log),
        ("the metrics", metrics),
        ("the objects", objects.said),
        ("kubectl describe", descriptions.said),
    ])
}

async fn failing(scene: &Scene) -> Result<()> {
    secret(scene, "keys", NAMESPACE, &keys(KEY_ID, KEY)).await?;
    let page = EchoServer::start(&[Form::Page, Form::Broken]).await?;
    let refusing = EchoServer::start(&[Form::Ec2("Odd")]).await?;
    let redirecting = EchoServer::start(&[Form::Redirect]).await?;
    let other_cluster = EchoServer::start(&[Form::Kubernetes(403)]).await?;

    // What may pass by itself is waited for, and no node begins meanwhile.
    let waits = start(scene, "page", ec2(scene, page.url())).await?;
    let refused = start(scene, "refused", ec2(scene, refusing.url())).await?;
    let redirected = start(scene, "redirected", ec2(scene, redirecting.url())).await?;
    secret(scene, "infra", NAMESPACE, &json!({"kubeconfig": kubeconfig(other_cluster.url())})).await?;
    let infra = json!({"kubevirt": {"namespace": "machines", "credentialsSecret": scene.own("infra")}});
    let other = start(scene, "other-cluster", infra).await?;
    let mut stopped = vec![
        (refused, "ProviderNotReady", ["Odd", "***"]),
        (redirected, "ProviderNotReady", ["redirect", "SnapshotClass"]),
        (other, "ProviderNotReady", ["VirtualMachines in machines", "***"]),
    ];
    stopped.extend(bad_secrets(scene, page.url()).await?);
    stopped.extend(bad_machines(scene, page.url()).await?);
    for (rollout, code, words) in &stopped {
        stalls(rollout, code, words).await?;
    }
    for (server, what) in [(&page, SESSION), (&refusing, SESSION), (&redirecting, KEY_ID), (&other_cluster, BEARER)] {
        ensure!(server.heard(what) > 0, "{what} was never sent, and the case shows nothing");
    }
    rotated(scene, &waits, &page).await?;
    untouched(scene, &scene.machine("page", 1)).await?;
    let all = || stopped.iter().map(|(rollout, ..)| rollout).chain([&waits]);
    for rollout in all() {
        ensure!(rollout.updates().is_empty(), "{} has started a node", rollout.name);
        rollout.delete().await?;
    }
    // What is on its way out can not be described.
    for rollout in all() {
        rollout.is_gone().await?;
    }
    Ok(())
}

/// A rollout that is to stop, the reason of its condition, and words of its message.
type Stopped = (Rollout, &'static str, [&'static str; 2]);

/// Secrets that are missing, lack a key, do not parse, or are another namespace's.
async fn bad_secrets(scene: &Scene, endpoint: &str) -> Result<Vec<Stopped>> {
    secret(scene, "half", NAMESPACE, &json!({"aws_access_key_id": KEY_ID})).await?;
    secret(scene, "elsewhere", "default", &keys(ELSEWHERE, ELSEWHERE)).await?;
    let broken = format!("users: [{BROKEN}");
    secret(scene, "broken", NAMESPACE, &json!({"kubeconfig": broken, "ca.crt": BROKEN})).await?;
    let named = |name: &str| json!({"aws": {"region": "us-east-1", "endpoint": endpoint, "credentialsSecret": scene.own(name)}});
    let mut authority = ec2(scene, "https://127.0.0.1:1");
    authority["aws"]["caSecret"] = json!(scene.own("broken"));
    let infra = json!({"kubevirt": {"namespace": "machines", "credentialsSecret": scene.own("broken")}});
    let mut stopped = Vec::new();
    for (name, provider, words) in [
        ("half", named("half"), ["half", "aws_secret_access_key"]),
        ("elsewhere", named("elsewhere"), ["there is no Secret", NAMESPACE]),
        ("authority", authority, ["broken", "no certificate"]),
        ("unreadable", infra, ["broken", "is no kubeconfig"]),
    ] {
        stopped.push((start(scene, name, provider).await?, "ProviderNotReady", words));
    }
    // Not even what is there can be read elsewhere: the operator has no right to.
    let cluster = scene.stage.cluster()?;
    let theirs: Api<Secret> = Api::namespaced(cluster.operator_client().await?, "default");
    let answer = theirs.get(&scene.own("elsewhere")).await;
    ensure!(matches!(&answer, Err(kube::Error::Api(status)) if status.code == 403), "it can be read elsewhere");
    Ok(stopped)
}

/// Nodes of another region, or of a form that is none.
async fn bad_machines(scene: &Scene, endpoint: &str) -> Result<Vec<Stopped>> {
    let foreign = start(scene, "foreign", ec2(scene, endpoint)).await?;
    let malformed = start(scene, "malformed", ec2(scene, endpoint)).await?;
    Ok(vec![
        (foreign, "NodeNotAccepted", ["foreign-1", "region eu-west-1, and spec.provider.aws.region is us-east-1"]),
        (malformed, "NodeNotAccepted", ["malformed-1", "aws:///us-east-1a/win-1"]),
    ])
}

/// A Secret that is changed while a rollout waits for its provider is used when that is asked again, within a minute.
async fn rotated(scene: &Scene, rollout: &Rollout, server: &EchoServer) -> Result<()> {
    rollout.says(&["does not work"]).await?;
    let id = "AKIAPLANTEDNEXT";
    secret(scene, "keys", NAMESPACE, &keys(id, KEY)).await?;
    eventually("the new credentials are used", SOON, async || {
        Ok(if server.heard(&format!("Credential={id}/")) > 0 { seen(()) } else { not_yet("not yet") })
    })
    .await
}

fn keys(id: &str, key: &str) -> Value {
    json!({"aws_access_key_id": id, "aws_secret_access_key": key, "aws_session_token": SESSION})
}

fn kubeconfig(server: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": BEARER}}],
    })
    .to_string()
}

fn ec2(scene: &Scene, endpoint: &str) -> Value {
    json!({"aws": {"region": "us-east-1", "endpoint": endpoint, "credentialsSecret": scene.own("keys")}})
}

async fn secret(scene: &Scene, name: &str, namespace: &str, data: &Value) -> Result<()> {
    let name = scene.own(name);
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
    let secrets: Api<Secret> = Api::namespaced(scene.stage.client.clone(), namespace);
    secrets.patch(&name, &PatchParams::apply("e2e").force(), &Patch::Apply(object)).await?;
    Ok(())
}

/// A rollout to the ring of one machine, with a class of this provider.
async fn start(scene: &Scene, name: &str, provider: Value) -> Result<Rollout> {
    let own = scene.own(name);
    scene.apply::<SnapshotClass>(&own, json!({"spec": {"provider": provider}})).await?;
    let policy = json!({
        "strategy": {"type": "InPlace", "inPlace": {"snapshot": {"className": own, "timeout": "40s"}}},
        "verify": {"probes": [{"name": "ready", "node": {}}]},
    });
    scene.apply::<UpdatePolicy>(&own, json!({"spec": policy})).await?;
    scene.ring(name, json!({"policyName": own})).await?;
    scene.rollout(name, &[name], GOOD).await
}

async fn stalls(rollout: &Rollout, code: &str, words: &[&str]) -> Result<()> {
    rollout.reaches(RolloutState::Stalled).await?;
    let said = rollout.says(words).await?;
    let (stalled, reason, message) = condition(&said.status.as_ref().context("no status")?.conditions, "Stalled")?;
    ensure!((stalled, reason) == ("True", code), "{}: Stalled is {stalled}, {reason}: {message}", rollout.name);
    Ok(())
}
