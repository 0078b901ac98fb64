//! The namespace of the agents: SYSTEM on every node, so nobody but the operator makes pods there.

use crate::harness::{Answer, Scene, Story};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// The operator, as the chart names it.
const OPERATOR: &str = "--as=system:serviceaccount:windlass-system:windlass";
/// A user who may do everything with pods.
const ALICE: &str = "--as=alice";
/// The namespace.
const AGENTS: &str = "--namespace=windlass-agents";

/// The story of the agents' namespace.
pub fn story() -> Story {
    Story::new("admission-agents-namespace", agents_namespace)
}

async fn agents_namespace(scene: Scene) -> Result<()> {
    let may = ["create", "clusterrolebinding", "alice", "--clusterrole=cluster-admin", "--user=alice"];
    accepted(&scene.kubectl(&may, None).await?)?;
    let get = ["get", "configmap", "windlass-agents", "--namespace=windlass-system", "--output=jsonpath={.data.image}"];
    let image = scene.kubectl(&get, None).await?.said;
    let create = |user| ["create", "--filename=-", AGENTS, user];

    refused(&ask(&scene, &create(ALICE), &pod(&image)).await?, "may create pods in this namespace")?;
    refused(&ask(&scene, &create(OPERATOR), &pod("evil.example/x:1")).await?, "the image in this namespace has to be")?;
    let mut with_init = pod(&image);
    with_init["spec"]["initContainers"] = json!([{"name": "init", "image": image}]);
    refused(&ask(&scene, &create(OPERATOR), &with_init).await?, "have no init containers")?;
    accepted(&ask(&scene, &create(OPERATOR), &pod(&image)).await?)?;

    let change = r#"{"spec":{"containers":[{"name":"agent","image":"evil.example/x:1"}]}}"#;
    let patch = ["patch", "pod", "e2e-agent", AGENTS, ALICE, "--patch", change];
    refused(&scene.kubectl(&patch, None).await?, "the image in this namespace has to be")?;
    let debug =
        ["debug", "e2e-agent", AGENTS, ALICE, "--image=evil.example/x:1", "--attach=false", "--profile=general"];
    refused(&scene.kubectl(&debug, None).await?, "take no ephemeral containers")?;
    for connect in [&["exec", "e2e-agent", AGENTS, ALICE, "--", "cmd.exe"][..], &["attach", "e2e-agent", AGENTS, ALICE]]
    {
        refused(&scene.kubectl(connect, None).await?, "nobody connects to pods in this namespace")?;
    }
    accepted(&scene.kubectl(&["delete", "pod", "e2e-agent", AGENTS, "--wait=false"], None).await?)
}

async fn ask(scene: &Scene, arguments: &[&str], object: &Value) -> Result<Answer> {
    scene.kubectl(arguments, Some(&object.to_string())).await
}

fn pod(image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "e2e-agent"},
        "spec": {"containers": [{"name": "agent", "image": image}], "nodeSelector": {"nobody.example/has": "this"}},
    })
}

fn accepted(answer: &Answer) -> Result<()> {
    ensure!(answer.accepted, "refused: {}", answer.said);
    Ok(())
}

fn refused(answer: &Answer, words: &str) -> Result<()> {
    ensure!(!answer.accepted, "accepted, but wanted: {words}");
    ensure!(answer.said.contains(words), "refused, but not because: {words}; said: {}", answer.said);
    Ok(())
}
