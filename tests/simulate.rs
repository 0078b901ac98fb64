//! `windlass simulate` as somebody meets it who has nothing but the docs: the program itself, its words and its exit codes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where something is wrong")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const SCENARIOS: &str = include_str!("../docs/scenarios.md");
const SIMULATE: &str = include_str!("../docs/simulate.md");

/// The worked example of the docs.
fn example() -> &'static str {
    SCENARIOS.split_once("```yaml\n").unwrap().1.split_once("```").unwrap().0
}

/// What the program said.
struct Said {
    code: Option<i32>,
    out: String,
    error: String,
}

/// A folder of this test alone, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("windlass-simulate-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn simulate(scenario: &Path, more: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
    let output = command.args(["simulate", "--scenario"]).arg(scenario).args(more).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
}

#[test]
fn the_worked_example_of_the_docs_is_played_as_it_stands() {
    let folder = Folder::new();
    let log = folder.0.join("story.log");
    let said = simulate(&folder.file("s.yaml", example()), &["--log", log.to_str().unwrap()]);
    assert_eq!((said.code, said.error.as_str()), (Some(0), ""), "{}", said.out);
    assert!(said.out.starts_with("rollout july: Halted: "), "{}", said.out);
    assert!(std::fs::read_to_string(log).unwrap().contains("win-edge-1: can not serve because of the update"));
}

#[test]
fn the_report_has_the_fields_of_the_docs_and_no_others() {
    let folder = Folder::new();
    let said = simulate(&folder.file("s.yaml", example()), &["--output", "json"]);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let listed = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(keys(&report), listed(&["seed", "rollouts", "nodes", "refusedActs", "invariants"]));
    let rollout = [
        "name",
        "state",
        "reason",
        "updated",
        "reverted",
        "held",
        "failed",
        "skipped",
        "harmed",
        "startedAt",
        "endedAt",
    ];
    assert_eq!(keys(&report["rollouts"][0]), listed(&rollout));
    let node = [
        "name",
        "ring",
        "outcome",
        "build",
        "secondsOutOfService",
        "harmed",
        "secondsHarmed",
        "harmedAt",
        "servedAgainAt",
        "broughtBackBy",
        "secondsWaited",
    ];
    assert_eq!(keys(&report["nodes"][0]), listed(&node));
    assert_eq!(keys(&report["invariants"]), listed(&["checked", "broken"]));
    for field in rollout {
        assert!(SIMULATE.contains(&format!("`{field}`")), "docs/simulate.md: rollouts[].{field}");
    }
    for field in node {
        assert!(SIMULATE.contains(&format!("`nodes[].{field}`")), "docs/simulate.md: nodes[].{field}");
    }
    assert!(report["invariants"]["checked"].as_u64() > Some(0));
    assert_eq!(report["seed"], 7);
    let runs = simulate(&folder.file("s.yaml", example()), &["--output", "json", "--runs", "2", "--seed", "40"]);
    let seeds: Vec<Value> =
        runs.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seed"].clone()).collect();
    assert_eq!(seeds, [40, 41], "one document a line");
}

#[test]
fn the_manifests_may_stand_in_files_of_their_own() {
    let folder = Folder::new();
    let (before, rest) = example().split_once("manifests:").unwrap();
    let (list, expect) = rest.split_once("\nexpect:").unwrap();
    let document = |line: &str| match line.strip_prefix("- ") {
        Some(first) => format!("---\n{first}\n"),
        None => format!("{}\n", line.strip_prefix("  ").unwrap_or(line)),
    };
    let documents: String = list.lines().skip(1).map(document).collect();
    let manifests = folder.0.join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    std::fs::write(manifests.join("all.yaml"), documents).unwrap();
    let whole = simulate(&folder.file("whole.yaml", example()), &[]);
    let parts = folder.file("parts.yaml", &format!("{before}expect:{expect}"));
    let said = simulate(&parts, &["--manifests", manifests.to_str().unwrap()]);
    assert_eq!((said.code, said.error.as_str(), said.out), (Some(0), "", whole.out));
}

