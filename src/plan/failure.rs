//! What counts as a failure of an update, and from how many on.

use super::approve::is_forgiven;
use super::budget::max_rebooting;
use super::fleet::{Fleet, UpdateSeen};
use super::report::ReasonCode;
use super::ring::whole_second;
use crate::api::{Outcome, RingState, RingStatus, Step};
use crate::domain::NodeState;

/// So many nodes that are gone in the midst of their installation are the update's failures, if they are also more than one
/// of so many that were updated: clouds take machines back by themselves, a few in a thousand while they are being updated.
const GONE_BY_CHANCE: usize = 2;
const GONE_OF_UPDATED: usize = 10;

/// From how many boots on a node reboots again and again. Once it does when its zone lost power, or somebody's maintenance
/// came by: that is many nodes at once, and not the update.
const AGAIN: u64 = 2;

/// Failures of the update itself, from the moment that the way back begins. A drain that can not end, a snapshot that can not
/// be made, say nothing about it.
pub(super) fn counts_towards_halt(update: &UpdateSeen) -> bool {
    match update.outcome {
        Some(Outcome::Reverted | Outcome::Held) => true,
        Some(Outcome::Failed) => update.reason_code.as_deref() == Some(ReasonCode::InstallFailed.as_str()),
        None => update.is_failing(),
        // It was on its way back, or about to be held: that it is gone since makes the update no better.
        Some(Outcome::NodeGone) => update.went_back(),
        Some(Outcome::Updated | Outcome::Skipped | Outcome::Aborted) => false,
    }
}

/// Whether its node has rebooted by itself again and again since it was put back in service. Of a ring that is through, nobody
/// asks; what a person has seen and resumed after is theirs, and so is what another rollout does with the node since.
pub(super) fn keeps_rebooting(fleet: &Fleet<'_>, update: &UpdateSeen, node: &NodeState, ring: &RingStatus) -> bool {
    let boots = || boots_between(update.boot_id.as_deref()?, &node.boot_id);
    ring.state != RingState::Promoted
        && boots().is_some_and(|boots| boots >= AGAIN)
        && !is_forgiven(update, ring.resumed_at.as_ref())
        && fleet.taken_at(&update.node_uid) < update.ended_at.map(whole_second)
}

/// How many boots one boot ID is after another. Those of Windows count the boots of the disk (`BootId` in the registry); of
/// others, and of a disk that somebody has rewound, nothing is known.
fn boots_between(then: &str, now: &str) -> Option<u64> {
    now.parse::<u64>().ok()?.checked_sub(then.parse().ok()?)
}

/// Whether its node was gone after an installation had begun, and before it was verified.
pub(super) fn is_gone_changed(update: &UpdateSeen) -> bool {
    update.outcome == Some(Outcome::NodeGone)
        && matches!(update.step, Some(Step::Install | Step::Reboot | Step::Verify))
}

/// Whether so many nodes that are gone, beside so many updated ones, are the update's doing.
pub(super) fn are_many_gone(gone: usize, updated: usize) -> bool {
    gone >= GONE_BY_CHANCE && gone * GONE_OF_UPDATED > updated
}

/// Whether more of so many updated nodes reboot by themselves again and again than the ring bears.
pub(super) fn are_many_rebooting(rebooting: usize, updated: usize, ring: &RingStatus) -> bool {
    rebooting > max_rebooting(ring.revision.ring.soak.max_rebooting, updated)
}
