//! Deleting, expiring, and finding what nobody knows of.

use super::case;
use crate::{Bench, Case, Event, Fault, Requests, Verdict};
use anyhow::{Result, ensure};
use windlass::api::Step;
use windlass::ports::{Handle, Order, Progress, ProviderError};

pub(super) const CASES: &[Case] = &[
    case!("delete", delete, "a snapshot is deleted, at the provider too"),
    case!("delete-twice", twice, "one that is not there any more is a success"),
    case!("delete-answer-lost", lost, "a lost answer to a deletion is a success the next time"),
    case!("list-tags", list, "what it made is listed with node, node update and expiry"),
    case!("list-of-others", others, "what another installation made is not listed"),
    case!("orphan", orphan, "a snapshot that nobody put on record is found by its tag, and can be deleted"),
    case!("retained", retained, "one that is kept for ever has no expiry"),
    case!("expired", expired, "one whose time is over is not restorable, and is not restored"),
];

async fn delete(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let handle = bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    bench.provider().delete(&handle).await?;
    bench.there_are(0, &node).await?;
    bench.reads(&node, "a").await?;
    Ok(Verdict::Pass)
}

async fn twice(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let handle = bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    for _ in 0..2 {
        bench.provider().delete(&handle).await?;
    }
    bench.there_are(0, &node).await?;
    Ok(Verdict::Pass)
}

async fn lost(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let handle = bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    if let Some(never) = bench.misbehave(Fault::AnswerLost, Requests::Writes, 1) {
        return Ok(never);
    }
    let first = bench.provider().delete(&handle).await;
    bench.behave()?;
    ensure!(matches!(first, Ok(()) | Err(ProviderError::Transient(_))), "{first:?}, and should be asked again");
    bench.provider().delete(&handle).await?;
    bench.there_are(0, &node).await?;
    Ok(Verdict::Pass)
}

async fn list(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let key = bench.key(Step::Snapshot);
    let handle = bench.snapshot(&node, &key).await?;
    let found = bench.provider().list().await?.into_iter().find(|found| found.handle == handle);
    let Some(found) = found else { anyhow::bail!("{handle} is not listed") };
    ensure!(found.node == node.name, "of node {:?}, and should be {:?}", found.node, node.name);
    ensure!(found.node_update_uid == key.node_update_uid, "of node update {:?}", found.node_update_uid);
    ensure!(found.expires_at == "2027-01-01T00:00:00Z".parse().ok(), "expires at {:?}", found.expires_at);
    Ok(Verdict::Pass)
}

async fn others(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let handle = bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    let theirs = bench.world.stranger().list().await?;
    ensure!(!theirs.iter().any(|found| found.handle == handle), "another installation finds it, and would sweep it");
    Ok(Verdict::Pass)
}

async fn orphan(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let key = bench.key(Step::Snapshot);
    // The operator died after this, and its record with it.
    let _ = bench.snapshot(&node, &key).await?;
    let found: Vec<_> =
        bench.provider().list().await?.into_iter().filter(|f| f.node_update_uid == key.node_update_uid).collect();
    ensure!(found.len() == 1, "{} snapshots are found by the tag", found.len());
    for orphan in &found {
        bench.provider().delete(&orphan.handle).await?;
    }
    bench.there_are(0, &node).await?;
    Ok(Verdict::Pass)
}

async fn retained(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let key = bench.key(Step::Snapshot);
    let order = Order { node: &node, key: &key, expires_at: None };
    let handle = bench.until("the snapshot", async || bench.provider().ensure(&order).await).await?;
    let found = bench.provider().list().await?.into_iter().find(|f| Some(&f.handle) == handle.as_ref());
    let Some(found) = found else { anyhow::bail!("{handle:?} is not listed") };
    ensure!(found.expires_at.is_none(), "expires at {:?}, and would be swept", found.expires_at);
    Ok(Verdict::Pass)
}

async fn expired(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let handle: Handle = bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    if let Some(never) = bench.happens(Event::SnapshotExpired(&handle)).await? {
        return Ok(never);
    }
    bench.world.write(&node, "b").await?;
    let facts = bench.provider().inspect(&handle).await;
    let unusable = match &facts {
        Ok(facts) => !facts.restorable,
        Err(error) => matches!(error, ProviderError::NotFound(_) | ProviderError::Failed(_)),
    };
    ensure!(unusable, "{facts:?} of a snapshot whose time is over");
    let answer = bench.provider().restore(&node, &handle, &bench.key(Step::Restore)).await;
    let refused = matches!(answer, Err(ProviderError::NotFound(_) | ProviderError::Permanent(_)));
    ensure!(refused, "{answer:?}, and should be refused");
    ensure!(!matches!(answer, Ok(Progress::Done { .. })), "it was restored");
    bench.reads(&node, "b").await?;
    Ok(Verdict::Pass)
}