#[test]
fn faults_by_chance_are_those_of_the_seed() {
    let folder = Folder::new();
    let file = folder.file("s.yaml", example());
    let play = |faults: &str| {
        let said = simulate(&file, &["--faults", faults, "--seed", "3"]);
        assert!(matches!(said.code, Some(0 | 4)), "{faults}: {:?} {}{}", said.code, said.out, said.error);
        said.out
    };
    let (none, light, heavy) = (play("none"), play("light"), play("heavy"));
    assert!(none != light && light != heavy && none != heavy, "{none}{light}{heavy}");
    assert_eq!(play("heavy"), heavy);
}

#[test]
fn an_expectation_that_is_missed_is_exit_code_4_with_its_line() {
    let folder = Folder::new();
    let scenario = example().replace("expect: {rollout: Halted, ring: edge, harmed: 1", "expect:\n  {harmed: 0");
    let line = scenario.lines().position(|line| line.contains("{harmed: 0")).unwrap() + 1;
    let file = folder.file("s.yaml", &scenario);
    let said = simulate(&file, &[]);
    assert_eq!(said.code, Some(4), "{}", said.error);
    let expected = format!("{}: line {line}: expect.harmed: 0 expected, 1 came (seed 7)\n", file.display());
    assert_eq!(said.error, expected);
}

