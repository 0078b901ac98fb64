//! The borders to what is outside Kubernetes: who takes and restores snapshots, where credentials come from, who
//! knows how well things work, and what time it is. Traits and plain values; no adapter of a provider.

mod clock;
mod error;
mod monitoring;
mod secrets;
mod snapshot;

pub use crate::domain::{Capabilities, Capability};
pub use clock::Clock;
pub use error::ProviderError;
pub use monitoring::{Monitoring, MonitoringError};
pub use secrets::{SecretData, Secrets};
pub use snapshot::{
    Answer, Consistency, ConsoleFacts, Found, Handle, Order, Power, Progress, SnapshotFacts, SnapshotProvider,
    SnapshotProviders,
};
