//! Many machines at once.

use super::case;
use crate::{Bench, Case, PATIENCE, Verdict};
use anyhow::{Result, ensure};
use futures::future::try_join_all;
use std::time::{Duration, Instant};
use windlass::api::Step;
use windlass::ports::{Progress, ProviderError};

pub(super) const CASES: &[Case] = &[
    case!("fifty-at-once", fifty, "fifty machines at once get a snapshot each"),
    case!("rate-limit", rate, "fifty machines at once stay within the configured rate"),
];

const MANY: usize = 50;

/// Takes them with one provider, as the operator does: it keeps one for each class.
async fn take(bench: &Bench<'_>) -> Result<()> {
    let mut nodes = Vec::new();
    for n in 0..MANY {
        nodes.push(bench.machine(&n.to_string()).await?);
    }
    let provider = bench.provider();
    let jobs = nodes.iter().map(|node| {
        let (provider, key) = (&provider, bench.key(Step::Snapshot));
        async move {
            let until = Instant::now() + 2 * PATIENCE;
            loop {
                let order = windlass::ports::Order { node, key: &key, expires_at: None };
                let wait = match provider.ensure(&order).await {
                    Ok(Progress::Done { .. }) => return anyhow::Ok(()),
                    Ok(Progress::Running { .. }) | Err(ProviderError::Transient(_)) => Duration::from_secs(1),
                    Err(ProviderError::Throttled { retry_after }) => retry_after,
                    Err(error) => return Err(error.into()),
                };
                ensure!(Instant::now() < until, "{} has no snapshot in time", node.name);
                tokio::time::sleep(wait).await;
            }
        }
    });
    try_join_all(jobs).await?;
    for node in &nodes {
        bench.there_are(1, node).await?;
    }
    Ok(())
}

async fn fifty(bench: &Bench<'_>) -> Result<Verdict> {
    take(bench).await?;
    Ok(Verdict::Pass)
}

async fn rate(bench: &Bench<'_>) -> Result<Verdict> {
    let Some(limit) = bench.world.rate_limit() else {
        return Ok(Verdict::NotApplicable(
            "it counts no requests itself: its server says when there are too many".into(),
        ));
    };
    let from = bench.world.proxy().calls();
    take(bench).await?;
    let times = bench.world.proxy().times(from);
    let (Some(first), Some(last)) = (times.first(), times.last()) else { anyhow::bail!("no request was made") };
    let took = last.duration_since(*first).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let rate = times.len() as f64 / took.max(1.0);
    // The burst comes on top; it is part of the limit that the world names.
    ensure!(rate <= limit * 1.05, "{rate:.1} requests a second, and {limit:.1} are allowed");
    Ok(Verdict::Pass)
}
