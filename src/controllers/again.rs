//! When an object is looked at again.

use kube::runtime::controller::Action;
use std::time::Duration;

/// When an object is looked at again, if nothing that concerns it changes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    wait: Option<Duration>,
    passed: bool,
}

impl Again {
    /// After this time.
    pub const fn after(wait: Duration) -> Self {
        Self { wait: Some(wait), passed: true }
    }

    /// When something changes.
    pub const fn on_change() -> Self {
        Self { wait: None, passed: true }
    }

    /// After this time, and nothing was done now: it is too early. That says nothing of what failed before.
    pub const fn too_early(wait: Duration) -> Self {
        Self { wait: Some(wait), passed: false }
    }

    /// The time after which it is; none when only a change makes it so.
    pub const fn wait(self) -> Option<Duration> {
        self.wait
    }

    /// Whether a pass was made.
    pub const fn passed(self) -> bool {
        self.passed
    }
}

impl From<Again> for Action {
    fn from(again: Again) -> Self {
        again.wait.map_or_else(Self::await_change, Self::requeue)
    }
}