/// What is changed in the example, and what the program has to say to it, behind the file's name.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "  when: {phase: boot}\n",
        "  when: {phase: boot}\n  colour: red\n",
        "faults[1].colour: unknown field `colour`, expected one of ",
    ),
    (
        "effects: [podNetworkDead]",
        "effects: [podNetworkDed]",
        "faults[0].effects[0]: unknown variant `podNetworkDed`, expected one of ",
    ),
    (
        "[cni-calico-vxlan]}",
        "[cni-cilium]}",
        "faults[0].where: fits no machine (fault calico-vxlan-dead); machines have the traits cni-calico-vxlan",
    ),
    ("slowBoot: {by: 10m}", "slowBoot: {by: 10}", "faults[1].effects[0].slowBoot.by: "),
    ("harmed: 1", "harmed: {atLeast: 3, atMost: 1}", "expect.harmed: atLeast 3 is above atMost"),
    (
        "updated: 4, reverted: 1",
        "updated: 4, reverted: 3",
        "expect.reverted: contradicts the counts above: there are 6 machines",
    ),
    (
        "rings: [web, edge], ",
        "rings: [web, edge, web], ",
        "manifests[4].spec.rings: Invalid value: a ring may be listed once only",
    ),
    (
        "soak: {duration: 2h}}\n- apiVersion: windlass.dev/v1alpha1\n  kind: UpdateRo",
        "soak: {duration: 2}}\n- apiVersion: windlass.dev/v1alpha1\n  kind: UpdateRo",
        "manifests[3].spec.soak.duration: ",
    ),
    (
        "policyName: standard",
        "policyname: standard",
        "manifests[2].spec.policyname: unknown field \"spec.policyname\", expected one of batch, nodeSelector, policyName, ",
    ),
    ("timeout: 3m}", "timeout: 3}", "manifests[1].spec.verify.probes[1].pod.timeout: "),
    (
        "{matchLabels: {pool: edge}}",
        "{matchLabels: {pool: egde}}",
        "manifests[3].spec.nodeSelector: fits no machine; machines have pool: edge, web",
    ),
    ("ring: edge,", "ring: egde,", "expect.ring: there is no UpdateRing egde; there is: edge, web"),
    (
        "rollout: Halted",
        "rollout: {jluy: Halted}",
        "expect.rollout.jluy: there is no UpdateRollout jluy; there is: july",
    ),
    (
        "expect: ",
        "acts: [{after: 1h, act: {delete: {kind: UpdateHold, name: h}}}]\nexpect: ",
        "acts[0].act.delete.name: there is no UpdateHold h; there is none",
    ),
    (
        "expect: ",
        "- apiVersion: policy/v1\n  kind: PodDisruptionBudget\n  metadata: {name: db, namespace: shop}\n  spec: {minAvailable: 1, selector: {}}\nworkloads: [{name: db, namespace: shop, replicas: 1}]\nacts: [{after: 1h, act: {delete: {kind: PodDisruptionBudget, name: db}}}]\nexpect: ",
        "acts[0].act.delete.name: there is no PodDisruptionBudget db; there is: shop/db",
    ),
    (
        "expect: ",
        "acts: [{after: 1h, act: {approve: {rollout: june, gate: Resume}}}]\nexpect: ",
        "acts[0].act.approve.rollout: there is no UpdateRollout june; there is: july",
    ),
    (
        "expect: ",
        "acts: [{after: 1h, act: {patch: {kind: Node, name: win-9, patch: {}}}}]\nexpect: ",
        "acts[0].act.patch.name: win-9 is not in machines",
    ),
    (
        "expect: ",
        "workloads: [{name: shop, replicas: 1, nodeSelector: {pool: shop}}]\nexpect: ",
        "workloads[0].nodeSelector: fits no machine (workload shop); machines have pool: edge, web",
    ),
    (
        "rings: [web, edge], ",
        "rings: [wep, edge], ",
        "manifests[4].spec.rings[0]: there is no UpdateRing wep; there is: edge, web",
    ),
    (
        "{policyName: standard, nodeSelector: {matchLabels: {pool: edge}}",
        "{policyName: standart, nodeSelector: {matchLabels: {pool: edge}}",
        "manifests[3].spec.policyName: there is no UpdatePolicy standart; there is: standard",
    ),
    (
        "expect: ",
        "- apiVersion: windlass.dev/v1alpha1\n  kind: UpdateHold\n  metadata: {name: h}\n  spec: {reason: r, updates: {kbs: [KB5040438]}}\nexpect: ",
        "manifests[5].spec.updates.kbs[0]: KB5040438 is not in updates; there is: KB5039227, KB5040437",
    ),
    (
        "expect: ",
        "- apiVersion: windlass.dev/v1alpha1\n  kind: UpdateHold\n  metadata: {name: h}\n  spec: {reason: r, scope: {nodeSelector: {matchLabels: {disk: enc}}}}\nexpect: ",
        "manifests[5].spec.scope.nodeSelector: fits no machine; no machine has the label disk; machines have the labels pool, ",
    ),
    (
        "expect: ",
        "acts:\n- {after: 1h, act: {create: {apiVersion: windlass.dev/v1alpha1, kind: UpdateHold, metadata: {name: h}, spec: {reason: r, scope: {rollouts: [june]}}}}}\nexpect: ",
        "acts[0].act.create.spec.scope.rollouts[0]: there is no UpdateRollout june; there is: july",
    ),
    ("updated: 4, reverted: 1}", "updated: 4, reverted: 1, updated: 4}", "expect.updated: updated is there twice"),
    (
        "expect: ",
        "- apiVersion: policy/v1\n  kind: PodDisruptionBudget\n  metadata: {name: db}\n  spec: {minAvailabel: 1}\nexpect: ",
        "manifests[5].spec.minAvailabel: unknown field \"spec.minAvailabel\", expected one of maxUnavailable, minAvailable, ",
    ),
    (
        "expect: ",
        "- apiVersion: apps/v1\n  kind: Deployment\n  metadata: {name: db}\n  spec: {replicas: one}\nexpect: ",
        "manifests[5].spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer",
    ),
    (
        "expect: ",
        "- apiVersion: apps/v1\n  kind: Deploymnt\n  metadata: {name: db}\nexpect: ",
        "manifests[5].kind: no matches for kind \"Deploymnt\" in version \"apps/v1\", expected one of ControllerRevision, DaemonSet, Deployment, ",
    ),
    (
        "kind: UpdateRollout",
        "kind: UpdateRolout",
        "manifests[4].kind: no matches for kind \"UpdateRolout\" in version \"windlass.dev/v1alpha1\", expected one of ",
    ),
    (
        "expect: ",
        "- apiVersion: windlass.dev/v1\n  kind: UpdateHold\n  metadata: {name: h}\n  spec: {reason: r}\nexpect: ",
        "manifests[5].apiVersion: no matches for kind \"UpdateHold\" in version \"windlass.dev/v1\", expected windlass.dev/v1alpha1",
    ),
    (
        "expect: ",
        "- apiVersion: policy/v1\n  kind: PodDisruptionBudget\n  metadata: {name: db, namespace: shop}\n  spec: {minAvailable: 1, selector: {matchLabels: {app: dbb}}}\nworkloads: [{name: db, namespace: shop, replicas: 1}]\nexpect: ",
        "manifests[5].spec.selector: selects no pods; there is: workload shop/db with the labels app=db",
    ),
    (
        "expect: ",
        "- apiVersion: v1\n  kind: List\n  items:\n  - apiVersion: windlass.dev/v1alpha1\n    kind: UpdateHold\n    metadata: {name: h}\n    spec: {reason: r, scope: {rollouts: [june]}}\nexpect: ",
        "manifests[5].items[0].spec.scope.rollouts[0]: there is no UpdateRollout june; there is: july",
    ),
    (
        "expect: ",
        "- apiVersion: windlass.dev/v1alpha1\n  kind: UpdateRollout\n  metadata: {name: july}\n  spec: {rings: [web], updates: {classifications: [Security]}}\nexpect: ",
        "manifests[5].metadata.name: Duplicate value: \"july\": this UpdateRollout stands in ",
    ),
    (
        "expect: ",
        "acts: [{after: 1h, act: {create: {apiVersion: v1, kind: List, items: []}}}]\nexpect: ",
        "acts[0].act.create.kind: an act makes one object, not a List of them",
    ),
    (
        "expect: ",
        "- apiVersion: policy/v1\n  kind: PodDisruptionBudget\n  metadata: {name: db, namespace: shop}\n  spec: {minAvailable: 1, selector: {}}\nworkloads: [{name: db, namespace: shop, replicas: 1}]\nacts: [{after: 1h, act: {patch: {kind: PodDisruptionBudget, name: shop/db, patch: {spec: {minAvailble: 0}}}}}]\nexpect: ",
        "acts[0].act.patch.patch.spec.minAvailble: unknown field \"spec.minAvailble\", expected one of maxUnavailable, minAvailable, ",
    ),
    (
        "expect: ",
        "acts: [{after: 1h, act: {patch: {kind: UpdateRollout, name: july, patch: {spec: {state: paused}}}}}]\nexpect: ",
        "acts[0].act.patch.patch.spec.state: Unsupported value: \"paused\": supported values: \"Running\", \"Paused\"",
    ),
    (
        "expect: ",
        "acts:\n- {after: 2h, act: {patch: {kind: UpdateRollout, name: july, patch: {spec: {state: Running}}}}}\n- {after: 1h, act: {patch: {kind: UpdateRollout, name: july, patch: {spec: {state: Aborted}}}}}\nexpect: ",
        "acts[0].act.patch.patch.spec.state: Invalid value: \"Running\": Aborted is final: make a new rollout",
    ),
    (
        "expect: ",
        "acts: [{after: 1h, act: {patch: {kind: UpdateRollout, name: july, patch: {spec: {rings: [edge]}}}}}]\nexpect: ",
        "acts[0].act.patch.patch.spec.rings: Invalid value: rings are frozen: make a new rollout",
    ),
    (
        "expect: ",
        "acts: [{after: 1h, act: {patch: {kind: Node, name: win-1, patch: {spec: {unschedulabel: true}}}}}]\nexpect: ",
        "acts[0].act.patch.patch.spec.unschedulabel: unknown field \"spec.unschedulabel\", expected one of configSource, ",
    ),
    (
        "expect: ",
        "acts: [{after: 1h, act: {patch: {kind: NodeUpdate, name: win-1, patch: {metadata: {annotations: {windlass.dev/request: relase}}}}}}]\nexpect: ",
        "acts[0].act.patch.patch.metadata.annotations.windlass.dev/request: unknown request \"relase\", expected one of release, retry",
    ),
    (
        "expect: ",
        "acts: [{after: 1h, act: {create: {apiVersion: windlass.dev/v1alpha1, kind: UpdateRollout, metadata: {name: july}, spec: {rings: [web], updates: {classifications: [Security]}}}}}]\nexpect: ",
        "acts[0].act.create.metadata.name: UpdateRollout july is there already when this act comes",
    ),
    (
        "when: {phase: boot}",
        "when: {phase: bot}",
        "faults[1].when.phase: unknown variant `bot`, expected one of stage, ",
    ),
];

