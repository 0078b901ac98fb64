//! Takes one node through its steps: observe, decide, record, act.

use super::again::Again;
use super::context::Context;
use super::error::ReconcileError;
use super::invalid;
use super::pace::fingerprint;
use super::{holds, missing, release};
use crate::act::{self, ActContext};
use crate::api::{DesiredState, FINALIZER, Guarded, NodeUpdate, Outcome, RolloutState, Step, StepPhase, StepRecord};
use crate::domain::{History, Intent, NodeSeen, StepKey, StepResult, Wish, key_of};
use crate::observe::{self, Stores};
use crate::plan::Reason;
use crate::plan::conditions::step_name;
use crate::plan::holds::against;
use crate::plan::lint::node::lint;
use crate::plan::node::{Decision, Observed, conclude, decide};
use crate::record::{NodeUpdateLog, Recorded, Tone};
use jiff::Timestamp;
use kube::ResourceExt;
use std::sync::Arc;
use std::time::Duration;

/// Name of this controller in logs and metrics.
pub const NAME: &str = "node_update";

/// Most transitions in one pass: those that follow at once need no further trigger, and a pass stays short.
const MAX_TRANSITIONS: usize = 8;
/// How soon a pass goes on that has made as many transitions as it may.
const GO_ON: Duration = Duration::from_millis(50);
/// How often a node update in work is looked at, whatever it waits for: events may be lost.
const LOOK_AGAIN: Duration = Duration::from_mins(5);

/// One pass over one node update.
///
/// # Errors
/// [`ReconcileError`]; what was done is found again by the next pass.
pub async fn reconcile(ctx: &Context, shown: &Guarded<NodeUpdate>) -> Result<Again, ReconcileError> {
    let update = match &shown.0 {
        Ok(update) => ctx.updates.ledger().latest(Arc::clone(update)),
        Err(error) => {
            invalid::tell::<NodeUpdate>(ctx, error, true).await;
            return Ok(Again::on_change());
        }
    };
    let key = format!("{NAME}/{}", update.name_any());
    if update.status.as_ref().is_some_and(|s| s.outcome.is_some()) {
        ctx.pace.forget(&key);
        let uid = update.uid().unwrap_or_default();
        ctx.missing.forget(&uid);
        ctx.attention.forget(&uid);
        return ended(ctx, &update).await;
    }
    let inputs = inputs(ctx, &update);
    if let Some(wait) = ctx.pace.early(&key, fingerprint(&(inputs, update.resource_version()))) {
        return Ok(Again::too_early(wait));
    }
    let (intent, history) = match parse(&update) {
        Ok(parsed) => parsed,
        Err(message) => {
            tracing::warn!(name = update.name_any(), reason = message, "impossible log or intent, held");
            let update = ctx.updates.impossible(&update, &message, ctx.clock.now()).await?;
            told(ctx, &update, Outcome::Held, &message).await;
            return ended(ctx, &update).await;
        }
    };
    let update = release::refuse_early(ctx, update).await?;
    let mut pass = Pass { ctx, update, intent, history };
    let wait = pass.make().await?.min(LOOK_AGAIN);
    ctx.pace.leave(&key, fingerprint(&(inputs, pass.update.resource_version())), wait);
    Ok(Again::after(wait))
}

/// One pass: what is being done, and how far it is.
struct Pass<'a> {
    ctx: &'a Context,
    update: Arc<NodeUpdate>,
    intent: Intent,
    history: History,
}

