//! A small fleet from its scenario to its report.

use super::crash::stories;
use super::{Auditor, Boundary, Kill, Outcome, Setup, Trouble, What, When, random, run};
use crate::config::Faults;
use crate::manifest::{Lines, Manifest};
use jiff::SignedDuration;
use std::time::Duration;
use winfleet::scenario::Scenario;

/// The fleet of `cargo xtask simulate-many`: twenty nodes in two rings.
const FLEET: &str = include_str!("../../xtask/src/simulate_many/fleet.yaml");
const SMALL: &str = include_str!("../../xtask/src/simulate_many/small.yaml");

/// Seeds of `cargo xtask simulate-many` by which a bug was found, and what it was.
const FOUND: [(&str, u64, &str); 3] = [
    (FLEET, 5, "a snapshot that was ready after its step had run out of time stayed at the provider for ever"),
    (FLEET, 27, "a conflict was taken for a record that is there, and the snapshot was on none"),
    (
        SMALL,
        168_904,
        "after a conflict a pass went by an older state of the store, and restored again what was restored",
    ),
];

fn setup(more: &str) -> Setup {
    let mut setup = Setup::new(Scenario::parse(&format!("{FLEET}{more}")).expect("a scenario"), vec![]);
    setup.story = true;
    setup
}

fn play(setup: &Setup) -> Outcome {
    run(setup, vec![]).expect("an outcome")
}

fn state(outcome: &Outcome) -> (&str, i32, usize) {
    let rollout = &outcome.report.rollouts[0];
    (&rollout.state, rollout.updated, rollout.harmed)
}

#[test]
fn a_good_update_goes_through_and_the_same_seed_tells_the_same_story() {
    let (first, second) = (play(&setup("")), play(&setup("")));
    assert_eq!(state(&first), ("Completed", 20, 0));
    assert!(first.report.nodes.iter().all(|node| node.build == "10.0.20348.2527" && node.seconds_out_of_service > 0));
    assert!(first.world.machines().all(|machine| machine.counters().installs_finished.values().sum::<u64>() == 1));
    assert_eq!(first.story, second.story);
}

/// Sixty nodes: after each 25 that are updated their pods go, those of the last ten with the rollout's end.
#[test]
fn pods_of_many_updated_nodes_do_not_wait_for_the_rollouts_end() {
    let fleet =
        FLEET.replace("count: 8", "count: 20").replace("count: 12", "count: 40").replace("first: 9", "first: 21");
    let fleet =
        fleet.replace("maxUnavailable: 4", "maxUnavailable: 10").replace("maxUnavailable: 2", "maxUnavailable: 5");
    let mut setup = Setup::new(Scenario::parse(&fleet).expect("a scenario"), vec![]);
    setup.name_calls = true;
    let outcome = audited(&setup);
    assert_eq!(state(&outcome), ("Completed", 60, 0));
    let deletions = outcome.call_names.iter().filter(|call| *call == "DELETE pods windlass-agents/");
    assert_eq!(deletions.count(), 3);
    assert_eq!(outcome.tables.pods.within("windlass-agents").count(), 0);
}

#[test]
fn an_update_that_breaks_pods_is_reverted_and_halts_the_rollout() {
    let fault = "faults:\n- name: dead\n  when: {phase: running, kb: KB5039227}\n  effects: [podNetworkDead]\n";
    let outcome = play(&setup(fault));
    assert_eq!(outcome.report.rollouts[0].state, "Halted", "{:?}", outcome.report.rollouts[0].reason);
    let harmed: Vec<_> = outcome.report.nodes.iter().filter(|node| node.harmed).collect();
    assert!((1..=2).contains(&harmed.len()), "{} harmed", harmed.len());
    assert!(harmed.iter().all(|node| node.brought_back_by == Some("operator") && node.build == "10.0.20348.2461"));
}

