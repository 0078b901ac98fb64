//! What the world refuses.

use super::case;
use crate::{Bench, Case, Event, Fault, Requests, Verdict};
use anyhow::{Result, ensure};
use std::time::Duration;
use windlass::api::Step;
use windlass::ports::{Handle, ProviderError};

pub(super) const CASES: &[Case] = &[
    case!("throttled", throttled, "too many requests: it says how long to wait, or has waited; then it goes on"),
    case!("permission-denied", denied, "what is forbidden is Denied, and nothing was done"),
    case!("denied-then-granted", granted, "what was denied goes on under the same key once it is granted"),
    case!("quota-exceeded", quota, "no room for a snapshot is Quota, and nothing was done"),
    case!("credentials-revoked", revoked, "credentials that do not count are Denied, and it is not ready"),
    case!("credentials-rotated", rotated, "credentials that are replaced half-way are used from then on"),
    case!("snapshot-not-found", not_found, "a snapshot that is not there is NotFound, to look at and to restore"),
    case!("machine-not-found", no_machine, "a machine that is not there is NotFound"),
    case!("errors-hold-still", still, "the text of an error is the same each time"),
];

async fn throttled(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let key = bench.key(Step::Snapshot);
    let after = Duration::from_secs(3);
    if let Some(never) = bench.misbehave(Fault::Throttled(after), Requests::All, 1) {
        return Ok(never);
    }
    match bench.ask(&node, &key).await {
        Err(ProviderError::Throttled { retry_after }) => {
            ensure!(!retry_after.is_zero() && retry_after <= Duration::from_mins(5), "{retry_after:?}");
        }
        // It has waited by itself.
        Ok(_) => {}
        other => anyhow::bail!("{other:?}, and should be Throttled"),
    }
    bench.behave()?;
    bench.snapshot(&node, &key).await?;
    bench.there_are(1, &node).await?;
    Ok(Verdict::Pass)
}

async fn denied(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let key = bench.key(Step::Snapshot);
    if let Some(never) = bench.misbehave(Fault::Denied, Requests::All, u32::MAX) {
        return Ok(never);
    }
    let (asked, ready) = (bench.ask(&node, &key).await, bench.provider().ready().await);
    bench.behave()?;
    ensure!(matches!(asked, Err(ProviderError::Denied(_))), "{asked:?}, and should be Denied");
    ensure!(matches!(ready, Err(ProviderError::Denied(_))), "ready says {ready:?}, and should be Denied");
    bench.there_are(0, &node).await?;
    Ok(Verdict::Pass)
}

async fn granted(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let key = bench.key(Step::Snapshot);
    if let Some(never) = bench.misbehave(Fault::Denied, Requests::Writes, u32::MAX) {
        return Ok(never);
    }
    let asked = bench.ask(&node, &key).await;
    bench.behave()?;
    ensure!(matches!(asked, Err(ProviderError::Denied(_))), "{asked:?}, and should be Denied");
    bench.snapshot(&node, &key).await?;
    bench.there_are(1, &node).await?;
    Ok(Verdict::Pass)
}

async fn quota(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    if let Some(never) = bench.misbehave(Fault::Quota, Requests::Writes, u32::MAX) {
        return Ok(never);
    }
    let asked = bench.ask(&node, &bench.key(Step::Snapshot)).await;
    bench.behave()?;
    ensure!(matches!(asked, Err(ProviderError::Quota(_))), "{asked:?}, and should be Quota");
    bench.there_are(0, &node).await?;
    Ok(Verdict::Pass)
}

async fn revoked(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    if let Some(never) = bench.happens(Event::CredentialsRevoked).await? {
        return Ok(never);
    }
    let (asked, ready) = (bench.ask(&node, &bench.key(Step::Snapshot)).await, bench.provider().ready().await);
    bench.happens(Event::CredentialsRestored).await?;
    ensure!(matches!(asked, Err(ProviderError::Denied(_))), "{asked:?}, and should be Denied");
    ensure!(matches!(ready, Err(ProviderError::Denied(_))), "ready says {ready:?}, and should be Denied");
    bench.there_are(0, &node).await?;
    Ok(Verdict::Pass)
}

async fn rotated(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let key = bench.key(Step::Snapshot);
    let _ = bench.ask(&node, &key).await?;
    // One that is kept, as the operator keeps it.
    let kept = bench.provider();
    kept.ready().await?;
    if let Some(never) = bench.happens(Event::CredentialsRotated).await? {
        return Ok(never);
    }
    kept.ready().await?;
    bench.snapshot(&node, &key).await?;
    bench.there_are(1, &node).await?;
    Ok(Verdict::Pass)
}

async fn not_found(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let handle = bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    bench.happens(Event::SnapshotDeleted(&handle)).await?;
    let facts = bench.provider().inspect(&handle).await;
    ensure!(matches!(facts, Err(ProviderError::NotFound(_))), "inspect says {facts:?}");
    let key = bench.key(Step::Restore);
    let error =
        bench.until_refused("the restore", async || bench.provider().restore(&node, &handle, &key).await).await?;
    ensure!(matches!(error, ProviderError::NotFound(_)), "restore says {error:?}");
    bench.reads(&node, "a").await?;
    Ok(Verdict::Pass)
}

async fn no_machine(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.world.absent(&bench.machine("a").await?);
    for (what, said) in [
        ("examine", bench.provider().examine(&node).await),
        ("ensure", bench.ask(&node, &bench.key(Step::Snapshot)).await.map(drop)),
        ("console", bench.provider().console(&node).await.map(drop)),
    ] {
        ensure!(matches!(said, Err(ProviderError::NotFound(_))), "{what} says {said:?}, and should be NotFound");
    }
    Ok(Verdict::Pass)
}

async fn still(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let absent = Handle::new("windlass-absent-0");
    let mut texts = Vec::new();
    for _ in 0..2 {
        let inspect = bench.provider().inspect(&absent).await.err().map(|e| e.to_string());
        let restore = bench.provider().restore(&node, &absent, &bench.key(Step::Restore)).await;
        texts.push((inspect, restore.err().map(|e| e.to_string())));
    }
    ensure!(texts[0] == texts[1], "texts move: {texts:?}");
    ensure!(texts[0].0.is_some() && texts[0].1.is_some(), "no error about a snapshot that never was: {texts:?}");
    Ok(Verdict::Pass)
}
