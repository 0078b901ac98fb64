//! `cargo xtask bench`: the figures that the project promises to watch. They are printed, never asserted.
//!
//! Programs are built with the release profile. Each figure says with its name how it was come by; requests are counted
//! from the API server's audit log, the leader's Lease left out. What was not measured is not printed.

mod cases;
mod planner;
mod simulate;
mod stage;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A part of what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The planner alone.
    Planner,
    /// `windlass simulate`: its speed, and its memory with ten thousand nodes.
    Simulate,
    /// Requests and writes of a rollout, and of the four minutes after it.
    Requests,
    /// How long a rollout of 60 nodes takes.
    Makespan,
    /// The operator's memory with 500 nodes.
    Memory,
}

/// The figures, by the names under which `--json` writes them.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// API writes of operator and agents per node update; evictions not counted. Goal: at most 20.
    pub api_writes_per_node_update: Option<f64>,
    /// API requests of any verb per node update, with 5 pods per node that take 30 s to terminate. Goal: at most 33.
    pub api_requests_per_node_update: Option<f64>,
    /// The same, by verb and resource.
    pub requests_by_kind: Option<BTreeMap<String, f64>>,
    /// Writes per minute once the rollout has ended. Goal: 0.
    pub idle_writes_per_minute: Option<f64>,
    /// Lists per minute once the rollout has ended. Goal: 0.
    pub idle_lists_per_minute: Option<f64>,
    /// Milliseconds of one planner pass over 20 rings, by number of nodes. Goal: 5 at 10,000, growing linearly.
    pub plan_millis: Option<BTreeMap<String, f64>>,
    /// Duration of a rollout of 60 nodes with maxUnavailable 10 %, against ceil(N / m) times the median node.
    pub makespan_ratio: Option<f64>,
    /// Mean seconds of a node update by step, in that rollout.
    pub seconds_by_step: Option<BTreeMap<String, f64>>,
    /// Mean seconds from the end of one node update to the start of the next one in its place.
    pub seconds_between_nodes: Option<f64>,
    /// Resident memory of the idle operator in MiB, 10 nodes.
    #[serde(rename = "rssIdleMiB")]
    pub rss_idle_mib: Option<f64>,
    /// Node updates that `windlass simulate` plays in a second on one core, with heavy faults. Goal: at least 1,000.
    pub simulated_node_updates_per_second_per_core: Option<f64>,
    /// Highest resident memory in MiB of `windlass simulate` with 10,000 nodes. Goal: at most 512.
    #[serde(rename = "simulate10kNodesMiB")]
    pub simulate_10k_nodes_mib: Option<f64>,
    /// Resident memory of the operator in MiB, 500 simulated nodes.
    #[serde(rename = "rss500NodesMiB")]
    pub rss500_nodes_mib: Option<f64>,
}

/// Measures everything, or one part of it, and prints it; all of it takes about eight minutes once the programs are built.
///
/// # Errors
/// A cluster does not come up, a rollout does not complete, or `json` can not be written.
pub async fn run(only: Option<Part>, json: Option<PathBuf>) -> Result<()> {
    let wanted = |part: Part| only.is_none_or(|only| only == part);
    let mut figures = Figures::default();
    if wanted(Part::Planner) {
        tracing::info!("measuring the planner");
        figures.plan_millis = Some(tokio::task::spawn_blocking(planner::measure).await??);
    }
    if wanted(Part::Simulate) {
        tracing::info!("measuring the simulation");
        let (per_second, mib) = tokio::task::spawn_blocking(simulate::measure).await??;
        figures.simulated_node_updates_per_second_per_core = Some(per_second);
        figures.simulate_10k_nodes_mib = Some(mib);
    }
    if wanted(Part::Requests) {
        tracing::info!("counting the requests of a rollout, and of the four minutes after it");
        cases::requests(&mut figures).await.context("counting requests")?;
    }
    if wanted(Part::Makespan) {
        tracing::info!("measuring the makespan of 60 nodes");
        cases::makespan(&mut figures).await.context("measuring the makespan")?;
    }
    if wanted(Part::Memory) {
        tracing::info!("measuring the memory with 500 nodes");
        cases::five_hundred_nodes(&mut figures).await.context("measuring 500 nodes")?;
    }
    let mut measured = serde_json::to_value(figures)?;
    if let Value::Object(figures) = &mut measured {
        figures.retain(|_, figure| !figure.is_null());
    }
    let text = serde_json::to_string_pretty(&measured)?;
    println!("{text}");
    if let Some(file) = json {
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
