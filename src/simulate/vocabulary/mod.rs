//! Each word of the vocabulary of faults, played: something comes of it that does not come without it.
//!
//! The words are those that the format itself knows, so that a new one is missed here until it has a story.

use super::crash::stories as base;
use super::{Auditor, Setup, run};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;
use winfleet::scenario::Scenario;

/// A word, a story that shows it, and what must stand in the telling of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Story {
    word: String,
    with: Value,
    told: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stories {
    effects: Vec<Story>,
    troubles: Vec<Story>,
    combined: Vec<Story>,
}

fn stories() -> Stories {
    serde_saphyr::from_str(include_str!("stories.yaml")).expect("stories")
}

/// The base with what some effects need: a second disk, metrics and a probe of each.
fn setup(with: &Value) -> Setup {
    let mut all = json!({
        "machines": [{"names": ["win-1"], "labels": {"ring": "only"}, "build": "10.0.20348.2461", "disks": ["system", "data"]}],
        "metrics": [
            {"query": "errors", "shows": "failedShare"},
            {"query": "latency", "shows": "latencySeconds", "usually": 0.1},
            {"query": "memory", "shows": "memoryUsedShare", "usually": 0.4},
        ],
    });
    for (part, value) in with.as_object().into_iter().flatten() {
        all[part] = value.clone();
    }
    let mut setup = base::setup(&all.to_string());
    let policy =
        setup.manifests.iter_mut().find(|manifest| manifest.object["kind"] == "UpdatePolicy").expect("a policy");
    let probes = policy.object["spec"]["verify"]["probes"].as_array_mut().expect("probes");
    for (name, query, fails) in [("errors", "errors", "> 0.01"), ("latency", "latency", "> 1")] {
        probes.push(
            json!({"name": name, "prometheus": {"address": "http://prometheus", "query": query, "failWhen": fails}}),
        );
    }
    setup.story = true;
    setup
}

/// All that comes of it, as text; the auditor finds nothing wrong with any of it.
fn tell(setup: &Setup) -> String {
    let outcome = run(setup, vec![Box::new(Auditor::default())]).expect("an outcome");
    assert_eq!(outcome.report.invariants.broken, [], "{:?}", setup.scenario.faults);
    let mut text = outcome.report.text();
    for update in outcome.tables.updates.all() {
        let status = update.status.clone().unwrap_or_default();
        let _ = writeln!(text, "{:?}: {:?}", status.outcome, status.reason);
        for step in &status.steps {
            let _ =
                writeln!(text, "{:?}/{} {:?} {:?} {}", step.step, step.round, step.phase, step.detail, step.message);
        }
    }
    for task in outcome.world.tasks() {
        let code = task.error.as_ref().map(|error| error.code);
        let _ = writeln!(text, "{:?} of {}: {:?}, {code:?}", task.kind, task.machine, task.state);
    }
    for node in outcome.tables.nodes.all() {
        let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
        let _ = writeln!(text, "kernel {:?}", info.map(|info| info.kernel_version.clone()));
    }
    text + &super::cli::story(&outcome)
}

/// What is said of a story is told of it, and not of a good update.
fn check(stories: &[Story]) {
    let calm = tell(&setup(&Value::Null));
    let mut wrong = Vec::new();
    for Story { word, with, told } in stories {
        let text = tell(&setup(with));
        assert!(!told.is_empty(), "{word}");
        for words in told {
            if calm.contains(words.as_str()) {
                wrong.push(format!("{word}: {words:?} is told of a good update, too"));
            }
            if !text.contains(words.as_str()) {
                wrong.push(format!("{word}: {words:?} is not told:\n{text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_effect_has_its_effect() {
    check(&stories().effects);
}

#[test]
fn each_trouble_is_felt() {
    check(&stories().troubles);
}

#[test]
fn where_when_and_how_long_make_a_difference() {
    check(&stories().combined);
}

/// The names that may stand where `bogus` does, by the error's own words.
fn words(yaml: &str) -> Vec<String> {
    let machine = "machines: [{names: [win-1], build: 10.0.20348.2461}]";
    let message = Scenario::parse(&format!("{machine}\n{yaml}")).expect_err("bogus").message;
    let (_, names) = message.split_once("expected one of ").expect(&message);
    names.split(", ").map(str::to_owned).collect()
}

#[test]
fn no_word_is_without_a_story() {
    let effects = words("faults: [{name: f, when: {after: 0s}, effects: [bogus]}]");
    let trouble = |of: &str| {
        let words = words(&format!("{of}: {{troubles: [{{after: 0s, lasts: 1h, effect: bogus}}]}}"));
        words.into_iter().map(|word| format!("{of} {word}")).collect::<Vec<_>>()
    };
    let troubles = [trouble("apiServer"), trouble("hypervisor")].concat();
    let told = |stories: &[Story]| stories.iter().map(|story| story.word.clone()).collect::<BTreeSet<_>>();
    let stories = stories();
    assert_eq!(told(&stories.effects), effects.into_iter().collect());
    let without: Vec<_> = troubles.iter().filter(|word| !told(&stories.troubles).contains(*word)).collect();
    assert!(without.is_empty(), "{without:?}");
}

/// A leak that takes days: nobody feels it until the machine crashes, and a probe of the memory sees it before.
#[test]
fn a_leak_ends_in_a_crash_after_days() {
    let leak = json!([{"name": "f", "when": {"phase": "running", "kb": "KB5039227"},
        "effects": [{"memoryLeaks": {"exhaustedAfter": "2d"}}]}]);
    let mut blind = setup(&json!({"lasts": "10d", "faults": leak}));
    let spec = |setup: &mut Setup, kind: &str, path: &str, value: Value| {
        let of_kind = setup.manifests.iter_mut().find(|manifest| manifest.object["kind"] == kind);
        *of_kind.and_then(|manifest| manifest.object.pointer_mut(path)).expect(path) = value;
    };
    spec(&mut blind, "UpdateRing", "/spec/soak", json!({"duration": "5d", "interval": "1h"}));
    let text = tell(&blind);
    assert!(text.contains("2026-01-08 00:08:57 win-1: can not serve because of the update"), "{text}");
    assert!(text.contains("june: Completed"), "{text}");
    let mut seeing = blind.clone();
    let probe = json!({"address": "http://prometheus", "query": "memory", "failWhen": "> 0.9"});
    spec(&mut seeing, "UpdatePolicy", "/spec/verify/probes/0", json!({"name": "memory", "prometheus": probe}));
    let text = tell(&seeing);
    assert!(text.contains("harmed 0") && text.contains("win-1: probe memory failed: the query gives 0.9"), "{text}");
}
