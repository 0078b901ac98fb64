//! Why a rollout does not get on without a person.

/// Why a rollout can not go on until a person changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// The condition's reason.
    pub code: StallCode,
    /// One sentence that names the object.
    pub message: String,
}

/// Reasons of `Stalled=True` at a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StallCode {
    /// A ring that the rollout lists is not there.
    RingMissing,
    /// A policy that a ring names is not there.
    PolicyMissing,
    /// A SnapshotClass that a policy names is not there.
    SnapshotClassMissing,
    /// A SnapshotClass that a policy names makes no provider.
    SnapshotClassInvalid,
    /// A probe of a policy can never pass.
    ProbeInvalid,
    /// A policy needs what the provider of its SnapshotClass lacks.
    CapabilityMissing,
    /// A provider can not work: a credential is missing or refused.
    ProviderNotReady,
    /// A provider does not take a node of a ring.
    NodeNotAccepted,
    /// Nobody says for a long time which updates are offered.
    UpdatesUnknown,
    /// Two rings of the rollout select the same node.
    RingsOverlap,
    /// A ring selects no Windows node.
    RingEmpty,
    /// A ring is through with fewer updated nodes than it must have.
    TooFewUpdated,
    /// No window of the policy is long enough for a node and its revert.
    WindowTooShort,
    /// A ring allows no unavailable node at all.
    BudgetZero,
    /// Nodes that are held, and wait for a person, take up all of a ring's budget.
    BudgetHeld,
    /// An update has failed, and the rollout was halted.
    Halted,
}

impl StallCode {
    /// Its CamelCase text, as conditions and metric labels have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RingMissing => "RingMissing",
            Self::PolicyMissing => "PolicyMissing",
            Self::SnapshotClassMissing => "SnapshotClassMissing",
            Self::SnapshotClassInvalid => "SnapshotClassInvalid",
            Self::ProbeInvalid => "ProbeInvalid",
            Self::CapabilityMissing => "CapabilityMissing",
            Self::ProviderNotReady => "ProviderNotReady",
            Self::NodeNotAccepted => "NodeNotAccepted",
            Self::UpdatesUnknown => "UpdatesUnknown",
            Self::RingsOverlap => "RingsOverlap",
            Self::RingEmpty => "RingEmpty",
            Self::TooFewUpdated => "TooFewUpdated",
            Self::WindowTooShort => "WindowTooShort",
            Self::BudgetZero => "BudgetZero",
            Self::BudgetHeld => "BudgetHeld",
            Self::Halted => "Halted",
        }
    }
}
