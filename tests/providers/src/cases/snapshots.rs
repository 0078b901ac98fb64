//! Snapshots when nothing goes wrong but the work itself.

use super::case;
use crate::{Bench, Case, Event, Verdict};
use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use windlass::api::Step;
use windlass::ports::{Capability, Progress, ProviderError};

pub(super) const CASES: &[Case] = &[
    case!("ready", ready, "it says that it is ready, and changes nothing by it"),
    case!("examine", examine, "a machine that is there can be told before its node is touched, and nothing is changed"),
    case!("snapshot", snapshot, "a snapshot is made, and can be restored"),
    case!("snapshot-same-key", same_key, "the same key again is the same snapshot, also after it was done"),
    case!("snapshot-other-key", other_key, "another key is another snapshot"),
    case!(
        "snapshot-crash-after-start",
        crash,
        "an operator that dies after it started one finds it, and starts no second"
    ),
    case!("snapshot-fails", fails, "one that ends badly is Failed under its key for ever, and another key works"),
    case!("snapshot-without-the-disk", lacking, "one that the system disk is not in is Failed, whatever it is called"),
    case!("snapshot-late-but-there", lies, "one that is reported as out of time and is there, is used"),
    case!("snapshot-facts", facts, "what it says of a snapshot is true: when it was taken, and until when it is good"),
    case!("snapshot-volumes-attached", volumes, "volumes of pods are left out of a snapshot, or waited for by name"),
];

async fn ready(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    bench.provider().ready().await?;
    bench.provider().accepts(&node)?;
    bench.there_are(0, &node).await?;
    bench.reads(&node, "a").await?;
    Ok(Verdict::Pass)
}

async fn examine(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    bench.provider().examine(&node).await?;
    bench.there_are(0, &node).await?;
    bench.reads(&node, "a").await?;
    Ok(Verdict::Pass)
}

async fn snapshot(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    bench.there_are(1, &node).await?;
    bench.reads(&node, "a").await?;
    Ok(Verdict::Pass)
}

async fn same_key(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let key = bench.key(Step::Snapshot);
    let first = bench.snapshot(&node, &key).await?;
    let again = bench.snapshot(&node, &key).await?;
    ensure!(first == again, "{first} and then {again} under one key");
    bench.there_are(1, &node).await?;
    Ok(Verdict::Pass)
}

async fn other_key(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let first = bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    let second = bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    ensure!(first != second, "{first} under two keys");
    bench.there_are(2, &node).await?;
    Ok(Verdict::Pass)
}

async fn crash(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let key = bench.key(Step::Snapshot);
    // Nothing of what this answer says is remembered: `ask` makes a new provider each time.
    let _ = bench.ask(&node, &key).await?;
    bench.snapshot(&node, &key).await?;
    bench.there_are(1, &node).await?;
    Ok(Verdict::Pass)
}

async fn fails(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    if let Some(never) = bench.happens(Event::NextSnapshotFails(&node)).await? {
        return Ok(never);
    }
    let key = bench.key(Step::Snapshot);
    for _ in 0..2 {
        let error = bench.until_refused("the snapshot", async || bench.ask(&node, &key).await).await?;
        ensure!(matches!(error, ProviderError::Failed(_)), "{error:?}, and should be Failed");
    }
    bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    Ok(Verdict::Pass)
}

async fn lacking(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    if let Some(never) = bench.happens(Event::SnapshotsLackTheDisk(&node)).await? {
        return Ok(never);
    }
    let key = bench.key(Step::Snapshot);
    let error = bench.until_refused("the snapshot", async || bench.ask(&node, &key).await).await?;
    ensure!(
        matches!(&error, ProviderError::Failed(text) if text.contains("system")),
        "{error:?}, and should be Failed"
    );
    Ok(Verdict::Pass)
}

async fn lies(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    if let Some(never) = bench.happens(Event::NextSnapshotLies(&node)).await? {
        return Ok(never);
    }
    bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    bench.there_are(1, &node).await?;
    Ok(Verdict::Pass)
}

async fn facts(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let before = Timestamp::now();
    let handle = bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    let facts = bench.provider().inspect(&handle).await?;
    // Some say whole seconds only.
    let (from, to) = (before - SignedDuration::from_secs(2), Timestamp::now() + SignedDuration::from_secs(2));
    ensure!((from..=to).contains(&facts.captured_at), "captured at {}, made after {before}", facts.captured_at);
    let can = bench.provider().capabilities();
    ensure!(facts.restorable_until.is_none() || can.has(Capability::Expiry), "it expires, and Expiry is not named");
    let mut sorted = facts.indications.clone();
    sorted.sort();
    ensure!(sorted == facts.indications, "indications are not sorted: {:?}", facts.indications);
    Ok(Verdict::Pass)
}

async fn volumes(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    if let Some(never) = bench.happens(Event::VolumeAttached(&node)).await? {
        return Ok(never);
    }
    let key = bench.key(Step::Snapshot);
    if bench.provider().capabilities().has(Capability::DataDisksExcluded) {
        bench.snapshot(&node, &key).await?;
        bench.there_are(1, &node).await?;
        return Ok(Verdict::Pass);
    }
    match bench.ask(&node, &key).await {
        Err(ProviderError::Transient(text)) => ensure!(text.contains("volumes"), "{text} does not say why"),
        Ok(Progress::Running { .. } | Progress::Done { .. }) => anyhow::bail!("it is taken with volumes of pods in it"),
        Err(other) => anyhow::bail!("{other:?}, and should be Transient: volumes are detached by and by"),
    }
    bench.there_are(0, &node).await?;
    bench.happens(Event::VolumesDetached(&node)).await?;
    bench.snapshot(&node, &key).await?;
    Ok(Verdict::Pass)
}
