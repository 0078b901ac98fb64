//! Why a pass failed. Waiting is no error.

use crate::act::ActError;
use crate::ports::ProviderError;
use crate::record::RecordError;
use std::time::Duration;

/// How long one pass may take: one that hangs would keep its place for ever.
pub(super) const PASS_TIMEOUT: Duration = Duration::from_mins(1);

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Something could not be recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An effect could not be done.
    #[error(transparent)]
    Act(#[from] ActError),
    /// The API server could not be asked.
    #[error("{what}: {source}")]
    Api {
        /// What was asked.
        what: &'static str,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// A provider could not do it.
    #[error("provider: {0}")]
    Provider(#[from] ProviderError),
    /// The plan breaks an invariant and was not acted on: a fault of the planner.
    #[error("the plan is refused: {0}")]
    PlanRefused(String),
    /// The pass took too long.
    #[error("not through within {}s", PASS_TIMEOUT.as_secs())]
    TimedOut,
    /// The pass panicked: a fault of ours, that must not stop the others.
    #[error("panicked: {0}")]
    Panicked(String),
}

impl ReconcileError {
    /// Makes an error of a failed call.
    pub(super) fn api(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Api { what, source: Box::new(source) }
    }

    /// Its label in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Record(error) => error.label(),
            Self::Act(error) => error.label(),
            Self::Api { .. } => "api",
            Self::Provider(_) => "provider",
            Self::PlanRefused(_) => "plan_refused",
            Self::TimedOut => "timed_out",
            Self::Panicked(_) => "panicked",
        }
    }

    /// Whether it was only decided on what is no longer true: to be done again at once.
    pub(super) fn is_stale(&self) -> bool {
        match self {
            Self::Record(RecordError::Conflict { .. } | RecordError::Gone { .. }) => true,
            Self::Record(RecordError::Refused { .. } | RecordError::TimedOut { .. } | RecordError::Api { .. })
            | Self::Act(_)
            | Self::Api { .. }
            | Self::Provider(_)
            | Self::PlanRefused(_)
            | Self::TimedOut
            | Self::Panicked(_) => false,
        }
    }
}
