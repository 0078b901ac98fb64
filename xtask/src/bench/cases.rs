//! The three clusters that are measured.

use super::Figures;
use super::stage::Stage;
use crate::cluster::audit::Request;
use anyhow::{Context, Result};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use windlass::api::NodeUpdate;

/// How long an ended rollout is watched, in minutes: longer than any watch of the operator lasts, so that each of those
/// is on record, too.
const IDLE: Duration = Duration::from_mins(4);
/// How long what is still written about a rollout's end may take, in seconds.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// 10 nodes with 5 pods each that take 30 s to terminate; then the same cluster idle.
pub(super) async fn requests(figures: &mut Figures) -> Result<()> {
    let stage = Stage::up("requests", 10).await?;
    stage.load(5, Duration::from_secs(30)).await?;
    let started = Timestamp::now();
    stage.roll_out("5").await?;
    tokio::time::sleep(LAST_WORDS).await;
    let ended = Timestamp::now();
    tokio::time::sleep(IDLE).await;
    let idle = counted(&stage, ended, Timestamp::now())?;
    let per_minute = |count: usize| number(count) / (IDLE.as_secs_f64() / 60.0);
    figures.idle_writes_per_minute = Some(per_minute(idle.iter().filter(|r| r.is_write()).count()));
    figures.idle_lists_per_minute = Some(per_minute(idle.iter().filter(|r| r.verb == "list").count()));
    let of_rollout = counted(&stage, started, ended)?;
    let per_node = |count: usize| number(count) / f64::from(stage.nodes);
    figures.api_requests_per_node_update = Some(per_node(of_rollout.len()));
    let writes = of_rollout.iter().filter(|r| r.is_write() && r.resource != "pods/eviction");
    figures.api_writes_per_node_update = Some(per_node(writes.count()));
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for request in &of_rollout {
        *kinds.entry(format!("{} {}", request.verb, request.resource)).or_default() += 1;
    }
    figures.requests_by_kind = Some(kinds.into_iter().map(|(kind, count)| (kind, per_node(count))).collect());
    figures.rss_idle_mib = Some(stage.operator_rss_mib()?);
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
    let spans: Vec<Span> = updates.iter().filter_map(Span::of).collect();
    let mut lengths: Vec<f64> = spans.iter().map(|span| span.end - span.start).collect();
    lengths.sort_by(f64::total_cmp);
    let median = lengths.get(lengths.len() / 2).context("no node update has ended")?;
    let batch = stage.nodes / 10;
    figures.makespan_ratio = Some(seconds / (f64::from(stage.nodes.div_ceil(batch)) * median));
    figures.seconds_by_step = Some(mean_by_step(&updates));
    figures.seconds_between_nodes = Some(gap(&spans, batch));
    stage.down();
    Ok(())
}

/// When a node update began and ended, in seconds of the epoch.
struct Span {
    start: f64,
    end: f64,
}

impl Span {
    fn of(update: &NodeUpdate) -> Option<Self> {
        let steps = &update.status.as_ref()?.steps;
        let second = |at: Timestamp| at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64();
        let (first, last) = (steps.first()?, steps.last()?.finished_at.as_ref()?);
        Some(Self { start: second(first.started_at.0), end: second(last.0) })
    }
}

fn mean_by_step(updates: &[NodeUpdate]) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for record in updates.iter().filter_map(|u| u.status.as_ref()).flat_map(|s| &s.steps) {
        let Some(end) = &record.finished_at else { continue };
        let seconds = end.0.duration_since(record.started_at.0).as_secs_f64();
        *sums.entry(format!("{:?}", record.step)).or_default() += seconds / number(updates.len());
    }
    sums
}

/// Mean time from the end of one node update to the start of the next, over the places of the budget.
fn gap(spans: &[Span], places: u32) -> f64 {
    let sorted = |of: fn(&Span) -> f64| {
        let mut times: Vec<f64> = spans.iter().map(of).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    // The first ones start without waiting for anybody's end.
    let starts = sorted(|span| span.start).into_iter().skip(usize::try_from(places).unwrap_or_default());
    let gaps: Vec<f64> = starts.zip(sorted(|span| span.end)).map(|(start, end)| start - end).collect();
    gaps.iter().sum::<f64>() / number(gaps.len().max(1))
}

/// A count as a number to divide.
fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// 500 nodes, no rollout: what the operator keeps in memory to know them.
pub(super) async fn five_hundred_nodes(figures: &mut Figures) -> Result<()> {
    let stage = Stage::up("memory", 500).await?;
    tokio::time::sleep(Duration::from_secs(30)).await;
    figures.rss500_nodes_mib = Some(stage.operator_rss_mib()?);
    stage.down();
    Ok(())
}
