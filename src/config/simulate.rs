//! The flags of `windlass simulate`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The flags of `windlass simulate`.
#[derive(Clone, Debug, Args)]
pub struct Simulate {
    /// The scenario: machines, updates and what goes wrong (docs/scenarios.md).
    #[arg(long)]
    pub scenario: PathBuf,
    /// Folder or file with the objects that are applied: policies, rings, rollouts, holds. Without it those of the
    /// scenario are used alone.
    #[arg(long)]
    pub manifests: Option<PathBuf>,
    /// Where chance begins, in place of the scenario's own seed.
    #[arg(long)]
    pub seed: Option<u64>,
    /// How many simulations, each with the next seed.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub runs: u64,
    /// Faults that are drawn by chance, beside those of the scenario.
    #[arg(long, value_enum, default_value_t = Faults::None)]
    pub faults: Faults,
    /// How the report looks.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// File for the story of the (last) simulation, one line per happening.
    #[arg(long)]
    pub log: Option<PathBuf>,
}

/// How many faults are drawn by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Faults {
    /// None.
    None,
    /// A few: an operator that is killed, a short outage, some machines that misbehave.
    Light,
    /// Many of every kind at once.
    Heavy,
}

/// How a report looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON document per simulation, each on a line of its own when there are several.
    Json,
}
