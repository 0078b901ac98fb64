//! The program itself, as processes that are started, killed and started again: on Windows or Wine the `.exe`, elsewhere
//! the same program over a machine that is played by the test.

#![allow(clippy::expect_used, clippy::panic)] // Clippy does not know helpers of tests as tests.

mod common;
#[path = "exe/field.rs"]
mod field;
#[path = "exe/flow.rs"]
mod flow;
#[path = "exe/refusals.rs"]
mod refusals;
#[cfg(windows)]
#[path = "exe/windows.rs"]
mod windows;