#[test]
fn an_operator_killed_at_any_call_comes_to_the_same_end() {
    let calls = play(&setup("")).calls;
    for (number, side) in [(calls / 7, Boundary::Before), (calls / 3, Boundary::After), (calls / 2, Boundary::After)] {
        let kill = Kill { when: When::Call(number, side), down_for: Duration::from_secs(20) };
        let outcome = play(&Setup { kills: vec![kill], ..setup("") });
        assert_eq!(state(&outcome), ("Completed", 20, 0), "killed {side:?} call {number}");
        assert!(outcome.story.iter().any(|(_, line)| line.ends_with("killed")));
        let installs = |machine: &winfleet::model::Machine| machine.counters().installs_finished.values().sum::<u64>();
        assert!(outcome.world.machines().all(|machine| installs(machine) == 1), "killed {side:?} call {number}");
    }
}

#[test]
fn an_api_server_that_is_away_for_minutes_delays_and_nothing_else() {
    let from = setup("").start + SignedDuration::from_mins(5);
    let away = Trouble { from, until: from + SignedDuration::from_mins(10), what: What::Down };
    let outcome = play(&Setup { troubles: vec![away], ..setup("") });
    assert_eq!(state(&outcome), ("Completed", 20, 0));
}

#[test]
fn a_rollout_that_fails_is_tried_again_ever_less_often() {
    let one = stories::setup("{}");
    let away = Trouble { from: one.start, until: one.start + SignedDuration::from_hours(2), what: What::Conflicts(1) };
    let outcome = audited(&Setup { troubles: vec![away], lasts: SignedDuration::from_hours(2), ..one });
    // Growing waits of at most 75 s: a fifth of that after a conflict. Once a second it would be many thousands.
    assert!((50..2000).contains(&outcome.calls), "{} calls", outcome.calls);
}

#[test]
fn what_was_found_by_a_seed_stays_mended() {
    for (fleet, seed, bug) in FOUND {
        let mut setup = Setup { seed, ..Setup::new(Scenario::parse(fleet).expect("a scenario"), vec![]) };
        random::add(&mut setup, Faults::Heavy);
        let outcome = run(&setup, vec![Box::new(Auditor::default())]).expect("an outcome");
        assert_eq!(outcome.report.invariants.broken, [], "seed {seed}: {bug}");
    }
}

/// A machine and its good update, looked at by the auditor: nothing may be broken.
pub(super) fn audited(setup: &Setup) -> Outcome {
    let outcome = run(setup, vec![Box::new(Auditor::default())]).expect("an outcome");
    assert!(outcome.report.invariants.broken.is_empty(), "{:?}", outcome.report.invariants.broken);
    outcome
}

#[test]
fn each_trouble_around_the_operator_delays_and_nothing_else() {
    let one = stories::setup("{}");
    let (from, minute) = (one.start + SignedDuration::from_mins(1), Duration::from_mins(1));
    let met = |outcome: &Outcome| (outcome.calls, outcome.report.rollouts[0].ended_at);
    let calm = met(&audited(&one));
    for what in [
        What::Down,
        What::Slow(minute / 6),
        What::Conflicts(2),
        What::Stale(minute / 2),
        What::EvictionsRefused,
        What::HypervisorDown,
        What::HypervisorThrottled(2, minute / 12),
        What::HypervisorLate(minute / 6),
    ] {
        let trouble = Trouble { from, until: from + SignedDuration::from_mins(8), what };
        let outcome = audited(&Setup { troubles: vec![trouble], ..one.clone() });
        assert_eq!(state(&outcome), ("Completed", 1, 0), "{what:?}: {:?}", outcome.report.rollouts[0].reason);
        let installs = outcome.world.machines().map(|m| m.counters().installs_finished.values().sum::<u64>());
        assert_eq!(installs.sum::<u64>(), 1, "{what:?}");
        assert_ne!(met(&outcome), calm, "{what:?} was not felt");
    }
}

/// A hypervisor that does not answer for hours after the rollout's end deletes nothing: that is nobody's neglect, and the
/// snapshots go once it answers.
#[test]
fn snapshots_wait_for_a_hypervisor_that_is_away() {
    let late = |hours: u8| {
        let mut setup = stories::setup(&format!(
            "lasts: 2d\nacts: [{{after: {hours}h, act: {{approve: {{rollout: june, gate: Resume, approver: alice}}}}}}]"
        ));
        let from = setup.start + SignedDuration::from_hours(1);
        setup.troubles =
            vec![Trouble { from, until: from + SignedDuration::from_hours(9), what: What::HypervisorDown }];
        let outcome = audited(&setup);
        assert_eq!(state(&outcome), ("Completed", 1, 0));
        outcome.world.snapshots().count()
    };
    assert_eq!((late(6), late(14)), (1, 0));
}

