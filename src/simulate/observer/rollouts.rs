//! What may become of a rollout.

use super::{Check, Invariant};
use crate::api::{RolloutState, UpdateRollout, UpdateRolloutStatus};

/// Looks at a rollout that was written.
pub fn check(old: &UpdateRollout, new: &UpdateRollout) -> Vec<Check> {
    let none = UpdateRolloutStatus::default();
    let (before, after) = (old.status.as_ref().unwrap_or(&none), new.status.as_ref().unwrap_or(&none));
    let name = new.metadata.name.as_deref().unwrap_or_default();
    vec![(Invariant::Halt, halt(name, before, after)), (Invariant::Pinned, pinned(name, before, after))]
}

/// A halt is left by a person only: who aborts it, or who approves that it goes on.
fn halt(name: &str, before: &UpdateRolloutStatus, after: &UpdateRolloutStatus) -> Option<String> {
    let left =
        before.state == RolloutState::Halted && !matches!(after.state, RolloutState::Halted | RolloutState::Aborted);
    left.then(|| format!("{name} was Halted and is {:?}, and nobody has said so", after.state))
}

/// What is pinned stays as it is.
fn pinned(name: &str, before: &UpdateRolloutStatus, after: &UpdateRolloutStatus) -> Option<String> {
    (!before.pinned.is_empty() && before.pinned != after.pinned).then(|| format!("{name} has pinned another set"))
}
