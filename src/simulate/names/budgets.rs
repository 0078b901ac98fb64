//! What disruption budgets are about.

use super::{Placed, There, full_name};
use crate::manifest::Complaint;
use crate::simulate::manifests::{NO_NAMESPACE, selects};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use winfleet::scenario::instead;

/// Pods that a budget may select: whose they are, their namespace and their labels.
struct Pods {
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
}

impl There<'_> {
    /// The budgets that select no pods: the scenario's own are mistakes. Those of a file of its own are worth a word only:
    /// what is applied to a cluster has budgets of StatefulSets and of pods on Linux, too, and a simulation has neither.
    pub(super) fn budgets(&self) -> (Vec<Complaint>, Vec<Complaint>) {
        let pods = self.pods();
        let empty = |budget: &&Placed<'_>| {
            let namespace = namespace(budget.object);
            !pods
                .iter()
                .any(|pods| pods.namespace == namespace && selects(&budget.object["spec"]["selector"], &pods.labels))
        };
        let named = |pods: &Pods| {
            let labels: Vec<_> = pods.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("{} with the labels {}", pods.name, labels.join(" "))
        };
        let known: BTreeSet<_> = pods.iter().map(named).collect();
        let there = instead::of_names(&known.iter().map(String::as_str).collect());
        let complain = |budget: &Placed<'_>| self.blame(budget, "spec.selector", format!("selects no pods{there}"));
        let (own, others): (Vec<_>, Vec<_>) =
            self.of_kind("PodDisruptionBudget").filter(empty).partition(|budget| budget.own);
        (own.into_iter().map(complain).collect(), others.into_iter().map(complain).collect())
    }

    /// All pods that there are. A Deployment that an act makes has none.
    fn pods(&self) -> Vec<Pods> {
        let of = |placed: &Placed<'_>, labels: &Value| Pods {
            name: format!(
                "{} {}",
                placed.object["kind"].as_str().unwrap_or_default(),
                full_name(placed.object).unwrap_or_default()
            ),
            namespace: namespace(placed.object),
            labels: texts(labels),
        };
        let deployments = self.of_kind("Deployment").filter(|deployment| !deployment.later);
        let deployments = deployments.map(|one| of(one, &one.object["spec"]["template"]["metadata"]["labels"]));
        let pods = self.of_kind("Pod").map(|one| of(one, &one.object["metadata"]["labels"]));
        let workloads = self.scenario.workloads.iter().map(|workload| Pods {
            name: format!("workload {}/{}", workload.namespace, workload.name),
            namespace: workload.namespace.clone(),
            labels: BTreeMap::from([("app".to_owned(), workload.name.clone())]),
        });
        deployments.chain(pods).chain(workloads).collect()
    }
}

fn namespace(object: &Value) -> String {
    object["metadata"]["namespace"].as_str().filter(|name| !name.is_empty()).unwrap_or(NO_NAMESPACE).to_owned()
}

fn texts(labels: &Value) -> BTreeMap<String, String> {
    let labels = labels.as_object().into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
