//! Records where a rollout stands, and tells by events what has happened.

use super::Pass;
use crate::api::{RingState, RolloutState, UpdateRolloutStatus};
use crate::controllers::error::ReconcileError;
use crate::plan::conditions::rollout_state;
use crate::plan::stall::Stalled;
use crate::record::Tone;
use jiff::Timestamp;
use kube::ResourceExt;

impl Pass<'_> {
    /// Records a status, where it says something new, and tells what has happened.
    pub(super) async fn record(
        &mut self,
        status: UpdateRolloutStatus,
        stalled: Option<&Stalled>,
        now: Timestamp,
    ) -> Result<(), ReconcileError> {
        let before = self.status();
        let news = happened(&before, &status);
        let Some(written) = self.ctx.rollouts.record(&self.object, status, stalled, now).await? else {
            return Ok(());
        };
        self.object = written;
        for (tone, reason, note) in news {
            tracing::info!(rollout = self.object.name_any(), reason, note, "rollout");
            self.ctx.events.rollout(&self.object, tone, reason, &note).await;
        }
        Ok(())
    }
}

/// What has happened between two statuses.
fn happened(before: &UpdateRolloutStatus, after: &UpdateRolloutStatus) -> Vec<(Tone, &'static str, String)> {
    let mut news = Vec::new();
    if before.started_at.is_none() && after.started_at.is_some() {
        let rings: Vec<_> = after.rings.iter().map(|ring| ring.name.as_str()).collect();
        news.push((Tone::Normal, "Started", format!("{} nodes in rings {}", after.counts.total, rings.join(", "))));
    }
    for (ring, was) in after.rings.iter().zip(&before.rings) {
        if ring.state == RingState::Promoted && was.state != RingState::Promoted {
            let note = format!("ring {}: {} of {} nodes updated", ring.name, ring.counts.updated, ring.counts.total);
            news.push((Tone::Normal, "RingPromoted", note));
        }
    }
    if before.state != after.state {
        let note = after.reason.clone().unwrap_or_default();
        match after.state {
            RolloutState::Halted | RolloutState::Stalled => {
                news.push((Tone::Warning, rollout_state(after.state), note));
            }
            RolloutState::Completed | RolloutState::Aborted => {
                news.push((Tone::Normal, rollout_state(after.state), note));
            }
            RolloutState::Pending | RolloutState::Running | RolloutState::Soaking | RolloutState::Paused => {}
        }
    }
    news
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    #[test]
    fn only_what_has_changed_is_told() {
        let start = UpdateRolloutStatus::default();
        let running = UpdateRolloutStatus {
            state: RolloutState::Running,
            started_at: Some(Time(Timestamp::UNIX_EPOCH)),
            ..start.clone()
        };
        let halted = UpdateRolloutStatus {
            state: RolloutState::Halted,
            reason: Some("ring early: win-3 reverted".into()),
            ..running.clone()
        };
        let reasons = |a, b| happened(a, b).into_iter().map(|(tone, reason, _)| (tone, reason)).collect::<Vec<_>>();
        assert_eq!(reasons(&start, &running), [(Tone::Normal, "Started")]);
        assert_eq!(reasons(&running, &running), []);
        assert_eq!(reasons(&running, &halted), [(Tone::Warning, "Halted")]);
        assert_eq!(happened(&running, &halted)[0].2, "ring early: win-3 reverted");
    }
}
