//! Takes a rollout through its rings. The one writer that spends budgets: rollouts are taken one after the other, and
//! each pass reads the node updates that this process has just made, whether the store shows them or not.

mod begin;
mod end;
mod facts;
mod gate;
mod memory;
mod providers;
mod scan;
mod soak;
mod start;
mod story;
mod tidy;

pub use memory::Memories;

use super::again::Again;
use super::context::Context;
use super::error::ReconcileError;
use super::invalid;
use crate::api::{DesiredState, FINALIZER, Guarded, UpdateRollout, UpdateRolloutStatus};
use crate::plan::lint::lint;
use crate::plan::rollout::{Plan, plan};
use facts::Facts;
use futures::FutureExt;
use kube::ResourceExt;
use memory::Memory;
use std::sync::Arc;
use std::time::Duration;

/// Name of this controller in logs and metrics.
pub const NAME: &str = "rollout";

/// Passes over one rollout are at least this far apart: what changes meanwhile is taken together.
const APART: Duration = Duration::from_secs(1);
/// How often a rollout in work is planned whatever happens: events may be lost.
const LOOK_AGAIN: Duration = Duration::from_mins(5);

/// One pass over one rollout.
///
/// # Errors
/// [`ReconcileError`]; the next pass plans anew from what is there.
pub async fn reconcile(ctx: &Context, shown: &Guarded<UpdateRollout>) -> Result<Again, ReconcileError> {
    let object = match &shown.0 {
        Ok(rollout) => ctx.rollouts.ledger().latest(Arc::clone(rollout)),
        Err(error) => {
            invalid::tell::<UpdateRollout>(ctx, error, true).await;
            return Ok(Again::on_change());
        }
    };
    let uid = object.uid().unwrap_or_default();
    let memory = ctx.memories.of(&uid);
    let mut memory = memory.lock().await;
    if let Some(wait) = memory.early(APART) {
        return Ok(Again::too_early(wait));
    }
    let next = Pass { ctx, object, memory: &mut memory }.make().await?;
    match next {
        Next::After(wait) => Ok(Again::after(wait.clamp(APART / 10, LOOK_AGAIN))),
        Next::Nothing => {
            ctx.memories.forget(&uid);
            Ok(Again::on_change())
        }
    }
}

/// What comes after a pass.
enum Next {
    /// Another, at the latest after this time.
    After(Duration),
    /// Nothing: it has ended, and only a change makes it one more.
    Nothing,
}

/// One pass.
struct Pass<'a> {
    ctx: &'a Context,
    object: Arc<UpdateRollout>,
    memory: &'a mut Memory,
}

impl Pass<'_> {
    async fn make(mut self) -> Result<Next, ReconcileError> {
        let ended = self.object.status.as_ref().is_some_and(|status| status.ended_at.is_some());
        let deleting = self.object.metadata.deletion_timestamp.is_some();
        if !deleting && !ended {
            let set = self.ctx.rollouts.ledger().set_finalizer(&self.object, FINALIZER, true).await?;
            self.object = set.unwrap_or(Arc::clone(&self.object));
        }
        let ending = deleting || self.object.spec.state == DesiredState::Aborted;
        if !ending
            && self.lacks(|status| status.rings.is_empty())
            && let Some(wait) = self.freeze().boxed().await?
        {
            return Ok(Next::After(wait));
        }
        if !ending
            && self.lacks(|status| status.pinned.is_empty())
            && let Some(wait) = self.pin().boxed().await?
        {
            return Ok(Next::After(wait));
        }
        if !ending {
            self.open_gate().boxed().await?;
        }
        self.advance().await
    }

    /// Plans, records the plan, and does what it says: in this order.
    async fn advance(&mut self) -> Result<Next, ReconcileError> {
        let object = Arc::clone(&self.object);
        let facts = Facts::gather(self.ctx, &object, self.memory).await;
        let next = self.carry_out(&object, &facts).await;
        facts.leave(self.memory);
        next
    }

    async fn carry_out(&mut self, object: &UpdateRollout, facts: &Facts) -> Result<Next, ReconcileError> {
        let now = self.ctx.clock.now();
        let none = UpdateRolloutStatus::default();
        let status = object.status.as_ref().unwrap_or(&none);
        let soak = self.memory.soak.clone();
        let fleet = facts.fleet(self.ctx, object, status, soak.seen());
        let plan = plan(&fleet, now);
        let broken: Vec<_> = lint(&fleet, &plan, now).into_iter().map(|violation| format!("{violation:?}")).collect();
        if !broken.is_empty() {
            return Err(ReconcileError::PlanRefused(broken.join("; ")));
        }
        let ends = plan.ended && status.ended_at.is_none();
        if ends {
            end::clean_up(self.ctx, object).await?;
        }
        let next = plan.status(status, now);
        let counts_wait = self.memory.counts_wait(status, &next);
        if counts_wait.is_none() {
            self.record(next, plan.stalled.as_ref(), now).await?;
            self.memory.soak.counted();
        }
        if plan.ended {
            return self.finish().await;
        }
        self.start_nodes(&plan).await?;
        self.tidy(facts, status).await;
        let probed = self.probe(&plan, status).await?;
        let wake = plan.next_wake(now).unwrap_or(LOOK_AGAIN);
        Ok(Next::After([probed, counts_wait].into_iter().flatten().fold(wake, Duration::min)))
    }

    async fn start_nodes(&mut self, plan: &Plan<'_>) -> Result<(), ReconcileError> {
        for start in &plan.starts {
            let made = start::make(self.ctx, &self.object, start).await?;
            tracing::info!(
                rollout = self.object.name_any(),
                node = start.node.node.name,
                ring = start.ring,
                "node starts"
            );
            self.memory.made(&made);
        }
        Ok(())
    }

    /// Goes on with the probing that is due; gives back when to look again, if it is not through or found something.
    async fn probe(
        &mut self,
        plan: &Plan<'_>,
        status: &UpdateRolloutStatus,
    ) -> Result<Option<Duration>, ReconcileError> {
        let Some(probe) = &plan.probe else { return Ok(None) };
        let soak = &mut self.memory.soak;
        let through = soak::probe(self.ctx, &self.object, probe, &status.pinned, soak).boxed().await?;
        Ok(Some(if through { Duration::ZERO } else { soak::LOOK_AGAIN }))
    }

    /// Whether its status lacks something, as one that is not there does.
    fn lacks(&self, something: impl Fn(&UpdateRolloutStatus) -> bool) -> bool {
        self.object.status.as_ref().is_none_or(something)
    }

    fn status(&self) -> UpdateRolloutStatus {
        self.object.status.clone().unwrap_or_default()
    }
}
