//! The adapters behind the traits of [`crate::ports`], and the registry that finds one by its SnapshotClass.

pub mod aws;
pub mod kubevirt;
mod prometheus;
mod registry;
mod secrets;
pub mod simulated;
pub mod tags;

pub use prometheus::Prometheus;
pub use registry::{Registry, Surroundings};
pub use secrets::KubeSecrets;