impl Pass<'_> {
    /// Makes transitions as long as they follow at once; gives back when to look again.
    async fn make(&mut self) -> Result<Duration, ReconcileError> {
        let mut result = None;
        for _ in 0..MAX_TRANSITIONS {
            let now = self.ctx.clock.now();
            let node = self.node(now).await?;
            let wish = wish(self.ctx, &self.update, now);
            let open = self.history.open().map(|record| key_of(record, &self.intent.uid));
            let looked_since = open.as_ref().map_or(now, |key| self.ctx.attention.since(key, now));
            let seen = Observed { intent: &self.intent, history: &self.history, node: &node, wish, looked_since };
            let decision = match result.take() {
                None => decide(&seen, now),
                Some(result) => conclude(&seen, result, now),
            };
            let broken = lint(&seen, &decision);
            if !broken.is_empty() {
                return Err(ReconcileError::PlanRefused(format!("{}: {broken:?}", self.intent.node.name)));
            }
            let leave = match decision {
                Decision::Begin { ended, key } => self.begin(&ended, &key, &node, now).await?,
                Decision::Run(key) => match NodeUpdateLog::resume(&self.update, &self.history, &key) {
                    Some(leave) => leave,
                    None => return Ok(GO_ON),
                },
                Decision::Wait { ended, on, after } => {
                    if let Some(key) = &open {
                        self.ctx.attention.looked(key, now, after.min(LOOK_AGAIN));
                    }
                    let written = self.ctx.updates.wait(&self.update, &self.history, &ended, &on, now).await?;
                    self.update = written.unwrap_or_else(|| Arc::clone(&self.update));
                    self.measure(&ended);
                    return Ok(after);
                }
                Decision::Done { ended, outcome, reason } => {
                    self.end(&ended, outcome, &reason, now).await?;
                    return Ok(GO_ON);
                }
            };
            result = Some(self.run(&leave, &node, now).await?);
        }
        Ok(GO_ON)
    }

    /// What there is under the node's name. That it is gone is believed only when the API server has said so for a while, and
    /// not while its machine is being restored: a cloud may take the Node away of a machine that is down.
    async fn node(&self, now: Timestamp) -> Result<NodeSeen, ReconcileError> {
        let (ctx, intent) = (self.ctx, &self.intent);
        let found = ctx.look_for(&intent.node).await?;
        if self.history.open().is_some_and(|open| open.step == Step::Restore) {
            ctx.missing.forget(&intent.uid);
        }
        Ok(ctx.missing.judge(&intent.uid, found, now))
    }

    async fn begin(
        &mut self,
        ended: &[StepRecord],
        key: &StepKey,
        node: &NodeSeen,
        now: Timestamp,
    ) -> Result<Recorded<StepKey>, ReconcileError> {
        let boot_id = node.here().map(|node| node.boot_id.as_str());
        let what = (ended, key, boot_id);
        if let Some((history, leave)) = NodeUpdateLog::look(&self.history, what, now) {
            self.history = history;
            self.measure(ended);
            return Ok(leave);
        }
        let ((update, history), leave) =
            self.ctx.updates.begin(&self.update, &self.history, what, &self.intent, now).await?;
        tracing::info!(node = self.intent.node.name, step = step_name(key.step), "begun");
        (self.update, self.history) = (update, history);
        self.measure(ended);
        Ok(leave)
    }

    /// Does what is on record.
    async fn run(
        &self,
        leave: &Recorded<StepKey>,
        node: &NodeSeen,
        now: Timestamp,
    ) -> Result<StepResult, ReconcileError> {
        let (means, intent, history) = (&self.ctx.means, &self.intent, &self.history);
        Ok(act::run(&ActContext { means, intent, history, node, now }, leave.get()).await?)
    }

    async fn end(
        &mut self,
        ended: &[StepRecord],
        outcome: Outcome,
        reason: &Reason,
        now: Timestamp,
    ) -> Result<(), ReconcileError> {
        self.update = self.ctx.updates.end(&self.update, &self.history, ended, (outcome, reason), now).await?;
        self.measure(ended);
        told(self.ctx, &self.update, outcome, &reason.message).await;
        Ok(())
    }

    fn measure(&self, ended: &[StepRecord]) {
        for record in ended.iter().filter(|r| r.phase != StepPhase::Started) {
            let took = record.finished_at.as_ref().map(|end| end.0.duration_since(record.started_at.0));
            let took = took.and_then(|took| Duration::try_from(took).ok()).unwrap_or_default();
            self.ctx.metrics.step_ended(step_name(record.step), took);
            if record.phase == StepPhase::Failed {
                let (node, step) = (&self.intent.node.name, step_name(record.step));
                tracing::warn!(node, step, reason = record.message, "step failed");
            }
        }
    }
}

/// What is left to do for one that has ended: a person's request, and its finalizer.
async fn ended(ctx: &Context, update: &Arc<NodeUpdate>) -> Result<Again, ReconcileError> {
    if update.metadata.deletion_timestamp.is_some() && !holds(ctx, update).await? {
        ctx.updates.ledger().set_finalizer(update, FINALIZER, false).await?;
        ctx.updates.ledger().forget(&update.name_any());
        return Ok(Again::on_change());
    }
    hold_again(ctx, update).await?;
    let unanswered = release::answer(ctx, update).await?;
    let deleting = update.metadata.deletion_timestamp.is_some().then_some(LOOK_AGAIN);
    Ok([unanswered, deleting].into_iter().flatten().min().map_or(Again::on_change(), Again::after))
}

/// Whether it holds its node still. Such a one stays, even if it is deleted: nothing else says why the node is out of
/// service, and the request to release it is made here.
///
/// The node is read afresh: a watch that lags shows it without the claim that was just written.
async fn holds(ctx: &Context, update: &NodeUpdate) -> Result<bool, ReconcileError> {
    if !update.is_held() {
        return Ok(false);
    }
    let node = missing::read(ctx.means.clients.read.clone(), &update.spec.node_name).await?;
    Ok(node.is_some_and(|node| node.claimed_by == update.uid()))
}

