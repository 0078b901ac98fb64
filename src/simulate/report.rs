//! What a simulation came to, as it is given out: the JSON of docs/simulate.md.

use super::cluster::Cluster;
use super::trace::{Broken, Observer};
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What a simulation came to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The seed: the same gives the same.
    pub seed: u64,
    /// The rollouts, by name.
    pub rollouts: Vec<RolloutReport>,
    /// The nodes, by name.
    pub nodes: Vec<NodeReport>,
    /// What people wanted to do, and could not.
    pub refused_acts: Vec<RefusedAct>,
    /// What was checked on the way.
    pub invariants: Invariants,
}

/// An act that had no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedAct {
    /// Its place in the scenario's `acts`, from 0.
    pub act: usize,
    /// When somebody wanted it.
    pub at: Timestamp,
    /// Why not.
    pub message: String,
}

/// One rollout. Counts are of nodes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named as in the rollout's own status")]
pub struct RolloutReport {
    pub name: String,
    pub state: String,
    pub reason: Option<String>,
    pub updated: i32,
    pub reverted: i32,
    pub held: i32,
    pub failed: i32,
    pub skipped: i32,
    /// Nodes that at any time could not serve because of the update.
    pub harmed: usize,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

/// One node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// The ring by which it was updated; none when no rollout came to it.
    pub ring: Option<String>,
    /// How its node update ended; none when it has none, or that goes on.
    pub outcome: Option<String>,
    /// The build that the machine really has.
    pub build: String,
    /// How long it was not Ready, cordoned, or broken.
    pub seconds_out_of_service: i64,
    /// Whether it could at any time not serve because of the update.
    pub harmed: bool,
    /// How long.
    pub seconds_harmed: i64,
    /// When it could first not serve.
    pub harmed_at: Option<Timestamp>,
    /// When it served again for good; none while it can not.
    pub served_again_at: Option<Timestamp>,
    /// Who brought it back: `operator`, `replacement` or `itself`; none when nobody did, or nobody had to.
    pub brought_back_by: Option<&'static str>,
    /// Seconds by what its node update waited for.
    pub seconds_waited: BTreeMap<&'static str, i64>,
}

/// What was checked on the way.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Invariants {
    /// How many checks were made.
    pub checked: u64,
    /// What was broken.
    pub broken: Vec<Broken>,
}

impl Report {
    /// The report of a cluster at the end.
    pub fn of(cluster: &Cluster, seed: u64, observers: &[Box<dyn Observer>], now: Timestamp) -> Self {
        Self {
            seed,
            rollouts: cluster.tables.rollouts.all().map(|rollout| rollout_report(cluster, rollout)).collect(),
            nodes: cluster.world.machines().map(|machine| node_report(cluster, machine, now)).collect(),
            refused_acts: cluster.books.refused.clone(),
            invariants: Invariants {
                checked: observers.iter().map(|observer| observer.checked()).sum(),
                broken: observers.iter().flat_map(|observer| observer.broken()).collect(),
            },
        }
    }

    /// The same for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for rollout in &self.rollouts {
            let RolloutReport { name, state, updated, reverted, held, failed, skipped, harmed, .. } = rollout;
            let reason = rollout.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let _ = writeln!(out, "rollout {name}: {state}{reason}");
            let _ = writeln!(
                out,
                "  updated {updated}, reverted {reverted}, held {held}, failed {failed}, skipped {skipped}, harmed {harmed}"
            );
            if let (Some(start), Some(end)) = (rollout.started_at, rollout.ended_at) {
                let _ = writeln!(out, "  from {start} to {end} ({:#})", end.duration_since(start));
            }
        }
        if self.rollouts.is_empty() {
            let _ = writeln!(out, "no rollout: there is none any more at the end");
        }
        let _ = writeln!(
            out,
            "{:<16} {:<12} {:<9} {:<18} {:>8} {:>8}  waits",
            "NODE", "RING", "OUTCOME", "BUILD", "OUT(s)", "HARM(s)"
        );
        for node in &self.nodes {
            let waits: Vec<_> =
                node.seconds_waited.iter().map(|(cause, seconds)| format!("{cause} {seconds}s")).collect();
            let back = match (node.brought_back_by, node.served_again_at) {
                (Some(by), _) => format!(" (back by {by})"),
                (None, None) if node.harmed => " (can still not serve)".to_owned(),
                _ => String::new(),
            };
            let _ = writeln!(
                out,
                "{:<16} {:<12} {:<9} {:<18} {:>8} {:>8}  {}{back}",
                node.name,
                node.ring.as_deref().unwrap_or("-"),
                node.outcome.as_deref().unwrap_or("-"),
                node.build,
                node.seconds_out_of_service,
                node.seconds_harmed,
                waits.join(", "),
            );
        }
        for RefusedAct { act, at, message } in &self.refused_acts {
            let _ = writeln!(out, "acts[{act}] at {at}: {message}");
        }
        let Invariants { checked, broken } = &self.invariants;
        let _ = writeln!(out, "invariants: {checked} checks, {} broken (seed {})", broken.len(), self.seed);
        for Broken { invariant, at, message } in broken {
            let _ = writeln!(out, "  {at} {invariant}: {message}");
        }
        out
    }
}

fn rollout_report(cluster: &Cluster, rollout: &crate::api::UpdateRollout) -> RolloutReport {
    let (name, status) = (rollout.name_any(), rollout.status.clone().unwrap_or_default());
    let books = cluster.books.nodes.values();
    let harmed = books.filter(|book| book.rollout.as_ref() == Some(&name) && !book.harms.is_empty()).count();
    let time = |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| time.as_ref().map(|time| time.0);
    RolloutReport {
        name,
        state: format!("{:?}", status.state),
        updated: status.counts.updated,
        reverted: status.counts.reverted,
        held: status.counts.held,
        failed: status.counts.failed,
        skipped: status.counts.skipped,
        harmed,
        started_at: time(&status.started_at),
        ended_at: time(&status.ended_at),
        reason: status.reason,
    }
}

fn node_report(cluster: &Cluster, machine: &winfleet::model::Machine, now: Timestamp) -> NodeReport {
    let name = machine.name().to_owned();
    let book = cluster.books.nodes.get(&name).cloned().unwrap_or_default();
    NodeReport {
        ring: book.ring.clone(),
        outcome: book.outcome.map(|outcome| format!("{outcome:?}")),
        build: machine.disk.build.to_string(),
        seconds_out_of_service: book.out_of_service(now).as_secs(),
        harmed: !book.harms.is_empty(),
        seconds_harmed: book.harmed_for(now).as_secs(),
        harmed_at: book.harms.first().map(|harm| harm.from),
        served_again_at: book.harms.last().and_then(|harm| harm.until),
        brought_back_by: book.harms.last().and_then(|harm| harm.by),
        seconds_waited: book.waits,
        name,
    }
}
