//! Many machines at once.

use super::case;
use crate::{Bench, Case, Limit, PATIENCE, Verdict};
use anyhow::{Result, ensure};
use futures::future::try_join_all;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use windlass::api::Step;
use windlass::domain::NodeRef;
use windlass::ports::{Order, Progress, ProviderError};

pub(super) const CASES: &[Case] = &[
    case!("fifty-at-once", fifty, "fifty machines at once get a snapshot each"),
    case!("rate-limit", rate, "two hundred machines at once get a snapshot each within the configured rate"),
];

/// How late a request may be counted that was let go in time, on a machine with much else to do.
const LATE: Duration = Duration::from_secs(2);

async fn machines(bench: &Bench<'_>, many: usize) -> Result<Vec<NodeRef>> {
    let mut nodes = Vec::new();
    for n in 0..many {
        nodes.push(bench.machine(&n.to_string()).await?);
    }
    Ok(nodes)
}

/// Takes them with one provider, as the operator does: it keeps one for each class. Gives how often it was told to come
/// again later.
async fn take(bench: &Bench<'_>, nodes: &[NodeRef]) -> Result<usize> {
    let provider = bench.provider();
    let sent_away = AtomicUsize::new(0);
    let jobs = nodes.iter().map(|node| {
        let (provider, sent_away, key) = (&provider, &sent_away, bench.key(Step::Snapshot));
        async move {
            let until = Instant::now() + 2 * PATIENCE;
            loop {
                let order = Order { node, key: &key, expires_at: None };
                let wait = match provider.ensure(&order).await {
                    Ok(Progress::Done { .. }) => return anyhow::Ok(()),
                    Ok(Progress::Running { .. }) | Err(ProviderError::Transient(_)) => Duration::from_secs(1),
                    Err(ProviderError::Throttled { retry_after }) => {
                        sent_away.fetch_add(1, Ordering::Relaxed);
                        retry_after
                    }
                    Err(error) => return Err(error.into()),
                };
                ensure!(Instant::now() < until, "{} has no snapshot in time", node.name);
                tokio::time::sleep(wait).await;
            }
        }
    });
    try_join_all(jobs).await?;
    Ok(sent_away.into_inner())
}

async fn each_has_one(bench: &Bench<'_>, nodes: &[NodeRef]) -> Result<Verdict> {
    for node in nodes {
        bench.there_are(1, node).await?;
    }
    Ok(Verdict::Pass)
}

async fn fifty(bench: &Bench<'_>) -> Result<Verdict> {
    let nodes = machines(bench, 50).await?;
    take(bench, &nodes).await?;
    each_has_one(bench, &nodes).await
}

async fn rate(bench: &Bench<'_>) -> Result<Verdict> {
    let Some(Limit { per_second, burst }) = bench.world.rate_limit() else {
        return Ok(Verdict::NotApplicable(
            "it counts no requests itself: its server says when there are too many".into(),
        ));
    };
    let nodes = machines(bench, 200).await?;
    let from = bench.world.proxy().calls();
    let sent_away = take(bench, &nodes).await?;
    let times = bench.world.proxy().times(from);
    let (Some(first), Some(last)) = (times.first(), times.last()) else { anyhow::bail!("no request was made") };
    let took = last.duration_since(*first);
    println!(
        "{}: 200 snapshots at once: {} requests in {:.1} s; allowed: {per_second} a second and {burst} at once; told to \
         come again later: {sent_away} times",
        bench.world.name(),
        times.len(),
        took.as_secs_f64(),
    );
    // Who we are is asked before there is a bucket.
    let allowed = 1.0 + f64::from(burst) + f64::from(per_second) * (took + LATE).as_secs_f64();
    let requests = f64::from(u32::try_from(times.len())?);
    ensure!(requests <= allowed, "{requests} requests in {took:?}, and {allowed:.0} are allowed");
    each_has_one(bench, &nodes).await
}