/// The line, from 1, at which a text is another one.
fn first_difference(text: &str, other: &str) -> usize {
    text.lines().zip(other.lines()).take_while(|(one, other)| one == other).count() + 1
}

#[test]
fn bad_input_is_exit_code_2_with_line_field_and_what_is_allowed() {
    let folder = Folder::new();
    for (from, to, words) in MISTAKES {
        assert!(example().contains(from), "{from:?} is not in the example");
        let changed = example().replacen(from, to, 1);
        let file = folder.file("s.yaml", &changed);
        let said = simulate(&file, &[]);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{to}: {}", said.error);
        let (place, message) = said.error.split_once(": line ").unwrap_or_else(|| panic!("{to}: {}", said.error));
        assert!(place.ends_with("s.yaml"), "{to}: {}", said.error);
        assert!(!said.error.contains("<nil>"), "{to}: {}", said.error);
        let (line, message) = message.split_once(": ").unwrap();
        assert!(line.parse::<usize>().unwrap() > 0 && message.starts_with(words), "{to}: {}", said.error);
        if words.starts_with("manifests[") && !to.starts_with("- ") {
            assert_eq!(line, first_difference(example(), &changed).to_string(), "{to}: {}", said.error);
        }
    }
}

#[test]
fn a_manifest_is_refused_with_its_own_file_and_line() {
    let folder = Folder::new();
    let scenario = folder.file("s.yaml", example());
    let manifests = folder.0.join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    let hold = "# a comment\napiVersion: windlass.dev/v1alpha1\nkind: UpdateHold\nmetadata: {name: h}\nspec:\n  reason: x\n  updates: {}\n";
    std::fs::write(manifests.join("hold.yaml"), hold).unwrap();
    let said = simulate(&scenario, &["--manifests", manifests.to_str().unwrap()]);
    assert_eq!(said.code, Some(2), "{}", said.out);
    assert!(said.error.contains("hold.yaml: line 7: spec.updates: Invalid value"), "{}", said.error);
}

