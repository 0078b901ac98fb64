//! What people apply, put into the simulated cluster: our own kinds as they are, Deployments and disruption budgets as
//! what runs on the nodes.

use super::SimulateError;
use super::cluster::{Cluster, Kept};
use super::trace::Actor;
use super::workloads::Workload;
use crate::api::{NodeSelector, SnapshotClass, UpdateApproval, UpdateHold, UpdatePolicy, UpdateRing, UpdateRollout};
use crate::manifest::{Manifest, within};
use crate::plan::selector;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The namespace of what is in none that is named.
pub(super) const NO_NAMESPACE: &str = "default";

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
        serde_json::from_value(self.object.clone()).map_err(|error| self.refused(self.text("/kind"), &error))
    }

    fn refused(&self, field: &str, why: &dyn std::fmt::Display) -> SimulateError {
        let field = within(&self.field, field);
        // What an act makes has no place of its own: who tells of the act names it.
        SimulateError::Input(match (self.file.as_str(), self.line) {
            ("", 0) => format!("{field}: {why}"),
            ("", line) => format!("scenario: line {line}: {field}: {why}"),
            (file, line) => format!("{file}: line {line}: {field}: {why}"),
        })
    }
}

/// Applies the objects, rollouts last: they freeze what they find.
///
/// # Errors
/// [`SimulateError::Input`] for one that does not parse, or is there twice.
pub fn apply(cluster: &mut Cluster, manifests: &[Manifest], now: Timestamp) -> Result<(), SimulateError> {
    let is_rollout = |manifest: &&Manifest| manifest.text("/kind") == "UpdateRollout";
    let (rollouts, others): (Vec<_>, Vec<_>) = manifests.iter().partition(is_rollout);
    others.into_iter().chain(rollouts).try_for_each(|manifest| create(cluster, manifest, now))
}

/// Makes one object: one of our own kinds, or one that a CEL probe may read.
///
/// # Errors
/// [`SimulateError::Input`] for one that does not parse, or is there already.
pub fn create(cluster: &mut Cluster, manifest: &Manifest, now: Timestamp) -> Result<(), SimulateError> {
    match manifest.text("/kind") {
        "UpdatePolicy" => make::<UpdatePolicy>(cluster, manifest, now),
        "UpdateRing" => make::<UpdateRing>(cluster, manifest, now),
        "UpdateRollout" => make::<UpdateRollout>(cluster, manifest, now),
        "SnapshotClass" => make::<SnapshotClass>(cluster, manifest, now),
        "UpdateHold" => make::<UpdateHold>(cluster, manifest, now),
        "UpdateApproval" => make::<UpdateApproval>(cluster, manifest, now),
        "Pod" => make::<Pod>(cluster, manifest, now),
        "PodDisruptionBudget" => make::<PodDisruptionBudget>(cluster, manifest, now),
        _ => {
            let namespace = Some(manifest.text("/metadata/namespace")).filter(|namespace| !namespace.is_empty());
            let key = super::cluster::key(namespace, manifest.text("/metadata/name"));
            cluster.tables.keep_other(&key, manifest.object.clone());
            Ok(())
        }
    }
}

fn make<K: Kept>(cluster: &mut Cluster, manifest: &Manifest, now: Timestamp) -> Result<(), SimulateError> {
    let object: K = manifest.parse()?;
    let key = super::cluster::key_of(&object);
    if K::table(&cluster.tables).get(&key).is_some() {
        let why = format!("{} {} is there already", K::kind(&()), object.name_any());
        return Err(manifest.refused("metadata.name", &why));
    }
    cluster.make(Actor::User, object, now);
    Ok(())
}

impl Cluster {
    /// What the chart installs and the operator asks for: the admission policy that makes approvals honest.
    pub fn install_chart(&mut self, now: Timestamp) {
        let meta = json!({"name": "windlass-approvals", "creationTimestamp": Time(now)});
        let rule = json!({
            "apiGroups": [crate::api::GROUP], "apiVersions": ["*"], "operations": ["CREATE"],
            "resources": [UpdateApproval::plural(&())],
        });
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": meta,
            "spec": {
                "failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": "object.spec.approver == request.userInfo.username"}],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": meta,
            "spec": {"policyName": "windlass-approvals", "validationActions": ["Deny"]},
        });
        for object in [policy, binding] {
            self.tables.keep_other("windlass-approvals", object);
        }
    }

    /// A budget was made, changed or removed: each workload has the one that selects its pods now.
    pub(super) fn budgets_changed(&mut self) {
        let budget = |budget: &Arc<PodDisruptionBudget>| {
            let object = serde_json::to_value(budget.as_ref()).unwrap_or_default();
            Manifest { object, ..Manifest::default() }
        };
        let budgets: Vec<_> = self.tables.budgets.all().map(budget).collect();
        self.workloads.follow_budgets(|workload| min_available(budgets.iter(), workload));
    }
}

/// The workloads of the manifests: Deployments.
pub fn workloads(manifests: &[Manifest]) -> Vec<Workload> {
    let workload = |manifest: &Manifest| Workload {
        min_available: None,
        name: manifest.text("/metadata/name").to_owned(),
        namespace: namespace(manifest),
        replicas: manifest.number("/spec/replicas").unwrap_or(1),
        labels: manifest.map("/spec/template/metadata/labels"),
        annotations: manifest.map("/spec/template/metadata/annotations"),
        node_selector: manifest.map("/spec/template/spec/nodeSelector"),
        grace: manifest
            .object
            .pointer("/spec/template/spec/terminationGracePeriodSeconds")
            .and_then(Value::as_i64)
            .unwrap_or(30),
    };
    manifests.iter().filter(|manifest| manifest.text("/kind") == "Deployment").map(workload).collect()
}

/// How many pods of a Deployment its budget wants to work: the first one that selects them.
fn min_available<'a>(mut budgets: impl Iterator<Item = &'a Manifest>, of: &Workload) -> Option<usize> {
    let is_of_it = |budget: &&Manifest| {
        namespace(budget) == of.namespace && selects(&budget.object["spec"]["selector"], &of.labels)
    };
    budgets.find(is_of_it).and_then(|budget| wanted(budget, of.replicas))
}

/// Whether the selector of a budget selects pods with these labels: an empty one selects all, and none selects none.
pub(super) fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    // It is written as that of a ring.
    let selector = serde_json::from_value::<NodeSelector>(selector.clone());
    selector.is_ok_and(|selector| selector::matches(&selector, &labels.clone().into_iter().collect()))
}

fn namespace(manifest: &Manifest) -> String {
    let named = manifest.text("/metadata/namespace");
    if named.is_empty() { NO_NAMESPACE.to_owned() } else { named.to_owned() }
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
