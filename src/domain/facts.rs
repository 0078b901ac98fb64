//! What was seen of a node, as plain values.

use super::{Build, Labels, NodeRef};
use jiff::Timestamp;
use std::time::Duration;

/// Whether a node is Ready, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// `Ready=True` since then.
    Ready(Timestamp),
    /// `Ready=False` or `Unknown` since then.
    NotReady(Timestamp),
    /// No Ready condition at all.
    Unknown,
}

impl Readiness {
    /// Whether it is Ready now.
    pub fn is_ready(self) -> bool {
        matches!(self, Self::Ready(_))
    }
}

/// One Windows node, as its Node object shows it.
// Each is a fact of its own on the Node object; no two of them make one state.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug, PartialEq)]
pub struct NodeState {
    /// Name, UID, machine.
    pub node: NodeRef,
    /// `resourceVersion` of what was seen.
    pub resource_version: String,
    /// The build kubelet read when it started; `None` when it does not parse.
    pub build: Option<Build>,
    /// `status.nodeInfo.bootID`. A disk restore rewinds it.
    pub boot_id: String,
    /// Whether it is Ready.
    pub readiness: Readiness,
    /// Whether it is cordoned, by anybody.
    pub unschedulable: bool,
    /// UID of the NodeUpdate that has claimed it.
    pub claimed_by: Option<String>,
    /// Whether the cordon is ours: it was schedulable when we claimed it.
    pub cordoned_by_us: bool,
    /// A person wants it to stay cordoned.
    pub keep_cordoned: bool,
    /// A person wants it left alone.
    pub skip: bool,
    /// Whether it has our quarantine taint.
    pub quarantined: bool,
    /// Volumes that are attached to it.
    pub volumes_attached: Vec<String>,
    /// Its labels.
    pub labels: Labels,
}

impl NodeState {
    /// Whether pods can be scheduled to it and would run.
    pub fn available(&self) -> bool {
        self.readiness.is_ready() && !self.unschedulable
    }
}

/// What there is under a node's name.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeSeen {
    /// Nothing, for so short a time that the machine may still register anew, as a kubelet does when it starts.
    Missing {
        /// After how much more time it is believed to be gone.
        left: Duration,
    },
    /// Nothing, or a Node object of which nobody can tell whose it is.
    Gone,
    /// Another Node object than the one that was meant.
    Replaced {
        /// What is there now.
        now: Box<NodeState>,
        /// Whether it is the same machine ([`NodeRef::same_machine`](super::NodeRef::same_machine)), registered anew.
        same_machine: bool,
    },
    /// The node that was meant.
    Here(Box<NodeState>),
}

impl NodeSeen {
    /// The node that was meant, if it is there.
    pub fn here(&self) -> Option<&NodeState> {
        match self {
            Self::Here(node) => Some(node),
            Self::Missing { .. } | Self::Gone | Self::Replaced { .. } => None,
        }
    }
}

/// What people want of a node update that is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Wish {
    /// That it goes on.
    #[default]
    GoOn,
    /// That it ends: its rollout was aborted, or it or its rollout is being deleted.
    End,
    /// That it does not install what it was made to: an UpdateHold stands against it, or its rollout is halted.
    HoldBack {
        /// Which, and why, in one sentence.
        why: String,
    },
}

impl Wish {
    /// Whether it is to end as long as the machine is as it was.
    pub fn ends(&self) -> bool {
        *self != Self::GoOn
    }

    /// Why it is to end, in words.
    pub fn why(&self) -> &str {
        match self {
            Self::GoOn | Self::End => "ended by a person",
            Self::HoldBack { why } => why,
        }
    }
}
