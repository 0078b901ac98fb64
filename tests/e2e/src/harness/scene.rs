//! One story's part of a stage: its names and its manifests.

use super::stage::Stage;
use super::story::RING_LABEL;
use super::{Rollout, Sight, Witness, Workload, not_yet, seen};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, ClusterResourceScope, DynamicObject};
use kube::{Api, Resource};
use serde_json::{Value, json};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use windlass::api::{CLAIMED_BY, CORDONED_BY_US, QUARANTINE, UpdatePolicy, UpdateRing, UpdateRollout};

/// What every policy and every ring begins with.
const BASE: &str = include_str!("../base.yaml");
/// How long something that a story waits for may take, in seconds: several updates of nodes on a busy computer.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// One story's part of a stage.
#[derive(Clone)]
pub struct Scene {
    /// The cluster.
    pub stage: Arc<Stage>,
    name: String,
}

/// What kubectl came to.
#[derive(Debug)]
pub struct Answer {
    /// Whether it was done.
    pub accepted: bool,
    /// What it printed; what it complained of when it was not done.
    pub said: String,
}

impl Scene {
    /// The part of the story of this name.
    pub fn new(stage: Arc<Stage>, name: &str) -> Self {
        Self { stage, name: name.to_owned() }
    }

    /// The story's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A name of the story's own.
    pub fn own(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// The name of the `number`-th machine of a ring, from 1.
    pub fn machine(&self, ring: &str, number: u32) -> String {
        format!("{}-{ring}-{number}", self.name)
    }

    /// Makes the story's policy: the usual one, with `change` merged into its spec.
    pub async fn policy(&self, change: Value) -> Result<()> {
        let spec = merged(base("policy")?, change);
        self.apply::<UpdatePolicy>(&self.name, json!({"spec": spec})).await
    }

    /// Makes a ring of the machines that the story has for it, with `change` merged into its spec.
    pub async fn ring(&self, ring: &str, change: Value) -> Result<()> {
        let own = self.own(ring);
        let names = json!({"policyName": self.name, "nodeSelector": {"matchLabels": {RING_LABEL: own}}});
        let spec = merged(merged(base("ring")?, names), change);
        self.apply::<UpdateRing>(&own, json!({"spec": spec})).await
    }

    /// Makes a rollout of `kb` through these rings.
    pub async fn rollout(&self, name: &str, rings: &[&str], kb: &str) -> Result<Rollout> {
        let rings: Vec<_> = rings.iter().map(|ring| self.own(ring)).collect();
        self.rollout_of(name, json!({"rings": rings, "updates": {"include": [kb]}})).await
    }

    /// Makes a rollout with this spec.
    pub async fn rollout_of(&self, name: &str, spec: Value) -> Result<Rollout> {
        let own = self.own(name);
        self.apply::<UpdateRollout>(&own, json!({"spec": spec})).await?;
        Ok(Rollout::new(self.clone(), own))
    }

    /// The usual policy, one ring of all machines made for it, and a rollout of `kb` through it.
    pub async fn simple(&self, policy: Value, ring: Value, kb: &str) -> Result<Rollout> {
        self.policy(policy).await?;
        self.ring("ring", ring).await?;
        self.rollout("rollout", &["ring"], kb).await
    }

    /// Applies an object of this kind and name, as `kubectl apply --server-side` does.
    pub async fn apply<K>(&self, name: &str, content: Value) -> Result<()>
    where
        K: Resource<Scope = ClusterResourceScope>,
        K::DynamicType: Default,
    {
        let kind = ApiResource::erase::<K>(&K::DynamicType::default());
        let head = json!({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}});
        // What comes back is not parsed: stories store what does not.
        let api: Api<DynamicObject> = Api::all_with(self.stage.client.clone(), &kind);
        let applied = api.patch(name, &PatchParams::apply("e2e").force(), &Patch::Apply(merged(head, content))).await;
        applied.with_context(|| format!("cannot apply {name}")).map(drop)
    }

