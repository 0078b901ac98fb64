//! What the API server refuses an operator, a whole rollout through: it is said where people look, and a deadline is kept.

use super::crash::stories;
use super::tests::audited;
use super::{Kill, Outcome, Refusal, Setup, Trouble, What, When};
use crate::api::{CLAIMED_BY, NodeUpdateStatus};
use jiff::SignedDuration;
use kube::ResourceExt;
use std::time::Duration;

const POD: What = What::Refused("POST", "pods", Refusal::Forbidden);
const POD_WEBHOOK: What = What::Refused("POST", "pods", Refusal::WebhookAway);

/// The setup with this trouble from one minute to another.
fn with(setup: Setup, what: What, minutes: (i64, i64)) -> Setup {
    let at = |minute| setup.start + SignedDuration::from_mins(minute);
    Setup { troubles: vec![Trouble { from: at(minutes.0), until: at(minutes.1), what }], ..setup }
}

fn rollout(outcome: &Outcome) -> (&str, &str) {
    let rollout = &outcome.report.rollouts[0];
    (&rollout.state, rollout.reason.as_deref().unwrap_or_default())
}

/// How many requests with this method there were for pods that ask what is offered.
fn scans(outcome: &Outcome, method: &str) -> usize {
    let scan = |call: &&String| call.contains(&format!("{method} pods windlass-agents/win-1-scan-"));
    outcome.call_names.iter().filter(scan).count()
}

/// For ever `Pending: asking what the catalogue offers`: each pass failed before anybody looked how long it takes.
#[test]
fn a_scan_whose_pods_are_refused_says_so_and_stalls() {
    for (what, words) in [(POD, "is forbidden: not here"), (POD_WEBHOOK, "failed calling webhook")] {
        for (hours, want) in [(1, "Pending"), (2, "Stalled")] {
            let setup = Setup { lasts: SignedDuration::from_mins(hours * 60 - 1), ..stories::setup("{}") };
            let outcome = audited(&with(setup, what, (0, 1_000)));
            let (state, reason) = rollout(&outcome);
            assert!(state == want && reason.contains(words), "{what:?} for {hours}h: {state}: {reason}");
        }
        let outcome = audited(&with(stories::setup("{}"), what, (0, 90)));
        assert_eq!(rollout(&outcome).0, "Completed", "{what:?}: {}", outcome.report.text());
        assert_eq!(scans(&outcome, "DELETE"), 0, "{what:?}");
    }
}

/// For ever `ring only soaks`: each pass failed before anybody looked how long a probing takes.
#[test]
fn a_soak_whose_pods_are_refused_for_longer_than_probes_may_take_has_failed() {
    let soaks = |minutes: i64| {
        let mut setup = stories::setup("{}");
        let ring = setup.manifests.iter_mut().find(|m| m.object["kind"] == "UpdateRing").expect("a ring");
        ring.object["spec"]["soak"] = serde_json::json!({"duration": "12h", "interval": "1h", "failureThreshold": 3});
        with(setup, POD, (120, 120 + minutes))
    };
    let outcome = audited(&soaks(1_000));
    let (state, reason) = rollout(&outcome);
    let words = ["soak failed", "probe network failed", "is forbidden: not here"];
    assert!(state == "Halted" && words.iter().all(|word| reason.contains(word)), "{state}: {reason}");
    // Known late, and not for the second time in a row: that is no failure of the node.
    assert_eq!(rollout(&audited(&soaks(62))).0, "Completed");
}

/// A webhook that is away is waited for as a rule is: within the step's time.
#[test]
fn a_step_whose_pods_are_refused_ends_with_its_time_and_says_why() {
    for (what, words) in [(POD, "is forbidden: not here"), (POD_WEBHOOK, "failed calling webhook")] {
        // The scan is through by then, and the download goes on: the next pod is the one that installs.
        let outcome = audited(&with(stories::setup("{}"), what, (1, 1_000)));
        let reasons: Vec<_> = outcome.tables.updates.all().filter_map(|u| u.status.as_ref()?.reason.clone()).collect();
        let said = reasons.iter().any(|why| why.contains("not done within 15m") && why.contains(words));
        assert!(said, "{what:?}: {reasons:?} {}", outcome.report.text());
    }
}