#[test]
fn what_stands_in_the_scenario_and_in_the_files_is_refused_with_both_places() {
    let folder = Folder::new();
    let scenario = folder.file("s.yaml", example());
    let ring = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: windlass.dev/v1alpha1\n  kind: UpdateRing\n  metadata: {name: web}\n  spec: {policyName: standard, nodeSelector: {matchLabels: {pool: web}}}\n";
    let file = folder.file("ring.yaml", ring);
    let said = simulate(&scenario, &["--manifests", file.to_str().unwrap()]);
    assert_eq!(said.code, Some(2), "{}", said.out);
    let line = example().lines().position(|line| line == "  metadata: {name: web}").unwrap() - 1;
    let expected = format!(
        "windlass simulate: {}: line {}: manifests[2].metadata.name: Duplicate value: \"web\": this UpdateRing stands in {} already, line 4\n",
        scenario.display(),
        line,
        file.display()
    );
    assert_eq!(said.error, expected);
}

/// A budget of what is not simulated is no mistake where it comes with all that is applied to a cluster.
#[test]
fn a_budget_from_a_file_that_selects_no_pods_is_worth_a_word() {
    let folder = Folder::new();
    let scenario = folder.file("s.yaml", example());
    let budget = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: dns, namespace: kube-system}\nspec: {minAvailable: 1, selector: {matchLabels: {k8s-app: kube-dns}}}\n";
    let file = folder.file("budget.yaml", budget);
    let said = simulate(&scenario, &["--manifests", file.to_str().unwrap()]);
    let expected = format!("note: {}: line 1: spec.selector: selects no pods; there is none\n", file.display());
    assert_eq!((said.code, said.error), (Some(0), expected), "{}", said.out);
}

