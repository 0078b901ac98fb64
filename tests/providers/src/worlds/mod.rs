//! The worlds that the suite is run in.

mod kubernetes;
mod kubevirt;
mod secrets;
mod simulated;

use anyhow::Result;
use conformance::World;
use futures::future::LocalBoxFuture;
use std::sync::Arc;

/// A world that is opened when a case wants it.
pub struct Entry {
    /// The provider's name.
    pub name: &'static str,
    /// Opens it.
    pub open: fn() -> LocalBoxFuture<'static, Result<Arc<dyn World>>>,
}

/// All of them, in the order of the table.
pub const ALL: &[Entry] = &[
    Entry { name: simulated::NAME, open: || Box::pin(simulated::open()) },
    Entry { name: kubevirt::NAME, open: || Box::pin(kubevirt::open()) },
];
