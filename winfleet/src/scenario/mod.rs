//! The scenario file: which machines there are, which updates come, what goes wrong.
//!
//! YAML, described in `docs/scenarios.md`. Parsing refuses whatever it does not know; the error names the line and the
//! field. This room holds the words and their checks, and no behaviour: that is [`crate::model`].

mod check;
mod faults;
mod machines;
mod period;
mod settings;
mod updates;

pub use faults::{Effect, Fault, Heals, Phase, When, Where};
pub use machines::{MachineGroup, MachineSpec, ZONE_LABEL};
pub use period::{ParsePeriodError, Period};
pub use settings::{HypervisorSpec, Throttle, Timings};
pub use updates::Update;

use serde::Deserialize;
use serde_saphyr::Spanned;

/// A checked scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Where chance begins: the same seed draws the same machines.
    pub seed: u64,
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
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    seed: u64,
    machines: Vec<Spanned<MachineGroup>>,
    #[serde(default)]
    updates: Vec<Spanned<Update>>,
    #[serde(default)]
    faults: Vec<Spanned<Fault>>,
    #[serde(default)]
    hypervisor: HypervisorSpec,
    #[serde(default)]
    timings: Timings,
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
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    let mut field = String::from(".");
    serde_saphyr::with_deserializer_from_str_with_options(yaml, options, |de| {
        serde_path_to_error::deserialize(de).map_err(|error| {
            // `Spanned` shows in the path as a field of its own.
            field = error.path().to_string().replacen("].value", "]", 1);
            error.into_inner()
        })
    })
    .map_err(|error| ScenarioError {
        line: error.location().map_or(0, |at| at.line()),
        field,
        message: plain(&error.to_string()),
    })
}

/// The parser's message without its own note of the place, which stands in front of ours.
fn plain(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

#[cfg(test)]
mod tests;
