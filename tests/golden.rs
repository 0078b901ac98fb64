//! Whole rollouts as stories: each scenario of `tests/golden` is simulated, and what happens is compared with the log beside
//! it, line by line. `cargo xtask golden` writes the logs anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where something is wrong")]

use std::fs;
use std::path::{Path, PathBuf};
use windlass::simulate::{self, Auditor, Setup, cli, misses};
use winfleet::scenario::Scenario;

/// What all stories begin with.
const BASE: &str = "base";

#[test]
fn each_rollout_goes_as_its_log_says() {
    let update = std::env::var_os("WINDLASS_GOLDEN").is_some();
    let mut wrong = Vec::new();
    let stories = stories();
    assert!(stories.len() >= 12);
    for name in &stories {
        let (told, problems) = tell(name);
        wrong.extend(problems);
        let file = folder().join(format!("{name}.log"));
        if update {
            fs::write(&file, &told).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if told != expected {
            wrong.push(difference(name, &expected, &told));
        }
    }
    assert!(wrong.is_empty(), "{}\n`cargo xtask golden` writes the logs anew", wrong.join("\n"));
}

/// The stories: all scenarios of the folder, so that none is there which nobody tells.
fn stories() -> Vec<String> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let scenarios = files.filter(|file| file.extension().is_some_and(|end| end == "yaml"));
    let mut names: Vec<_> = scenarios.map(|file| file.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.retain(|name| name != BASE);
    names.sort();
    names
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Simulates a story under the auditor's eyes: its log, and what is wrong with it whatever the log says.
fn tell(name: &str) -> (String, Vec<String>) {
    let text = fs::read_to_string(folder().join(format!("{name}.yaml"))).unwrap();
    let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{name}.yaml: {error}"));
    let mut setup = Setup::new(scenario.clone(), Vec::new());
    let base = windlass::manifest::load(&folder().join(format!("{BASE}.yaml"))).unwrap();
    let own = |kind: &str, name: &str| {
        scenario.manifests.iter().any(|m| m.object["kind"] == kind && m.object["metadata"]["name"] == name)
    };
    setup.manifests.extend(base.into_iter().filter(|manifest| !own(manifest.kind(), manifest.name())));
    setup.story = true;
    let outcome =
        simulate::run(&setup, vec![Box::new(Auditor::default())]).unwrap_or_else(|error| panic!("{name}: {error}"));
    let invariants = &outcome.report.invariants;
    let missed = misses(&scenario.expect, &outcome).into_iter().map(|miss| format!("{name}.yaml: {miss}"));
    let broken = invariants.broken.iter().map(|broken| format!("{name}: {} {}", broken.invariant, broken.message));
    let unseen = (invariants.checked == 0).then(|| format!("{name}: nothing was looked at"));
    (cli::story(&outcome), missed.chain(broken).chain(unseen).collect())
}

/// The first line that is another one.
fn difference(name: &str, expected: &str, told: &str) -> String {
    let (mut expected, mut told) = (expected.lines(), told.lines());
    let mut line = 0;
    loop {
        line += 1;
        match (expected.next(), told.next()) {
            (Some(one), Some(other)) if one == other => {}
            (one, other) => {
                return format!(
                    "{name}.log: line {line}\n  - {}\n  + {}",
                    one.unwrap_or("(end)"),
                    other.unwrap_or("(end)")
                );
            }
        }
    }
}