/// A hypervisor that is away for hours in the middle of a rollout: those that had begun fail when their time is over, and
/// no other begins before it is back.
#[test]
fn no_node_begins_while_the_hypervisor_is_away() {
    let mut setup = setup("");
    let from = setup.start + SignedDuration::from_mins(12);
    setup.troubles = vec![Trouble { from, until: from + SignedDuration::from_hours(3), what: What::HypervisorDown }];
    let report = audited(&setup).report;
    let count = |outcome: &str| report.nodes.iter().filter(|node| node.outcome.as_deref() == Some(outcome)).count();
    assert_eq!((count("Updated"), count("Failed")), (18, 2), "{}", report.text());
}

/// A hypervisor that refuses every request from the end of the rollout on keeps what is to be deleted: no neglect of ours.
#[test]
fn what_a_busy_hypervisor_does_not_delete_is_nobodys_neglect() {
    let mut setup = stories::setup("lasts: 2d\nacts: [{after: 47h, act: {publish: {kb: KB5039227}}}]");
    let (from, minute) = (setup.start + SignedDuration::from_hours(1), Duration::from_mins(1));
    let until = setup.start + SignedDuration::from_hours(48);
    setup.troubles = vec![Trouble { from, until, what: What::HypervisorThrottled(1, minute) }];
    let outcome = audited(&setup);
    assert_eq!(state(&outcome), ("Completed", 1, 0));
    assert_eq!(outcome.world.snapshots().count(), 1);
}

/// A budget that lets nobody go blocks the drain, until somebody mends it or takes it away.
#[test]
fn people_mend_a_budget_that_blocks_a_drain() {
    let meta = |name: &str| serde_json::json!({"name": name, "namespace": "shop"});
    let labels = serde_json::json!({"app": "db"});
    let objects = [
        serde_json::json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("db"), "spec": {"replicas": 2,
            "template": {"metadata": {"labels": labels}, "spec": {}}}}),
        serde_json::json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta("db"),
            "spec": {"minAvailable": 2, "selector": {"matchLabels": labels}}}),
    ];
    let budget = "kind: PodDisruptionBudget, name: shop/db";
    let patch = |spec: &str| format!("[{{after: 5m, act: {{patch: {{{budget}, patch: {{spec: {spec}}}}}}}}}]");
    for (acts, outcome) in [
        ("[]".to_owned(), "Failed"),
        (patch("{minAvailable: 0}"), "Updated"),
        (patch("{minAvailable: null, maxUnavailable: 100%}"), "Updated"),
        (patch("{minAvailable: 1}"), "Failed"),
        (format!("[{{after: 5m, act: {{delete: {{{budget}}}}}}}]"), "Updated"),
    ] {
        // The pods are those of a Deployment, or those of a workload that says nothing of a budget.
        for (workloads, objects) in [("", &objects[..]), ("{name: db, namespace: shop, replicas: 2}", &objects[1..])] {
            let mut setup = stories::setup(&format!("workloads: [{workloads}]\nacts: {acts}"));
            let manifest = |object| Manifest { object, ..Manifest::default() };
            setup.manifests.extend(objects.iter().cloned().map(manifest));
            let came = audited(&setup).report;
            assert_eq!(came.nodes[0].outcome.as_deref(), Some(outcome), "{workloads} {acts}: {}", came.text());
        }
    }
}

/// So they do with that of a workload, which is an object like any other.
#[test]
fn people_mend_the_budget_of_a_workload() {
    let workload = "workloads: [{name: db, namespace: shop, replicas: 2, minAvailable: 2}]";
    let act = "{patch: {kind: PodDisruptionBudget, name: shop/db, patch: {spec: {minAvailable: 0}}}}";
    for (acts, outcome) in [("[]".to_owned(), "Failed"), (format!("[{{after: 5m, act: {act}}}]"), "Updated")] {
        let setup = stories::setup(&format!("{workload}\nacts: {acts}"));
        let named =
            crate::simulate::names::check(&setup.scenario, &[], std::path::Path::new("s.yaml"), &Lines::default());
        assert!(named.is_ok(), "{:?}", named.err());
        let came = audited(&setup).report;
        assert_eq!(came.nodes[0].outcome.as_deref(), Some(outcome), "{acts}: {}", came.text());
    }
}

