//! Checks a plan against the invariants: a second opinion that shares no code with the planner.

use super::fleet::Fleet;
use super::rollout::Plan;
use jiff::Timestamp;

/// One broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// One sentence that names the node or ring.
    pub message: String,
}

/// The invariants of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// x
    Budget,
}

/// Checks a plan; a plan with violations must not be acted on.
pub fn lint(fleet: &Fleet<'_>, plan: &Plan<'_>, now: Timestamp) -> Vec<Violation> {
    let _ = (fleet, plan, now);
    Vec::new()
}
