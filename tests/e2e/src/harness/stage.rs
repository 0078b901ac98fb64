//! A running cluster that stories share: control plane, machines, operator.

use super::Lookout;
use super::sim::Sim;
use super::story::Story;
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use windlass::api::SnapshotClass;
use xtask::cluster::{Cluster, Options};
use xtask::workspace::Programs;

/// The build that all machines begin with.
pub const BUILD_BEFORE: &str = "10.0.20348.2461";
/// Name of the operator that every stage has.
pub const OPERATOR: &str = "operator";
/// Name of the SnapshotClass that every stage has.
pub const CLASS: &str = "simulated";
/// Updates, faults and times of every stage.
const SCENARIO: &str = include_str!("../scenario.yaml");

/// A running cluster that stories share.
pub struct Stage {
    /// An administrator's client.
    pub client: Client,
    /// What the API server has.
    pub lookout: Lookout,
    /// The inside of the machines.
    pub sim: Sim,
    /// Taken when the stage closes.
    cluster: Mutex<Option<Arc<Cluster>>>,
}

impl Stage {
    /// Makes the cluster with the machines of all its stories, and starts the operator.
    ///
    /// # Errors
    /// Something does not start; the message says what, and how its log ends.
    pub async fn open(dir: &Path, programs: Programs, stories: &[Arc<Story>]) -> Result<Self> {
        let scenario = dir.with_extension("scenario.yaml");
        fs::write(&scenario, scenario_of(stories)?)?;
        let options =
            Options { scenario: Some(scenario), operator: true, programs: Some(programs), ..Options::new(dir) };
        let cluster = Cluster::up(options).await?;
        let client = cluster.client().await?;
        let hypervisor = cluster.machines().context("the cluster has no machines")?.hypervisor.clone();
        let class = json!({
            "apiVersion": "windlass.dev/v1alpha1", "kind": "SnapshotClass", "metadata": {"name": CLASS},
            "spec": {"provider": {"simulated": {"endpoint": hypervisor}}},
        });
        let classes: Api<SnapshotClass> = Api::all(client.clone());
        classes.patch(CLASS, &PatchParams::apply("e2e").force(), &Patch::Apply(class)).await?;
        let (lookout, sim) = (Lookout::new(&client), Sim::new(&hypervisor)?);
        Ok(Self { client, lookout, sim, cluster: Mutex::new(Some(Arc::new(cluster))) })
    }

    /// The cluster: its processes, kubectl, the audit log.
    ///
    /// # Errors
    /// The stage is closed.
    pub fn cluster(&self) -> Result<Arc<Cluster>> {
        let cluster = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        cluster.clone().context("the stage is closed")
    }

    /// Ends the cluster.
    pub fn close(&self) {
        drop(self.cluster.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// A namespace of this name.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn namespace(&self, name: &str) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        namespaces.patch(name, &PatchParams::apply("e2e"), &Patch::Apply(namespace)).await?;
        Ok(())
    }
}

/// The scenario with the machines of these stories. (JSON is YAML.)
fn scenario_of(stories: &[Arc<Story>]) -> Result<String> {
    let mut scenario: Value = serde_saphyr::from_str(SCENARIO).context("scenario.yaml")?;
    let machines: Vec<Value> = stories.iter().flat_map(|story| story.scenario_machines().to_vec()).collect();
    // A fault that can strike no machine is an error in a scenario; here it is only another stage's.
    let traits = machines.iter().flat_map(|group| group["traits"].as_array().into_iter().flatten());
    let traits: BTreeSet<&str> = traits.filter_map(Value::as_str).collect();
    if let Some(faults) = scenario["faults"].as_array_mut() {
        faults.retain(|fault| fault["where"]["traits"][0].as_str().is_some_and(|wanted| traits.contains(wanted)));
    }
    scenario["machines"] = json!(machines);
    let ids: BTreeMap<_, _> = stories.iter().flat_map(|story| story.provider_ids()).collect();
    scenario["hypervisor"]["providerIds"] = json!(ids);
    Ok(serde_json::to_string_pretty(&scenario)?)
}
