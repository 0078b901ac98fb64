//! Deployments as somebody reads them, a CEL probe above all: what is wanted, and how many pods there are at that moment.

use super::{Answer, Cluster, Request};
use crate::simulate::workloads::Tally;
use serde_json::{Map, Value, json};

impl Cluster {
    /// A Deployment of the manifests or of the scenario's workloads, with the counts of its status. None for one that has
    /// no pods here: one that an act makes is kept as it is.
    pub(super) fn deployment(&self, request: &Request) -> Option<Answer> {
        if request.api != "apps/v1" || request.plural != "deployments" {
            return None;
        }
        let (namespace, name) = (request.namespace.as_deref()?, request.name.as_deref()?);
        let (workload, tally) = self.workloads.counted(namespace, name)?;
        let mut object = self.kept(request).cloned().unwrap_or_else(|| {
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": name, "namespace": namespace, "labels": workload.labels},
                "spec": {"replicas": workload.replicas, "selector": {"matchLabels": workload.labels}},
            })
        });
        object["status"] = status(tally);
        Some(Answer::json(200, &object))
    }
}

/// The counts of a Deployment's status. Those that are zero are left out, as the API server does.
fn status(tally: Tally) -> Value {
    let Tally { wanted, live, healthy } = tally;
    let counts = [
        ("replicas", live),
        ("updatedReplicas", live),
        ("readyReplicas", healthy),
        ("availableReplicas", healthy),
        ("unavailableReplicas", wanted.saturating_sub(healthy)),
    ];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    let mut status: Map<String, Value> = counts.map(|(name, count)| (name.to_owned(), count.into())).collect();
    status.insert("observedGeneration".to_owned(), 1.into());
    Value::Object(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_counts_and_leaves_zeros_out() {
        let some = status(Tally { wanted: 4, live: 4, healthy: 3 });
        let counts = json!({
            "observedGeneration": 1, "replicas": 4, "updatedReplicas": 4, "readyReplicas": 3, "availableReplicas": 3,
            "unavailableReplicas": 1,
        });
        assert_eq!(some, counts);
        let none = status(Tally { wanted: 2, live: 0, healthy: 0 });
        assert_eq!(none, json!({"observedGeneration": 1, "unavailableReplicas": 2}));
    }
}
