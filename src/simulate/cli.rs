//! `windlass simulate`: flags in, report out.

use super::summary::Summary;
use super::{
    Auditor, Miss, Outcome, RefusedAct, Setup, SimulateError, files, harmless, misses, names, patches, random, run,
};
use crate::config::{Output, Simulate as Flags};
use crate::manifest::{self, Manifest};
use std::fmt::Write as _;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use winfleet::scenario::Scenario;

/// What the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All is as it should be.
    Good,
    /// The input is bad.
    BadInput,
    /// An invariant was broken.
    Broken,
    /// Something that was expected did not come.
    Missed,
}

impl Ending {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::BadInput => 2,
            Self::Broken => 3,
            Self::Missed => 4,
        }
    }
}

/// Runs the subcommand; what it says goes to standard output, and errors to standard error.
pub fn main(flags: &Flags) -> Ending {
    match simulate(flags, &mut |text| print(&mut std::io::stdout(), text)) {
        Ok(ending) => ending,
        Err(error) => {
            complain(&format!("windlass simulate: {error}"));
            Ending::BadInput
        }
    }
}

/// Prints a report when it is there. Where nobody reads any more (`head`), that is no failure; a report that is lost
/// is one: who asked for it would take what was written before for all there is.
fn print(to: &mut impl std::io::Write, text: &str) -> Result<(), SimulateError> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(why) if why.kind() != ErrorKind::BrokenPipe => {
            Err(SimulateError::Runtime(format!("the report can not be written: {why}")))
        }
        _ => Ok(()),
    }
}

/// Says something on standard error.
fn complain(words: &str) {
    eprintln!("{}", harmless::text(words));
}

/// What is played, checked.
struct Input {
    scenario: Scenario,
    manifests: Vec<Manifest>,
}

fn simulate(flags: &Flags, show: &mut impl FnMut(&str) -> Result<(), SimulateError>) -> Result<Ending, SimulateError> {
    let Input { scenario, manifests } = input(flags)?;
    let first = flags.seed.unwrap_or(scenario.seed);
    let (mut ending, mut summary) = (Ending::Good, Summary::default());
    for number in 0..flags.runs {
        let setup = setup(flags, &scenario, &manifests, first.wrapping_add(number));
        let outcome = run(&setup, vec![Box::new(Auditor::default())])?;
        let missed = misses(&scenario.expect, &outcome);
        ending = worse(ending, &outcome, &missed);
        show(&shown(flags, &outcome)?)?;
        summary.count(&outcome, !missed.is_empty());
        tell(flags, &scenario, &outcome, &missed);
        if let Some(log) = &flags.log {
            std::fs::write(log, story(&outcome)).map_err(|why| about(log, &why))?;
        }
    }
    if flags.runs > 1 && flags.output == Output::Text {
        show(&format!("{}\n", summary.text(first)))?;
    }
    Ok(ending)
}

/// Tells what did not come to pass: acts without effect, and what was expected.
fn tell(flags: &Flags, scenario: &Scenario, outcome: &Outcome, missed: &[Miss]) {
    let (file, seed) = (flags.scenario.display(), outcome.report.seed);
    for RefusedAct { act, at, message } in &outcome.report.refused_acts {
        let line = scenario.acts.get(*act).map_or(0, |act| act.line);
        complain(&format!("{file}: line {line}: acts[{act}].act: at {at} {message} (seed {seed})"));
    }
    for miss in missed {
        complain(&format!("{file}: {miss} (seed {seed})"));
    }
}

fn about(path: &Path, why: &dyn std::fmt::Display) -> SimulateError {
    SimulateError::Input(format!("{}: {why}", path.display()))
}

