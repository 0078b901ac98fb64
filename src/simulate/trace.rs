//! What an observer sees: every write with its actor, every call of a provider, and the ground truth.

use super::cluster::{Object, Tables};
use jiff::Timestamp;
use serde::Serialize;
use std::fmt;
use winfleet::model::World;

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The operator's instance of this number, from 0.
    Operator(usize),
    /// A kubelet.
    Kubelet,
    /// A controller of Kubernetes: garbage collection, node lifecycle, workloads.
    Kubernetes,
    /// A person.
    User,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(0) => f.write_str("operator"),
            Self::Operator(number) => write!(f, "operator {}", number + 1),
            Self::Kubelet => f.write_str("kubelet"),
            Self::Kubernetes => f.write_str("kubernetes"),
            Self::User => f.write_str("user"),
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// An object was made (`before` is none), changed, or removed (`after` is none).
    Wrote {
        /// By whom.
        actor: Actor,
        /// As it was.
        before: Option<&'a Object>,
        /// As it is.
        after: Option<&'a Object>,
    },
    /// A provider was asked for something, whether it did it or not.
    Provider {
        /// By whom.
        actor: Actor,
        /// What it was asked for.
        what: ProviderCall,
        /// The node, or the snapshot's handle for a deletion.
        subject: &'a str,
        /// The key of the work; empty for a deletion.
        key: &'a str,
    },
    /// A provider or the API server was asked for something, and did not answer; or a provider for a deletion, and was too
    /// busy.
    Unanswered,
    /// The ground truth about a machine may have changed.
    Machine {
        /// Its name.
        name: &'a str,
    },
    /// An operator was killed.
    Killed {
        /// Its number, from 0.
        instance: usize,
    },
    /// An operator was started.
    Started {
        /// Its number, from 0.
        instance: usize,
    },
    /// The simulation is over.
    End,
}

/// What a provider is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderCall {
    /// To take a snapshot.
    Ensure,
    /// To restore one.
    Restore,
    /// To say what one is good for.
    Inspect,
    /// To delete one.
    Delete,
    /// To switch a machine on or off.
    Power,
    /// To look at a machine.
    Console,
}

/// The state of everything at that moment.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The machines and the hypervisor, as they really are.
    pub world: &'a World,
    /// What the API server has.
    pub tables: &'a Tables,
}

/// A program that looks on, and shares no code with what it looks at.
pub trait Observer: Send {
    /// Sees what happened at this time. It is called after each write: it has to be quick.
    fn see(&mut self, at: Timestamp, event: &Event<'_>, view: &View<'_>);

    /// How many checks were made.
    fn checked(&self) -> u64;

    /// What was found broken.
    fn broken(&self) -> Vec<Broken>;
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Its name.
    pub invariant: String,
    /// When.
    pub at: Timestamp,
    /// What was seen.
    pub message: String,
}
