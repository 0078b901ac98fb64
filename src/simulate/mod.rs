//! `windlass simulate`: the operator as it is, over a cluster that is not there, under a clock that jumps.
//!
//! The controllers, the planner, the step machine, the records and the effects are the very ones that run in a cluster.
//! Below them stand a simulated API server ([`cluster`]), winfleet's machines with kubelets of their own
//! ([`machines`]), and winfleet's hypervisor. One thread plays one simulation; the same seed gives the same story.

mod acts;
mod agenda;
mod books;
mod calls;
pub mod cli;
mod cluster;
mod door;
mod expect;
mod files;
mod harmless;
mod machines;
mod manifests;
mod monitoring;
mod names;
pub mod observer;
mod operator;
mod patches;
mod provider;
mod random;
mod report;
mod run;
mod setup;
mod shared;
mod summary;
mod trace;
mod troubles;
mod workloads;

pub use acts::Act;
pub use calls::{Boundary, Kill, Refusal, Trouble, What, When};
pub use cluster::{Object, Table, Tables};
pub use expect::{Miss, misses};
pub use observer::Auditor;
pub use report::{Invariants, NodeReport, RefusedAct, Report, RolloutReport};
pub use run::run;
pub use setup::Setup;
pub use trace::{Actor, Broken, Event, Observer, ProviderCall, View};

use jiff::Timestamp;
use winfleet::model::World;

/// What a simulation came to.
#[derive(Debug)]
pub struct Outcome {
    /// The report.
    pub report: Report,
    /// The story, if it was told.
    pub story: Vec<(Timestamp, String)>,
    /// How many calls operators made: the boundaries at which they can be killed.
    pub calls: u64,
    /// The calls by their words, if they were named.
    pub call_names: Vec<String>,
    /// The machines at the end.
    pub world: World,
    /// What the API server has at the end.
    pub tables: Tables,
    /// When the end was.
    pub ended: Timestamp,
}

/// A simulation that came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The input is bad; the text names the file, the line and the field.
    #[error("{0}")]
    Input(String),
    /// The operator asked what the simulated API server does not know: a gap of the simulation.
    #[error("the simulated API server does not know: {0}")]
    Unknown(String),
    /// The simulation could not run.
    #[error("{0}")]
    Runtime(String),
}

#[cfg(test)]
mod anew;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod liar;
#[cfg(test)]
mod mishaps;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vocabulary;
