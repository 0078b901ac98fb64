//! A watcher beside the operator: it sees what a node or a PodDisruptionBudget went through, whoever caused it.

use anyhow::Result;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};
use windlass::api::{NodeUpdate, Step};

/// The label by which the demo's rings select their nodes.
pub(super) const RING_LABEL: &str = "windlass.example/ring";

/// What was seen of the fleet while one rollout ran.
pub(super) struct Watcher {
    nodes: Api<Node>,
    budgets: Api<PodDisruptionBudget>,
    updates: Api<NodeUpdate>,
    /// The rollout.
    pub rollout: String,
    /// The most nodes of a ring that were unavailable at one time.
    pub most_unavailable: BTreeMap<String, usize>,
    /// PodDisruptionBudgets that had fewer healthy pods than they demand, at any time.
    pub broken_budgets: BTreeSet<String>,
    /// Nodes that said Ready while they were being verified.
    pub ready_in_verify: BTreeSet<String>,
}

impl Watcher {
    pub fn new(client: Client, rollout: &str) -> Self {
        Self {
            nodes: Api::all(client.clone()),
            budgets: Api::all(client.clone()),
            updates: Api::all(client),
            rollout: rollout.to_owned(),
            most_unavailable: BTreeMap::new(),
            broken_budgets: BTreeSet::new(),
            ready_in_verify: BTreeSet::new(),
        }
    }

    /// Looks once, and returns the rollout's node updates.
    pub async fn look(&mut self) -> Result<Vec<NodeUpdate>> {
        let all = ListParams::default();
        let of_rollout = ListParams::default().fields(&format!("spec.rolloutName={}", self.rollout));
        let (nodes, budgets, updates) =
            tokio::try_join!(self.nodes.list(&all), self.budgets.list(&all), self.updates.list(&of_rollout))?;
        let mut unavailable: BTreeMap<String, usize> = BTreeMap::new();
        for node in nodes.items.iter().filter(|n| !is_available(n)) {
            *unavailable.entry(node.labels().get(RING_LABEL).cloned().unwrap_or_default()).or_default() += 1;
        }
        for (ring, now) in unavailable {
            let most = self.most_unavailable.entry(ring).or_default();
            *most = now.max(*most);
        }
        let broken = budgets.items.iter().filter(|b| {
            b.status.as_ref().is_some_and(|s| s.expected_pods > 0 && s.current_healthy < s.desired_healthy)
        });
        self.broken_budgets.extend(broken.map(ResourceExt::name_any));
        for update in &updates.items {
            let verifying = update.status.as_ref().and_then(|s| s.step) == Some(Step::Verify);
            let ready = nodes.items.iter().any(|n| n.name_any() == update.spec.node_name && is_ready(n));
            if verifying && ready {
                self.ready_in_verify.insert(update.spec.node_name.clone());
            }
        }
        Ok(updates.items)
    }
}

/// Whether the node says Ready.
pub(super) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
}

/// Whether pods can be scheduled to the node and would run.
pub(super) fn is_available(node: &Node) -> bool {
    is_ready(node) && !node.spec.as_ref().and_then(|s| s.unschedulable).unwrap_or_default()
}
