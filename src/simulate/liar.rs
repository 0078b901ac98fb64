//! The auditor at work in a whole simulation: what it is told of a good rollout is falsified in one place each time, and it
//! has to see just that. So each invariant is known to be looked at where it counts, and not in tests of single rules alone.

use super::crash::stories;
use super::{Actor, Auditor, Broken, Event, Object, Observer, ProviderCall, Setup, View, run};
use crate::api::{
    IntOrPercent, NodeUpdate, Outcome, Promotion, RingState, RolloutState, Step, StepDetail, StepPhase, UpdateHold,
    UpdateRollout,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use winfleet::scenario::Deed;

/// Tells the auditor of an event, and not always the truth.
type Lie = fn(&mut Auditor, Timestamp, &Event<'_>, &View<'_>);

struct Liar(Auditor, Lie);

impl Observer for Liar {
    fn see(&mut self, at: Timestamp, event: &Event<'_>, view: &View<'_>) {
        (self.1)(&mut self.0, at, event, view);
    }

    fn checked(&self) -> u64 {
        Observer::checked(&self.0)
    }

    fn broken(&self) -> Vec<Broken> {
        self.0.broken()
    }
}

fn tell(auditor: &mut Auditor, at: Timestamp, event: &Event<'_>, view: &View<'_>) {
    auditor.see(at, event, view);
}

/// Tells of a write with both objects changed.
fn tell_changed(
    auditor: &mut Auditor,
    (at, event, view): (Timestamp, &Event<'_>, &View<'_>),
    change: impl Fn(&mut Object),
) {
    let Event::Wrote { actor, before, after } = event else { return tell(auditor, at, event, view) };
    let changed = |object: Option<&Object>| {
        object.map(|object| {
            let mut object = object.clone();
            change(&mut object);
            object
        })
    };
    let (before, after) = (changed(*before), changed(*after));
    tell(auditor, at, &Event::Wrote { actor: *actor, before: before.as_ref(), after: after.as_ref() }, view);
}

fn updates(change: impl Fn(&mut NodeUpdate)) -> impl Fn(&mut Object) {
    move |object| {
        if let Object::NodeUpdate(update) = object {
            change(Arc::make_mut(update));
        }
    }
}

fn rollouts(change: impl Fn(&mut UpdateRollout)) -> impl Fn(&mut Object) {
    move |object| {
        if let Object::Rollout(rollout) = object {
            change(Arc::make_mut(rollout));
        }
    }
}

fn cordoned(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true)
}

/// Whether the operator changes a node's cordon to this.
fn is_cordon(event: &Event<'_>, on: bool) -> bool {
    matches!(event, Event::Wrote { actor: Actor::Operator(_), before: Some(Object::Node(old)), after: Some(Object::Node(new)) }
        if cordoned(old) != on && cordoned(new) == on)
}

fn is_begin(event: &Event<'_>) -> bool {
    matches!(event, Event::Wrote { before: None, after: Some(Object::NodeUpdate(_)), .. })
}

