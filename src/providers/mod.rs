//! The adapters behind the traits of [`crate::ports`], and the registry that finds one by its SnapshotClass.

mod registry;
pub mod simulated;

pub use registry::Registry;
