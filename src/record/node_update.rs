//! The log of node updates. "The step before ended" and "the next has begun" are one write.

use super::wait::{Written, expected, is_due};
use super::{Ledger, RecordError, Recorded};
use crate::api::{NodeUpdate, NodeUpdateStatus, Outcome, Step, StepPhase, StepRecord};
use crate::domain::{History, Intent, StepKey, WaitingOn, key_of};
use crate::plan::conditions::{NodeUpdateFacts, node_update};
use crate::plan::log::begun;
use crate::plan::{Reason, ReasonCode};
use jiff::Timestamp;
use kube::{Client, ResourceExt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Longest sentence of a status, in characters: the schema's bound.
const MAX_SENTENCE: usize = 512;

/// Writes the status of node updates.
pub struct NodeUpdateLog {
    ledger: Ledger<NodeUpdate>,
    waits: Mutex<HashMap<String, Written>>,
}

/// A node update as it was written, with its log.
pub type Logged = (Arc<NodeUpdate>, History);

impl NodeUpdateLog {
    /// A log that writes with this client.
    pub fn new(client: Client) -> Self {
        Self { ledger: Ledger::new(client), waits: Mutex::default() }
    }

    /// The objects themselves: what was written last, and their finalizers.
    pub fn ledger(&self) -> &Ledger<NodeUpdate> {
        &self.ledger
    }

    /// Leave to go on with the step in work: it is on record.
    pub fn resume(update: &NodeUpdate, history: &History, key: &StepKey) -> Option<Recorded<StepKey>> {
        let uid = update.uid()?;
        history.open().filter(|record| key_of(record, &uid) == *key).map(|_| Recorded(key.clone()))
    }

    /// Leave for a step that only looks, as `Preflight` does: it needs no record before it, and is on record with what
    /// comes of it. Saves a write with each node. `None`: this step changes something.
    pub fn look(
        history: &History,
        (ended, key, boot_id): (&[StepRecord], &StepKey, Option<&str>),
        now: Timestamp,
    ) -> Option<(History, Recorded<StepKey>)> {
        if key.step != Step::Preflight {
            return None;
        }
        let history = history.with(ended).with(&[begun(key, boot_id, now)]);
        Some((history, Recorded(key.clone())))
    }

    /// Records that steps have ended and that another has begun; hands out the leave to do it.
    ///
    /// # Errors
    /// [`RecordError`]; nothing may be done then.
    pub async fn begin(
        &self,
        update: &NodeUpdate,
        history: &History,
        (ended, key, boot_id): (&[StepRecord], &StepKey, Option<&str>),
        intent: &Intent,
        now: Timestamp,
    ) -> Result<(Logged, Recorded<StepKey>), RecordError> {
        let mut records = history.with(ended).records().to_vec();
        records.push(begun(key, boot_id, now));
        let on = expected(key.step, intent);
        let status = NodeUpdateStatus {
            step: Some(key.step),
            waiting_on: on.as_ref().map(|on| cut(&on.to_string())),
            steps: records.clone(),
            ..kept(update)
        };
        let written = self.write(update, status, None, now).await?;
        self.waits().insert(update.name_any(), Written::now(on.as_ref(), now));
        Ok(((written, history_of(&records)), Recorded(key.clone())))
    }

    /// Records what is waited for, where that is worth a write; and always, where the log has grown. `None`: it was not.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn wait(
        &self,
        update: &NodeUpdate,
        history: &History,
        ended: &[StepRecord],
        on: &WaitingOn,
        now: Timestamp,
    ) -> Result<Option<Arc<NodeUpdate>>, RecordError> {
        let name = update.name_any();
        let shown = update.status.as_ref().and_then(|s| s.waiting_on.as_deref());
        let on_record = update.status.as_ref().map_or(0, |s| s.steps.len());
        let grown = !ended.is_empty() || history.records().len() > on_record;
        if !grown && !is_due(shown, self.waits().get(&name), on, now) {
            return Ok(None);
        }
        let steps = history.with(ended).records().to_vec();
        let status = NodeUpdateStatus {
            step: steps.last().map(|r| r.step),
            waiting_on: Some(cut(&on.to_string())),
            steps,
            ..kept(update)
        };
        let written = self.write(update, status, None, now).await?;
        self.waits().insert(name, Written::now(Some(on), now));
        Ok(Some(written))
    }

    /// Records the end.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn end(
        &self,
        update: &NodeUpdate,
        history: &History,
        ended: &[StepRecord],
        (outcome, reason): (Outcome, &Reason),
        now: Timestamp,
    ) -> Result<Arc<NodeUpdate>, RecordError> {
        let as_intended = outcome == Outcome::Updated;
        let steps = history.with(ended).records().to_vec();
        let status = NodeUpdateStatus {
            step: steps.last().map(|r| r.step),
            outcome: Some(outcome),
            waiting_on: None,
            reason: (!as_intended).then(|| cut(&reason.message)),
            steps,
            ..kept(update)
        };
        self.finish(update, status, reason, now).await
    }

    /// Records that the log makes no sense: nothing is touched, a person has to look. The log is left as it is.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn impossible(
        &self,
        update: &NodeUpdate,
        message: &str,
        now: Timestamp,
    ) -> Result<Arc<NodeUpdate>, RecordError> {
        let reason = Reason { code: ReasonCode::ImpossibleLog, message: cut(message) };
        let status = NodeUpdateStatus {
            outcome: Some(Outcome::Held),
            waiting_on: None,
            reason: Some(reason.message.clone()),
            ..kept(update)
        };
        self.finish(update, status, &reason, now).await
    }

    /// Records what the answer to a person's request waits for, unless that is on record.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn not_yet(&self, update: &NodeUpdate, on: &WaitingOn) -> Result<(), RecordError> {
        let status = NodeUpdateStatus { waiting_on: Some(cut(&on.to_string())), ..kept(update) };
        if update.status.as_ref().is_none_or(|shown| shown.waiting_on != status.waiting_on) {
            self.replace(update, status).await?;
        }
        Ok(())
    }

    /// Records the answer to a person's request; `released` says that the node was given back.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn answer(
        &self,
        update: &NodeUpdate,
        (answer, reason): (&str, &str),
        released: bool,
        now: Timestamp,
    ) -> Result<Arc<NodeUpdate>, RecordError> {
        let mut status = kept(update);
        status.last_handled_request = Some(answer.chars().take(64).collect());
        status.waiting_on = None;
        if released {
            status.reason = Some(cut(reason));
            let code = ready_reason(&status);
            status.conditions = conditions(update, &status, Some((&code, reason)), true, now);
        }
        self.replace(update, status).await
    }

    async fn finish(
        &self,
        update: &NodeUpdate,
        status: NodeUpdateStatus,
        reason: &Reason,
        now: Timestamp,
    ) -> Result<Arc<NodeUpdate>, RecordError> {
        let written = self.write(update, status, Some(reason), now).await?;
        self.waits().remove(&update.name_any());
        Ok(written)
    }

    async fn write(
        &self,
        update: &NodeUpdate,
        mut status: NodeUpdateStatus,
        reason: Option<&Reason>,
        now: Timestamp,
    ) -> Result<Arc<NodeUpdate>, RecordError> {
        let ended = reason.map(|r| (r.code.as_str(), r.message.as_str()));
        status.conditions = conditions(update, &status, ended, false, now);
        self.replace(update, status).await
    }

    async fn replace(&self, update: &NodeUpdate, status: NodeUpdateStatus) -> Result<Arc<NodeUpdate>, RecordError> {
        let object = NodeUpdate { metadata: update.metadata.clone(), spec: update.spec.clone(), status: Some(status) };
        self.ledger.replace_status(object).await
    }

    fn waits(&self) -> MutexGuard<'_, HashMap<String, Written>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The status as it is, said of the present generation.
