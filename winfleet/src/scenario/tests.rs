//! The format: what the examples mean.

use super::*;

mod refusals;

const MACHINE: &str = "machines:\n- names: [win-1]\n  traits: [calico]\n  build: 10.0.20348.2461\n";
const UPDATE: &str =
    "updates:\n- kb: KB5040437\n  released: 2024-07-09\n  targetBuilds: {10.0.20348: 10.0.20348.2582}\n";

fn with_fault(fault: &str) -> String {
    format!("{MACHINE}{UPDATE}faults:\n- name: f\n{fault}")
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
    let effects = "[downloadFails: {hresult: 0x80240022}, updateServiceFails: {hresult: 0x80240438}, updateWithdrawn, diskFull,
      installFails: {hresult: 2149842967}, installHangs, buildUnchanged, otherVersionInstalled: {build: 10.0.26100.1},
      kernelVersionStale, roundsNeeded: {n: 2}, otherAgentInstalls: {kb: KB5040437}, restartsByItself, crashesAfter: {up: 5m},
      memoryLeaks: {exhaustedAfter: 3d}, handlesLeak: {service: hns, exhaustedAfter: 2d}, rebootNeverReturns, bootLoop,
      recoveryPrompt, slowBoot: {by: 10m}, breaksAfterExtraReboot: {effects: [bootLoop]}, powerLost, hostNetworkDead,
      podNetworkDead, servicePolicyLost, dnsDead, newPodsDoNotStart, imagePullSlow: {by: 15m}, podsStuckTerminating,
      requestsFail: {share: 0.05}, requestsSlow: {by: 300ms}, serviceStopped: {name: hns}, networkMissing: {name: Calico},
      driverReplaced: {name: netkvm, by: e1g60}, diskMissing: {name: data}, diskRaw: {name: data}, eventLogged: {kind: disk/7},
      clockOff: {by: 1h, behind: true}, certificateExpired, domainTrustLost, kubeletDead,
      unreadyRepaired: {after: 20m, by: replace}, snapshotFails, snapshotSlow: {by: 1h30m}, snapshotTimesOutButExists,
      restoreFails, restoreDetachesRoot, machineReplaced]";
    let yaml = with_fault(&format!(
        "  when: {{phase: running, kb: KB5040437}}\n  effects: {effects}\n  heals: never\n  times: 2\n"
    ));
    let yaml = yaml.replace("  traits: [calico]", "  disks: [disk0, data]\n  traits: [calico]");
    let scenario = Scenario::parse(&yaml).expect("a scenario");
    assert_eq!(scenario.faults[0].effects.len(), EFFECTS);
    assert_eq!(scenario.faults[0].effects[0], Effect::DownloadFails { hresult: 0x8024_0022 });
    assert_eq!(scenario.faults[0].effects[4], Effect::InstallFails { hresult: 0x8024_0017 });
}

/// How many effects there are.
const EFFECTS: usize = 47;