/// A hold in a List holds.
#[test]
fn the_objects_of_a_list_are_played() {
    let folder = Folder::new();
    let scenario = folder.file("s.yaml", example());
    let hold = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: windlass.dev/v1alpha1\n  kind: UpdateHold\n  metadata: {name: h}\n  spec: {reason: a freeze}\n";
    let said = simulate(&scenario, &["--manifests", folder.file("hold.yaml", hold).to_str().unwrap()]);
    assert_eq!(said.code, Some(4), "{}{}", said.out, said.error);
    assert!(said.out.contains("updated 0, "), "{}", said.out);
}

#[test]
fn an_act_that_has_no_effect_is_told_in_the_report_and_beside_it() {
    let folder = Folder::new();
    let acts = "acts:
- {after: 1h, act: {approve: {rollout: july, gate: Promote, approver: bob}}}
- {after: 2h, act: {patch: {kind: NodeUpdate, name: win-1, patch: {spec: {nodeName: win-2}}}}}
- {after: 3h, act: {create: {apiVersion: windlass.dev/v1alpha1, kind: UpdateHold, metadata: {name: h}, spec: {reason: r}}}}
- {after: 4h, act: {delete: {kind: UpdateHold, name: h}}}
- {after: 5h, act: {delete: {kind: UpdateHold, name: h}}}
expect: ";
    let text = example().replacen("expect: ", acts, 1);
    let line = text.lines().position(|line| line.starts_with("acts:")).unwrap() + 2;
    let file = folder.file("s.yaml", &text);
    let said = simulate(&file, &["--output", "json"]);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.error);
    let acts: Vec<_> = report["refusedActs"].as_array().unwrap().iter().map(|refused| &refused["act"]).collect();
    assert_eq!(acts, [0, 1, 4], "{}", said.error);
    let expected = [
        (0, "2026-01-06T01:00:00Z", "bob finds no closed gate Promote at july"),
        (
            1,
            "2026-01-06T02:00:00Z",
            "it is refused: spec: Invalid value: the intent of a node update is frozen; a new rollout makes a new one",
        ),
        (4, "2026-01-06T05:00:00Z", "it is refused: there is no UpdateHold h"),
    ];
    let text = simulate(&file, &[]).out;
    for ((at, when, words), told) in expected.iter().zip(said.error.lines()) {
        assert_eq!(told, format!("{}: line {}: acts[{at}].act: at {when} {words} (seed 7)", file.display(), line + at));
        assert!(text.contains(&format!("\nacts[{at}] at {when}: {words}\n")), "{text}");
    }
}

/// The report counts nodes that needed no update, and `expect` those that had one: it says so.
#[test]
fn a_count_that_the_rollout_has_otherwise_is_told_with_both() {
    let folder = Folder::new();
    let done = "- {names: [win-done], labels: {pool: web}, build: 10.0.20348.2582}\n\nupdates:";
    let text = example().replacen("\nupdates:", done, 1).replacen("updated: 4", "updated: 5", 1);
    let said = simulate(&folder.file("s.yaml", &text), &[]);
    assert!(said.code == Some(4) && said.out.contains("  updated 5, "), "{}{}", said.out, said.error);
    let words = "expect.updated: 5 expected, 4 came by the last update of each node; july counts 5, with nodes that had the build before";
    assert!(said.error.contains(words), "{}", said.error);
}

