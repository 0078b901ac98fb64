//! Opens a gate that a person has approved, by a record of its own.

use super::Pass;
use crate::controllers::admission;
use crate::controllers::error::ReconcileError;
use crate::observe::Stores;
use crate::plan::approve::{Verdict, judge, open};
use crate::record::Tone;

impl Pass<'_> {
    /// Opens the gate that is closed, if an approval for it is there that was made under the admission policy.
    pub(super) async fn open_gate(&mut self) -> Result<(), ReconcileError> {
        if self.lacks(|status| status.gate.is_none()) {
            return Ok(());
        }
        let now = self.ctx.clock.now();
        for approval in Stores::all(&self.ctx.stores.approvals) {
            let is_ours = self.object.metadata.name.as_deref() == Some(approval.spec.rollout_name.as_str());
            if !is_ours || judge(&approval, Some(&self.object), now) != Verdict::Opens {
                continue;
            }
            if admission::doubt(self.ctx, &approval).await?.is_some() {
                continue;
            }
            let status = open(&self.status(), &approval, now);
            let note = status.reason.clone().unwrap_or_default();
            self.record(status, None, now).await?;
            self.ctx.events.rollout(&self.object, Tone::Normal, "Approved", &note).await;
            return Ok(());
        }
        Ok(())
    }
}