/// Reads and checks all that is played, and that the story can be written: after hours of simulation it is too late.
fn input(flags: &Flags) -> Result<Input, SimulateError> {
    let file = &flags.scenario;
    let text = manifest::read_text(file).map_err(|why| about(file, &why))?;
    let mut scenario = Scenario::parse(&text).map_err(|why| about(file, &why))?;
    let lines = manifest::lines(&text);
    let embedded = files::admit(&mut scenario, file, &lines)?;
    let applied = flags.manifests.as_deref().map(files::read).transpose()?.unwrap_or_default();
    let manifests = files::together(applied, embedded)?;
    let notes = names::check(&scenario, &manifests, file, &lines)?;
    patches::check(&scenario, &manifests, file, &lines)?;
    if let Some(log) = &flags.log {
        spares_the_input(log, flags)?;
        // What is in it stays until there is another story.
        File::options().append(true).create(true).open(log).map_err(|why| about(log, &why))?;
    }
    for note in notes {
        complain(&format!("note: {note}"));
    }
    Ok(Input { scenario, manifests })
}

/// Whether the story goes somewhere else than over what is played. Links to the same file are seen through.
fn spares_the_input(log: &Path, flags: &Flags) -> Result<(), SimulateError> {
    let manifests = flags.manifests.as_deref().map(manifest::files).transpose();
    let manifests = manifests.map_err(|why| about(log, &why))?.unwrap_or_default();
    let inputs =
        [("--scenario", &flags.scenario)].into_iter().chain(manifests.iter().map(|file| ("--manifests", file)));
    let Ok(target) = log.canonicalize() else { return Ok(()) };
    for (flag, input) in inputs {
        if input.canonicalize().is_ok_and(|input| input == target) {
            let input = input.display();
            return Err(about(log, &format!("--log would write over what {flag} reads ({input}): name another file")));
        }
    }
    Ok(())
}

/// A broken invariant is worse than a missed expectation, and both stay what they are in later runs.
fn worse(before: Ending, outcome: &Outcome, missed: &[Miss]) -> Ending {
    let broken = !outcome.report.invariants.broken.is_empty();
    match before {
        _ if broken => Ending::Broken,
        Ending::Good if !missed.is_empty() => Ending::Missed,
        before => before,
    }
}

fn setup(flags: &Flags, scenario: &Scenario, manifests: &[Manifest], seed: u64) -> Setup {
    let mut setup = Setup::new(scenario.clone(), manifests.to_vec());
    setup.seed = seed;
    setup.story = flags.log.is_some();
    random::add(&mut setup, flags.faults);
    setup
}

/// The report as it was asked for.
fn shown(flags: &Flags, outcome: &Outcome) -> Result<String, SimulateError> {
    match flags.output {
        Output::Text => Ok(harmless::text(&outcome.report.text())),
        Output::Json => {
            let json = if flags.runs == 1 { serde_json::to_string_pretty } else { serde_json::to_string };
            let json = json(&outcome.report).map_err(|error| SimulateError::Runtime(error.to_string()))?;
            Ok(format!("{}\n", harmless::json(&json)))
        }
    }
}

/// The story as a text: time, then what happened.
pub fn story(outcome: &Outcome) -> String {
    outcome.story.iter().fold(String::new(), |mut text, (at, line)| {
        let _ = writeln!(text, "{} {}", at.strftime("%Y-%m-%d %H:%M:%S"), harmless::text(line));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Broken;
    use jiff::Timestamp;

    #[test]
    fn a_broken_invariant_is_worse_than_a_missed_expectation_and_neither_is_forgotten() {
        let scenario = Scenario::parse(include_str!("../../xtask/src/simulate_many/fleet.yaml")).expect("a scenario");
        let setup = Setup { lasts: jiff::SignedDuration::from_secs(1), ..Setup::new(scenario, vec![]) };
        let mut outcome = run(&setup, vec![]).expect("an outcome");
        let miss = [Miss { line: 1, field: "expect.harmed".into(), message: String::new() }];
        assert_eq!(worse(Ending::Good, &outcome, &[]).code(), 0);
        assert_eq!(worse(Ending::Good, &outcome, &miss).code(), 4);
        assert_eq!(worse(Ending::Broken, &outcome, &miss).code(), 3);
        let broken = Broken { invariant: "Budget".into(), at: Timestamp::UNIX_EPOCH, message: "x".into() };
        outcome.report.invariants.broken.push(broken);
        assert_eq!(worse(Ending::Missed, &outcome, &[]).code(), 3);
        assert!(outcome.report.text().contains("Budget: x"));
    }
}
