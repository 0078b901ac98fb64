//! Everything that decides. Pure: no client, no clock, no sleep, no environment.
//!
//! `node` decides the next step of one node update, `rollout` which nodes start now and whether to halt or promote.
//! The words that users read are made in `report`; the conditions in `conditions`.

pub mod fleet;
pub mod gate;
pub mod node;
mod preflight;
pub mod report;
mod retry;
pub mod rollout;

pub use report::{Reason, ReasonCode};
