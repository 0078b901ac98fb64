//! Asks one node of each OS build what the catalogue offers it.

use super::memory::{Memory, Scan, uid_of};
use crate::act::{Asked, Owner, Question, ask, asked_since, take_back};
use crate::api::{RingStatus, SourceType, Step, UpdateRollout};
use crate::controllers::context::Context;
use crate::controllers::error::ReconcileError;
use crate::domain::{NodeState, StepKey};
use crate::plan::scan::{candidates, why_nobody};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::time::Duration;
use windlass_protocol::{Command, OfferedUpdate, Progress, Report, Source, Ticket};

/// How long one node may take to answer: a first search after a while can take minutes. It counts from the pod's making, so
/// that neither a restart of the operator begins it anew, nor what kept the pod from being made is counted against the node.
const PATIENCE: SignedDuration = SignedDuration::from_mins(15);
/// How long an OS build is waited for none of whose nodes can be asked: 30 minutes, ours. A boot, or the update of another
/// rollout that has its only node, takes less; what is left out is left out for the whole rollout.
const NOBODY: SignedDuration = SignedDuration::from_mins(30);
/// First wait before the next node is asked, doubled with each failure.
const RETRY: SignedDuration = SignedDuration::from_secs(5);
/// Longest such wait.
const RETRY_CAP: SignedDuration = SignedDuration::from_mins(5);
/// How soon to look again at the latest; the pods' own events come earlier.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What asking came to.
pub enum Scanned {
    /// Not through: on what it waits, and when to look again.
    Waiting(String, Duration),
    /// What is offered, by OS build.
    Offered(BTreeMap<String, Vec<OfferedUpdate>>),
}

/// Asks, or looks how the asking goes. An OS build none of whose nodes can be asked for a while (they are not Ready, or others
/// work on them) is left out if another has an answer: its nodes are skipped.
///
/// # Errors
/// [`ReconcileError`].
pub async fn scan(
    ctx: &Context,
    rollout: &UpdateRollout,
    rings: &[RingStatus],
    nodes: &[NodeState],
    memory: &mut Memory,
    now: Timestamp,
) -> Result<Scanned, ReconcileError> {
    let mut offered = BTreeMap::new();
    let mut waiting = Vec::new();
    let mut nobody = Vec::new();
    let nodes_of_rings = nodes;
    for (os_build, nodes) in candidates(rings, nodes) {
        let fresh = Scan { attempt: 1, since: now, failure: None };
        let state = memory.scans.entry(os_build.clone()).or_insert(fresh);
        let index = usize::try_from(state.attempt - 1).unwrap_or_default();
        let Some(node) = nodes.get(index % nodes.len().max(1)) else {
            let why = why_nobody(rings, nodes_of_rings, &os_build);
            let on = format!("a node of build {os_build} that can be asked: {why}");
            let list = if now.duration_since(state.since) < NOBODY { &mut waiting } else { &mut nobody };
            list.push(on);
            continue;
        };
        match one(ctx, rollout, &os_build, node, state, now).await? {
            Ok(updates) => drop(offered.insert(os_build, updates)),
            Err(on) => waiting.push(on),
        }
    }
    if waiting.is_empty() && !offered.is_empty() {
        return Ok(Scanned::Offered(offered));
    }
    waiting.extend(nobody);
    if waiting.is_empty() {
        waiting.push("a node whose kernelVersion is a Windows build".to_owned());
    }
    Ok(Scanned::Waiting(format!("waiting for {}", waiting.join("; ")), LOOK_AGAIN))
}

