//! Calls and pods that fail in ways which look like a success, a whole rollout through.

use super::cluster::AGENTS;
use super::crash::stories;
use super::tests::audited;
use super::{Act, Outcome, Setup, Trouble, What};
use crate::api::Step;
use crate::domain::{StepKey, child_name};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use winfleet::scenario::Deed;

/// Audited, and it goes well all the same.
fn completed(setup: &Setup) -> Outcome {
    let outcome = audited(setup);
    assert_eq!(outcome.report.rollouts[0].state, "Completed", "{}", outcome.report.text());
    outcome
}

/// It was taken for "the pod is gone": the drain was over, and the pod ran on through snapshot, installation and reboot.
#[test]
fn a_conflict_at_an_eviction_does_not_end_the_drain() {
    for every in 2..=9 {
        let setup = stories::setup("{}");
        let until = setup.start + SignedDuration::from_mins(8);
        let trouble = Trouble { from: setup.start, until, what: What::Conflicts(every) };
        completed(&Setup { troubles: vec![trouble], ..setup });
    }
}

/// The kubelet does not admit the pod that would ask for the reboot. It was taken to have gone down with its machine, and a
/// boot was waited for that nobody had asked for.
#[test]
fn a_pod_that_never_ran_is_not_taken_for_the_reboot() {
    let pending = "machines: [{names: [win-1], labels: {ring: only}, build: 10.0.20348.2461, rebootPending: true}]";
    let calm = completed(&stories::setup(pending));
    let update = calm.tables.updates.all().next().expect("a node update");
    let steps = update.status.iter().flat_map(|status| &status.steps);
    let (begun, uid) = (steps.clone().find(|r| r.step == Step::Reboot).expect("a reboot"), &update.metadata.uid);
    let round = u32::try_from(begun.round).expect("a round");
    let key = StepKey { node_update_uid: uid.clone().expect("a UID"), step: Step::Reboot, round, attempt: 1 };
    let rejected = |purpose: &str| {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": AGENTS, "name": child_name(&["win-1", purpose], &format!("{}/{purpose}", key.digest()))},
            "spec": {"nodeName": "win-1", "restartPolicy": "Never", "containers": [{"name": "agent", "image": "agent"}]},
            "status": {"phase": "Failed", "reason": "UnexpectedAdmissionError"},
        });
        Act { at: begun.started_at.0 - SignedDuration::from_secs(1), what: Deed::Create(pod) }
    };
    for purposes in [&["reboot"][..], &["reboot", "reboot-2"]] {
        let mut setup = stories::setup(pending);
        setup.acts.extend(purposes.iter().map(|purpose| rejected(purpose)));
        let outcome = completed(&setup);
        let update = outcome.tables.updates.all().next().expect("a node update");
        assert_eq!(&update.metadata.uid, uid, "the pods are not of this update");
        assert!(ended(&outcome) > ended(&calm), "{purposes:?}: no rejected pod was met");
        assert_eq!(boots(&outcome), boots(&calm), "{purposes:?}");
    }
}

fn ended(outcome: &Outcome) -> Option<Timestamp> {
    outcome.report.rollouts[0].ended_at
}

fn boots(outcome: &Outcome) -> u64 {
    outcome.world.machines().map(|machine| machine.counters().boots).sum()
}
