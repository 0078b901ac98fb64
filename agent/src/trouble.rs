//! Why a step could not be done, before it is known whether it is waited out or reported.

use crate::host::HostError;
use crate::hresult::Class;
use windlass_protocol::AgentError;

/// Why a step could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The machine refused a call.
    Host(HostError),
    /// Somebody else is at work on the machine, as it says itself.
    Busy(AgentError),
    /// A rule of ours forbids it, or a result is final.
    Final(AgentError),
}

impl Trouble {
    /// Whether somebody else is at work on the machine just now.
    pub fn busy(&self) -> bool {
        matches!(self, Self::Busy(_)) || matches!(self, Self::Host(e) if e.class() == Class::Busy)
    }

    /// Whether it may pass by itself.
    pub fn may_pass(&self) -> bool {
        self.busy() || matches!(self, Self::Host(e) if e.class() == Class::Retriable)
    }
}

impl From<HostError> for Trouble {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl From<AgentError> for Trouble {
    fn from(error: AgentError) -> Self {
        Self::Final(error)
    }
}

impl From<Trouble> for AgentError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Host(error) => error.into(),
            Trouble::Busy(error) | Trouble::Final(error) => error,
        }
    }
}