/// Holds a machine again that registered anew since it was held: a Node object that somebody deletes takes our marks along, and
/// nobody has released the machine.
async fn hold_again(ctx: &Context, update: &NodeUpdate) -> Result<(), ReconcileError> {
    if !update.is_held() {
        return Ok(());
    }
    let Ok(intent) = Intent::parse(update) else { return Ok(()) };
    let node = ctx.look_for(&intent.node).await?;
    if !matches!(node, NodeSeen::Replaced { same_machine: true, .. }) {
        return Ok(());
    }
    let key = StepKey { node_update_uid: intent.uid.clone(), step: Step::Hold, round: 1, attempt: 1 };
    let (means, history, now) = (&ctx.means, History::default(), ctx.clock.now());
    let held = act::run(&ActContext { means, intent: &intent, history: &history, node: &node, now }, &key).await?;
    tracing::info!(node = intent.node.name, ?held, "held again, as it registered anew");
    Ok(())
}

/// Tells of an end: in the log, the metrics, and, where it is not as intended, by events.
async fn told(ctx: &Context, update: &NodeUpdate, outcome: Outcome, message: &str) {
    let (node, name) = (&update.spec.node_name, format!("{outcome:?}"));
    tracing::info!(node, outcome = name, reason = message, "node update ended");
    ctx.metrics.node_update_ended(&name);
    let tone = match outcome {
        Outcome::Updated | Outcome::Aborted | Outcome::NodeGone => return,
        Outcome::Skipped => Tone::Normal,
        Outcome::Reverted | Outcome::Held | Outcome::Failed => Tone::Warning,
    };
    ctx.events.node_update(update, tone, &name, message).await;
}

fn parse(update: &NodeUpdate) -> Result<(Intent, History), String> {
    let steps = update.status.as_ref().map(|s| s.steps.as_slice()).unwrap_or_default();
    let history = History::parse(steps).map_err(|e| e.to_string())?;
    let intent = Intent::parse(update).map_err(|e| e.to_string())?;
    Ok((intent, history))
}

/// What is wanted of it: an aborted, deleted or vanished rollout ends its node updates, a halted one those that have not begun
/// to install what is known to be bad, and a hold those that it is about.
fn wish(ctx: &Context, update: &NodeUpdate, now: Timestamp) -> Wish {
    if update.metadata.deletion_timestamp.is_some() {
        return Wish::End;
    }
    let rollout = Stores::get(&ctx.stores.rollouts, &update.spec.rollout_name);
    match rollout.filter(|r| r.uid().as_deref() == Some(update.spec.rollout_uid.as_str())) {
        Some(r) if r.metadata.deletion_timestamp.is_none() && r.spec.state != DesiredState::Aborted => {
            let halted = r.status.as_ref().is_some_and(|status| status.state == RolloutState::Halted);
            let halted = halted.then(|| format!("rollout {} is halted", update.spec.rollout_name));
            halted.or_else(|| held_back(ctx, update, now)).map_or(Wish::GoOn, |why| Wish::HoldBack { why })
        }
        // One that does not parse any more is no wish to end anything.
        None if Stores::invalid(&ctx.stores.rollouts, &update.spec.rollout_name).is_some() => Wish::GoOn,
        Some(_) | None => Wish::End,
    }
}

/// Why its updates must not be installed now, if an UpdateHold stands against them.
fn held_back(ctx: &Context, update: &NodeUpdate, now: Timestamp) -> Option<String> {
    let holds = holds::seen(&ctx.stores);
    if holds.is_empty() {
        return None;
    }
    let spec = &update.spec;
    let node = Stores::get(&ctx.stores.nodes, &spec.node_name);
    let labels = node.map(|node| node.labels().into()).unwrap_or_default();
    let to = spec.to_build.parse().ok()?;
    against(&holds, &spec.rollout_name, &labels, (&spec.updates, to), now).map(|held| held.to_string())
}

/// A number for all that a pass reads besides the object itself.
fn inputs(ctx: &Context, update: &NodeUpdate) -> u64 {
    let node = Stores::get(&ctx.stores.nodes, &update.spec.node_name);
    let uid = update.uid().unwrap_or_default();
    let pods = [&ctx.stores.agent_phases, &ctx.stores.probe_phases].map(|phases| phases.fingerprint(&uid));
    let wish = wish(ctx, update, ctx.clock.now());
    fingerprint(&(node.map(|node| observe::node::fingerprint(&node)), pods, wish))
}
