//! What running a step came to, and what is waited for.
//!
//! Messages are deterministic (lists are sorted, nothing in them moves with time) and name the blocker.

use crate::api::{Step, StepDetail};
use std::{fmt, time::Duration};

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum StepResult {
    /// Done.
    Done {
        /// What a later step needs: a snapshot's handle.
        handle: Option<String>,
        /// What came of it.
        message: String,
        /// More of the pinned set wants installing (Reboot only).
        more: bool,
    },
    /// Not yet.
    Pending {
        /// What it waits for.
        on: WaitingOn,
        /// When to look again at the latest.
        after: Duration,
    },
    /// Failed.
    Failed {
        /// The kind of failure; `None` is one that trying again would not cure.
        detail: Option<StepDetail>,
        /// Why, one sentence that names the blocker.
        message: String,
    },
}

impl StepResult {
    /// Done, with nothing to hand on.
    pub fn done(message: impl Into<String>) -> Self {
        Self::Done { handle: None, message: message.into(), more: false }
    }

    /// Failed for good.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { detail: None, message: message.into() }
    }

    /// Failed in a way that may pass.
    pub fn retriable(message: impl Into<String>) -> Self {
        Self::Failed { detail: Some(StepDetail::Retriable), message: message.into() }
    }
}

/// What a node update waits for. Its text is `status.waitingOn`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum WaitingOn {
    /// An agent's pod to end.
    Agent {
        /// What it does, in words (`downloading KB5040437`).
        doing: String,
    },
    /// Pods to leave the node.
    PodsTerminating {
        /// How many are left.
        left: usize,
        /// The first of them by name, `namespace/name`.
        first: String,
    },
    /// A PodDisruptionBudget to allow an eviction.
    DisruptionBudget {
        /// The budget, `namespace/name`, or the API server's own words.
        budget: String,
        /// The pod, `namespace/name`.
        pod: String,
    },
    /// Volumes to be detached.
    Volumes(Vec<String>),
    /// A task of the snapshot provider.
    Provider {
        /// What it does, in words (`snapshot`, `restore`).
        doing: String,
    },
    /// The provider to answer again.
    ProviderRetry(String),
    /// The machine to reboot and its node to be Ready.
    Boot {
        /// The node.
        node: String,
    },
    /// The Node object, which is gone, to be registered anew.
    Registration {
        /// The node.
        node: String,
    },
    /// The node to be left alone for a while after its boot.
    Settle,
    /// Probes to pass.
    Probes(Vec<String>),
    /// Another attempt of a step.
    Retry {
        /// The step.
        step: Step,
        /// The attempt that comes next.
        attempt: u32,
        /// Why the last one failed.
        message: String,
    },
    /// Somebody else's claim on the node to end.
    Claim {
        /// UID of the other NodeUpdate.
        holder: String,
    },
    /// The API server to take a request that it refuses, in its own words: a missing right, an admission
    /// rule, a webhook that is away.
    ApiServer(String),
}

impl fmt::Display for WaitingOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent { doing } => write!(f, "agent: {doing}"),
            Self::PodsTerminating { left: 1, first } => write!(f, "pod {first} to terminate"),
            Self::PodsTerminating { left, first } => write!(f, "{left} pods to terminate, the first is {first}"),
            Self::DisruptionBudget { budget, pod } => write!(f, "PDB {budget} allows no disruption of pod {pod}"),
            Self::Volumes(volumes) => write!(f, "volumes to be detached: {}", volumes.join(", ")),
            Self::Provider { doing } => write!(f, "provider: {doing}"),
            Self::ProviderRetry(message) => write!(f, "provider to answer: {message}"),
            Self::Boot { node } => write!(f, "{node} to boot and be Ready"),
            Self::Registration { node } => write!(f, "{node} to register again: its Node object is gone"),
            Self::Settle => f.write_str("the node to settle"),
            Self::Probes(probes) => write!(f, "probes to pass: {}", probes.join(", ")),
            Self::Retry { step, attempt, message } => write!(f, "attempt {attempt} of {step:?}: {message}"),
            Self::Claim { holder } => write!(f, "the node's claim by node update {holder} to end"),
            Self::ApiServer(message) => write!(f, "API server: {message}"),
        }
    }
}
