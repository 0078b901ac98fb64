//! What each mistake is answered with.

use super::*;

/// The error of a scenario must be at this line, of this field, and say this.
#[track_caller]
fn refuses(yaml: &str, line: u64, field: &str, words: &str) {
    let error = Scenario::parse(yaml).expect_err("must be refused");
    assert_eq!((error.line, error.field.as_str()), (line, field), "{error}\n{yaml}");
    assert!(error.message.contains(words), "{error}");
    assert!(error.to_string().starts_with(&format!("line {line}: {field}: ")), "{error}");
}

#[test]
fn a_time_without_its_zone_is_refused() {
    let at = |time: &str| format!("{MACHINE}acts:\n- {{at: {time}, act: {{delete: {{kind: UpdateHold, name: h}}}}}}\n");
    for time in ["2026-01-15 08:00", "2026-01-15T08:00", "2026-01-15T08:00:00", "20260115", "15.01.2026"] {
        refuses(
            &at(time),
            6,
            "acts[0].at",
            "neither a date like 2024-07-09 (midnight UTC) nor a time with its zone like",
        );
    }
    for (time, utc) in [("2026-01-15", "2026-01-15T00:00:00Z"), ("2026-01-15T08:00:00+01:00", "2026-01-15T07:00:00Z")] {
        let scenario = Scenario::parse(&at(time)).expect(time);
        assert_eq!(scenario.acts[0].when.time(scenario.start).to_string(), utc);
    }
}

