//! Only the very machine that was meant.

use super::case;
use crate::{Bench, Case, Event, Verdict};
use anyhow::{Result, ensure};
use windlass::api::Step;
use windlass::domain::NodeRef;
use windlass::ports::{Capability, Power, ProviderError};

pub(super) const CASES: &[Case] = &[
    case!(
        "malformed-provider-id",
        malformed,
        "a providerID that is not its own is refused by name, before anything is sent"
    ),
    case!(
        "another-machine-than-the-nodes",
        impostor,
        "a machine that is not the one the node runs on is refused, nothing is touched"
    ),
    case!(
        "restore-other-machines-snapshot",
        other_machine,
        "a snapshot of another machine is refused, nothing is touched"
    ),
    case!(
        "restore-replaced-machine",
        replaced,
        "another machine under the same name is not restored from the old one's snapshot"
    ),
    case!("restore-disks-changed", disks, "a disk that came after the snapshot is refused, or left alone"),
];

async fn malformed(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let calls = bench.world.proxy().calls();
    for id in ["", "nonsense", "other://a/b", "://", "aws:///", "kubevirt://", "simulated://", "aws:///x/../y?z=1"] {
        let foreign = NodeRef { provider_id: id.to_owned(), ..node.clone() };
        for (what, said) in [
            ("accepts", bench.provider().accepts(&foreign)),
            ("examine", bench.provider().examine(&foreign).await),
            ("ensure", bench.ask(&foreign, &bench.key(Step::Snapshot)).await.map(drop)),
        ] {
            let named = matches!(&said, Err(ProviderError::Permanent(text)) if text.contains(&node.name));
            ensure!(named, "{what} of {id:?} says {said:?}, and should be Permanent with the node's name");
        }
    }
    ensure!(bench.world.proxy().calls() == calls, "something was sent");
    bench.provider().accepts(&node)?;
    Ok(Verdict::Pass)
}

async fn impostor(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let Some(impostor) = bench.world.impostor(&node) else {
        return Ok(Verdict::NotApplicable("it knows of a machine only what the providerID names".to_owned()));
    };
    let handle = bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    bench.world.write(&node, "b").await?;
    let (snapshot, restore, power) = (bench.key(Step::Snapshot), bench.key(Step::Restore), bench.key(Step::Restore));
    for (what, said) in [
        ("examine", bench.provider().examine(&impostor).await),
        ("ensure", bench.ask(&impostor, &snapshot).await.map(drop)),
        ("restore", bench.provider().restore(&impostor, &handle, &restore).await.map(drop)),
        ("power", bench.provider().power(&impostor, Power::Off, &power).await.map(drop)),
    ] {
        let named = matches!(&said, Err(ProviderError::Permanent(text)) if text.contains(&node.name));
        ensure!(named, "{what} says {said:?}, and should be Permanent with the node's name");
    }
    ensure!(bench.world.snapshots(&node).await? == 1, "a snapshot was made");
    bench.reads(&node, "b").await?;
    Ok(Verdict::Pass)
}

async fn other_machine(bench: &Bench<'_>) -> Result<Verdict> {
    let (one, other) = (bench.machine("a").await?, bench.machine("b").await?);
    let handle = bench.snapshot(&one, &bench.key(Step::Snapshot)).await?;
    let key = bench.key(Step::Restore);
    let error =
        bench.until_refused("the restore", async || bench.provider().restore(&other, &handle, &key).await).await?;
    ensure!(matches!(error, ProviderError::Permanent(_)), "{error:?}, and should be Permanent");
    bench.reads(&other, "b").await?;
    Ok(Verdict::Pass)
}

async fn replaced(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let handle = bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    if let Some(never) = bench.happens(Event::Replaced(&node)).await? {
        return Ok(never);
    }
    let node = bench.world.registered(&node);
    bench.world.write(&node, "new").await?;
    let key = bench.key(Step::Restore);
    let error =
        bench.until_refused("the restore", async || bench.provider().restore(&node, &handle, &key).await).await?;
    ensure!(matches!(error, ProviderError::Permanent(_)), "{error:?}, and should be Permanent");
    bench.reads(&node, "new").await?;
    Ok(Verdict::Pass)
}

async fn disks(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let handle = bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    bench.world.write(&node, "b").await?;
    if let Some(never) = bench.happens(Event::DiskAdded(&node)).await? {
        return Ok(never);
    }
    let key = bench.key(Step::Restore);
    if bench.provider().capabilities().has(Capability::DataDisksExcluded) {
        bench.restore(&node, &handle, &key).await?;
        bench.reads(&node, "a").await?;
        return Ok(Verdict::Pass);
    }
    let error =
        bench.until_refused("the restore", async || bench.provider().restore(&node, &handle, &key).await).await?;
    ensure!(matches!(error, ProviderError::Permanent(_)), "{error:?}, and should be Permanent");
    bench.reads(&node, "b").await?;
    Ok(Verdict::Pass)
}
