//! The format: what the examples mean, and what each mistake is answered with.

use super::*;

const MACHINE: &str = "machines:\n- names: [win-1]\n  traits: [calico]\n  build: 10.0.20348.2461\n";
const UPDATE: &str =
    "updates:\n- kb: KB5040437\n  released: 2024-07-09\n  targetBuilds: {10.0.20348: 10.0.20348.2582}\n";

fn with_fault(fault: &str) -> String {
    format!("{MACHINE}{UPDATE}faults:\n- name: f\n{fault}")
}

/// The error of a scenario must be at this line, of this field, and say this.
#[track_caller]
fn refuses(yaml: &str, line: u64, field: &str, words: &str) {
    let error = Scenario::parse(yaml).expect_err("must be refused");
    assert_eq!((error.line, error.field.as_str()), (line, field), "{error}\n{yaml}");
    assert!(error.message.contains(words), "{error}");
    assert!(error.to_string().starts_with(&format!("line {line}: {field}: ")), "{error}");
}

#[test]
fn the_smallest_scenario_has_usual_values() {
    let scenario = Scenario::parse(MACHINE).expect("a scenario");
    assert_eq!(scenario.machines.len(), 1);
    assert_eq!(scenario.timings, Timings::default());
    assert_eq!(scenario.hypervisor, HypervisorSpec::default());
    assert!(scenario.machines[0].group.services.contains("kubelet"));
}

#[test]
fn groups_number_their_machines_and_deal_out_zones() {
    let yaml =
        "machines:\n- {prefix: win-, first: 3, count: 3, zones: [a, b], labels: {pool: x}, build: 10.0.20348.1}\n";
    let machines = Scenario::parse(yaml).expect("a scenario").machines;
    let seen: Vec<_> =
        machines.iter().map(|m| (m.name.as_str(), m.zone.as_deref(), m.labels[ZONE_LABEL].as_str())).collect();
    assert_eq!(seen, [("win-3", Some("a"), "a"), ("win-4", Some("b"), "b"), ("win-5", Some("a"), "a")]);
    assert_eq!(machines[0].labels["pool"], "x");
}

#[test]
fn updates_read_dates_times_and_targets() {
    let scenario = Scenario::parse(&format!("{MACHINE}{UPDATE}")).expect("a scenario");
    let update = &scenario.updates[0];
    assert_eq!(update.released.to_string(), "2024-07-09T00:00:00Z");
    assert_eq!(update.identity(), "5eed0000-0000-4000-8000-000005040437");
    let build = scenario.machines[0].group.build;
    assert_eq!(update.target_for(build), Some("10.0.20348.2582".parse().expect("a build")));
    assert_eq!(update.target_for("10.0.26100.1".parse().expect("a build")), None);
    let time = UPDATE.replace("2024-07-09", "2024-07-09T17:00:00Z");
    assert!(Scenario::parse(&format!("{MACHINE}{time}")).is_ok());
}

#[test]
fn every_effect_has_a_spelling() {
    let effects = "[downloadFails: {hresult: 0x80240022}, updateWithdrawn, diskFull, installFails: {hresult: 2149842967}, installHangs,
      buildUnchanged, roundsNeeded: {n: 2}, rebootNeverReturns, bootLoop, slowBoot: {by: 10m},
      breaksAfterExtraReboot: {effects: [bootLoop]}, podNetworkDead, dnsDead, newPodsDoNotStart,
      serviceStopped: {name: hns}, networkMissing: {name: Calico}, eventLogged: {kind: disk/7}, kubeletDead,
      snapshotFails, snapshotSlow: {by: 1h30m}, snapshotTimesOutButExists, restoreFails, restoreDetachesRoot, machineReplaced]";
    let yaml = with_fault(&format!(
        "  when: {{phase: running, kb: KB5040437}}\n  effects: {effects}\n  heals: never\n  times: 2\n"
    ));
    let scenario = Scenario::parse(&yaml).expect("a scenario");
    assert_eq!(scenario.faults[0].effects.len(), 24);
    assert_eq!(scenario.faults[0].effects[0], Effect::DownloadFails { hresult: 0x8024_0022 });
    assert_eq!(scenario.faults[0].effects[3], Effect::InstallFails { hresult: 0x8024_0017 });
}