#[test]
fn what_is_released_after_the_start_is_not_offered_from_the_start() {
    let with = |more: &str| format!("{MACHINE}start: 2024-07-08\n{UPDATE}  {more}\n");
    refuses(&with("published: true"), 7, "updates[0].released", "is after the start (2024-07-08T00:00:00Z)");
    assert!(Scenario::parse(&with("published: false")).is_ok());
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
    let many = |count: &str| format!("machines:\n- {{prefix: b, count: {count}, build: 10.0.20348.1}}\n");
    refuses(&many("4000000000"), 2, "machines[0].count", "a scenario has 100000 at most, all together");
    refuses(&many("-1"), 2, "machines[0].count", "must be a whole number from 1 to 100000");
    refuses(
        "machines:\n- {names: [a], build: 10.0.20348.1}\n- {prefix: b, count: 100000, build: 10.0.20348.1}\n",
        3,
        "machines[1].count",
        "100000 more machines are too many",
    );
    let last = many("2, first: 4294967295");
    assert_eq!(Scenario::parse(&last).expect("machines").machines[1].name, "b4294967296");
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
        &format!("{MACHINE}{UPDATE}  supersedes: [KB5040437]\n"),
        6,
        "updates[0].supersedes",
        "KB5040437 would supersede itself, and be offered to nobody",
    );
    refuses(
        &format!(
            "{MACHINE}{UPDATE}  supersedes: [KB1]\n- {{kb: KB1, released: 2024-07-09, supersedes: [KB5040437]}}\n"
        )
        .replace("KB1", "KB5039227"),
        6,
        "updates[0].supersedes",
        "would supersede itself",
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
        "at least 1",
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
        ("  when: {kb: KB5040437}\n  effects: [dnsDead]\n", "when", "phase, after or at"),
        ("  when: {after: 1h, at: 2026-01-07}\n  effects: [dnsDead]\n", "when.at", "not both"),
        ("  when: {after: 1h, delay: 1h}\n  effects: [dnsDead]\n", "when.delay", "counts from a phase"),
        (
            "  when: {phase: boot}\n  where: {osBuilds: [20348]}\n  effects: [dnsDead]\n",
            "where.osBuilds",
            "not an OS build",
        ),
        (
            "  when: {phase: boot}\n  where: {osBuilds: [10.0.26100]}\n  effects: [dnsDead]\n",
            "where",
            "fits no machine",
        ),
        (
            "  when: {phase: boot}\n  where: {installed: [KB5000001]}\n  effects: [dnsDead]\n",
            "where.installed",
            "not in updates",
        ),
        (
            "  when: {phase: boot}\n  where: {installed: [KB5040437]}\n  effects: [dnsDead]\n",
            "where",
            "fits no machine",
        ),
        ("  when: {phase: boot}\n  effects: [dnsDead]\n  heals: {kb: KB5000001}\n", "heals.kb", "not in updates"),
        (
            "  when: {phase: boot}\n  effects: [dnsDead]\n  intermittent: {bad: 4, of: 3}\n",
            "intermittent",
            "at most of",
        ),
        ("  when: {phase: boot}\n  effects: [requestsFail: {share: 5}]\n", "effects", "at most 1"),
        ("  when: {phase: boot}\n  effects: [crashesAfter: {up: 0s}]\n", "effects", "more than 0s"),
        ("  when: {phase: boot}\n  effects: [diskMissing: {name: disk0}]\n", "effects", "has the data disk disk0"),
        ("  when: {phase: boot}\n  effects: [serviceStopped: {name: hsn}]\n", "effects", "has the service hsn"),
        ("  when: {phase: boot}\n  effects: [networkMissing: {name: flannel}]\n", "effects", "has the network flannel"),
        ("  when: {phase: boot}\n  effects: [otherAgentInstalls: {kb: KB5000001}]\n", "effects", "not in updates"),
        ("  when: {phase: boot}\n  where: {chance: 1.5}\n  effects: [dnsDead]\n", "where.chance", "at most 1"),
        ("  when: {phase: boot}\n  effects: []\n", "effects", "at least one"),
        ("  when: {phase: boot}\n  effects: [dnsDead]\n  times: 0\n", "times", "at least 1"),
        (
            "  when: {phase: boot}\n  effects: [dnsDead]\n  ramps: 1h\n",
            "ramps",
            "needs an effect that has a size (diskFull, requestsFail, requestsSlow)",
        ),
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
fn surroundings_that_can_not_be_meant_are_refused() {
    let cases = [
        ("apiServer: {troubles: [{lasts: 1h, effect: down}]}", "apiServer.troubles[0].after", "after or at is needed"),
        (
            "apiServer: {troubles: [{after: 1h, lasts: 0s, effect: down}]}",
            "apiServer.troubles[0].lasts",
            "more than 0s",
        ),
        (
            "hypervisor: {troubles: [{after: 1h, at: 2024-07-09, lasts: 1h, effect: down}]}",
            "hypervisor.troubles[0].at",
            "not both",
        ),
        ("apiServer: {latency: 5}", "apiServer.latency", "with its unit"),
        ("operator: {kills: [{downFor: 1m}]}", "operator.kills[0].after", "exactly one"),
        ("operator: {instances: 0}", "operator.instances", "at least 1"),
        ("operator: {instances: 1000}", "operator.instances", "must be 1 to 5"),
        ("operator: {kills: [{after: 4h, side: before}]}", "operator.kills[0].side", "a kill at a time has none"),
        ("workloads: [{name: web, replicas: 0}]", "workloads[0].replicas", "at least 1"),
        ("workloads: [{name: web, replicas: 2, minAvailable: 3}]", "workloads[0].minAvailable", "more than the 2"),
        ("workloads: [{name: web, replicas: 2, nodeSelector: {a: b}}]", "workloads[0].nodeSelector", "fits no machine"),
        ("workloads: [{name: web, replicas: 1}, {name: web, replicas: 1}]", "workloads[1].name", "twice"),
        ("metrics: [{query: q, shows: failedShare, workload: shop/web}]", "metrics[0].workload", "not in workloads"),
        ("metrics: [{query: '', shows: failedShare}]", "metrics[0].query", "empty"),
        ("manifests: [{kind: UpdateHold, metadata: {name: x}}]", "manifests[0].apiVersion", "is needed"),
        ("manifests: [{apiVersion: v1, kind: Node}]", "manifests[0].metadata.name", "is needed"),
    ];
    for (block, field, words) in cases {
        refuses(&format!("{MACHINE}{block}\n"), 5, field, words);
    }
}

#[test]
fn what_is_there_instead_is_told_also_of_builds_labels_updates_and_many_machines() {
    let with = |r#where: &str| {
        format!(
            "machines: [{{prefix: w-, count: 14, labels: {{pool: win}}, build: 10.0.20348.1}}]\nfaults:\n- {{name: x, when: {{after: 0s}}, where: {where}, effects: [dnsDead]}}\n"
        )
    };
    let builds = "machines have the OS builds 10.0.20348";
    refuses(&with("{osBuilds: [10.0.17763]}"), 3, "faults[0].where", builds);
    refuses(
        &with("{labels: {app: db}}"),
        3,
        "faults[0].where",
        "no machine has the label app; machines have the labels pool",
    );
    refuses(&with("{nodes: [w-15]}"), 3, "faults[0].where.nodes", "w-7 and 2 more");
    refuses(&with("{installed: [KB5040437]}"), 3, "faults[0].where.installed", "is not in updates; there is none");
}

