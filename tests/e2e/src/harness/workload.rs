//! Deployments with a PodDisruptionBudget on a story's machines.

use super::scene::PATIENCE;
use super::story::RING_LABEL;
use super::{Scene, eventually, not_yet, seen};
use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

/// A Deployment and its budget.
#[derive(Clone, Copy)]
pub struct Workload {
    /// How many pods.
    pub replicas: u32,
    /// How many of them must be there at any time.
    pub min_available: u32,
    /// How long a pod takes to end once it was told to, in seconds.
    pub ends_after: u32,
}

impl Workload {
    /// Starts it on the machines of a ring, and waits until all its pods run. Its namespace is the story's.
    pub(super) async fn start(self, scene: &Scene, name: &str, ring: &str) -> Result<()> {
        let namespace = scene.name();
        scene.stage.namespace(namespace).await?;
        let client = &scene.stage.client;
        let (deployments, budgets): (Api<Deployment>, Api<PodDisruptionBudget>) =
            (Api::namespaced(client.clone(), namespace), Api::namespaced(client.clone(), namespace));
        let apply = PatchParams::apply("e2e");
        deployments.patch(name, &apply, &Patch::Apply(self.deployment(name, ring))).await?;
        budgets.patch(name, &apply, &Patch::Apply(self.budget(name))).await?;
        eventually(&format!("the pods of {namespace}/{name} run"), PATIENCE, async || {
            let status = deployments.get(name).await?.status.unwrap_or_default();
            let allowed = budgets.get(name).await?.status.map_or(0, |status| status.current_healthy);
            let healthy = status.ready_replicas.unwrap_or(0).min(allowed);
            let all = u32::try_from(healthy).is_ok_and(|healthy| healthy == self.replicas);
            Ok(if all { seen(()) } else { not_yet(format!("{healthy} of {} are ready", self.replicas)) })
        })
        .await
    }

    fn deployment(self, name: &str, ring: &str) -> Value {
        let labels = json!({"app": name});
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {
                        "labels": labels,
                        "annotations": {"winfleet.windlass.dev/terminates-after": format!("{}s", self.ends_after)},
                    },
                    "spec": {
                        "os": {"name": "windows"},
                        "nodeSelector": {RING_LABEL: ring},
                        "terminationGracePeriodSeconds": 30,
                        "topologySpreadConstraints": [{
                            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
                            "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": labels},
                        }],
                        "containers": [{"name": name, "image": "registry.example/shop:1"}],
                    },
                },
            },
        })
    }

    fn budget(self, name: &str) -> Value {
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
            "spec": {"minAvailable": self.min_available, "selector": {"matchLabels": {"app": name}}},
        })
    }
}