#[test]
fn the_demo_tells_the_story_of_july_2024() {
    let scenario = Scenario::parse(include_str!("../../../examples/scenarios/demo.yaml")).expect("the demo");
    let ring = |name: &str| {
        let fits = |m: &&MachineSpec| m.labels["windlass.example/ring"] == name;
        scenario.machines.iter().filter(fits).collect::<Vec<_>>()
    };
    let struck = |name: &str| {
        let fault = &scenario.faults[0];
        ring(name).iter().filter(|m| fault.r#where.fits(&m.name, &m.labels, &m.group)).count()
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
    let trouble = |of: &str| format!("{MACHINE}{of}: {{troubles: [{{after: 1h, lasts: 1h, effect: bogus}}]}}");
    let act = |act: &str| format!("{MACHINE}acts: [{act}]");
    let places = [
        ("bogus: 1\n".to_owned(), 15),
        ("machines: [{bogus: 1}]".to_owned(), 22),
        (format!("{MACHINE}updates: [{{bogus: 1}}]"), 13),
        (format!("{MACHINE}hypervisor: {{bogus: 1}}"), 10),
        (format!("{MACHINE}timings: {{bogus: 1}}"), 13),
        (format!("{MACHINE}apiServer: {{bogus: 1}}"), 3),
        (format!("{MACHINE}operator: {{kills: [{{bogus: 1}}]}}"), 5),
        (format!("{MACHINE}workloads: [{{bogus: 1}}]"), 8),
        (format!("{MACHINE}metrics: [{{bogus: 1}}]"), 5),
        (format!("{MACHINE}metrics: [{{query: q, shows: bogus}}]"), 3),
        (format!("{MACHINE}expect: {{bogus: 1}}"), 13),
        (format!("{MACHINE}expect: {{nodes: {{win-1: {{bogus: 1}}}}}}"), 2),
        (format!("{MACHINE}expect: {{nodes: {{win-1: {{outcome: bogus}}}}}}"), 8),
        (act("{bogus: 1}"), 3),
        (act("{after: 1h, act: bogus}"), 6),
        (act("{after: 1h, act: {delete: {kind: bogus, name: x}}}"), 7),
        (act("{after: 1h, act: {approve: {rollout: r, gate: bogus}}}"), 2),
        (act("{after: 1h, act: {approve: {bogus: 1}}}"), 5),
        (trouble("apiServer"), 5),
        (trouble("hypervisor"), 4),
        (fault("{phase: boot}", "  bogus: 1\n"), 9),
        (fault("{bogus: 1}", ""), 6),
        (fault("{phase: bogus}", ""), 8),
        (fault("{phase: boot}", "  where: {bogus: 1}\n"), 6),
        (fault("{phase: boot}", "  heals: bogus\n"), 5),
        (fault("{phase: boot}", "  intermittent: {bogus: 1}\n"), 3),
        (with_fault("  when: {phase: boot}\n  effects: [bogus]\n"), EFFECTS),
    ];
    for (yaml, count) in places {
        let words = allowed_instead_of_bogus(&yaml);
        assert_eq!(words.len(), count, "{words:?}");
        for word in words {
            let told = [format!("`{word}`"), format!("`{word}: "), format!("`{{{word}"), format!(", {word}")];
            let told = told.iter().any(|spelling| DOCS.contains(spelling));
            assert!(told, "docs/scenarios.md does not tell of {word}");
        }
    }
}

#[test]
fn the_surroundings_are_read() {
    let scenario = Scenario::parse(&format!(
        "{MACHINE}start: 2024-07-09
lasts: 30d
apiServer: {{latency: 5ms, cacheLag: 1s, troubles: [{{after: 2h, lasts: 10m, effect: down}}, {{at: 2024-07-10, lasts: 1h, effect: {{conflicts: {{everyNth: 3}}}}}}]}}
hypervisor: {{troubles: [{{after: 1h, lasts: 1h, effect: {{throttled: {{everyNth: 2, retryAfter: 30s}}}}}}]}}
operator: {{instances: 2, kills: [{{after: 1h, downFor: 1m}}, {{call: 12, side: before}}]}}
workloads: [{{name: web, namespace: shop, replicas: 10, minAvailable: 80%}}]
metrics: [{{query: up, shows: failedShare, workload: shop/web, usually: 0.001}}]
manifests:
- {{apiVersion: windlass.dev/v1alpha1, kind: UpdateHold, metadata: {{name: x}}}}
"
    ))
    .expect("a scenario");
    let (start, hour) = (scenario.start, Period::hours(1));
    assert_eq!((start.to_string().as_str(), scenario.lasts), ("2024-07-09T00:00:00Z", Period::hours(720)));
    let [down, conflicts] = &scenario.api_server.troubles[..] else { panic!("two troubles") };
    assert!(!down.holds(start, hour.after(start)) && down.holds(start, hour.times(2).after(start)));
    assert_eq!(conflicts.begins(start), hour.times(24).after(start));
    assert_eq!(conflicts.ends(start), hour.times(25).after(start));
    assert_eq!(scenario.operator.kills[0].time(start), Some(hour.after(start)));
    assert_eq!((scenario.operator.kills[1].time(start), scenario.operator.kills[1].side), (None, Some(Side::Before)));
    assert_eq!(scenario.workloads[0].min_available.expect("a budget").of(11), 9, "a share is rounded up");
    assert_eq!((scenario.metrics[0].over, scenario.manifests[0].line), (Over::Worst, 13));
    assert_eq!(scenario.manifests[0].object["kind"], "UpdateHold");
}

#[test]
fn expectations_are_spelled_out_with_their_lines() {
    let yaml = format!(
        "{}expect:
  rollout: {{june: Completed, july: Halted}}
  reason: pod-network
  harmed: {{atMost: 2}}
  updated: 1
  nodes:
    win-1: {{outcome: Updated}}
  allClearWithin: 12h
",
        MACHINE.replace("[win-1]", "[win-1, win-2, win-3]")
    );
    let expect = Scenario::parse(&yaml).expect("a scenario").expect;
    let seen: Vec<_> = expect.iter().map(|e| (e.line, e.field.as_str())).collect();
    let (june, july) = ((6, "expect.rollout.july"), (6, "expect.rollout.june"));
    let rest = [(7, "expect.reason"), (8, "expect.harmed"), (9, "expect.updated"), (11, "expect.nodes.win-1")];
    assert_eq!(seen, [&[june, july], &rest[..], &[(12, "expect.allClearWithin")]].concat());
    assert_eq!(expect[3].expected, Expected::Count(Tally::Harmed, Range { at_least: 0, at_most: Some(2) }));
    assert_eq!(expect[4].expected, Expected::Count(Tally::Updated, Range { at_least: 1, at_most: Some(1) }));
    let texts = ["at most 2", "1"];
    for (at, text) in [3, 4].into_iter().zip(texts) {
        let Expected::Count(_, range) = expect[at].expected else { panic!("a count") };
        assert_eq!(range.to_string(), text);
    }
}

/// The scenarios of a folder of the repository: name and text.
fn scenarios(folder: &str) -> Vec<(String, String)> {
    let folder = format!("{}/../{folder}", env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(&folder).expect(&folder).map(|entry| entry.expect("an entry").path());
    let text = |path: std::path::PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).expect("a scenario"))
    };
    entries.map(text).collect()
}