#[test]
fn a_mistake_in_form_names_line_and_field() {
    refuses("machines:\n- names: [win-1]\n  bild: 10.0.20348.1\n", 3, "machines[0].bild", "unknown field");
    refuses(&format!("{MACHINE}bogus: 1\n"), 5, "bogus", "unknown field");
    refuses("seed: 1\n", 1, ".", "missing field `machines`");
    refuses("machines:\n- names: [win-1]\n", 2, "machines[0]", "missing field `build`");
    refuses(&MACHINE.replace("10.0.20348.2461", "20348"), 4, "machines[0].build", "is not a Windows build");
    refuses(&format!("{MACHINE}timings:\n  stage: 10\n"), 6, "timings.stage", "with its unit");
    refuses(&format!("{MACHINE}timings:\n  reboot: -3s\n"), 6, "timings.reboot", "not negative");
    refuses(&format!("{MACHINE}hypervisor: {{snapshotTake: 1s}}\n"), 5, "hypervisor.snapshotTake", "unknown field");
    refuses(&format!("{MACHINE}{}", UPDATE.replace("KB5040437", "5040437")), 6, "updates[0].kb", "is not a KB");
    refuses(&format!("{MACHINE}{}", UPDATE.replace("2024-07-09", "soon")), 7, "updates[0].released", "neither a date");
    refuses(
        &with_fault("  when: {phase: lunch}\n  effects: [dnsDead]\n"),
        11,
        "faults[0].when.phase",
        "unknown variant",
    );
    refuses(
        &with_fault("  when: {phase: boot}\n  effects: [pigsFly]\n"),
        12,
        "faults[0].effects[0]",
        "unknown variant",
    );
    refuses("machines: [", 1, "machines", "unclosed");
}

#[test]
fn a_mistake_in_meaning_names_line_and_field() {
    refuses("machines: []\n", 1, "machines", "at least one");
    refuses("machines:\n- {build: 10.0.20348.1}\n", 2, "machines[0].names", "either names or prefix");
    refuses("machines:\n- {names: [a], prefix: b, build: 10.0.20348.1}\n", 2, "machines[0].names", "not both");
    refuses("machines:\n- {prefix: b, build: 10.0.20348.1}\n", 2, "machines[0].count", "at least 1");
    refuses("machines:\n- {names: [a], count: 2, build: 10.0.20348.1}\n", 2, "machines[0].count", "only with prefix");
    refuses("machines:\n- {names: [WIN_1], build: 10.0.20348.1}\n", 2, "machines[0].names", "not a node name");
    refuses(
        "machines:\n- {names: [a], build: 10.0.20348.1}\n- {names: [a], build: 10.0.20348.1}\n",
        3,
        "machines[1].names",
        "twice",
    );
    refuses("machines:\n- {names: [a], disks: [], build: 10.0.20348.1}\n", 2, "machines[0].disks", "system disk");
    refuses("machines:\n- {names: [a], diskBytes: 1, build: 10.0.20348.1}\n", 2, "machines[0].freeBytes", "of 1 bytes");
    refuses(&format!("{MACHINE}{UPDATE}- {{kb: KB5040437, released: 2024-07-09}}\n"), 9, "updates[1].kb", "twice");
    refuses(&format!("{MACHINE}{UPDATE}  rounds: 0\n"), 6, "updates[0].rounds", "at least 1");
    refuses(
        &format!("{MACHINE}{UPDATE}  supersedes: [KB5039227]\n"),
        6,
        "updates[0].supersedes",
        "KB5039227 is not in updates",
    );
    refuses(
        &format!("{MACHINE}{}", UPDATE.replace("{10.0.20348:", "{10.0.26100:")),
        6,
        "updates[0].targetBuilds",
        "not a build of 10.0.26100",
    );
    refuses(
        &format!("{MACHINE}{UPDATE}  featureUpgradeTo: 10.0.26100.1\n"),
        6,
        "updates[0].featureUpgradeTo",
        "not together",
    );
    refuses(
        &format!("{MACHINE}hypervisor: {{throttle: {{everyNth: 0, retryAfter: 1s}}}}\n"),
        5,
        "hypervisor.throttle.everyNth",
        "nonzero",
    );
}

