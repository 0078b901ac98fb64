//! What may become of a rollout.

use super::books::Books;
use super::{Check, Invariant};
use crate::api::{Gate, RolloutState, UpdateRollout, UpdateRolloutStatus};
use jiff::Timestamp;

/// Looks at a rollout that was written.
pub fn check(books: &mut Books, at: Timestamp, old: &UpdateRollout, new: &UpdateRollout) -> Vec<Check> {
    let none = UpdateRolloutStatus::default();
    let (before, after) = (old.status.as_ref().unwrap_or(&none), new.status.as_ref().unwrap_or(&none));
    let name = new.metadata.name.as_deref().unwrap_or_default();
    let left =
        before.state == RolloutState::Halted && !matches!(after.state, RolloutState::Halted | RolloutState::Aborted);
    // A halt is left by a person only: who aborts it, or who approves that it goes on, as it stands there.
    let unsaid = left && !books.approvals.take(at, old, Gate::Resume);
    let message = || format!("{name} was Halted and is {:?}, and nobody has said so", after.state);
    vec![(Invariant::Halt, unsaid.then(message)), (Invariant::Pinned, pinned(name, before, after))]
}

/// What is pinned stays as it is.
fn pinned(name: &str, before: &UpdateRolloutStatus, after: &UpdateRolloutStatus) -> Option<String> {
    (!before.pinned.is_empty() && before.pinned != after.pinned).then(|| format!("{name} has pinned another set"))
}
