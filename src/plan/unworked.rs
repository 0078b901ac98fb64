//! Nodes without a node update: those that have still to start, and why others are skipped.

use crate::api::PinnedSet;
use crate::domain::{Build, NodeState};
use std::fmt;

/// A node that has still to start.
#[derive(Clone, Copy, Debug)]
pub struct Pending<'a> {
    /// The node.
    pub node: &'a NodeState,
    /// The build it has.
    pub from: Build,
    /// The build it is to have.
    pub to: Build,
    /// What is installed.
    pub pinned: &'a PinnedSet,
    /// A node update of the same node name that still is in work: for the machine that had the name before.
    pub predecessor: Option<&'a str>,
    /// UID of the update that this rollout has made of the node before, where it is taken along once more.
    pub previous: Option<&'a str>,
}

impl Pending<'_> {
    /// Whether it can start at no cost to the budget: Ready, but cordoned by somebody.
    pub fn costs_nothing(&self) -> bool {
        self.node.readiness.is_ready() && !self.node.available()
    }
}

/// Why a node is skipped without a node update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// A person wants it left alone.
    Annotated,
    /// Its build does not parse.
    UnknownBuild,
    /// The rollout has no update for its Windows version.
    NoTarget(Build),
    /// What is pinned for its Windows version leads to no build: there is nothing to tell by that it is installed.
    NoBuild(Build),
}

impl Skip {
    /// Why a node of this build has no target among the pinned sets.
    pub fn without_target(from: Build, pinned: &[PinnedSet]) -> Self {
        let is_pinned = pinned.iter().any(|set| set.os_build == from.os_build() && !set.updates.is_empty());
        if is_pinned { Self::NoBuild(from) } else { Self::NoTarget(from) }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Annotated => f.write_str("has the annotation windlass.dev/skip"),
            Self::UnknownBuild => f.write_str("its kernelVersion is no Windows build"),
            Self::NoTarget(build) => {
                write!(f, "NoTarget: nothing is pinned for its Windows version {}", build.os_build())
            }
            Self::NoBuild(build) => write!(
                f,
                "NoTarget: what is pinned for its Windows version {} names no build, and is installed only together \
                 with an update that does",
                build.os_build()
            ),
        }
    }
}