#[test]
fn what_is_malformed_is_told_in_the_words_of_the_format() {
    let cases = [
        ("seed: 1\nseed: 2", 6, "seed", "seed is there twice"),
        ("expect:\n  harmed: 0\n  harmed: 1", 7, "expect.harmed", "harmed is there twice"),
        (
            "faults:\n- {name: x, when: {phase: boot}, effects: [slowBoot]}",
            6,
            "faults[0].effects[0].slowBoot",
            "needs its fields: `slowBoot: {by: ...}`",
        ),
        (
            "faults:\n- {name: x, when: {phase: boot}, effects: [handlesLeak]}",
            6,
            "faults[0].effects[0].handlesLeak",
            "`handlesLeak: {service: ..., exhaustedAfter: ...}`",
        ),
        (
            "hypervisor: {troubles: [{after: 1h, lasts: 1h, effect: throttled}]}",
            5,
            "hypervisor.troubles[0].effect.throttled",
            "`throttled: {everyNth: ..., retryAfter: ...}`",
        ),
        (
            "hypervisor:\n  troubles:\n  - {after: 1h, lasts: 1h, effect: throttled: {everyNth: 2, retryAfter: 1m}}",
            7,
            "hypervisor.troubles[0].effect.throttled",
            "an effect with fields needs braces of its own: `effect: {throttled: ",
        ),
        ("faults:\n- {name: x, when: boot, effects: [dnsDead]}", 6, "faults[0].when", "must be a map"),
        (
            "faults:\n- {name: x, when: {after: 0s}, effects: [dnsDead: {by: 1s}]}",
            6,
            "faults[0].effects[0].dnsDead",
            "has no fields: its name is enough",
        ),
        (
            "apiServer: {troubles: [{after: 0s, lasts: 1h, effect: [down]}]}",
            5,
            "apiServer.troubles[0].effect",
            "must be a name",
        ),
        (
            "apiServer: {troubles: [{after: 0s, lasts: 1h, effect: {}}]}",
            5,
            "apiServer.troubles[0].effect",
            "must be a name",
        ),
        (
            "apiServer: {troubles: [{after: 0s, lasts: 1h, effect: {slow: {by: 1s}, down: }}]}",
            5,
            "apiServer.troubles[0].effect.slow",
            "only one may stand here",
        ),
        ("seed: -1", 5, "seed", "must be a whole number, not negative"),
        (
            "workloads: [{name: web, replicas: four}]",
            5,
            "workloads[0].replicas",
            "must be a whole number from 0 to 4294967295",
        ),
        ("operator: {instances: 0}", 5, "operator.instances", "must be at least 1"),
        (
            "metrics: [{query: up, shows: failedShare, usually: none}]",
            5,
            "metrics[0].usually",
            "must be a number, like 0.4",
        ),
        (
            "faults:\n- {name: x, when: {after: 0s}, where: {chance: 40%}, effects: [dnsDead]}",
            6,
            "faults[0].where.chance",
            "must be a share from 0 to 1, like 0.4; not a percentage",
        ),
        (
            "faults:\n- {name: x, when: {after: 0s}, effects: [requestsFail: {share: 5%}]}",
            6,
            "faults[0].effects[0].requestsFail.share",
            "not a percentage",
        ),
        ("updates: none", 5, "updates", "must be a list, like [a, b]"),
        ("start: [2026-01-13]", 5, "start", "must be one value"),
        ("start:", 5, "start", "is empty: give it a value"),
        (
            "workloads: [{name: web, replicas: 1, domainIdentity: yes}]",
            5,
            "workloads[0].domainIdentity",
            "must be true or false",
        ),
        (
            "workloads: [{name: web, replicas: 1, minAvailable: most}]",
            5,
            "workloads[0].minAvailable",
            "must be a number like 3 or",
        ),
        ("acts: [{after: 1h, act: approve}]", 5, "acts[0].act.approve", "`approve: {rollout: ..., gate: ..., "),
    ];
    for (block, line, field, words) in cases {
        refuses(&format!("{MACHINE}{block}\n"), line, field, words);
    }
}

