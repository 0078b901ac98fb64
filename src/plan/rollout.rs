//! Which nodes start now, and where the rollout stands: one pure function over the facts.

use super::fleet::Fleet;
use super::gate::Hold;
use crate::api::{Counts, FrozenRing, PinnedSet, RingState, RolloutState, UpdateRolloutStatus};
use crate::domain::{Build, NodeState};
use jiff::Timestamp;
use std::time::Duration;

/// What is to be done now, and what is to be said.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Plan<'a> {
    /// Where the rollout stands.
    pub state: RolloutState,
    /// The ring in work.
    pub ring: Option<&'a str>,
    /// Where each ring stands, in the order of the rollout.
    pub rings: Vec<RingPlan<'a>>,
    /// Nodes by outcome, over all rings.
    pub counts: Counts,
    /// Nodes that start now, in this order. Nothing may start before the status of this plan is recorded.
    pub starts: Vec<Start<'a>>,
    /// The nodes of the open ring that could start but for what is said, by domain and name.
    pub waiting: Vec<Waiting<'a>>,
    /// The probing that is due now.
    pub probe: Option<SoakProbe<'a>>,
    /// Why the rollout stands where it stands, in one sentence of at most 1,024 characters.
    pub reason: Option<String>,
    /// About how long it will take (`about 40m`); empty as long as nothing was measured.
    pub eta: Option<String>,
    /// Why it can not go on until a person changes something.
    pub stalled: Option<Stalled>,
    /// Whether it has ended for good: completed, halted or aborted, and no node in work.
    pub ended: bool,
    /// When the next pass is due although nothing has happened.
    pub wake_at: Option<Timestamp>,
}

/// Where one ring stands.
#[derive(Clone, Debug, PartialEq)]
pub struct RingPlan<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it stands.
    pub state: RingState,
    /// Its nodes by outcome.
    pub counts: Counts,
    /// When its soak began.
    pub soak_started_at: Option<Timestamp>,
    /// What its probes found wrong, last time.
    pub soak_failure: Option<String>,
    /// How often in a row they have.
    pub soak_failures: i32,
}

/// One node that starts now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start<'a> {
    /// The node.
    pub node: &'a NodeState,
    /// Its ring.
    pub ring: &'a str,
    /// The ring and its policy, frozen.
    pub revision: &'a FrozenRing,
    /// The build it has.
    pub from: Build,
    /// The build it is to have.
    pub to: Build,
    /// What is installed.
    pub pinned: &'a PinnedSet,
}

/// One node that does not start now.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting<'a> {
    /// The node.
    pub node: &'a NodeState,
    /// What holds it back; its text is a sentence for users.
    pub on: Hold<'a>,
}

/// A probing that is due now.
#[derive(Clone, Debug, PartialEq)]
pub struct SoakProbe<'a> {
    /// The ring that soaks.
    pub ring: &'a str,
    /// The ring and its policy, frozen.
    pub revision: &'a FrozenRing,
    /// Its nodes that this rollout has updated and that are still there, by name.
    pub nodes: Vec<&'a NodeState>,
}

/// Why a rollout can not go on until a person changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// The condition's reason.
    pub code: StallCode,
    /// One sentence that names the object.
    pub message: String,
}

/// Reasons of `Stalled=True` at a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StallCode {
    /// A ring that the rollout lists is not there.
    RingMissing,
    /// A policy that a ring names is not there.
    PolicyMissing,
    /// A SnapshotClass that a policy names is not there.
    SnapshotClassMissing,
    /// Two rings of the rollout select the same node.
    RingsOverlap,
    /// A ring selects no Windows node.
    RingEmpty,
    /// A ring is through with fewer updated nodes than it must have.
    TooFewUpdated,
    /// A ring allows no unavailable node at all.
    BudgetZero,
    /// An update has failed, and the rollout was halted.
    Halted,
}

impl StallCode {
    /// Its CamelCase text, as conditions and metric labels have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RingMissing => "RingMissing",
            Self::PolicyMissing => "PolicyMissing",
            Self::SnapshotClassMissing => "SnapshotClassMissing",
            Self::RingsOverlap => "RingsOverlap",
            Self::RingEmpty => "RingEmpty",
            Self::TooFewUpdated => "TooFewUpdated",
            Self::BudgetZero => "BudgetZero",
            Self::Halted => "Halted",
        }
    }
}

impl Plan<'_> {
    /// How long until a pass is due although nothing has happened: a probing, a soak's end, a window that opens.
    pub fn next_wake(&self, now: Timestamp) -> Option<Duration> {
        self.wake_at.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
    }

    /// The status that records this plan: `seen` with all that the planner decides put in its place. Conditions and
    /// `observedGeneration` are left as they are. An unchanged plan gives an unchanged status, whatever the time.
    #[must_use]
    pub fn status(&self, seen: &UpdateRolloutStatus, now: Timestamp) -> UpdateRolloutStatus {
        let _ = now;
        seen.clone()
    }
}

/// Plans one rollout: which nodes start now, and where it stands.
pub fn plan<'a>(fleet: &Fleet<'a>, now: Timestamp) -> Plan<'a> {
    let _ = (fleet, now);
    todo!()
}
