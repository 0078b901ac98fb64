//! The conformance suite of snapshot providers: one list of cases that any provider is run through.
//!
//! A provider is brought with its [`World`]: a way to make machines for it, to look at what is really there, and a
//! [`Proxy`] between the two that misbehaves when a case says so. A case sees nothing but the contract of
//! `windlass::ports` and the world. What a world can not do makes a case not applicable, with the reason; it is listed in
//! the table of `docs/providers.md`, which the suite writes itself.

mod bench;
pub mod cases;
pub mod proxy;
pub mod report;
mod world;

pub use bench::{Bench, PATIENCE};
pub use proxy::{Dialect, Fault, Forward, Proxy, Requests};
pub use world::{Event, Happened, Limit, World};

use futures::future::LocalBoxFuture;

/// One case: a name, and what is done.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name, in the table and as a filter.
    pub name: &'static str,
    /// What must hold, in a sentence.
    pub says: &'static str,
    /// Runs it; an error is a breach of the contract.
    pub run: for<'a> fn(&'a Bench<'a>) -> LocalBoxFuture<'a, anyhow::Result<Verdict>>,
}

/// How a case ended, if it did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The provider does as the contract says.
    Pass,
    /// It can not happen to this provider, or its emulator can not show it: the reason.
    NotApplicable(String),
}
