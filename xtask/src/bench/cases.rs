//! The three clusters that are measured.

use super::Figures;
use super::stage::Stage;
use crate::cluster::audit::Request;
use anyhow::Result;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use windlass::api::NodeUpdate;

/// How long an ended rollout is watched, in seconds: longer than any watch of the operator lasts.
const IDLE: Duration = Duration::from_secs(240);

/// 10 nodes with 5 pods each that take 30 s to terminate; then the same cluster idle.
pub(super) async fn requests(figures: &mut Figures) -> Result<()> {
    let stage = Stage::up("requests", 10).await?;
    stage.load(5, Duration::from_secs(30)).await?;
    let started = Timestamp::now();
    stage.roll_out("5").await?;
    // What is still written about the end belongs to the rollout.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ended = Timestamp::now();
    let of_rollout = counted(&stage, started, ended)?;
    let per_node = |count: usize| count as f64 / stage.nodes as f64;
    figures.api_requests_per_node_update = per_node(of_rollout.len());
    figures.api_writes_per_node_update =
        per_node(of_rollout.iter().filter(|r| r.is_write() && r.resource != "pods/eviction").count());
    for request in &of_rollout {
        *figures.requests_by_kind.entry(format!("{} {}", request.verb, request.resource)).or_default() += per_node(1);
    }
    tokio::time::sleep(IDLE).await;
    let idle = counted(&stage, ended, Timestamp::now())?;
    let per_minute = |count: usize| count as f64 * 60.0 / IDLE.as_secs_f64();
    figures.idle_writes_per_minute = per_minute(idle.iter().filter(|r| r.is_write()).count());
    figures.idle_lists_per_minute = per_minute(idle.iter().filter(|r| r.verb == "list").count());
    figures.rss_idle_mib = stage.operator_rss_mib()?;
    stage.down();
    Ok(())
}

/// Requests in a span of time, without the leader's Lease.
fn counted(stage: &Stage, from: Timestamp, to: Timestamp) -> Result<Vec<Request>> {
    let all = stage.cluster.audit()?;
    Ok(all.into_iter().filter(|r| r.resource != "leases" && (from..to).contains(&r.at)).collect())
}

/// 60 nodes with maxUnavailable 10 %, against the limit of batches that follow each other without a gap.
pub(super) async fn makespan(figures: &mut Figures) -> Result<()> {
    let stage = Stage::up("makespan", 60).await?;
    let (updates, seconds) = stage.roll_out("10%").await?;
    let mut spans: Vec<(f64, f64)> = updates.iter().filter_map(span).collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut lengths: Vec<f64> = spans.iter().map(|(from, to)| to - from).collect();
    lengths.sort_by(f64::total_cmp);
    let batch = stage.nodes / 10;
    let limit = (stage.nodes.div_ceil(batch)) as f64 * lengths.get(lengths.len() / 2).copied().unwrap_or(f64::NAN);
    figures.makespan_ratio = seconds / limit;
    figures.seconds_by_step = mean_by_step(&updates);
    figures.seconds_between_nodes = gap(&spans, batch);
    stage.down();
    Ok(())
}

/// When a node update began and ended, in seconds of the epoch.
fn span(update: &NodeUpdate) -> Option<(f64, f64)> {
    let steps = &update.status.as_ref()?.steps;
    let second = |t: Timestamp| t.as_millisecond() as f64 / 1000.0;
    Some((second(steps.first()?.started_at.0), second(steps.last()?.finished_at.as_ref()?.0)))
}

fn mean_by_step(updates: &[NodeUpdate]) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for record in updates.iter().filter_map(|u| u.status.as_ref()).flat_map(|s| &s.steps) {
        let Some(end) = &record.finished_at else { continue };
        let seconds = end.0.duration_since(record.started_at.0).as_secs_f64();
        *sums.entry(format!("{:?}", record.step)).or_default() += seconds / updates.len() as f64;
    }
    sums
}

/// Mean time from the end of one node update to the start of the next, over the places of the budget.
fn gap(spans: &[(f64, f64)], batch: usize) -> f64 {
    let mut ends: Vec<f64> = spans.iter().map(|(_, to)| *to).collect();
    ends.sort_by(f64::total_cmp);
    let starts = spans.iter().skip(batch).map(|(from, _)| *from);
    let gaps: Vec<f64> = starts.zip(ends).map(|(start, end)| start - end).collect();
    gaps.iter().sum::<f64>() / gaps.len().max(1) as f64
}

/// 500 nodes, no rollout: what the operator keeps in memory to know them.
pub(super) async fn five_hundred_nodes(figures: &mut Figures) -> Result<()> {
    let stage = Stage::up("memory", 500).await?;
    tokio::time::sleep(Duration::from_secs(30)).await;
    figures.rss500_nodes_mib = stage.operator_rss_mib()?;
    stage.down();
    Ok(())
}