#[test]
fn the_incidents_are_of_one_fleet_and_name_their_source() {
    let incidents = scenarios("scenarios/incidents");
    assert!(incidents.len() >= 20, "{}", incidents.len());
    let months = scenarios("scenarios/good");
    assert!(months.len() >= 10, "{}", months.len());
    for (name, text) in incidents.iter().chain(&months) {
        let scenario = Scenario::parse(text).map_err(|error| panic!("{name}: {error}")).expect("a scenario");
        let rings: std::collections::BTreeSet<_> =
            scenario.machines.iter().map(|m| m.labels["windlass.example/ring"].as_str()).collect();
        assert_eq!((scenario.machines.len(), rings.len()), (120, 4), "{name}");
        assert!(!scenario.expect.is_empty() && scenario.manifests.is_empty(), "{name}: one policy for all");
    }
    for (name, text) in &incidents {
        assert!(text.lines().any(|line| line.starts_with("# Source: ")), "{name} names no source");
    }
}

#[test]
fn people_act_at_their_times() {
    let yaml = format!(
        "{MACHINE}{UPDATE}start: 2024-07-15\nacts:\n- {{after: 2h, act: {{publish: {{kb: KB5040437}}}}}}\n\
         - at: 2024-07-16\n  act: {{approve: {{rollout: july, gate: Resume}}}}\n"
    );
    let scenario = Scenario::parse(&yaml).expect("a scenario");
    let times: Vec<_> = scenario.acts.iter().map(|act| act.when.time(scenario.start).to_string()).collect();
    assert_eq!(times, ["2024-07-15T02:00:00Z", "2024-07-16T00:00:00Z"]);
    let Deed::Approve { gate: Gate::Resume, approver, expires_after, .. } = &scenario.acts[1].deed else {
        panic!("{:?}", scenario.acts[1])
    };
    assert_eq!((approver.as_str(), *expires_after), ("alice", Period::hours(24)));
}