fn kept(update: &NodeUpdate) -> NodeUpdateStatus {
    NodeUpdateStatus { observed_generation: update.metadata.generation, ..update.status.clone().unwrap_or_default() }
}

fn conditions(
    update: &NodeUpdate,
    status: &NodeUpdateStatus,
    ended: Option<(&str, &str)>,
    released: bool,
    now: Timestamp,
) -> Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    let facts = NodeUpdateFacts {
        steps: &status.steps,
        ended: status.outcome.zip(ended).map(|(outcome, (code, message))| (outcome, code, message)),
        waiting_on: status.waiting_on.as_deref(),
        released,
    };
    let seen = update.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
    node_update(seen, facts, update.metadata.generation, now)
}

fn ready_reason(status: &NodeUpdateStatus) -> String {
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
    ready.map_or_else(|| ReasonCode::Succeeded.as_str().to_owned(), |c| c.reason.clone())
}

/// The log that was just written: it was made of a parsed one, and parses.
fn history_of(records: &[StepRecord]) -> History {
    debug_assert!(records.last().is_some_and(|r| r.phase == StepPhase::Started), "a step has begun");
    History::default().with(records)
}

fn cut(sentence: &str) -> String {
    sentence.chars().take(MAX_SENTENCE).collect()
}

#[cfg(test)]
mod tests;