#[test]
fn a_file_is_one_document_with_something_in_it() {
    for nothing in ["", "\n\n", "# to be written\n  # soon\n"] {
        refuses(nothing, 1, "machines", "is needed, and the file has nothing in it");
    }
    for (more, line) in [("---\n", 5), ("---\nseed: 1\n", 6)] {
        refuses(
            &format!("{MACHINE}{more}"),
            line,
            ".",
            "a second document begins here (`---`): a scenario is one document",
        );
    }
    assert!(Scenario::parse(&format!("---\n{MACHINE}")).is_ok());
}

#[test]
fn what_comes_after_the_end_is_refused() {
    let with = |more: &str| format!("{MACHINE}start: 2024-07-15\nlasts: 2h\n{more}\n");
    let publish =
        |when: &str| with(&format!("updates: []\nacts:\n- {{{when}, act: {{delete: {{kind: UpdateHold, name: h}}}}}}"));
    refuses(&publish("after: 2h"), 9, "acts[0].after", "comes when all is over: the scenario lasts 2h");
    refuses(&publish("at: 2024-07-16"), 9, "acts[0].at", "comes when all is over");
    let fault = |when: &str| with(&format!("faults:\n- {{name: f, when: {{{when}}}, effects: [dnsDead]}}"));
    refuses(&fault("after: 2h"), 8, "faults[0].when.after", "comes when all is over");
    refuses(&fault("phase: boot, at: 2024-07-16"), 8, "faults[0].when.at", "comes when all is over");
    for block in ["apiServer", "hypervisor"] {
        let trouble = |when: &str| with(&format!("{block}: {{troubles: [{{{when}, lasts: 1h, effect: down}}]}}"));
        refuses(&trouble("after: 90d"), 7, &format!("{block}.troubles[0].after"), "the scenario lasts 2h");
        refuses(&trouble("at: 2024-07-16"), 7, &format!("{block}.troubles[0].at"), "comes when all is over");
        refuses(&trouble("at: 2023-07-15"), 7, &format!("{block}.troubles[0].at"), "is over before all begins");
        assert!(Scenario::parse(&trouble("at: 2024-07-14T23:30:00Z")).is_ok(), "its end is seen");
    }
    refuses(&with("operator: {kills: [{after: 2h}]}"), 7, "operator.kills[0].after", "comes when all is over");
    refuses(&with("operator: {kills: [{at: 2024-07-16}]}"), 7, "operator.kills[0].at", "comes when all is over");
    // Nor what comes before the beginning.
    refuses(
        &publish("at: 2024-07-14T23:59:59Z"),
        9,
        "acts[0].at",
        "comes before all begins: the scenario starts at 2024",
    );
    refuses(&with("operator: {kills: [{at: 2024-07-14}]}"), 7, "operator.kills[0].at", "comes before all begins");
    assert!(Scenario::parse(&publish("at: 2024-07-15")).is_ok());
    refuses(&with("expect:\n  endsWithin: 3h"), 8, "expect.endsWithin", "3h is longer than the scenario lasts (2h)");
    refuses(&with("expect:\n  allClearWithin: 3h"), 8, "expect.allClearWithin", "is longer than");
}