    /// Merges `change` into a node, as a person with `kubectl patch` does.
    pub async fn patch_node(&self, node: &str, change: Value) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.stage.client.clone());
        nodes.patch(node, &PatchParams::default(), &Patch::Merge(change)).await?;
        Ok(())
    }

    /// Pods of a Deployment on the machines of a ring, with a budget.
    pub async fn workload(&self, name: &str, ring: &str, workload: Workload) -> Result<()> {
        workload.start(self, name, &self.own(ring)).await
    }

    /// Takes the teeth out of a workload's budget.
    pub async fn allow_disruptions(&self, workload: &str) -> Result<()> {
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(self.stage.client.clone(), &self.name);
        let none = Patch::Merge(json!({"spec": {"minAvailable": 0}}));
        budgets.patch(workload, &PatchParams::default(), &none).await?;
        Ok(())
    }

    /// Watches from now on that no more than `budget` machines of a ring are unavailable at once.
    pub async fn witness(&self, ring: &str, budget: usize) -> Result<Witness> {
        Witness::of_nodes(&self.stage.client, &self.own(ring), budget).await
    }

    /// Runs kubectl as administrator, with `input` on its stdin.
    pub async fn kubectl(&self, arguments: &[&str], input: Option<&str>) -> Result<Answer> {
        let mut kubectl = self.stage.cluster()?.kubectl();
        kubectl.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = kubectl.spawn().context("cannot start kubectl")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.unwrap_or_default().as_bytes()).await?;
        }
        let output = timeout(PATIENCE, child.wait_with_output()).await.context("kubectl gives no answer")??;
        let accepted = output.status.success();
        let said = if accepted { output.stdout } else { output.stderr };
        Ok(Answer { accepted, said: String::from_utf8_lossy(&said).into_owned() })
    }

    /// Watches from now on that every machine of a ring is in one hand at a time.
    pub fn witness_claims(&self, ring: &str) -> Witness {
        Witness::of_claims(&self.stage.client, &self.own(ring))
    }

    /// Waits until the API server has it.
    pub async fn until<T>(&self, what: &str, look: impl Fn(&super::Lookout) -> Sight<T>) -> Result<T> {
        self.stage.lookout.until(what, PATIENCE, look).await
    }

    /// The node of this name, from the API server itself.
    pub async fn node(&self, name: &str) -> Result<Node> {
        let nodes: Api<Node> = Api::all(self.stage.client.clone());
        nodes.get(name).await.with_context(|| format!("no node {name}"))
    }

    /// Sees to it that the node takes part in the cluster as if nobody had ever touched it.
    pub async fn in_service(&self, node: &str) -> Result<()> {
        let seen = self.node(node).await?;
        ensure!(is_ready(&seen), "{node} is not Ready");
        ensure!(!is_cordoned(&seen), "{node} is cordoned");
        self.let_go(node).await
    }

    /// Waits until the node-lifecycle controller has given the node up.
    pub async fn unknown(&self, node: &str) -> Result<()> {
        self.until(&format!("{node} is given up"), |lookout| match lookout.node(node) {
            Some(found) if ready_condition(&found) == Some("Unknown") => seen(()),
            found => not_yet(format!("Ready is {:?}", found.as_deref().and_then(ready_condition))),
        })
        .await
    }

    /// Waits until nothing of ours is left on the node.
    pub async fn is_let_go(&self, node: &str) -> Result<()> {
        self.until(&format!("{node} is let go"), |lookout| match lookout.node(node) {
            Some(found) if annotation(&found, CLAIMED_BY).is_none() => seen(()),
            _ => not_yet("it is claimed"),
        })
        .await
    }

    /// Waits until the name belongs to a Ready node of another UID.
    pub async fn registered_other_than(&self, node: &str, uid: &str) -> Result<()> {
        self.until(&format!("{node} is registered anew"), |lookout| match lookout.node(node) {
            Some(found) if found.metadata.uid.as_deref() != Some(uid) && is_ready(&found) => seen(()),
            found => not_yet(format!("UID {:?}", found.and_then(|found| found.metadata.uid.clone()))),
        })
        .await
    }

    /// Sees to it that nothing of ours is left on the node.
    pub async fn let_go(&self, node: &str) -> Result<()> {
        let seen = self.node(node).await?;
        ensure!(!is_tainted(&seen, QUARANTINE), "{node} is in quarantine");
        for key in [CLAIMED_BY, CORDONED_BY_US] {
            ensure!(annotation(&seen, key).is_none(), "{node} still has the annotation {key}");
        }
        Ok(())
    }

    /// Sees to it that the node is kept out of service on purpose, by the update of this UID.
    pub async fn held(&self, node: &str, by: &str) -> Result<()> {
        let seen = self.node(node).await?;
        ensure!(is_cordoned(&seen), "{node} is not cordoned");
        ensure!(is_tainted(&seen, QUARANTINE), "{node} is not in quarantine");
        ensure!(annotation(&seen, CLAIMED_BY) == Some(by), "{node} is not claimed by {by}");
        Ok(())
    }
}

/// Whether the node says Ready.
pub fn is_ready(node: &Node) -> bool {
    ready_condition(node) == Some("True")
}

fn ready_condition(node: &Node) -> Option<&str> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready").map(|condition| condition.status.as_str())
}

/// Whether the node is cordoned, by anybody.
pub fn is_cordoned(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false)
}

/// Whether the node has a taint of this key.
pub fn is_tainted(node: &Node, key: &str) -> bool {
    node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).any(|taint| taint.key == key)
}

/// The value of an annotation of a node.
pub fn annotation<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

fn base(name: &str) -> Result<Value> {
    let mut all: Value = serde_saphyr::from_str(BASE).context("base.yaml")?;
    Ok(all[name].take())
}

/// `change` merged into `base` (RFC 7386): objects member by member, `null` takes a member out, all else replaces.
pub fn merged(base: Value, change: Value) -> Value {
    let Value::Object(changes) = change else { return change };
    let mut result = if let Value::Object(members) = base { members } else { serde_json::Map::new() };
    for (name, change) in changes {
        if change.is_null() {
            result.remove(&name);
        } else {
            let before = result.remove(&name).unwrap_or_default();
            result.insert(name, merged(before, change));
        }
    }
    Value::Object(result)
}
