//! Whole rollouts as stories: each scenario of `tests/golden` is simulated, and what happens is compared with the log beside
//! it, line by line. `cargo xtask golden` writes the logs anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where something is wrong")]

use std::fs;
use std::path::{Path, PathBuf};
use windlass::simulate::{self, Act, Auditor, Deed, Manifest, Setup, cli, misses};
use winfleet::scenario::Scenario;

/// The stories and what people do in them: after how many minutes, and the state that they want the rollout to have.
const STORIES: &[(&str, &[(i64, &str)])] = &[
    ("good", &[]),
    ("canary-caught", &[]),
    ("late-soak-failure", &[]),
    ("pause-and-resume", &[(120, "Paused"), (1560, "Running")]),
    ("abort", &[(20, "Aborted")]),
    ("pdb-blocked", &[]),
    ("window-closes", &[]),
    ("two-rounds", &[]),
    ("restore-fails", &[]),
    ("node-replaced", &[]),
    ("operator-killed-thrice", &[]),
    ("api-server-down", &[]),
    ("update-service-busy", &[]),
];

#[test]
fn each_rollout_goes_as_its_log_says() {
    let update = std::env::var_os("WINDLASS_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for (name, people) in STORIES {
        let (told, problems) = tell(name, people);
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

/// A scenario that nobody tells would not be looked at.
#[test]
fn every_scenario_is_a_story() {
    let mut files: Vec<_> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "yaml") && !file.ends_with("base.yaml"));
    assert_eq!(files.len(), STORIES.len());
    assert!(STORIES.len() >= 12);
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Simulates a story under the auditor's eyes: its log, and what is wrong with it whatever the log says.
fn tell(name: &str, people: &[(i64, &str)]) -> (String, Vec<String>) {
    let text = fs::read_to_string(folder().join(format!("{name}.yaml"))).unwrap();
    let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{name}.yaml: {error}"));
    let mut setup = Setup::new(scenario.clone(), Vec::new());
    let base = windlass::manifest::load(&folder().join("base.yaml")).unwrap();
    let own = |kind: &str, name: &str| {
        scenario.manifests.iter().any(|m| m.object["kind"] == kind && m.object["metadata"]["name"] == name)
    };
    let manifests = base.into_iter().filter(|manifest| !own(manifest.kind(), manifest.name()));
    setup.manifests.extend(manifests.map(|m| Manifest { file: m.file, line: m.line, object: m.object }));
    setup.story = true;
    setup.acts.extend(people.iter().map(|(minutes, state)| Act {
        at: setup.start + jiff::SignedDuration::from_mins(*minutes),
        what: Deed::Patch {
            kind: "UpdateRollout".into(),
            name: "july".into(),
            patch: serde_json::json!({"spec": {"state": state}}),
        },
    }));
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