#[test]
fn contradictory_expectations_are_refused() {
    let cases = [
        ("harmed: {atLeast: 3, atMost: 2}", "expect.harmed", "above atMost"),
        ("updated: {atLeast: 0}", "expect.updated", "can not be missed"),
        ("harmed: {atMost: 1}", "expect.harmed", "there are 1 machines, and any number of them will do"),
        ("harmed: {atMost: two}", "expect.harmed", "a number, or {atLeast, atMost}"),
        ("rollout: Stopped", "expect.rollout", "a state (Pending"),
        ("updated: 2", "expect.updated", "2 of 1 machines"),
        ("{updated: 1, reverted: 1}", "expect.reverted", "contradicts the counts"),
        ("{updated: 1, nodes: {win-1: {outcome: Reverted}}}", "expect.nodes.win-1", "contradicts the counts above"),
        ("{updated: 1, nodes: {win-1: {outcome: NotStarted}}}", "expect.nodes.win-1", "there are 1 machines"),
        ("{rollout: Completed, ring: web}", "expect.ring", "has stopped in no ring"),
        ("reason: ''", "expect.reason", "must not be empty"),
        (
            "{reverted: 0, nodes: {win-1: {outcome: Reverted}}}",
            "expect.reverted",
            "contradicts expect.nodes, which has 1",
        ),
        ("nodes: {win-9: {outcome: Updated}}", "expect.nodes.win-9", "not in machines"),
        ("nodes: {win-1: {}}", "expect.nodes.win-1", "outcome or build"),
        (
            "{allNodesBuild: 10.0.20348.2, nodes: {win-1: {build: 10.0.20348.1}}}",
            "expect.nodes.win-1",
            "contradicts allNodesBuild",
        ),
        ("endsWithin: 12", "expect.endsWithin", "with its unit"),
    ];
    for (block, field, words) in cases {
        refuses(&format!("{MACHINE}expect:\n  {block}\n"), 6, field, words);
    }
}

#[test]
fn what_nobody_can_do_is_refused() {
    let with = |act: &str| format!("{MACHINE}{UPDATE}acts:\n- {act}\n");
    refuses(&with("{act: {publish: {kb: KB5040437}}}"), 10, "acts[0].after", "after or at is needed");
    refuses(&with("{after: 1h, at: 2024-07-15, act: {publish: {kb: KB5040437}}}"), 10, "acts[0].at", "not both");
    refuses(&with("{after: 1h, act: {withdraw: {kb: KB1234567}}}"), 10, "acts[0].act", "KB1234567 is not in updates");
    refuses(&with("{after: 1h, act: {create: {kind: UpdateHold}}}"), 10, "acts[0].act.create", "apiVersion is needed");
    refuses(&with("{after: 1h, act: {delete: {kind: Pod, name: x}}}"), 10, "acts[0].act.delete.kind", "UpdateHold");
    refuses(
        &with("{after: 1h, act: {patch: {kind: Node, name: x, patch: 1}}}"),
        10,
        "acts[0].act.patch.patch",
        "a map",
    );
    refuses(&with("{after: 1h, act: {approve: {rollout: r, gate: Halt}}}"), 10, "acts[0].act.approve.gate", "Resume");
}
