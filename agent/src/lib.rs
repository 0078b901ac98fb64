//! What runs on a Windows node, without Windows: the step machine of the agent over traits that stand for the machine.
//!
//! Nothing here waits, reads a clock, or does I/O of its own. A caller steps a [`Run`] (one command of one pod) or a
//! [`Task`] (the one-shot task that installs and survives reboots), hands it a [`Host`] and the time, and waits as
//! long as it is told. The same core therefore runs as SYSTEM on Windows and, under a virtual clock, on simulated
//! machines.
//!
//! | Room | What it holds |
//! |---|---|
//! | [`host`] | the border: one small trait per concern of the machine |
//! | [`hresult`] | what Windows' error codes mean for the work, as data |
//! | [`args`], [`program`], [`platform`] | the command line, and the program around the core |
//! | `fake` | a machine at the other end of a connection, for tests |
//! | `state` | the one document on disk, and its transitions |
//! | `pinned` | the pinned set against what the source offers and the machine has |
//! | `preflight`, `policy` | what must hold before anything is touched; who owns automatic updates meanwhile |
//! | `stage`, `arm`, `follow`, `reset`, `run` | the commands |
//! | `task`, `install` | the armed task: install, reboot, rescan |
//! | `baseline`, `probe` | the machine as it was before, and against it |
//! | `identity` | until when the disk is let in by cluster and domain |
//! | `shape` | what Windows answers, read: pure, so that it is tested everywhere |
//! | [`packages`] | a folder of offline packages |
//! | `windows` | the real machine (on Windows only) |
//!
//! # Guarantees
//! * Each transition is on disk before its act. A power cut at any point resumes where it was, or says `Unknown`.
//! * An update that is installed, or waits for its reboot, is never installed again.
//! * The agent never reboots without the operator's leave, after it has run out, or while servicing is busy.
//! * At the limit of reboots the agent takes its own task off, with nobody's help.

pub mod args;
mod arm;
mod baseline;
#[cfg(feature = "fake-machine")]
pub mod fake;
mod folder;
mod follow;
pub mod host;
pub mod hresult;
mod identity;
mod install;
pub mod packages;
mod pinned;
pub mod platform;
mod policy;
mod preflight;
mod probe;
pub mod program;
mod report;
mod reset;
mod rows;
mod run;
mod shape;
mod stage;
mod state;
mod task;
mod trouble;
#[cfg(windows)]
pub mod windows;

pub use host::{Host, HostError};
pub use run::{Next, Run};
pub use state::{NONCE_A_FILE, NONCE_B_FILE, STATE_FILE};
pub use task::{Task, TaskNext};

#[cfg(fuzzing)]
pub use state::fuzzing;

use std::time::Duration;

/// How long to wait between two looks at a job or a state file: one second, quick for a person who watches, and at
/// 600 looks in ten minutes still nothing that a machine would feel.
pub(crate) const POLL: Duration = Duration::from_secs(1);

/// How long to wait before something that failed, but may pass, is tried again: 30 seconds, half of the minute that
/// Google's agent sleeps after an error (GoogleCloudPlatform/osconfig).
pub(crate) const RETRY: Duration = Duration::from_secs(30);

/// How long a search may be refused or fail for a passing reason before the agent gives up: 20 minutes, ours, twice
/// what a scan takes on a slow machine.
pub(crate) const PATIENCE: jiff::SignedDuration = jiff::SignedDuration::from_mins(20);
