//! What people have approved, as the auditor keeps it.

use super::starts::KNOWN_AFTER;
use crate::api::{Gate, Promotion, UpdateApproval, UpdateRollout, UpdateRolloutStatus};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The approvals that were made by others than the operator, by UID.
#[derive(Debug, Default)]
pub struct Approvals {
    given: BTreeMap<String, Arc<UpdateApproval>>,
    used: BTreeSet<String>,
}

impl Approvals {
    /// Somebody has made one.
    pub fn given(&mut self, approval: &Arc<UpdateApproval>) {
        self.given.insert(approval.metadata.uid.clone().unwrap_or_default(), Arc::clone(approval));
    }

    /// Uses up an approval of what a rollout was; whether there is one that nobody has used.
    pub fn take(&mut self, at: Timestamp, rollout: &UpdateRollout, gate: Gate) -> bool {
        let seen = rollout.status.as_ref().and_then(|status| status.gate.as_ref());
        let Some(hash) = seen.filter(|seen| seen.name == gate).map(|seen| seen.plan_hash.as_str()) else {
            return false;
        };
        let fits = |(uid, approval): &(&String, &Arc<UpdateApproval>)| {
            !self.used.contains(*uid)
                && is_of(approval, rollout.metadata.uid.as_deref(), gate)
                && approval.spec.plan_hash == hash
                && at < approval.spec.expires_at.0 + KNOWN_AFTER
        };
        let Some(uid) = self.given.iter().find(fits).map(|(uid, _)| uid.clone()) else { return false };
        self.used.insert(uid)
    }

    /// Why a ring may not have begun: one before it waits for a person's word, and nobody has given it.
    pub fn unpromoted(&self, rollout_uid: &str, status: &UpdateRolloutStatus, ring: &str) -> Option<String> {
        let before = status.rings.iter().take_while(|one| one.name != ring);
        let gates = before.filter(|one| one.revision.ring.promotion == Promotion::Approval).count();
        let given = self.given.values().filter(|one| is_of(one, Some(rollout_uid), Gate::Promote)).count();
        (given < gates).then(|| format!("ring {ring} begins, behind {gates} gates of which people have opened {given}"))
    }
}

fn is_of(approval: &UpdateApproval, rollout_uid: Option<&str>, gate: Gate) -> bool {
    Some(approval.spec.rollout_uid.as_str()) == rollout_uid && approval.spec.gate == gate
}
