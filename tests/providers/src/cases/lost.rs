//! Answers that are lost, cut, late, or say what nobody knows.

use super::case;
use crate::{Bench, Case, Fault, PATIENCE, Requests, Verdict};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use windlass::api::Step;
use windlass::ports::{Progress, ProviderError};

pub(super) const CASES: &[Case] = &[
    case!("answer-lost-after-start", lost, "a lost answer to what was begun leads to no second snapshot"),
    case!("answer-cut-off", cut, "an answer that is cut off is asked for again, and leads to no second snapshot"),
    case!("answer-rubbish", rubbish, "a page in place of an answer may pass: it is no success and no verdict"),
    case!("endpoint-down", down, "a world that is down may pass"),
    case!("answer-slow", slow, "a slow answer is waited for"),
    case!("answer-too-slow", too_slow, "a call ends in time, whether there is an answer or not"),
    case!("call-cancelled", cancelled, "a call that is given up half-way is found again, not begun twice"),
    case!("unknown-states", unknown, "a state that nobody knows is neither success nor failure"),
    case!("not-yet-visible", not_visible, "what was made and is not visible yet is not made twice"),
    case!("restore-answer-lost", restore_lost, "a lost answer to a restore leads to no second restore"),
];

/// Longest that one call may take, in seconds: it starts or looks, and no more. Adapters give up at 20 or 30.
const CALL: Duration = Duration::from_secs(45);

async fn with(bench: &Bench<'_>, fault: Fault, on: Requests) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let key = bench.key(Step::Snapshot);
    if let Some(never) = bench.misbehave(fault, on, 1) {
        return Ok(never);
    }
    match bench.ask(&node, &key).await {
        Ok(Progress::Running { .. }) | Err(ProviderError::Transient(_) | ProviderError::Throttled { .. }) => {}
        // A provider that has asked again by itself may be done.
        Ok(Progress::Done { .. }) if matches!(fault, Fault::AnswerLost | Fault::AnswerCut) => {}
        other => anyhow::bail!("{other:?} after {fault:?}, and should be asked again"),
    }
    bench.behave()?;
    bench.snapshot(&node, &key).await?;
    bench.there_are(1, &node).await?;
    Ok(Verdict::Pass)
}

async fn lost(bench: &Bench<'_>) -> Result<Verdict> {
    with(bench, Fault::AnswerLost, Requests::Writes).await
}

async fn cut(bench: &Bench<'_>) -> Result<Verdict> {
    with(bench, Fault::AnswerCut, Requests::Writes).await
}

async fn rubbish(bench: &Bench<'_>) -> Result<Verdict> {
    persistent(bench, Fault::Rubbish).await
}

async fn down(bench: &Bench<'_>) -> Result<Verdict> {
    persistent(bench, Fault::Down).await
}

async fn persistent(bench: &Bench<'_>, fault: Fault) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let key = bench.key(Step::Snapshot);
    if let Some(never) = bench.misbehave(fault, Requests::All, u32::MAX) {
        return Ok(never);
    }
    let answer = bench.ask(&node, &key).await;
    let texts = answer.clone().err().map(|e| e.to_string());
    let again = bench.ask(&node, &key).await.err().map(|e| e.to_string());
    bench.behave()?;
    ensure!(matches!(answer, Err(ProviderError::Transient(_))), "{answer:?}, and should be Transient");
    ensure!(texts == again, "the text of an error moves, and would be written each time: {texts:?}, {again:?}");
    bench.there_are(0, &node).await?;
    let handle = bench.snapshot(&node, &key).await?;
    if let Some(never) = bench.misbehave(fault, Requests::All, u32::MAX) {
        return Ok(never);
    }
    let deleted = bench.provider().delete(&handle).await;
    bench.behave()?;
    ensure!(matches!(deleted, Err(ProviderError::Transient(_))), "deleted: {deleted:?}, and should be Transient");
    bench.there_are(1, &node).await?;
    Ok(Verdict::Pass)
}

