//! What people apply, put into the simulated cluster: our own kinds as they are, Deployments and disruption budgets as
//! what runs on the nodes.

use super::SimulateError;
use super::cluster::{Cluster, Kept};
use super::trace::Actor;
use super::workloads::Workload;
use crate::api::{SnapshotClass, UpdateHold, UpdatePolicy, UpdateRing, UpdateRollout};
use jiff::Timestamp;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use serde_json::Value;
use std::collections::BTreeMap;

/// One object that somebody applies, and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The file; empty for one that is embedded in a scenario.
    pub file: String,
    /// The line in it, from 1.
    pub line: u64,
    /// The object.
    pub object: Value,
}

impl Manifest {
    fn text(&self, path: &str) -> &str {
        self.object.pointer(path).and_then(Value::as_str).unwrap_or_default()
    }

    fn number(&self, path: &str) -> Option<usize> {
        usize::try_from(self.object.pointer(path)?.as_u64()?).ok()
    }

    fn map(&self, path: &str) -> BTreeMap<String, String> {
        let map = self.object.pointer(path).and_then(Value::as_object);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        map.into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
    }

    fn parse<K: Kept>(&self) -> Result<K, SimulateError> {
        serde_json::from_value(self.object.clone()).map_err(|error| {
            let place = if self.file.is_empty() { "scenario".to_owned() } else { self.file.clone() };
            SimulateError::Input(format!("{place}: line {}: {}: {error}", self.line, self.text("/kind")))
        })
    }
}

/// Applies the objects of our own kinds, rollouts last: they freeze what they find.
///
/// # Errors
/// [`SimulateError::Input`] for one that does not parse, or when there is no rollout.
pub fn apply(cluster: &mut Cluster, manifests: &[Manifest], now: Timestamp) -> Result<(), SimulateError> {
    for manifest in manifests {
        match manifest.text("/kind") {
            "UpdatePolicy" => make::<UpdatePolicy>(cluster, manifest, now)?,
            "UpdateRing" => make::<UpdateRing>(cluster, manifest, now)?,
            "SnapshotClass" => make::<SnapshotClass>(cluster, manifest, now)?,
            "UpdateHold" => make::<UpdateHold>(cluster, manifest, now)?,
            "PodDisruptionBudget" => make::<PodDisruptionBudget>(cluster, manifest, now)?,
            _ => {
                let (api, kind) = (manifest.text("/apiVersion"), manifest.text("/kind").to_lowercase());
                let key = super::cluster::key(
                    Some(manifest.text("/metadata/namespace")).filter(|n| !n.is_empty()),
                    manifest.text("/metadata/name"),
                );
                cluster.tables.others.insert(format!("{api}/{kind}s/{key}"), manifest.object.clone());
            }
        }
    }
    let rollouts: Vec<_> = manifests.iter().filter(|manifest| manifest.text("/kind") == "UpdateRollout").collect();
    if rollouts.is_empty() {
        return Err(SimulateError::Input("manifests: there is no UpdateRollout: nothing would happen".to_owned()));
    }
    rollouts.into_iter().try_for_each(|manifest| make::<UpdateRollout>(cluster, manifest, now))
}

fn make<K: Kept>(cluster: &mut Cluster, manifest: &Manifest, now: Timestamp) -> Result<(), SimulateError> {
    let object: K = manifest.parse()?;
    let key = super::cluster::key_of(&object);
    if K::table(&cluster.tables).get(&key).is_some() {
        return Err(SimulateError::Input(format!("manifests: {} {} is there twice", K::kind(&()), object.name_any())));
    }
    cluster.make(Actor::User, object, now);
    Ok(())
}

/// The workloads of the manifests: Deployments, each with the budget that selects its pods.
pub fn workloads(manifests: &[Manifest]) -> Vec<Workload> {
    let of_kind = |kind: &'static str| manifests.iter().filter(move |manifest| manifest.text("/kind") == kind);
    let workload = |manifest: &Manifest| {
        let labels = manifest.map("/spec/template/metadata/labels");
        let replicas = manifest.number("/spec/replicas").unwrap_or(1);
        let namespace = namespace(manifest);
        let selects = |budget: &&Manifest| {
            let wanted = budget.map("/spec/selector/matchLabels");
            self::namespace(budget) == namespace && wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        let min_available = of_kind("PodDisruptionBudget").find(selects).and_then(|budget| wanted(budget, replicas));
        Workload {
            min_available,
            name: manifest.text("/metadata/name").to_owned(),
            replicas,
            annotations: manifest.map("/spec/template/metadata/annotations"),
            node_selector: manifest.map("/spec/template/spec/nodeSelector"),
            grace: manifest
                .object
                .pointer("/spec/template/spec/terminationGracePeriodSeconds")
                .and_then(Value::as_i64)
                .unwrap_or(30),
            labels,
            namespace,
        }
    };
    of_kind("Deployment").map(workload).collect()
}

fn namespace(manifest: &Manifest) -> String {
    let named = manifest.text("/metadata/namespace");
    if named.is_empty() { "default".to_owned() } else { named.to_owned() }
}

/// How many of so many pods a budget wants to work.
fn wanted(budget: &Manifest, replicas: usize) -> Option<usize> {
    let share = |path: &str| {
        let value = budget.object.pointer(path)?;
        let percent = value.as_str().and_then(|text| text.strip_suffix('%')?.parse::<usize>().ok());
        // Both are rounded up, as the disruption controller does.
        percent.map(|percent| (replicas * percent).div_ceil(100)).or_else(|| usize::try_from(value.as_u64()?).ok())
    };
    share("/spec/minAvailable").or_else(|| share("/spec/maxUnavailable").map(|max| replicas.saturating_sub(max)))
}