/// What goes wrong is told when it begins and when it is over: of a machine, of the API server, of the hypervisor.
#[test]
fn the_story_tells_what_goes_wrong_and_until_when() {
    let mut setup = stories::setup(
        r"
apiServer: {troubles: [{after: 20s, lasts: 1m, effect: down}]}
hypervisor: {troubles: [{after: 30s, lasts: 2m, effect: {slow: {by: 90s}}}]}
faults:
- {name: dns, when: {after: 1m}, lasts: 90s, effects: [dnsDead], intermittent: {bad: 1, of: 2, each: 10s}}
- {name: slow-boot, when: {phase: boot}, times: 1, effects: [slowBoot: {by: 1m}]}
",
    );
    setup.story = true;
    let story = super::cli::story(&audited(&setup));
    let told: Vec<_> = story.lines().filter(|line| line.contains("fault ") || line.contains("trouble ")).collect();
    assert_eq!(
        told,
        [
            "2026-01-06 00:00:20 trouble begins: the API server does not answer",
            "2026-01-06 00:00:30 trouble begins: the hypervisor's tasks take 1m 30s longer",
            "2026-01-06 00:01:00 win-1: fault dns begins",
            "2026-01-06 00:01:20 trouble is over: the API server does not answer",
            "2026-01-06 00:02:30 trouble is over: the hypervisor's tasks take 1m 30s longer",
            "2026-01-06 00:02:30 win-1: fault dns is over",
            "2026-01-06 00:08:27 win-1: fault slow-boot begins",
            "2026-01-06 00:08:27 win-1: fault slow-boot is over",
        ],
        "{story}"
    );
}

/// Two requests for each look at a snapshot, and every second one counted out: whoever asks again in step is refused for
/// ever. One of two is drawn, and all come through, only later.
#[test]
fn nodes_that_work_at_once_come_through_a_hypervisor_that_refuses_half_of_all() {
    let machines = "machines: [{prefix: win-, count: 4, labels: {ring: only}, build: 10.0.20348.2461}]";
    let throttle = "hypervisor: {throttle: {everyNth: 2, retryAfter: 20s}}";
    let mut setup = stories::setup(&format!("{machines}\n{throttle}"));
    let ring = setup.manifests.iter_mut().find(|m| m.object["kind"] == "UpdateRing").expect("a ring");
    ring.object["spec"]["batch"] = serde_json::json!({"maxUnavailable": 4});
    for seed in 1..=5 {
        let outcome = audited(&Setup { seed, ..setup.clone() });
        assert_eq!(state(&outcome), ("Completed", 4, 0), "seed {seed}: {}", outcome.report.text());
    }
}

/// A metric of a node on which nothing happens, and harm that no kubelet sees, come when their time comes.
#[test]
fn what_grows_or_begins_days_later_on_an_idle_node_is_seen() {
    let faults = |effect: &str| {
        format!(
            "faults: [{{name: f, when: {{phase: running, kb: KB5039227, delay: 10h}}, effects: [{effect}]}}]\nlasts: 5d"
        )
    };
    for effect in ["requestsFail: {share: 0.5}", "requestsSlow: {by: 5s}", "driverReplaced: {name: netkvm, by: x}"] {
        let mut setup = stories::setup(&faults(effect));
        let ring = setup.manifests.iter_mut().find(|m| m.object["kind"] == "UpdateRing").expect("a ring");
        ring.object["spec"]["soak"] = serde_json::json!({"duration": "24h", "interval": "6h"});
        let harmed = !effect.starts_with("driver");
        let outcome = audited(&setup);
        assert_eq!(outcome.report.nodes[0].harmed, harmed, "{effect}");
        let after = outcome.report.nodes[0].harmed_at.map(|at| at.duration_since(setup.start).as_hours());
        assert_eq!(after, harmed.then_some(10), "{effect}");
    }
    let metric = "metrics: [{query: memory, shows: memoryUsedShare, usually: 0.4}]";
    let mut setup = stories::setup(&format!("{}\n{metric}", faults("memoryLeaks: {exhaustedAfter: 3d}")));
    let spec = |setup: &mut Setup, kind: &str, path: &str, value: serde_json::Value| {
        let object = setup.manifests.iter_mut().find(|m| m.object["kind"] == kind).expect(kind);
        *object.object.pointer_mut(path).expect(path) = value;
    };
    let memory = serde_json::json!({"address": "http://prometheus", "query": "memory", "failWhen": "> 0.9"});
    let probes = serde_json::json!([{"name": "ready", "node": {}}, {"name": "memory", "prometheus": memory}]);
    spec(&mut setup, "UpdatePolicy", "/spec/verify/probes", probes);
    spec(&mut setup, "UpdateRing", "/spec/soak", serde_json::json!({"duration": "96h", "interval": "1h"}));
    let outcome = audited(&setup);
    let rollout = &outcome.report.rollouts[0];
    assert!(rollout.state == "Halted" && rollout.harmed == 0, "{rollout:?}");
    assert!(rollout.reason.as_ref().is_some_and(|why| why.contains("the query gives 0.9")), "{rollout:?}");
}

