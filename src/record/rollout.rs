//! The status of rollouts, written only when it says something new.

use super::{Ledger, RecordError};
use crate::api::{UpdateRollout, UpdateRolloutStatus};
use crate::plan::conditions::{RolloutFacts, rollout};
use crate::plan::stall::Stalled;
use jiff::Timestamp;
use kube::Client;
use std::sync::Arc;

/// Longest reason of a rollout, in characters: the schema's bound.
const MAX_REASON: usize = 1024;

/// Writes the status of rollouts.
pub struct RolloutLog {
    ledger: Ledger<UpdateRollout>,
}

impl RolloutLog {
    /// A log that writes with this client.
    pub fn new(client: Client) -> Self {
        Self { ledger: Ledger::new(client) }
    }

    /// The objects themselves: what was written last, and their finalizers.
    pub fn ledger(&self) -> &Ledger<UpdateRollout> {
        &self.ledger
    }

    /// Records a status. Without news nothing is written: the ETA alone is none.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn record(
        &self,
        object: &UpdateRollout,
        mut status: UpdateRolloutStatus,
        stalled: Option<&Stalled>,
        now: Timestamp,
    ) -> Result<Option<Arc<UpdateRollout>>, RecordError> {
        let seen = object.status.clone().unwrap_or_default();
        status.reason = status.reason.map(|reason| reason.chars().take(MAX_REASON).collect());
        status.observed_generation = object.metadata.generation;
        let facts = RolloutFacts {
            state: status.state,
            reason: status.reason.as_deref(),
            stalled,
            ended: status.ended_at.is_some(),
        };
        status.conditions = rollout(&seen.conditions, facts, object.metadata.generation, now);
        if is_same(&seen, &status) {
            return Ok(None);
        }
        let object = UpdateRollout { status: Some(status), ..object.clone() };
        self.ledger.replace_status(object).await.map(Some)
    }
}

fn is_same(seen: &UpdateRolloutStatus, status: &UpdateRolloutStatus) -> bool {
    *seen == UpdateRolloutStatus { eta: seen.eta.clone(), ..status.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RolloutState;

    #[test]
    fn the_eta_alone_is_no_news() {
        let one = UpdateRolloutStatus { eta: Some("about 40m".into()), ..UpdateRolloutStatus::default() };
        let two = UpdateRolloutStatus { eta: Some("about 35m".into()), ..one.clone() };
        assert!(is_same(&one, &two));
        assert!(!is_same(&one, &UpdateRolloutStatus { state: RolloutState::Running, ..two }));
    }
}