/// Nothing of the node was changed yet, and it goes back into service, though the agent can not be asked to take its things
/// off either. It was held for that.
#[test]
fn a_node_on_which_no_pod_may_be_made_is_not_held() {
    for what in [POD, POD_WEBHOOK] {
        let mut setup = with(stories::setup("{}"), what, (0, 1_000));
        // What is offered is asked for before, the download is not.
        setup.troubles[0].from = setup.start + SignedDuration::from_secs(5);
        let outcome = audited(&setup);
        let node = &outcome.report.nodes[0];
        assert_eq!(node.outcome.as_deref(), Some("Failed"), "{what:?}: {}", outcome.report.text());
    }
}

/// A person who lets the machine go, so long after the start.
fn released(after: &str) -> String {
    let request = "{metadata: {annotations: {windlass.dev/request: release}}}";
    format!("{{after: {after}, act: {{patch: {{kind: NodeUpdate, name: win-1, patch: {request}}}}}}}")
}

/// A machine that is held from its first hour on, and let go after four.
fn held_and_released(more: &str, acts: &str) -> Setup {
    stories::held(more, &format!("acts: [{acts}{}]", released("4h")))
}

/// The status of its node update, and whether its node is claimed.
fn standing(outcome: &Outcome) -> (NodeUpdateStatus, bool) {
    let status = outcome.tables.updates.all().next().and_then(|update| update.status.clone()).expect("a status");
    assert_eq!(outcome.report.nodes[0].outcome.as_deref(), Some("Held"), "{}", outcome.report.text());
    let node = outcome.tables.nodes.get("win-1");
    (status, node.is_some_and(|node| node.annotations().contains_key(CLAIMED_BY)))
}

/// It was an error for ever, and `retry` says to release it first.
#[test]
fn a_held_node_that_is_gone_is_released() {
    let replaced = ", {name: new, when: {after: 3h}, effects: [machineReplaced]}";
    let deleted = "{after: 3h, act: {delete: {kind: Node, name: win-1}}}, ";
    for (more, acts, words) in [
        ("", "", "released on request, given back as it was found"),
        (replaced, "", "released on request, the node is gone and another machine has its name; it was held because"),
        ("", deleted, "released on request, "),
    ] {
        let (status, claimed) = standing(&audited(&held_and_released(more, acts)));
        let reason = status.reason.unwrap_or_default();
        assert_eq!(status.last_handled_request.as_deref(), Some("release"), "{words}: {reason}");
        assert!(reason.contains(words) && !claimed, "{words}: {reason}");
    }
}

/// Automatic updates stayed held off for ever, and what was armed could reboot the node in service.
#[test]
fn the_agent_takes_its_things_off_a_node_that_is_released_or_it_is_said() {
    let stuck = ", {name: stuck, when: {after: 3h}, effects: [newPodsDoNotStart]}";
    for (more, words) in
        [("", "given back as it was found"), (stuck, "given back, but the agent did not take its things off: ")]
    {
        let outcome = audited(&held_and_released(more, ""));
        let asked = outcome.tables.pods.within("windlass-agents").any(|pod| pod.name_any().contains("-reset-"));
        let (status, claimed) = standing(&outcome);
        let reason = status.reason.unwrap_or_default();
        assert!(asked && !claimed && reason.contains(words), "{words}: {asked} {claimed} {reason}");
    }
}

