//! The write side: statuses, the log of node updates, events.
//!
//! What is to be done is written before it is done: only a write hands out a [`Recorded`], and nothing is done without
//! one. Writes carry the `resourceVersion` of what they were decided on; whoever loses the race drops the pass.

mod events;
mod ledger;
mod node_update;
mod rollout;
mod wait;

pub use events::{Events, Tone};
pub use ledger::{Ledger, RecordError};
pub use node_update::NodeUpdateLog;
pub use rollout::RolloutLog;

/// Something that was written, and may now be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Recorded<T>(T);

impl<T> Recorded<T> {
    /// What may be done.
    pub fn get(&self) -> &T {
        &self.0
    }
}
