//! Everything that decides. Pure: no client, no clock, no sleep, no environment.
//!
//! `node` decides the next step of one node update, `rollout` which nodes start now and whether to halt or promote.
//! The words that users read are made in `report`; the conditions in `conditions`.

pub mod approve;
pub mod budget;
mod census;
pub mod conditions;
mod failure;
pub mod fleet;
pub mod gate;
pub mod holds;
pub mod lint;
pub mod log;
pub mod node;
pub mod pin;
mod preflight;
mod progress;
pub mod report;
pub mod resolve;
mod retry;
mod ring;
pub mod rollout;
mod rollout_report;
#[doc(hidden)]
pub mod sample;
pub mod scan;
pub mod selector;
mod soak;
pub mod stall;
pub mod table;
mod turn;
mod unworked;
pub mod window;

#[cfg(test)]
mod tests;

pub use report::{Reason, ReasonCode};
