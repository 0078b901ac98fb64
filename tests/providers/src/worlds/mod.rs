//! The worlds that the suite is run in.

mod aws;
mod ec2;
mod kubernetes;
mod kubevirt;
mod secrets;
mod simulated;

use anyhow::Result;
use conformance::World;
use futures::future::LocalBoxFuture;
use std::sync::Arc;
use xtask::moto::ensure_installed;

/// A world that is opened when a case wants it.
pub struct Entry {
    /// The provider's name.
    pub name: &'static str,
    /// Installs what it needs and this project does not build itself. An error is a reason to go without it, said loudly.
    pub needs: fn() -> Result<()>,
    /// Opens it.
    pub open: fn() -> LocalBoxFuture<'static, Result<Arc<dyn World>>>,
}

/// Why a snapshot can not lack the system disk.
const ONE_VOLUME: &str = "its snapshots are of the system disk, and of nothing else";

/// All of them, in the order of the table.
pub const ALL: &[Entry] = &[
    Entry { name: simulated::NAME, needs: || Ok(()), open: || Box::pin(simulated::open()) },
    Entry { name: kubevirt::NAME, needs: || Ok(()), open: || Box::pin(kubevirt::open()) },
    Entry { name: aws::NAME, needs: || ensure_installed().map(drop), open: || Box::pin(aws::open()) },
];