/// Asked for while the node was being reverted, it gave the node back the moment that it was held: nobody had looked at it.
#[test]
fn a_release_before_the_end_is_refused_and_may_be_asked_for_again() {
    let (status, claimed) = standing(&audited(&stories::held("", &format!("acts: [{}]", released("6m")))));
    assert!(claimed, "{:?}", status.reason);
    assert_eq!(status.last_handled_request.as_deref(), Some("release: it is in work"));
    let outcome = audited(&held_and_released("", &format!("{}, ", released("6m"))));
    let (status, claimed) = standing(&outcome);
    assert!(!claimed && status.last_handled_request.as_deref() == Some("release"), "{:?}", status.reason);
}

/// It was recorded as done, with the node cordoned, tainted and claimed.
#[test]
fn a_release_that_is_refused_is_not_done_and_says_why() {
    let refused = What::Refused("PATCH", "nodes", Refusal::Forbidden);
    let (status, claimed) = standing(&audited(&with(held_and_released("", ""), refused, (180, 1_000))));
    let waiting_on = status.waiting_on.unwrap_or_default();
    assert!(claimed && status.last_handled_request.is_none(), "{:?}", status.last_handled_request);
    assert!(
        waiting_on.starts_with("API server: patching node win-1: ") && waiting_on.contains("not here"),
        "{waiting_on}"
    );

    let (status, claimed) = standing(&audited(&with(held_and_released("", ""), refused, (180, 270))));
    assert!(!claimed && status.last_handled_request.as_deref() == Some("release"), "{:?}", status.reason);
    assert_eq!(status.waiting_on, None);
}

/// Their only nodes were booting as the updates were pinned: they were skipped for the whole rollout, which said Completed.
#[test]
fn a_windows_version_that_can_not_be_asked_is_waited_for() {
    let off = |lasts: &str| {
        stories::setup(&format!(
            "machines: [{{names: [win-1], labels: {{ring: only}}, build: 10.0.20348.2461}}, \
             {{names: [old-1], labels: {{ring: only}}, build: 10.0.17763.5900}}]\n\
             updates: [{{kb: KB5039227, released: 2024-06-11, \
             targetBuilds: {{10.0.20348: 10.0.20348.2527, 10.0.17763: 10.0.17763.6000}}}}]\n\
             faults: [{{name: off, when: {{after: 0s}}, where: {{nodes: [old-1]}}, effects: [powerLost], lasts: {lasts}, heals: never}}]"
        ))
    };
    for (lasts, updated) in [("10m", 2), ("20h", 1)] {
        let outcome = audited(&off(lasts));
        let (state, reason) = rollout(&outcome);
        assert_eq!((state, outcome.report.rollouts[0].updated), ("Completed", updated), "{lasts}: {reason}");
    }
}

/// Each stayed, three an hour, and after a restart each was waited for once more.
#[test]
fn a_scan_that_does_not_start_is_given_up_once_and_leaves_no_pod() {
    let stuck = |minutes: i64| {
        let faults = "faults: [{name: f, when: {after: 0s}, lasts: 50m, effects: [newPodsDoNotStart]}]";
        Setup { lasts: SignedDuration::from_mins(minutes), ..stories::setup(faults) }
    };
    let agents = |outcome: &Outcome| outcome.tables.pods.within("windlass-agents").count();
    let outcome = audited(&stuck(49));
    assert_eq!((scans(&outcome, "DELETE"), agents(&outcome)), (3, 1), "{:?}", outcome.call_names);
    assert_eq!(rollout(&audited(&Setup { lasts: SignedDuration::from_hours(48), ..stuck(0) })).0, "Completed");

    // A restart does not begin the waiting anew.
    let at = |minutes| When::At(stuck(0).start + SignedDuration::from_mins(minutes));
    let kills = [5, 10, 14].map(|minutes| Kill { when: at(minutes), down_for: Duration::from_secs(20) }).to_vec();
    let outcome = audited(&Setup { kills, ..stuck(16) });
    assert_eq!((scans(&outcome, "DELETE"), agents(&outcome)), (1, 1), "{:?}", outcome.call_names);
}
