//! Restores, power, console.

use super::case;
use crate::{Bench, Case, Event, PATIENCE, Verdict};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use windlass::api::Step;
use windlass::domain::{NodeRef, StepKey};
use windlass::ports::{Handle, Power, ProviderError};

pub(super) const CASES: &[Case] = &[
    case!("restore", restore, "the disk is as it was, and the machine has power"),
    case!("restore-same-key", same_key, "the same key again does not restore a second time"),
    case!("restore-other-key", other_key, "another key restores again, from the same snapshot"),
    case!("restore-crash-after-start", crash, "an operator that dies after it started one finds it"),
    case!("restore-of-a-machine-that-is-off", off, "a machine that is off is restored, too"),
    case!("restore-fails", fails, "one that ends badly is Failed, the disk is as it was, and another attempt works"),
    case!(
        "restore-detached",
        detached,
        "a machine that is left without a disk is RootDetached, and another attempt mends it"
    ),
    case!("power", power, "the machine is switched off and on; what is so already is done at once"),
];

/// Waits until the machine has power, and switches it on once where the provider leaves that to its caller.
async fn on(bench: &Bench<'_>, node: &NodeRef, key: &StepKey) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let console = bench.provider().console(node).await?;
        ensure!(console.root_attached, "{} has no system disk", node.name);
        if console.power == Power::On {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{} has no power: {}", node.name, console.state);
        let _ = bench.provider().power(node, Power::On, key).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A machine with `a` on its snapshot and `b` on its disk.
async fn changed(bench: &Bench<'_>) -> Result<(NodeRef, Handle)> {
    let node = bench.machine("a").await?;
    let handle = bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    bench.world.write(&node, "b").await?;
    Ok((node, handle))
}

async fn restore(bench: &Bench<'_>) -> Result<Verdict> {
    let (node, handle) = changed(bench).await?;
    let key = bench.key(Step::Restore);
    bench.restore(&node, &handle, &key).await?;
    bench.reads(&node, "a").await?;
    on(bench, &node, &key).await?;
    bench.there_are(1, &node).await?;
    Ok(Verdict::Pass)
}

async fn same_key(bench: &Bench<'_>) -> Result<Verdict> {
    let (node, handle) = changed(bench).await?;
    let key = bench.key(Step::Restore);
    bench.restore(&node, &handle, &key).await?;
    on(bench, &node, &key).await?;
    bench.world.write(&node, "c").await?;
    bench.restore(&node, &handle, &key).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.reads(&node, "c").await?;
    Ok(Verdict::Pass)
}

async fn other_key(bench: &Bench<'_>) -> Result<Verdict> {
    let (node, handle) = changed(bench).await?;
    for text in ["b", "c"] {
        bench.world.write(&node, text).await?;
        let key = bench.key(Step::Restore);
        bench.restore(&node, &handle, &key).await?;
        bench.reads(&node, "a").await?;
        on(bench, &node, &key).await?;
    }
    Ok(Verdict::Pass)
}

async fn crash(bench: &Bench<'_>) -> Result<Verdict> {
    let (node, handle) = changed(bench).await?;
    let key = bench.key(Step::Restore);
    let _ = bench.provider().restore(&node, &handle, &key).await?;
    bench.restore(&node, &handle, &key).await?;
    bench.reads(&node, "a").await?;
    on(bench, &node, &key).await?;
    Ok(Verdict::Pass)
}

async fn off(bench: &Bench<'_>) -> Result<Verdict> {
    let (node, handle) = changed(bench).await?;
    if let Some(never) = bench.happens(Event::PoweredOff(&node)).await? {
        return Ok(never);
    }
    let key = bench.key(Step::Restore);
    bench.restore(&node, &handle, &key).await?;
    bench.reads(&node, "a").await?;
    on(bench, &node, &key).await?;
    Ok(Verdict::Pass)
}

async fn fails(bench: &Bench<'_>) -> Result<Verdict> {
    let (node, handle) = changed(bench).await?;
    if let Some(never) = bench.happens(Event::NextRestoreFails(&node)).await? {
        return Ok(never);
    }
    let key = bench.key(Step::Restore);
    let error =
        bench.until_refused("the restore", async || bench.provider().restore(&node, &handle, &key).await).await?;
    ensure!(matches!(error, ProviderError::Failed(_)), "{error:?}, and should be Failed");
    bench.reads(&node, "b").await?;
    on(bench, &node, &key).await?;
    let next = StepKey { attempt: 2, ..key };
    bench.restore(&node, &handle, &next).await?;
    bench.reads(&node, "a").await?;
    on(bench, &node, &next).await?;
    Ok(Verdict::Pass)
}

async fn detached(bench: &Bench<'_>) -> Result<Verdict> {
    let (node, handle) = changed(bench).await?;
    if let Some(never) = bench.happens(Event::NextRestoreDetaches(&node)).await? {
        return Ok(never);
    }
    let key = bench.key(Step::Restore);
    let error =
        bench.until_refused("the restore", async || bench.provider().restore(&node, &handle, &key).await).await?;
    ensure!(matches!(error, ProviderError::RootDetached(_)), "{error:?}, and should be RootDetached");
    ensure!(!bench.provider().console(&node).await?.root_attached, "the console says that it has its disk");
    let said = bench.provider().examine(&node).await;
    ensure!(matches!(said, Err(ProviderError::RootDetached(_))), "examine says {said:?}, and should be RootDetached");
    let next = StepKey { attempt: 2, ..key };
    bench.restore(&node, &handle, &next).await?;
    bench.reads(&node, "a").await?;
    on(bench, &node, &next).await?;
    Ok(Verdict::Pass)
}

async fn power(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let until = Instant::now() + PATIENCE;
    for want in [Power::On, Power::Off, Power::On] {
        let key = bench.key(Step::Restore);
        bench.until("the power", async || bench.provider().power(&node, want, &key).await).await?;
        while bench.provider().console(&node).await?.power != want {
            ensure!(Instant::now() < until, "the power of {} is not {want:?}", node.name);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    bench.reads(&node, "a").await?;
    Ok(Verdict::Pass)
}
