//! Asking the agent on a node: one pod per question, its answer the last line of its log.

use super::error::call;
use super::means::{Means, Place};
use super::pods::{Log, Owner, Stand, ensure, last_line, stand};
use super::{ActContext, ActError, templates, wait};
use crate::domain::{StepKey, StepResult, WaitingOn};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{DeleteParams, Preconditions};
use std::time::Duration;
use windlass_protocol::{Command, MAX_REPORT_BYTES, Report, Request, Ticket, VERSION};

/// How soon to look again at a pod, or at a machine that boots, at the latest: what happens to pod and Node comes earlier.
pub(super) const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// How soon to read a log again that could not be read: nobody says when its kubelet answers again.
pub(super) const READ_AGAIN: Duration = Duration::from_secs(10);

/// How often a question is asked whose answers get lost: a pod may die with a boot that nobody expected, hardly three.
pub(super) const TRIES: u32 = 3;

/// One question to the agent on one node.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The node's name.
    pub node: &'a str,
    /// For whom it is asked.
    pub owner: &'a Owner,
    /// What tells this question from others under the same ticket; it is in the pod's name (`stage`, `probe-2`).
    pub purpose: &'a str,
    /// Echoed in the answer.
    pub ticket: Ticket,
    /// What the agent is to do.
    pub command: Command,
}

/// What asking came to.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Asked {
    /// The pod is not at its end; why it does not start, where that is known.
    Pending(Option<String>),
    /// The pod ended, with this exit code, but its log can not be read just now.
    Unread(Option<i32>),
    /// The answer.
    Report(Box<Report>),
    /// There will be no answer from this pod, and why: it died with its machine, or printed something else.
    Lost(String),
}

/// Asks, or looks for the answer. The same question again is the same pod.
///
/// # Errors
/// [`ActError::CreatePod`].
pub async fn ask(means: &Means, question: &Question<'_>, now: Timestamp) -> Result<Asked, ActError> {
    let identity = identity(question);
    let place = where_asked(question, &identity);
    let template = || templates::agent(&means.config, place, &request(question));
    let pod = ensure(means, (Place::Agents, place.pod_name()), template, now).await?;
    let (how, code) = match stand(&pod) {
        Stand::Running(why) => return Ok(Asked::Pending(why)),
        Stand::Ended { how, code, .. } => (how, code),
    };
    // One byte more than a report may have, for its end of line, and one to tell a longer one by.
    Ok(match last_line(means, Place::Agents, &pod, MAX_REPORT_BYTES + 2, now).await {
        Log::Line(log) => match Report::from_log(&log, &question.ticket, question.node) {
            Ok(report) => Asked::Report(Box::new(report)),
            Err(error) => Asked::Lost(format!("{error} ({how})")),
        },
        Log::NotNow => Asked::Unread(code),
        Log::Lost(why) => Asked::Lost(format!("the agent's log can not be read: {why} ({how})")),
    })
}

/// Since when the pod of a question is there, however that came about: made by this process or by one before it.
pub fn asked_since(means: &Means, question: &Question<'_>, now: Timestamp) -> Option<Timestamp> {
    let pod = means.pod(Place::Agents, &where_asked(question, &identity(question)).pod_name(), now)?;
    pod.metadata.creation_timestamp.as_ref().map(|made| made.0)
}

/// Takes a question back: its pod goes, and one that runs is asked to end.
///
/// # Guarantees
/// No other pod goes, also where somebody has made another one of that name meanwhile. One that is gone is a success.
///
/// # Errors
/// [`ActError::DeletePods`].
pub async fn take_back(means: &Means, question: &Question<'_>, now: Timestamp) -> Result<(), ActError> {
    let name = where_asked(question, &identity(question)).pod_name();
    let Some(pod) = means.pod(Place::Agents, &name, now) else { return Ok(()) };
    let this_one = Preconditions { uid: pod.uid(), resource_version: None };
    let params = DeleteParams { preconditions: Some(this_one), ..DeleteParams::default() };
    match call(means.writing(Place::Agents).delete(&name, &params)).await {
        Err(error) if !error.is_not_found() && !error.is_conflict() => {
            Err(ActError::DeletePods { namespace: means.namespace(Place::Agents).to_owned(), source: error })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What tells a question's pod from all others.
fn identity(question: &Question<'_>) -> String {
    format!("{}/{}", question.ticket.challenge, question.purpose)
}

fn where_asked<'a>(question: &Question<'a>, identity: &'a str) -> templates::Place<'a> {
    templates::Place { node: question.node, owner: question.owner, purpose: question.purpose, identity }
}

/// The request that the agent reads.
fn request(question: &Question<'_>) -> Request {
    Request {
        version: VERSION,
        node: question.node.to_owned(),
        ticket: question.ticket.clone(),
        command: question.command.clone(),
    }
}

/// Asks in the name of a step.
pub(super) async fn ask_for(
    ctx: &ActContext<'_>,
    key: &StepKey,
    purpose: &str,
    command: Command,
) -> Result<Asked, ActError> {
    let owner = Owner::of(ctx.intent);
    let node = &ctx.intent.node.name;
    ask(ctx.means, &Question { node, owner: &owner, purpose, ticket: ticket(key), command }, ctx.now).await
}

/// Asks something that changes nothing, again where an answer was lost.
pub(super) async fn ask_patiently(
    ctx: &ActContext<'_>,
    key: &StepKey,
    purpose: &str,
    command: Command,
) -> Result<Asked, ActError> {
    let mut asked = Asked::Lost(String::new());
    for number in 1..=TRIES {
        asked = ask_for(ctx, key, &format!("{purpose}-{number}"), command.clone()).await?;
        if !matches!(asked, Asked::Lost(_)) {
            break;
        }
    }
    Ok(asked)
}

/// The ticket of a step's attempt.
pub(super) fn ticket(key: &StepKey) -> Ticket {
    Ticket {
        node_update_uid: key.node_update_uid.clone(),
        step: format!("{:?}", key.step),
        round: key.round,
        attempt: key.attempt,
        challenge: key.digest(),
    }
}

/// Waiting for an answer that is not there yet, while the agent does `what`.
pub(super) fn waiting(what: &str, asked: Asked) -> StepResult {
    let (why, after) = match asked {
        Asked::Pending(why) => (why, LOOK_AGAIN),
        Asked::Unread(_) | Asked::Report(_) | Asked::Lost(_) => (None, READ_AGAIN),
    };
    wait(WaitingOn::Agent { doing: doing(what, why) }, after)
}

/// What is waited for, in words: what the agent does, and why it does not start.
pub(super) fn doing(what: &str, why: Option<String>) -> String {
    why.map_or_else(|| what.to_owned(), |why| format!("{what} ({why})"))
}