#[test]
fn where_no_rollout_is_left_the_report_says_so() {
    let folder = Folder::new();
    let acts = "acts: [{after: 4h, act: {delete: {kind: UpdateRollout, name: july}}}]\nexpect: {harmed: 1} #";
    let said = simulate(&folder.file("s.yaml", &example().replacen("expect: ", acts, 1)), &["--runs", "2"]);
    assert!(said.out.starts_with("no rollout: there is none any more at the end\n"), "{}{}", said.out, said.error);
    let last = said.out.lines().last().unwrap();
    assert!(last.starts_with("2 runs (seeds 7 to 8): 2 without a rollout at the end; "), "{last}");
}

/// A Deployment has the status that a probe asks for, whoever makes it: `workloads`, or a manifest without a namespace.
#[test]
fn a_cel_probe_reads_how_many_pods_of_a_deployment_are_ready() {
    let folder = Folder::new();
    let probe = "- {name: ready, node: {}}\n      - {name: pods, cel: {expression: \"object.status.readyReplicas >= 3\", resource: {apiVersion: apps/v1, kind: Deployment, namespace: default, name: shop}}}";
    let with = |more: &str| {
        let text = example().replacen("- {name: ready, node: {}}", probe, 1);
        text.replacen("expect: ", more, 1)
    };
    let workload = "workloads: [{name: shop, replicas: 3}]\nexpect: ";
    let deployment = "- apiVersion: apps/v1\n  kind: Deployment\n  metadata: {name: shop}\n  spec: {replicas: 3, selector: {matchLabels: {app: shop}}, template: {metadata: {labels: {app: shop}}, spec: {containers: [{name: c, image: i}]}}}\nexpect: ";
    for more in [workload, deployment] {
        let said = simulate(&folder.file("s.yaml", &with(more)), &[]);
        assert_eq!(said.code, Some(0), "{}{}", said.out, said.error);
        let too_few = with(more).replace("replicas: 3", "replicas: 2");
        let said = simulate(&folder.file("s.yaml", &too_few), &[]);
        assert!(
            said.out.contains("object.status.readyReplicas >= 3 is false for Deployment default/shop"),
            "{}",
            said.out
        );
    }
}

#[test]
fn a_file_that_is_no_text_or_commands_the_terminal_does_neither() {
    let folder = Folder::new();
    let file = folder.0.join("s.yaml");
    let utf16: Vec<u8> = "\u{feff}seed: 1".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, words) in [(utf16, "it is UTF-16: save it as UTF-8"), (vec![0x7f, 0xff, 0], "no text in UTF-8: ")] {
        std::fs::write(&file, bytes).unwrap();
        let said = simulate(&file, &[]);
        assert!(said.code == Some(2) && said.error.contains(&format!("s.yaml: {words}")), "{}", said.error);
    }
    let said = simulate(&folder.file("s.yaml", "\"\\e[31mred\": 7\n"), &[]);
    assert!(said.error.contains("\\u{1b}[31mred") && !said.error.contains('\u{1b}'), "{}", said.error);
}

#[test]
fn a_tab_is_told_with_its_line() {
    let folder = Folder::new();
    let scenario = folder.file("s.yaml", example());
    let manifest = folder.file("m.yaml", "metadata: {}\nspec: x\n\tname: y\n");
    let said = simulate(&scenario, &["--manifests", manifest.to_str().unwrap()]);
    assert!(said.error.contains("m.yaml: line 3: .: a tab: YAML is indented by spaces"), "{}", said.error);
}

