//! What the rollout planner looks at: plain facts about one rollout and its nodes.

use super::holds::HoldSeen;
use crate::api::{DesiredState, NodeUpdate, Outcome, RETRY, Step, StepPhase, UpdateRolloutStatus};
use crate::domain::{NodeRef, NodeState};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Everything the planner knows of one rollout.
#[derive(Clone, Copy, Debug)]
pub struct Fleet<'a> {
    /// The rollout's name.
    pub rollout: &'a str,
    /// What is wanted of it now.
    pub desired: DesiredState,
    /// Whether it is being deleted: it ends like an aborted one.
    pub deleting: bool,
    /// Its status as last recorded. The planner believes of it what was frozen (`pinned`, the rings' revisions), which
    /// rings are promoted or halted, and a soak's failures in a row; all else is judged anew from the facts.
    pub status: &'a UpdateRolloutStatus,
    /// All Windows nodes of the cluster, in any order.
    pub nodes: &'a [NodeState],
    /// The node updates of this rollout, in any order.
    pub updates: &'a [UpdateSeen],
    /// All UpdateHolds, by name; also those that are about others, or have expired.
    pub holds: &'a [HoldSeen],
    /// What is known of the soak.
    pub soak: SoakSeen<'a>,
    /// SnapshotClasses whose provider does not work now, each with why.
    pub providers_away: &'a [(String, String)],
    /// When other rollouts last took a node, by the node's UID, sorted. What they took before this rollout was there need
    /// not be in it.
    pub taken: &'a [(String, Timestamp)],
    /// Name of the node the operator runs on: it is the last of its ring.
    pub operator_node: Option<&'a str>,
}

/// One node update of this rollout, as far as the planner cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateSeen {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Name of its node.
    pub node: String,
    /// UID of its node.
    pub node_uid: String,
    /// The machine, where it was gone or is held: it may come back as another Node object.
    pub machine: Option<Box<NodeRef>>,
    /// Its ring.
    pub ring: String,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// How it ended; `None` while it is in work.
    pub outcome: Option<Outcome>,
    /// The reason's CamelCase code ([`super::report::ReasonCode`]), where it ended.
    pub reason_code: Option<String>,
    /// The reason as a sentence, where it did not end as intended; of one in work, how its last failed step failed.
    pub reason: Option<String>,
    /// The step in work, or the last one.
    pub step: Option<Step>,
    /// When its first step started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The boot id with which its node was put back in service, where it was.
    pub boot_id: Option<String>,
    /// Whether a person wants its node taken along once more.
    pub retry: bool,
    /// Whether it is being deleted. It is in work until it is gone or has an outcome.
    pub deleted: bool,
}

impl<'a> Fleet<'a> {
    /// The holds that are about this rollout now.
    pub(super) fn holds_now(&self, now: Timestamp) -> impl Iterator<Item = &'a HoldSeen> + use<'a> {
        let (holds, rollout) = (self.holds, self.rollout);
        holds.iter().filter(move |hold| hold.is_about(rollout, now))
    }

    /// When another rollout last took the node with this UID, if one has.
    pub(super) fn taken_at(&self, node_uid: &str) -> Option<Timestamp> {
        let place = self.taken.binary_search_by(|(uid, _)| uid.as_str().cmp(node_uid)).ok()?;
        self.taken.get(place).map(|(_, at)| *at)
    }
}

impl UpdateSeen {
    /// Reads a NodeUpdate. The reason's code is that of its `Ready` condition.
    pub fn read(update: &NodeUpdate) -> Self {
        let status = update.status.as_ref();
        let steps = status.map(|s| s.steps.as_slice()).unwrap_or_default();
        let outcome = status.and_then(|s| s.outcome);
        let failure = || steps.iter().rev().find(|s| s.phase == StepPhase::Failed).map(|s| s.message.clone());
        let ended_at = outcome.and_then(|_| steps.iter().rev().find_map(|s| s.finished_at.as_ref()));
        let uncordon = outcome.and_then(|_| steps.last()).filter(|s| s.step == Step::Uncordon);
        let may_return = outcome == Some(Outcome::NodeGone) || update.is_held();
        let ready = status.and_then(|s| s.conditions.iter().find(|c| c.type_ == "Ready"));
        Self {
            name: update.metadata.name.clone().unwrap_or_default(),
            uid: update.metadata.uid.clone().unwrap_or_default(),
            node: update.spec.node_name.clone(),
            node_uid: update.spec.node_uid.clone(),
            machine: may_return.then(|| Box::new(NodeRef::meant_by(&update.spec))),
            ring: update.spec.ring.clone(),
            reason_code: ready.map(|c| c.reason.clone()),
            created_at: update.metadata.creation_timestamp.as_ref().map(|at| at.0),
            retry: status.and_then(|s| s.last_handled_request.as_deref()) == Some(RETRY),
            outcome,
            reason: status.and_then(|s| s.reason.clone()).or_else(failure),
            step: status.and_then(|s| s.step),
            started_at: steps.first().map(|s| s.started_at.0),
            ended_at: ended_at.map(|at| at.0),
            boot_id: uncordon.and_then(|s| s.handle.clone()),
            deleted: update.metadata.deletion_timestamp.is_some(),
        }
    }

    /// Whether this node, which has another Node object, may be the machine that was gone, or is held.
    pub(super) fn is_of(&self, node: &NodeRef) -> bool {
        self.machine.as_ref().is_some_and(|machine| machine.same_machine(node) != Some(false))
    }

    /// Whether it is still going on.
    pub fn in_work(&self) -> bool {
        self.outcome.is_none()
    }

    /// Whether its node may be taken along once more: it ended because of a hold or a person before anything was changed,
    /// or a person wants it tried again.
    pub fn may_go_again(&self) -> bool {
        self.outcome == Some(Outcome::Aborted) || self.retry && !self.in_work()
    }

    /// Whether it has failed on a changed machine, and is on its way back or being held. That is certain before it ends.
    pub fn is_failing(&self) -> bool {
        self.in_work() && self.went_back()
    }

    /// Whether it came to be reverted or held: the step in work, or the last one, is of the way back.
    pub(super) fn went_back(&self) -> bool {
        matches!(self.step, Some(Step::Restore | Step::VerifyRestored | Step::Hold))
    }
}

/// What is known of the soak of the ring that soaks.
///
/// It lives in the operator's memory: after a restart it is empty, and the nodes are probed again at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct SoakSeen<'a> {
    /// When the last probing was made.
    pub probed_at: Option<Timestamp>,
    /// Name of the node whose turn was the last: the next turn begins after it.
    pub turn: Option<&'a str>,
    /// A probing whose result is not in the status yet. It counts once: give it until the status that counts it is
    /// recorded, then only its time, as `probed_at`.
    pub fresh: Option<&'a SoakObservation>,
}

/// One probing of a soaking ring's nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoakObservation {
    /// The ring.
    pub ring: String,
    /// When it was made.
    pub at: Timestamp,
    /// What failed: node, and a message that names the probe. Empty when all is well.
    pub failures: Vec<(String, String)>,
    /// The nodes on which all probes were made, and passed.
    pub passed: BTreeSet<String>,
}
