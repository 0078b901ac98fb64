//! A machine in memory that can lose its power at any call, and an operator that asks the agent again until it is done.

#![allow(dead_code, unused_imports)] // Each test binary uses its own part.
#![allow(clippy::expect_used, clippy::panic)] // A fake has nobody to report to.
#![allow(clippy::struct_excessive_bools)] // Each is a switch of the machine.
#![allow(missing_docs)]

mod condition;
mod machine;
mod operator;

pub use condition::{ADDRESS, APIPA};
pub use machine::{Cut, Machine, Offer};
pub use operator::{Answer, Operator, request};

use windlass_protocol::{Build, PinnedUpdate};

/// The build of a fresh machine.
pub const OLD: Build = Build::new(10, 0, 20348, 2527);

/// The build after the update.
pub const NEW: Build = Build::new(10, 0, 20348, 2582);

/// A pinned update by its number in the catalogue.
pub fn pin(kb: &str) -> PinnedUpdate {
    PinnedUpdate { update_id: format!("id-{kb}"), revision: 1, kb: kb.parse().expect("a KB") }
}
