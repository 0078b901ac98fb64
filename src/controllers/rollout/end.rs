//! The end of a rollout: its pods go, then its finalizer.

use super::memory::uid_of;
use super::{Next, Pass};
use crate::act::{self, Whose};
use crate::api::{FINALIZER, UpdateRollout};
use crate::controllers::context::Context;
use crate::controllers::error::ReconcileError;
use kube::ResourceExt;

/// Deletes all agent and probe pods of the rollout.
///
/// # Errors
/// [`ReconcileError`].
pub async fn clean_up(ctx: &Context, rollout: &UpdateRollout) -> Result<(), ReconcileError> {
    Ok(act::clean_up(&ctx.means, Whose::Rollout(&uid_of(rollout))).await?)
}

impl Pass<'_> {
    /// It has ended and that is recorded: one that is being deleted may go. Its node updates are garbage-collected with
    /// it, its snapshots are not.
    pub(super) async fn finish(&mut self) -> Result<Next, ReconcileError> {
        if self.object.metadata.deletion_timestamp.is_some() {
            self.ctx.rollouts.ledger().set_finalizer(&self.object, FINALIZER, false).await?;
            self.ctx.rollouts.ledger().forget(&self.object.name_any());
        }
        Ok(Next::Nothing)
    }
}
