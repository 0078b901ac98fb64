//! One rollout of a story: waiting for it, asking after its nodes.

use super::{Scene, not_yet, seen};
use anyhow::{Context, Result, bail, ensure};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use windlass::api::{NodeUpdate, Outcome, RolloutState, Step, StepPhase, UpdateRollout};

/// One rollout of a story.
pub struct Rollout {
    scene: Scene,
    /// Its name.
    pub name: String,
}

impl Rollout {
    /// The rollout of this name.
    pub fn new(scene: Scene, name: String) -> Self {
        Self { scene, name }
    }

    fn api(&self) -> Api<UpdateRollout> {
        Api::all(self.scene.stage.client.clone())
    }

    /// Waits until it has ended, and sees to it that it ended in this state.
    pub async fn ends(&self, state: RolloutState) -> Result<Arc<UpdateRollout>> {
        let what = format!("rollout {} ends {state:?}", self.name);
        let ended = self.scene.until(&what, |lookout| match lookout.rollout(&self.name) {
            Some(rollout) if rollout.status.as_ref().is_some_and(|status| status.ended_at.is_some()) => seen(rollout),
            rollout => not_yet(describe(rollout.as_deref())),
        });
        let ended = ended.await?;
        ensure!(ended.status.as_ref().is_some_and(|s| s.state == state), "not {state:?}: {}", describe(Some(&ended)));
        Ok(ended)
    }

    /// The same, while `meanwhile` is done whenever something changed, and at least every few seconds.
    pub async fn ends_with(
        &self,
        state: RolloutState,
        meanwhile: impl Fn() -> Result<()>,
    ) -> Result<Arc<UpdateRollout>> {
        let mut beat = tokio::time::interval(Duration::from_secs(2));
        let mut end = std::pin::pin!(self.ends(state));
        loop {
            tokio::select! {
                ended = &mut end => return ended,
                _ = beat.tick() => meanwhile()?,
            }
        }
    }

    /// Waits until it is in this state.
    pub async fn reaches(&self, state: RolloutState) -> Result<Arc<UpdateRollout>> {
        let what = format!("rollout {} is {state:?}", self.name);
        let reached = self.scene.until(&what, |lookout| match lookout.rollout(&self.name) {
            Some(rollout) if rollout.status.as_ref().is_some_and(|status| status.state == state) => seen(rollout),
            rollout => not_yet(describe(rollout.as_deref())),
        });
        reached.await
    }

    /// Waits until its reason has all of these words.
    pub async fn says(&self, words: &[&str]) -> Result<Arc<UpdateRollout>> {
        let what = format!("rollout {} says {words:?}", self.name);
        let says = |rollout: &UpdateRollout| {
            let reason = rollout.status.as_ref().and_then(|status| status.reason.as_deref()).unwrap_or_default();
            words.iter().all(|word| reason.contains(word))
        };
        let said = self.scene.until(&what, |lookout| match lookout.rollout(&self.name) {
            Some(rollout) if says(&rollout) => seen(rollout),
            rollout => not_yet(describe(rollout.as_deref())),
        });
        said.await
    }

    /// Waits until the node's update is in work in this step, or past it.
    pub async fn is_in(&self, node: &str, step: Step) -> Result<Arc<NodeUpdate>> {
        let what = format!("the update of {node} is in step {step:?}");
        let begun = |update: &NodeUpdate| steps(update).iter().any(|(begun, _)| *begun == step);
        let reached = self.scene.until(&what, |lookout| match lookout.update(&self.name, node) {
            Some(update) if begun(&update) => seen(update),
            update => not_yet(describe_update(update.as_deref())),
        });
        reached.await
    }

    /// Waits until the node's update waits on something with these words.
    pub async fn waits_on(&self, node: &str, words: &[&str]) -> Result<Arc<NodeUpdate>> {
        let what = format!("the update of {node} waits on {words:?}");
        let waits = |update: &NodeUpdate| {
            let on = update.status.as_ref().and_then(|status| status.waiting_on.as_deref()).unwrap_or_default();
            words.iter().all(|word| on.contains(word))
        };
        let waiting = self.scene.until(&what, |lookout| match lookout.update(&self.name, node) {
            Some(update) if waits(&update) => seen(update),
            update => not_yet(describe_update(update.as_deref())),
        });
        waiting.await
    }

