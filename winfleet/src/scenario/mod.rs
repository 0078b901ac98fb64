//! The scenario file: which machines there are, which updates come, what goes wrong.
//!
//! YAML, described in `docs/scenarios.md`. Parsing refuses whatever it does not know; the error names the line and the
//! field. This room holds the words and their checks, and no behaviour: that is [`crate::model`].

mod acts;
mod check;
mod cluster;
mod contradictions;
mod effect;
mod expect;
mod faults;
pub mod instead;
mod machines;
mod malformed;
mod manifest;
mod moment;
mod period;
mod settings;
mod surroundings;
mod updates;

pub use acts::{Act, Deed, Gate, Kind};
pub use cluster::{
    ApiServerEffect, ApiServerSpec, CountOrPercent, Kill, MOST_OPERATORS, Metric, OperatorSpec, Over, Percent, Shows,
    Side, Workload,
};
pub use effect::{Effect, Repair};
pub use expect::{Expectation, Expected, NodeOutcome, Range, RolloutState, Tally};
pub use faults::{Fault, Heals, Intermittent, Phase, When, Where};
pub use machines::{Agent, MOST_MACHINES, MachineGroup, MachineSpec, ZONE_LABEL};
pub use manifest::Manifest;
pub use moment::{Moment, Trouble};
pub use period::{ParsePeriodError, Period};
pub use settings::{HypervisorEffect, HypervisorSpec, Throttle, Timings};
pub use updates::Update;

use jiff::Timestamp;
use serde::Deserialize;
use serde_saphyr::Spanned;

/// A checked scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Where chance begins: the same seed draws the same machines.
    pub seed: u64,
    /// When it begins; a simulation's clock stands there at first.
    pub start: Timestamp,
    /// How long it goes at most.
    pub lasts: Period,
    /// The machines, each spelled out, in the file's order.
    pub machines: Vec<MachineSpec>,
    /// The update catalogue.
    pub updates: Vec<Update>,
    /// The faults.
    pub faults: Vec<Fault>,
    /// How the hypervisor behaves.
    pub hypervisor: HypervisorSpec,
    /// How long things take.
    pub timings: Timings,
    /// How the API server behaves.
    pub api_server: ApiServerSpec,
    /// How the operator itself is treated.
    pub operator: OperatorSpec,
    /// What runs on the nodes.
    pub workloads: Vec<Workload>,
    /// What monitoring answers.
    pub metrics: Vec<Metric>,
    /// Objects of the cluster, as they are written.
    pub manifests: Vec<Manifest>,
    /// What people do meanwhile.
    pub acts: Vec<Act>,
    /// What must hold at the end.
    pub expect: Vec<Expectation>,
}

/// What is wrong with a scenario file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {field}: {message}")]
pub struct ScenarioError {
    /// The line, from 1; 0 when the text ended too early to tell.
    pub line: u64,
    /// The field's path (`faults[0].where`); `.` for the whole file.
    pub field: String,
    /// One sentence.
    pub message: String,
}

/// The file as it is written: the lists remember their lines.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(default)]
    seed: u64,
    #[serde(default = "usual_start", deserialize_with = "updates::date_or_time")]
    start: Timestamp,
    #[serde(default = "usual_length")]
    lasts: Period,
    machines: Vec<Spanned<MachineGroup>>,
    #[serde(default)]
    updates: Vec<Spanned<Update>>,
    #[serde(default)]
    faults: Vec<Spanned<Fault>>,
    #[serde(default)]
    hypervisor: Option<Spanned<HypervisorSpec>>,
    #[serde(default)]
    timings: Timings,
    #[serde(default)]
    api_server: Option<Spanned<ApiServerSpec>>,
    #[serde(default)]
    operator: Option<Spanned<OperatorSpec>>,
    #[serde(default)]
    workloads: Vec<Spanned<Workload>>,
    #[serde(default)]
    metrics: Vec<Spanned<Metric>>,
    #[serde(default)]
    manifests: Vec<Spanned<serde_json::Value>>,
    #[serde(default)]
    acts: Vec<Spanned<acts::Written>>,
    #[serde(default)]
    expect: expect::Block,
}

/// A Tuesday, like any other.
const fn usual_start() -> Timestamp {
    // 2026-01-06T00:00:00Z
    Timestamp::constant(1_767_657_600, 0)
}

/// Two months: longer than any soak of a month, and than the default for a ring's soak times four.
const fn usual_length() -> Period {
    Period::hours(24 * 60)
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// [`ScenarioError`] for the first thing that is wrong: bad YAML, an unknown or missing field, a value that does
    /// not parse, names that are there twice, a KB that is not in the catalogue, a selector that fits no machine.
    pub fn parse(yaml: &str) -> Result<Self, ScenarioError> {
        check::scenario(read(yaml)?)
    }
}

/// Parses the file's form; the path of the field comes from `serde_path_to_error`, the line from the parser.
fn read(yaml: &str) -> Result<File, ScenarioError> {
    if yaml.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Err(check::refuse(1, "machines".into(), "is needed, and the file has nothing in it".into()));
    }
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    let mut field = String::from(".");
    serde_saphyr::with_deserializer_from_str_with_options(yaml, options, |de| {
        serde_path_to_error::deserialize(de).map_err(|error| {
            field = without_spanned(&error.path().to_string());
            error.into_inner()
        })
    })
    .map_err(|error| malformed::told(&error, field))
}

/// The path without the first `value`, which is how `Spanned` shows in it.
fn without_spanned(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('.').collect();
    if let Some(at) = parts.iter().skip(1).position(|part| *part == "value") {
        parts.remove(at + 1);
    }
    parts.join(".")
}

#[cfg(test)]
mod tests;