#[test]
fn a_fault_that_can_not_be_meant_is_refused() {
    let cases = [
        ("  when: {phase: boot, kb: KB5039227}\n  effects: [dnsDead]\n", "when.kb", "not in updates"),
        ("  when: {phase: running, nthBoot: 2}\n  effects: [dnsDead]\n", "when.nthBoot", "phase boot only"),
        ("  when: {phase: boot, nthBoot: 0}\n  effects: [dnsDead]\n", "when.nthBoot", "counts from 1"),
        (
            "  when: {phase: boot}\n  where: {traits: [flannel]}\n  effects: [dnsDead]\n",
            "where",
            "fits no machine (fault f)",
        ),
        ("  when: {phase: boot}\n  where: {labels: {pool: x}}\n  effects: [dnsDead]\n", "where", "fits no machine"),
        (
            "  when: {phase: boot}\n  where: {nodes: [win-2]}\n  effects: [dnsDead]\n",
            "where.nodes",
            "win-2 is not in machines",
        ),
        ("  when: {phase: boot}\n  where: {chance: 1.5}\n  effects: [dnsDead]\n", "where.chance", "at most 1"),
        ("  when: {phase: boot}\n  effects: []\n", "effects", "at least one"),
        ("  when: {phase: boot}\n  effects: [dnsDead]\n  times: 0\n", "times", "at least 1"),
        ("  when: {phase: boot}\n  effects: [roundsNeeded: {n: 0}]\n", "effects", "at least 1"),
        (
            "  when: {phase: boot}\n  effects: [breaksAfterExtraReboot: {effects: [dnsDead]}]\n",
            "when.kb",
            "second boot",
        ),
        (
            "  when: {phase: boot, kb: KB5040437}\n  effects: [breaksAfterExtraReboot: {effects: []}]\n",
            "effects",
            "needs effects",
        ),
    ];
    for (fault, field, words) in cases {
        refuses(&with_fault(fault), 10, &format!("faults[0].{field}"), words);
    }
    let nameless = with_fault("  when: {phase: boot}\n  effects: [dnsDead]\n").replace("name: f", "name: two words");
    refuses(&nameless, 10, "faults[0].name", "one word");
    let twice = with_fault(
        "  when: {phase: boot}\n  effects: [dnsDead]\n- name: f\n  when: {phase: boot}\n  effects: [dnsDead]\n",
    );
    refuses(&twice, 13, "faults[1].name", "twice");
}

#[test]
fn the_demo_tells_the_story_of_july_2024() {
    let scenario = Scenario::parse(include_str!("../../../examples/scenarios/demo.yaml")).expect("the demo");
    let ring = |name: &str| {
        let fits = |m: &&MachineSpec| m.labels["windlass.example/ring"] == name;
        scenario.machines.iter().filter(fits).collect::<Vec<_>>()
    };
    let struck = |name: &str| {
        let fault = &scenario.faults[0];
        ring(name).iter().filter(|m| fault.r#where.fits(&m.name, &m.labels, &m.group.traits)).count()
    };
    assert_eq!([ring("canary").len(), ring("early").len(), ring("broad").len()], [2, 4, 6]);
    assert_eq!([struck("canary"), struck("early"), struck("broad")], [0, 1, 6]);
    assert!(scenario.updates[0].published && !scenario.updates[1].published);
}

const DOCS: &str = include_str!("../../../docs/scenarios.md");

#[test]
fn the_worked_example_of_the_docs_works() {
    let (_, from) = DOCS.split_once("```yaml\n").expect("an example");
    let (yaml, _) = from.split_once("```").expect("its end");
    let scenario = Scenario::parse(yaml).expect("the example");
    assert_eq!((scenario.machines.len(), scenario.updates.len(), scenario.faults.len()), (6, 2, 3));
}

/// The names that may stand where `bogus` does, by the error's own words.
fn allowed_instead_of_bogus(yaml: &str) -> Vec<String> {
    let message = Scenario::parse(yaml).expect_err("bogus").message;
    let (_, names) = message.split_once("expected one of ").expect(&message);
    names.split(", ").map(|name| name.trim_matches('`').to_owned()).collect()
}

#[test]
fn the_docs_name_every_word() {
    let fault = |when: &str, more: &str| with_fault(&format!("  when: {when}\n  effects: [dnsDead]\n{more}"));
    let places = [
        ("bogus: 1\n".to_owned(), 6),
        ("machines: [{bogus: 1}]".to_owned(), 18),
        (format!("{MACHINE}updates: [{{bogus: 1}}]"), 13),
        (format!("{MACHINE}hypervisor: {{bogus: 1}}"), 8),
        (format!("{MACHINE}timings: {{bogus: 1}}"), 12),
        (fault("{phase: boot}", "  bogus: 1\n"), 6),
        (fault("{bogus: 1}", ""), 4),
        (fault("{phase: bogus}", ""), 7),
        (fault("{phase: boot}", "  where: {bogus: 1}\n"), 4),
        (fault("{phase: boot}", "  heals: bogus\n"), 3),
        (with_fault("  when: {phase: boot}\n  effects: [bogus]\n"), 24),
    ];
    for (yaml, count) in places {
        let words = allowed_instead_of_bogus(&yaml);
        assert_eq!(words.len(), count, "{words:?}");
        for word in words {
            let told = DOCS.contains(&format!("`{word}`")) || DOCS.contains(&format!("`{word}: {{"));
            assert!(told, "docs/scenarios.md does not tell of {word}");
        }
    }
}