    /// Waits until the node's update has ended, and sees to it that it ended so.
    pub async fn node_ends(&self, node: &str, outcome: Outcome) -> Result<Arc<NodeUpdate>> {
        let what = format!("the update of {node} ends {outcome:?}");
        let ended = self.scene.until(&what, |lookout| match lookout.update(&self.name, node) {
            Some(update) if outcome_of(&update).is_some() => seen(update),
            update => not_yet(describe_update(update.as_deref())),
        });
        let update = ended.await?;
        ensure!(outcome_of(&update) == Some(outcome), "not {outcome:?}: {}", describe_update(Some(&update)));
        Ok(update)
    }

    /// The step of the node that is under way, if one is, from the API server itself.
    pub async fn open_step(&self, node: &str) -> Result<Option<Step>> {
        let known = self.update(node).with_context(|| format!("no update of {node}"))?;
        let updates: Api<NodeUpdate> = Api::all(self.scene.stage.client.clone());
        let update = updates.get(&known.name_any()).await?;
        Ok(steps(&update).last().filter(|(_, phase)| *phase == StepPhase::Started).map(|(step, _)| *step))
    }

    /// The node's update, as it is now.
    pub fn update(&self, node: &str) -> Option<Arc<NodeUpdate>> {
        self.scene.stage.lookout.update(&self.name, node)
    }

    /// All its node updates, as they are now.
    pub fn updates(&self) -> Vec<Arc<NodeUpdate>> {
        self.scene.stage.lookout.updates(&self.name)
    }

    /// Sets what is wanted of it: `Running`, `Paused`, `Aborted`.
    pub async fn set(&self, state: &str) -> Result<()> {
        let change = json!({"spec": {"state": state}});
        self.api().patch(&self.name, &PatchParams::default(), &Patch::Merge(change)).await?;
        Ok(())
    }

    /// Deletes it, and does not wait.
    pub async fn delete(&self) -> Result<()> {
        self.api().delete(&self.name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until nothing is left of it and its node updates.
    pub async fn is_gone(&self) -> Result<()> {
        let what = format!("rollout {} is gone", self.name);
        let gone = self.scene.until(&what, |lookout| {
            match (lookout.rollout(&self.name), lookout.updates(&self.name).first()) {
                (None, None) => seen(()),
                (Some(rollout), _) => not_yet(describe(Some(&rollout))),
                (None, Some(update)) => not_yet(describe_update(Some(update))),
            }
        });
        gone.await
    }
}

/// The log of an update, short.
pub fn steps(update: &NodeUpdate) -> Vec<(Step, StepPhase)> {
    update.status.iter().flat_map(|status| status.steps.iter().map(|record| (record.step, record.phase))).collect()
}

/// How it ended, if it has.
pub fn outcome_of(update: &NodeUpdate) -> Option<Outcome> {
    update.status.as_ref()?.outcome
}

/// Why it ended as it did.
///
/// # Errors
/// It gives no reason.
pub fn reason_of(update: &NodeUpdate) -> Result<&str> {
    let status = update.status.as_ref().context("no status")?;
    status.reason.as_deref().with_context(|| format!("{} gives no reason", update.name_any()))
}

/// The status of one of a rollout's or node update's conditions, and its reason and message.
///
/// # Errors
/// There is no condition of this type.
pub fn condition<'a>(
    conditions: &'a [k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition],
    type_: &str,
) -> Result<(&'a str, &'a str, &'a str)> {
    let Some(condition) = conditions.iter().find(|condition| condition.type_ == type_) else {
        bail!("no condition {type_} among {conditions:?}");
    };
    Ok((&condition.status, &condition.reason, &condition.message))
}

fn describe(rollout: Option<&UpdateRollout>) -> String {
    let Some(rollout) = rollout else { return "no such rollout".to_owned() };
    let Some(status) = &rollout.status else { return "a rollout without status".to_owned() };
    let reason = status.reason.as_deref().unwrap_or("no reason");
    format!("{:?} ({reason}), {:?}, ended at {:?}", status.state, status.counts, status.ended_at)
}

fn describe_update(update: Option<&NodeUpdate>) -> String {
    let Some(update) = update else { return "no update of that node".to_owned() };
    let Some(status) = &update.status else { return format!("{} without status", update.name_any()) };
    let (outcome, on) = (status.outcome, status.waiting_on.as_deref().unwrap_or("nothing"));
    let reason = status.reason.as_deref().unwrap_or("no reason");
    format!("outcome {outcome:?} ({reason}), waiting on {on}, steps {:?}", steps(update))
}