#[test]
fn many_runs_end_with_what_they_came_to() {
    let folder = Folder::new();
    let scenario =
        example().replace("expect: {rollout: Halted", "expect: {rollout: Completed").replace(", ring: edge", "");
    let said = simulate(&folder.file("s.yaml", &scenario), &["--runs", "3", "--seed", "5"]);
    let last = said.out.lines().last().unwrap();
    assert_eq!(
        last, "3 runs (seeds 5 to 7): 3 Halted; 3 missed what was expected; 0 broke an invariant",
        "{}",
        said.error
    );
    let said = simulate(&folder.file("s.yaml", example()), &[]);
    assert!(said.out.lines().last().unwrap().starts_with("invariants: "), "{}", said.out);
}

#[test]
fn a_log_that_can_not_be_written_is_refused_before_anything_is_played() {
    let folder = Folder::new();
    let log = folder.0.join("nowhere/story.log");
    let said = simulate(&folder.file("s.yaml", example()), &["--log", log.to_str().unwrap()]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.error.starts_with(&format!("windlass simulate: {}: ", log.display())), "{}", said.error);
}

/// The story would take the place of what is played, and nobody would have it any more.
#[test]
fn a_log_over_what_is_played_is_refused_and_leaves_it_as_it_is() {
    let folder = Folder::new();
    let scenario = folder.file("s.yaml", example());
    let manifests = folder.0.join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    let hold = "apiVersion: windlass.dev/v1alpha1\nkind: UpdateHold\nmetadata: {name: h}\nspec: {reason: r}\n";
    std::fs::write(manifests.join("hold.yaml"), hold).unwrap();
    // The same files by other names.
    let cases = [(manifests.join("../s.yaml"), "--scenario"), (folder.0.join("manifests/./hold.yaml"), "--manifests")];
    for (log, flag) in cases {
        let before = std::fs::read_to_string(&log).unwrap();
        let flags = ["--manifests", manifests.to_str().unwrap(), "--log", log.to_str().unwrap()];
        let said = simulate(&scenario, &flags);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{}", said.error);
        let words = format!("{}: --log would write over what {flag} reads (", log.display());
        assert!(said.error.contains(&words), "{}", said.error);
        assert_eq!(std::fs::read_to_string(&log).unwrap(), before);
    }
}

/// A report that is lost is no report: a full disk, where the output goes to a file.
#[test]
#[cfg(target_os = "linux")]
fn a_report_that_can_not_be_written_is_an_error() {
    let folder = Folder::new();
    let file = folder.file("s.yaml", example());
    for output in ["json", "text"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        let command = command.args(["simulate", "--output", output, "--scenario"]).arg(&file).stdout(full);
        let said = command.output().unwrap();
        let error = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(2), "{error}");
        assert!(error.starts_with("windlass simulate: the report can not be written: "), "{error}");
    }
}

#[test]
fn what_is_not_there_is_exit_code_2() {
    let said = simulate(Path::new("no-such-file.yaml"), &[]);
    assert_eq!(said.code, Some(2));
    assert!(said.error.contains("no-such-file.yaml: "), "{}", said.error);
    let folder = Folder::new();
    let (without, _) = example().split_once("manifests:").unwrap();
    let scenario = folder.file("s.yaml", without);
    let nowhere = folder.0.join("nowhere");
    let said = simulate(&scenario, &["--manifests", nowhere.to_str().unwrap()]);
    assert_eq!(said.code, Some(2));
    assert_eq!(said.error, format!("windlass simulate: {}: no such file or folder\n", nowhere.display()));
    std::fs::create_dir(&nowhere).unwrap();
    let said = simulate(&scenario, &["--manifests", nowhere.to_str().unwrap()]);
    assert_eq!(said.code, Some(2));
    assert!(said.error.ends_with("nowhere: there is no .yaml, .yml or .json file in it\n"), "{}", said.error);
    let said = simulate(&scenario, &[]);
    assert_eq!(said.code, Some(2));
    assert!(said.error.contains("there is no UpdateRollout"), "{}", said.error);
}
