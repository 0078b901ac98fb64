//! What the API server refuses an operator, a whole rollout through: it is said where people look, and a deadline is kept.

use super::crash::stories;
use super::{Auditor, Outcome, Refusal, Setup, Trouble, What, run};
use jiff::SignedDuration;

const POD: What = What::Refused("POST", "pods", Refusal::Forbidden);
const POD_WEBHOOK: What = What::Refused("POST", "pods", Refusal::WebhookAway);

/// The setup with this trouble from one minute to another.
fn with(setup: Setup, what: What, minutes: (i64, i64)) -> Setup {
    let at = |minute| setup.start + SignedDuration::from_mins(minute);
    Setup { troubles: vec![Trouble { from: at(minutes.0), until: at(minutes.1), what }], ..setup }
}

fn audited(setup: &Setup) -> Outcome {
    let outcome = run(setup, vec![Box::new(Auditor::default())]).expect("an outcome");
    assert!(outcome.report.invariants.broken.is_empty(), "{:?}", outcome.report.invariants.broken);
    outcome
}

fn rollout(outcome: &Outcome) -> (&str, &str) {
    let rollout = &outcome.report.rollouts[0];
    (&rollout.state, rollout.reason.as_deref().unwrap_or_default())
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