async fn slow(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    if let Some(never) = bench.misbehave(Fault::Slow(Duration::from_secs(2)), Requests::Writes, 1) {
        return Ok(never);
    }
    bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    bench.behave()?;
    bench.there_are(1, &node).await?;
    Ok(Verdict::Pass)
}

async fn too_slow(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let key = bench.key(Step::Snapshot);
    if let Some(never) = bench.misbehave(Fault::Slow(PATIENCE), Requests::All, 1) {
        return Ok(never);
    }
    let began = Instant::now();
    let answer = tokio::time::timeout(CALL, bench.ask(&node, &key)).await;
    let took = began.elapsed();
    bench.behave()?;
    let answer = answer.with_context(|| format!("no end of the call within {CALL:?}"))?;
    ensure!(
        matches!(answer, Err(ProviderError::Transient(_)) | Ok(Progress::Running { .. })),
        "{answer:?} after {took:?}, and should be asked again"
    );
    bench.snapshot(&node, &key).await?;
    bench.there_are(1, &node).await?;
    Ok(Verdict::Pass)
}

async fn cancelled(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let key = bench.key(Step::Snapshot);
    if let Some(never) = bench.misbehave(Fault::Slow(Duration::from_secs(3)), Requests::Writes, 1) {
        return Ok(never);
    }
    let given_up = tokio::time::timeout(Duration::from_secs(2), bench.ask(&node, &key)).await;
    bench.behave()?;
    ensure!(given_up.is_err(), "the call ended before it could be given up: {given_up:?}");
    bench.snapshot(&node, &key).await?;
    bench.there_are(1, &node).await?;
    Ok(Verdict::Pass)
}

async fn unknown(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let key = bench.key(Step::Snapshot);
    let handle = bench.snapshot(&node, &key).await?;
    if let Some(never) = bench.misbehave(Fault::UnknownStates, Requests::All, u32::MAX) {
        return Ok(never);
    }
    let (asked, facts) = (bench.ask(&node, &key).await, bench.provider().inspect(&handle).await);
    bench.behave()?;
    ensure!(
        matches!(asked, Ok(Progress::Running { .. }) | Err(ProviderError::Transient(_))),
        "{asked:?} from a state that nobody knows"
    );
    let usable = facts.as_ref().is_ok_and(|facts| facts.restorable);
    ensure!(!usable, "a snapshot in a state that nobody knows counts as restorable");
    bench.snapshot(&node, &key).await?;
    bench.there_are(1, &node).await?;
    Ok(Verdict::Pass)
}

async fn not_visible(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let key = bench.key(Step::Snapshot);
    let _ = bench.ask(&node, &key).await?;
    if let Some(never) = bench.misbehave(Fault::NotVisible, Requests::Reads, 3) {
        return Ok(never);
    }
    for _ in 0..2 {
        let answer = bench.ask(&node, &key).await;
        let waits = matches!(
            answer,
            Ok(_) | Err(ProviderError::Transient(_) | ProviderError::NotFound(_) | ProviderError::Throttled { .. })
        );
        ensure!(waits, "{answer:?} while it is not visible yet");
    }
    bench.world.proxy().behave();
    bench.snapshot(&node, &key).await?;
    bench.there_are(1, &node).await?;
    Ok(Verdict::Pass)
}

async fn restore_lost(bench: &Bench<'_>) -> Result<Verdict> {
    let node = bench.machine("a").await?;
    let handle = bench.snapshot(&node, &bench.key(Step::Snapshot)).await?;
    bench.world.write(&node, "b").await?;
    let key = bench.key(Step::Restore);
    if let Some(never) = bench.misbehave(Fault::AnswerLost, Requests::Writes, 1) {
        return Ok(never);
    }
    let _ = bench.provider().restore(&node, &handle, &key).await;
    bench.behave()?;
    bench.restore(&node, &handle, &key).await?;
    bench.reads(&node, "a").await?;
    // A second restore would rewind this.
    bench.world.write(&node, "c").await?;
    bench.restore(&node, &handle, &key).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.reads(&node, "c").await?;
    Ok(Verdict::Pass)
}