/// What is broken, how the rollout goes, and the lie.
const LIES: &[(&[&str], &str, Lie)] = &[
    (&[], "", tell),
    (&[], BAD, tell),
    (&["Budget"], "", |auditor, at, event, view| {
        tell_changed(
            auditor,
            (at, event, view),
            rollouts(|rollout| {
                for ring in rollout.status.iter_mut().flat_map(|status| &mut status.rings) {
                    ring.revision.ring.batch.max_unavailable = IntOrPercent::Nodes(0);
                }
            }),
        );
    }),
    (&["Snapshot"], "", |auditor, at, event, view| {
        tell_changed(
            auditor,
            (at, event, view),
            updates(|update| {
                for step in update.status.iter_mut().flat_map(|status| &mut status.steps) {
                    step.handle = None;
                }
            }),
        );
    }),
    (&["Drained"], "", |auditor, at, event, view| {
        if !matches!(event, Event::Wrote { before: Some(Object::Pod(_)), .. }) {
            tell(auditor, at, event, view);
        }
    }),
    (&["Owner"], "", |auditor, at, event, view| {
        if is_cordon(event, true) {
            return tell_changed(auditor, (at, event, view), |object| {
                if let Object::Node(node) = object {
                    let annotations = Arc::make_mut(node).metadata.annotations.iter_mut().flatten();
                    annotations
                        .filter(|(key, _)| *key == "windlass.dev/claimed-by")
                        .for_each(|(_, by)| *by = "x".into());
                }
            });
        }
        tell(auditor, at, event, view);
    }),
    (&["Uncordon"], "", |auditor, at, event, view| {
        if is_cordon(event, true)
            && let Event::Wrote { before, after, .. } = event
        {
            return tell(auditor, at, &Event::Wrote { actor: Actor::User, before: *before, after: *after }, view);
        }
        tell(auditor, at, event, view);
    }),
    (&["End"], "", |auditor, at, event, view| {
        if !is_cordon(event, false) {
            tell(auditor, at, event, view);
        }
    }),
    (&["Deadline"], "", |auditor, at, event, view| {
        if is_begin(event) || !matches!(event, Event::Wrote { after: Some(Object::NodeUpdate(_)), .. }) {
            tell(auditor, at, event, view);
        }
    }),
    (&["Window"], "", |auditor, at, event, view| {
        tell_changed(
            auditor,
            (at, event, view),
            updates(|update| {
                let frozen =
                    json!({"timeZone": "UTC", "deny": [{"from": "2026-01-01", "to": "2026-02-01", "reason": "x"}]});
                update.spec.policy.maintenance = serde_json::from_value(frozen).expect("a freeze");
            }),
        );
    }),
    (&["Hold"], "", |auditor, at, event, view| {
        if matches!(event, Event::Started { .. }) {
            let hold = json!({"apiVersion": "windlass.dev/v1alpha1", "kind": "UpdateHold", "metadata": {"name": "h"}, "spec": {"reason": "x"}});
            let hold: UpdateHold = serde_json::from_value(hold).expect("a hold");
            let hold = Object::Hold(Arc::new(hold));
            tell(auditor, at, &Event::Wrote { actor: Actor::User, before: None, after: Some(&hold) }, view);
        }
        tell(auditor, at, event, view);
    }),
    (&["Pinned"], "", |auditor, at, event, view| {
        tell_changed(
            auditor,
            (at, event, view),
            rollouts(|rollout| {
                for update in rollout.status.iter_mut().flat_map(|s| &mut s.pinned).flat_map(|set| &mut set.updates) {
                    update.revision += 1;
                }
            }),
        );
    }),
    (&["End", "FeatureUpgrade", "Pinned"], "", |auditor, at, event, view| {
        tell_changed(auditor, (at, event, view), updates(|update| update.spec.to_build = "10.0.26100.1".into()));
    }),
    (&["NeedlessRevert"], BAD, |auditor, at, event, view| {
        tell_changed(
            auditor,
            (at, event, view),
            updates(|update| {
                let steps = update.status.iter_mut().flat_map(|status| &mut status.steps);
                for step in steps.filter(|step| step.step == Step::Install) {
                    (step.phase, step.detail) = (StepPhase::Failed, Some(StepDetail::Untouched));
                }
            }),
        );
    }),
    (&["StartAfterHalt"], "", |auditor, at, event, view| {
        tell_changed(
            auditor,
            (at, event, view),
            rollouts(|rollout| {
                if let Some(status) = &mut rollout.status {
                    status.state = RolloutState::Halted;
                }
            }),
        );
    }),
    (&["Halt"], BAD, |auditor, at, event, view| {
        if matches!(event, Event::End)
            && let Some(halted) = view.tables.rollouts.all().next()
        {
            let mut running = UpdateRollout::clone(halted);
            running.status.as_mut().expect("a status").state = RolloutState::Running;
            let (before, after) = (Object::Rollout(Arc::clone(halted)), Object::Rollout(Arc::new(running)));
            let wrote = Event::Wrote { actor: Actor::Operator(0), before: Some(&before), after: Some(&after) };
            tell(auditor, at, &wrote, view);
        }
        tell(auditor, at, event, view);
    }),
    (&["Revert"], "", |auditor, at, event, view| {
        tell_changed(
            auditor,
            (at, event, view),
            updates(|update| {
                if let Some(status) = update.status.as_mut().filter(|status| status.outcome.is_some()) {
                    (status.outcome, status.reason) = (Some(Outcome::Reverted), Some("x".into()));
                }
            }),
        );
    }),
    (&["Promotion"], "", |auditor, at, event, view| {
        tell_changed(
            auditor,
            (at, event, view),
            rollouts(|rollout| {
                let Some(rings) = rollout.status.as_mut().map(|status| &mut status.rings) else { return };
                let Some(mut first) = rings.first().cloned() else { return };
                (first.name, first.state) = ("first".into(), RingState::Promoted);
                first.revision.ring.promotion = Promotion::Approval;
                rings.insert(0, first);
            }),
        );
    }),
    (&["GoodNode"], "", |auditor, at, event, view| {
        if matches!(event, Event::End) {
            let (actor, what) = (Actor::Operator(0), ProviderCall::Restore);
            tell(auditor, at, &Event::Provider { actor, what, subject: "win-1", key: "" }, view);
        }
        tell(auditor, at, event, view);
    }),
    (&["Orphan"], "", |auditor, at, event, view| {
        tell(auditor, at, event, view);
        if let Event::Wrote { actor, before: None, after: after @ Some(Object::Snapshot(_)) } = event {
            tell(auditor, at, &Event::Wrote { actor: *actor, before: *after, after: None }, view);
        }
    }),
];

/// An update that is caught and reverted.
const BAD: &str = "faults: [{name: f, when: {phase: running, kb: KB5039227}, effects: [podNetworkDead]}]";

/// One machine, whose rollout begins when everybody has to know of everything; and somebody who does something much later.
fn setup(parts: &str) -> Setup {
    let late = "acts: [{after: 47h, act: {publish: {kb: KB5039227}}}]";
    let mut setup = stories::setup(&format!("{parts}\n{late}"));
    let is_rollout = |object: &serde_json::Value| object["kind"] == "UpdateRollout";
    let rollout =
        setup.manifests.iter().find(|manifest| is_rollout(&manifest.object)).expect("a rollout").object.clone();
    setup.manifests.retain(|manifest| !is_rollout(&manifest.object));
    let at = setup.start + jiff::SignedDuration::from_mins(20);
    setup.acts.push(super::Act { at, what: Deed::Create(rollout) });
    setup
}

#[test]
fn each_invariant_that_is_broken_in_a_rollout_is_seen() {
    let mut seen = BTreeSet::new();
    for (expected, parts, lie) in LIES {
        let outcome = run(&setup(parts), vec![Box::new(Liar(Auditor::default(), *lie))]).expect("an outcome");
        let broken = &outcome.report.invariants.broken;
        let names: BTreeSet<&str> = broken.iter().map(|broken| broken.invariant.as_str()).collect();
        assert_eq!(names, expected.iter().copied().collect(), "{broken:#?}");
        seen.extend(expected.iter().copied());
    }
    assert_eq!(seen.len(), 18, "one lie for each invariant: {seen:?}");
}
