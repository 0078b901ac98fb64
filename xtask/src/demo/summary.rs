//! What came of it all, read back from the API server.

use crate::cluster::Cluster;
use anyhow::Result;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde::Serialize;
use std::collections::BTreeMap;
use windlass::api::{NodeUpdate, UpdateRollout};

/// The outcome of a story; `--summary` writes it as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Each rollout.
    pub rollouts: Vec<RolloutLine>,
    /// Each node update.
    pub nodes: Vec<NodeLine>,
    /// API writes of the operator per node update that ended, evictions and the leader Lease not counted.
    pub api_writes_per_node_update: f64,
}

/// One rollout.
#[derive(Debug, Serialize)]
pub struct RolloutLine {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: String,
    /// Why it stands there.
    pub reason: String,
}

/// One node update.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeLine {
    /// The rollout.
    pub rollout: String,
    /// The node.
    pub node: String,
    /// The ring.
    pub ring: String,
    /// The outcome; empty while it goes on.
    pub outcome: String,
    /// The build before.
    pub from: String,
    /// The build that was wanted.
    pub to: String,
    /// Seconds spent in each step, all rounds and attempts together.
    pub seconds_by_step: BTreeMap<String, f64>,
}

impl Summary {
    /// Reads the outcome from the cluster.
    ///
    /// # Errors
    /// The API server or its audit log can not be read.
    pub async fn read(cluster: &Cluster) -> Result<Self> {
        let client = cluster.client().await?;
        let rollouts = Api::<UpdateRollout>::all(client.clone()).list(&ListParams::default()).await?.items;
        let mut updates = Api::<NodeUpdate>::all(client).list(&ListParams::default()).await?.items;
        updates.sort_by_key(|u| (u.metadata.creation_timestamp.as_ref().map(|t| t.0), u.name_any()));
        let ended = updates.iter().filter(|u| u.status.as_ref().is_some_and(|s| s.outcome.is_some())).count();
        Ok(Self {
            rollouts: rollouts.iter().map(rollout_line).collect(),
            nodes: updates.iter().map(node_line).collect(),
            api_writes_per_node_update: writes_between(cluster, None)? as f64 / ended.max(1) as f64,
        })
    }

    /// Prints it as two short tables.
    pub fn print(&self) {
        println!(
            "\n{:<22} {:<10} {:<7} {:<9} {:<16} {:<16} SECONDS",
            "ROLLOUT", "NODE", "RING", "OUTCOME", "FROM", "TO"
        );
        for n in &self.nodes {
            let seconds: f64 = n.seconds_by_step.values().sum();
            println!(
                "{:<22} {:<10} {:<7} {:<9} {:<16} {:<16} {seconds:.0}",
                n.rollout, n.node, n.ring, n.outcome, n.from, n.to
            );
        }
        println!("\n{:<22} {:<10} REASON", "ROLLOUT", "STATE");
        for r in &self.rollouts {
            println!("{:<22} {:<10} {}", r.name, r.state, r.reason);
        }
        println!("\nAPI writes per node update: {:.1}", self.api_writes_per_node_update);
    }
}

/// Writes of the operator and its pods since `since`, without evictions and the leader's Lease.
pub(crate) fn writes_between(cluster: &Cluster, since: Option<Timestamp>) -> Result<usize> {
    let counts = |r: &crate::cluster::audit::Request| {
        r.is_write() && r.resource != "pods/eviction" && r.resource != "leases" && since.is_none_or(|t| r.at >= t)
    };
    Ok(cluster.audit()?.iter().filter(|r| counts(r)).count())
}

fn rollout_line(rollout: &UpdateRollout) -> RolloutLine {
    let status = rollout.status.clone().unwrap_or_default();
    RolloutLine {
        name: rollout.name_any(),
        state: format!("{:?}", status.state),
        reason: status.reason.unwrap_or_default(),
    }
}

fn node_line(update: &NodeUpdate) -> NodeLine {
    let status = update.status.clone().unwrap_or_default();
    let mut seconds_by_step = BTreeMap::new();
    for record in &status.steps {
        let Some(end) = &record.finished_at else { continue };
        let seconds = end.0.duration_since(record.started_at.0).as_secs_f64();
        *seconds_by_step.entry(format!("{:?}", record.step)).or_default() += seconds;
    }
    NodeLine {
        rollout: update.spec.rollout_name.clone(),
        node: update.spec.node_name.clone(),
        ring: update.spec.ring.clone(),
        outcome: status.outcome.map(|o| format!("{o:?}")).unwrap_or_default(),
        from: update.spec.from_build.clone(),
        to: update.spec.to_build.clone(),
        seconds_by_step,
    }
}
