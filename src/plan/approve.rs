//! Gates that a person opens: which one is closed, whether an approval opens it, and what follows.
//!
//! After a `Resume` the rollout goes on where it stood: the failures of the updates that were made before it no longer
//! count, the soak begins anew, the pinned set stays, and nodes that have failed stay as they are.

use super::fleet::UpdateSeen;
use super::rollout::RingPlan;
use crate::api::{
    ClosedGate, Counts, DesiredState, Gate, OpenedGate, RingState, RolloutState, UpdateApproval, UpdateRollout,
    UpdateRolloutStatus,
};
use crate::domain::digest;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::collections::BTreeSet;
use std::fmt::Write;

/// How many openings a rollout remembers; the oldest are forgotten first.
const MAX_OPENED: usize = 32;

/// What an approval comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It opens the gate now.
    Opens,
    /// It has opened its gate.
    Used,
    /// Not yet; on what it waits.
    Waits(String),
    /// Never; why.
    Refused(String),
}

/// Judges an approval; `rollout` is the one of its name, if there is one.
pub fn judge(approval: &UpdateApproval, rollout: Option<&UpdateRollout>, now: Timestamp) -> Verdict {
    let spec = &approval.spec;
    let name = &spec.rollout_name;
    let refused = |why: String| Verdict::Refused(why);
    let Some(rollout) = rollout else { return refused(format!("there is no UpdateRollout {name}")) };
    if rollout.metadata.uid.as_deref() != Some(spec.rollout_uid.as_str()) {
        return refused(format!("spec.rolloutUid: UpdateRollout {name} has another UID"));
    }
    let status = rollout.status.as_ref();
    if status.is_some_and(|s| s.approvals.iter().any(|opened| Some(&opened.uid) == approval.metadata.uid.as_ref())) {
        return Verdict::Used;
    }
    if now >= spec.expires_at.0 {
        return refused("spec.expiresAt: it has expired".to_owned());
    }
    if rollout.spec.state == DesiredState::Aborted || rollout.metadata.deletion_timestamp.is_some() {
        return refused(format!("UpdateRollout {name} is aborted or being deleted"));
    }
    match status.and_then(|status| status.gate.as_ref()) {
        Some(gate) if gate.name != spec.gate => {
            refused(format!("spec.gate: the gate that is closed is {:?}, not {:?}", gate.name, spec.gate))
        }
        Some(gate) if gate.plan_hash != spec.plan_hash => {
            let hash = &gate.plan_hash;
            refused(format!("spec.planHash: the rollout has moved on since; status.gate.planHash is {hash} now"))
        }
        Some(_) => Verdict::Opens,
        None if is_halting(status) && spec.gate == Gate::Resume => {
            Verdict::Waits("the nodes in work come to their end first".to_owned())
        }
        None => refused(format!("spec.gate: no gate of UpdateRollout {name} is closed")),
    }
}

/// Whether it has halted, but nodes are in work.
fn is_halting(status: Option<&UpdateRolloutStatus>) -> bool {
    status.is_some_and(|status| status.state == RolloutState::Halted && status.ended_at.is_none())
}

/// The status after `approval` has opened the gate that is closed.
#[must_use]
pub fn open(seen: &UpdateRolloutStatus, approval: &UpdateApproval, now: Timestamp) -> UpdateRolloutStatus {
    let mut status = seen.clone();
    let Some(gate) = status.gate.take() else { return status };
    let approver = approval.spec.approver.clone();
    for ring in status.rings.iter_mut().filter(|ring| ring.name == gate.ring) {
        match gate.name {
            Gate::Resume => {
                ring.state = RingState::Running;
                ring.resumed_at = Some(MicroTime(now));
            }
            Gate::Promote => ring.promoted_by = Some(approver.clone()),
        }
    }
    if gate.name == Gate::Resume {
        status.state = RolloutState::Running;
        status.ended_at = None;
    }
    status.reason = Some(format!("ring {}: {:?}, approved by {approver}", gate.ring, gate.name));
    status.approvals.push(OpenedGate {
        name: approval.metadata.name.clone().unwrap_or_default(),
        uid: approval.metadata.uid.clone().unwrap_or_default(),
        gate: gate.name,
        ring: gate.ring,
        approver,
        at: MicroTime(now),
    });
    let surplus = status.approvals.len().saturating_sub(MAX_OPENED);
    status.approvals.drain(..surplus);
    status
}

/// The gate of this ring, closed, with a hash of all that a person who opens it should have seen: what is installed,
/// where the rings stand, which updates have failed, and what was approved before.
pub(super) fn closed(
    name: Gate,
    ring: &RingPlan<'_>,
    rings: &[RingPlan<'_>],
    (status, failures): (&UpdateRolloutStatus, &[&UpdateSeen]),
) -> ClosedGate {
    let mut seen = format!("{name:?}/{}/{}", ring.name, status.approvals.len());
    for set in &status.pinned {
        let ids: BTreeSet<_> = set.updates.iter().map(|update| (&update.update_id, update.revision)).collect();
        // Writing to a String can not fail.
        let _ = write!(seen, "/{}:{:?}:{ids:?}", set.os_build, set.expected_build);
    }
    for ring in rings {
        // Not how many nodes there are: in a fleet that grows and shrinks by itself, nobody would come in time.
        let Counts { updated, reverted, held, failed, .. } = ring.counts;
        let ended = [updated, reverted, held, failed];
        let ended = Some(ended).filter(|_| ring.state != RingState::Waiting);
        let _ = write!(seen, "/{}:{:?}:{ended:?}:{:?}", ring.name, ring.state, ring.soak_failure);
    }
    let failed: BTreeSet<_> =
        failures.iter().map(|update| (&update.uid, update.outcome.map(|o| format!("{o:?}")))).collect();
    let _ = write!(seen, "/{failed:?}");
    ClosedGate { name, ring: ring.name.to_owned(), plan_hash: digest(&seen) }
}

/// Whether a person has let the rollout go on since this update was made: its failure does not count any more.
pub(super) fn is_forgiven(update: &UpdateSeen, resumed_at: Option<&MicroTime>) -> bool {
    resumed_at.is_some_and(|resumed| !update.in_work() && update.started_at.is_none_or(|started| started <= resumed.0))
}