/// What one node is offered, or what is waited for.
async fn one(
    ctx: &Context,
    rollout: &UpdateRollout,
    os_build: &str,
    node: &NodeState,
    state: &mut Scan,
    now: Timestamp,
) -> Result<Result<Vec<OfferedUpdate>, String>, ReconcileError> {
    let name = &node.node.name;
    let before = state.failure.as_ref().map(|why| format!(" (before: {why})")).unwrap_or_default();
    let on = format!("{name} to say which updates {os_build} is offered{before}");
    if now < state.since {
        return Ok(Err(on));
    }
    let owner = Owner::Rollout { name: rollout.name_any(), uid: uid_of(rollout) };
    let command = Command::Scan { source: source(rollout.spec.updates.source.type_) };
    let ticket = ticket(rollout, os_build, state.attempt);
    let question = Question { node: name, owner: &owner, purpose: "scan", ticket, command };
    let asked = match ask(&ctx.means, &question, now).await {
        // Of no node's making: another one would be refused as well. Whoever pins has a deadline for it.
        Err(error) if error.is_refused() => return Ok(Err(format!("{on}: {error}"))),
        other => other?,
    };
    let late = asked_since(&ctx.means, &question, now).is_some_and(|since| now.duration_since(since) >= PATIENCE);
    let failure = match asked {
        Asked::Report(report) => match answer(*report) {
            Ok(offered) => return Ok(Ok(offered)),
            Err(why) => why,
        },
        Asked::Pending(why) if !late => return Ok(Err(why.map_or(on.clone(), |why| format!("{on}: {why}")))),
        Asked::Unread(_) if !late => return Ok(Err(on)),
        Asked::Unread(_) => "its answer can not be read".to_owned(),
        Asked::Pending(why) => why.unwrap_or_else(|| "no answer in time".to_owned()),
        Asked::Lost(why) => why,
    };
    tracing::warn!(node = name, os_build, failure, "asking for offered updates failed");
    // Its pod would be one of ever more, and found again after a restart, with an image of then.
    if let Err(error) = take_back(&ctx.means, &question, now).await {
        tracing::warn!(node = name, os_build, %error, "the pod of a scan that failed is left");
    }
    // It was waited for long enough where it is late.
    let wait = if late { SignedDuration::ZERO } else { retry(state.attempt) };
    *state = Scan { attempt: state.attempt + 1, since: now + wait, failure: Some(failure.clone()) };
    Ok(Err(format!("{name} to say which updates {os_build} is offered (before: {failure})")))
}

/// What the answer offers. One that is complete counts whatever else it tells: an error in it is of some other work.
fn answer(report: Report) -> Result<Vec<OfferedUpdate>, String> {
    match (report.progress, report.error) {
        (Progress::Done, _) if report.omitted > 0 => {
            Err(format!("{} updates did not fit into the agent's report", report.omitted))
        }
        (Progress::Done, _) => Ok(report.offered),
        (_, Some(error)) => Err(error.message),
        (progress, None) => Err(format!("the agent answered {progress:?}")),
    }
}

fn ticket(rollout: &UpdateRollout, os_build: &str, attempt: u32) -> Ticket {
    let uid = uid_of(rollout);
    let key = StepKey { node_update_uid: format!("{uid}/{os_build}"), step: Step::Stage, round: 0, attempt };
    Ticket { node_update_uid: uid, step: "Scan".to_owned(), round: 1, attempt, challenge: key.digest() }
}

fn retry(attempt: u32) -> SignedDuration {
    RETRY.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(RETRY_CAP)
}

fn source(source: SourceType) -> Source {
    match source {
        SourceType::WindowsUpdate => Source::WindowsUpdate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::report_of;
    use windlass_protocol::{AgentError, AgentPhase, ErrorClass};

    #[test]
    fn an_answer_that_is_complete_counts_whatever_failed_before() {
        let last_month =
            AgentError { class: ErrorClass::Permanent, message: "download: it failed".to_owned(), hresult: None };
        let report = |progress, error: Option<&AgentError>| Report {
            error: error.cloned(),
            ..report_of(progress, AgentPhase::Failed)
        };
        assert_eq!(answer(report(Progress::Done, Some(&last_month))), Ok(vec![]));
        assert_eq!(answer(report(Progress::Failed, Some(&last_month))), Err(last_month.message.clone()));
        assert!(answer(report(Progress::Failed, None)).is_err_and(|why| why.contains("Failed")));
        let cut = Report { omitted: 3, ..report(Progress::Done, Some(&last_month)) };
        assert!(answer(cut).is_err_and(|why| why.contains("did not fit")));
    }
}
