//! When an object is looked at again.

use kube::runtime::controller::Action;
use std::time::Duration;

/// When an object is looked at again, if nothing that concerns it changes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again(Option<Duration>);

impl Again {
    /// After this time.
    pub const fn after(wait: Duration) -> Self {
        Self(Some(wait))
    }

    /// When something changes.
    pub const fn on_change() -> Self {
        Self(None)
    }

    /// The time after which it is; none when only a change makes it so.
    pub const fn wait(self) -> Option<Duration> {
        self.0
    }
}

impl From<Again> for Action {
    fn from(again: Again) -> Self {
        again.0.map_or_else(Self::await_change, Self::requeue)
    }
}