/// Whoever takes a claim over has the node, as it is; a claim that is only taken off leaves nothing of ours behind.
#[test]
fn a_claim_is_taken_over_or_taken_off_at_any_time() {
    for (minute, claim) in (1..=14).flat_map(|minute| [(minute, "other"), (minute, "null")]) {
        let patch = format!("{{metadata: {{annotations: {{windlass.dev/claimed-by: {claim}}}}}}}");
        let act = format!("{{patch: {{kind: Node, name: win-1, patch: {patch}}}}}");
        let outcome = audited(&stories::setup(&format!("acts: [{{after: {minute}m, act: {act}}}]")));
        let node = outcome.tables.nodes.get("win-1").expect("a node");
        let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
        let came = outcome.report.nodes[0].outcome.as_deref();
        let claimed = node.metadata.annotations.iter().flatten().any(|(key, _)| key == crate::api::CLAIMED_BY);
        assert!(came.is_some(), "{minute}m {claim}");
        assert!(
            claim == "other" || cordoned == (came == Some("Held")),
            "{minute}m {claim}: {came:?}, cordoned {cordoned}"
        );
        assert_eq!(claimed, claim == "other" || came == Some("Held"), "{minute}m {claim}: {came:?}");
    }
}

/// Seed 61 of a small fleet never came to an end: a write that another came before was tried ten times a second.
#[test]
fn where_another_write_comes_first_for_hours_few_calls_are_made() {
    let one = stories::setup("{}");
    let from = one.start + SignedDuration::from_mins(1);
    let trouble = Trouble { from, until: from + SignedDuration::from_hours(3), what: What::Conflicts(1) };
    let outcome = audited(&Setup { troubles: vec![trouble], ..one });
    assert!(outcome.calls < 5_000, "{} calls", outcome.calls);
}

#[test]
fn two_operators_at_once_do_nothing_twice() {
    let outcome = audited(&Setup { instances: 2, ..stories::setup("{}") });
    assert_eq!(state(&outcome), ("Completed", 1, 0));
    let counters = outcome.world.machines().next().expect("a machine").counters();
    assert_eq!((counters.snapshots, counters.installs_started.values().sum::<u64>()), (1, 1));
}

#[test]
fn where_displaced_pods_find_no_room_a_node_goes_back_into_service_as_it_was() {
    let full = r"
machines: [{names: [win-1, win-2, win-3], labels: {ring: only}, build: 10.0.20348.2461, pods: 4}]
workloads: [{name: web, namespace: shop, replicas: 12, minAvailable: 11}]
";
    let outcome = audited(&stories::setup(full));
    assert_eq!(outcome.report.rollouts[0].failed, 3, "{}", outcome.report.text());
    assert!(outcome.report.nodes.iter().all(|node| node.build == "10.0.20348.2461" && !node.harmed));
    let reasons: Vec<_> = outcome.tables.updates.all().filter_map(|u| u.status.as_ref()?.reason.clone()).collect();
    assert!(reasons.iter().all(|reason| reason.contains("PDB shop/web allows no disruption")), "{reasons:?}");
}
