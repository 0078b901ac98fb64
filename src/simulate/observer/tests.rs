//! Each invariant, broken on purpose: the auditor has to see it, and nothing else.

use super::*;
use crate::api::{UpdateApproval, UpdateHold};
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use windlass_protocol::Build;

const OLD: &str = "10.0.20348.2527";
const NEW: &str = "10.0.20348.2582";

/// A Monday, 10:00 UTC.
fn monday() -> Timestamp {
    "2026-01-05T10:00:00Z".parse().unwrap()
}

fn object<K: DeserializeOwned>(json: Value) -> Arc<K> {
    Arc::new(serde_json::from_value(json).unwrap())
}

fn node(name: &str, more: &Value) -> Arc<Node> {
    let mut node = json!({
        "metadata": {"name": name, "uid": format!("{name}-uid"), "labels": {"kubernetes.io/os": "windows", "ring": "canary"}},
        "spec": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    merge(&mut node, more);
    object(node)
}

fn merge(base: &mut Value, change: &Value) {
    match change {
        Value::Object(changes) if base.is_object() => {
            changes.iter().for_each(|(name, change)| merge(&mut base[name], change));
        }
        _ => *base = change.clone(),
    }
}

fn policy(maintenance: &Value) -> Value {
    let mut policy = json!({
        "strategy": {"type": "InPlace", "inPlace": {"snapshot": {"className": "sim"}}},
        "verify": {"probes": [{"name": "ready", "node": {}}]},
    });
    if !maintenance.is_null() {
        policy["maintenance"] = maintenance.clone();
    }
    policy
}

fn pinned() -> Value {
    json!([{"updateId": "u-1", "revision": 1, "kb": "KB5040437", "title": "x", "released": "2024-07-09"}])
}

fn rollout(state: &str, maintenance: &Value) -> Arc<UpdateRollout> {
    let ring =
        json!({"policyName": "p", "nodeSelector": {"matchLabels": {"ring": "canary"}}, "batch": {"maxUnavailable": 1}});
    object(json!({
        "apiVersion": "windlass.dev/v1alpha1", "kind": "UpdateRollout", "metadata": {"name": "july", "uid": "july-uid"},
        "spec": {"rings": ["canary"], "updates": {"classifications": ["Security"]}},
        "status": {
            "state": state,
            "pinned": [{"osBuild": "10.0.20348", "expectedBuild": NEW, "updates": pinned()}],
            "rings": [{"name": "canary", "state": "Running", "revision": {"ringGeneration": 1, "policyGeneration": 1,
                "ring": ring, "policy": policy(maintenance)}}],
        },
    }))
}

fn update(name: &str, steps: &Value, more: &Value) -> Arc<NodeUpdate> {
    let mut update = json!({
        "apiVersion": "windlass.dev/v1alpha1", "kind": "NodeUpdate",
        "metadata": {"name": format!("july-{name}"), "uid": format!("july-{name}-uid")},
        "spec": {
            "rolloutName": "july", "rolloutUid": "july-uid", "ring": "canary", "nodeName": name, "nodeUid": format!("{name}-uid"),
            "providerId": format!("simulated://sim/{name}"), "operation": "Update", "fromBuild": OLD, "toBuild": NEW,
            "updates": pinned(), "snapshotClass": "sim", "policy": policy(&Value::Null),
        },
        "status": {"steps": steps},
    });
    merge(&mut update, more);
    object(update)
}

fn step(name: &str, phase: &str, more: &Value) -> Value {
    let mut step =
        json!({"step": name, "phase": phase, "round": 1, "attempt": 1, "startedAt": "2026-01-05T10:00:00.000000Z"});
    if phase != "Started" {
        step["finishedAt"] = json!("2026-01-05T10:00:00.000000Z");
    }
    merge(&mut step, more);
    step
}

/// A world of one's own making.
#[derive(Default)]
struct Made {
    /// Snapshots: the machine, and whether it can be restored.
    snapshots: BTreeMap<String, (String, bool)>,
    /// From when on a snapshot is not wanted, by its own mark.
    marks: BTreeMap<String, Timestamp>,
    build: Option<Build>,
    restores: u64,
}

impl Truth for Made {
    fn snapshot_of(&self, handle: &str) -> Option<String> {
        self.snapshots.get(handle).map(|(machine, _)| machine.clone())
    }

    fn unwanted_from(&self, handle: &str) -> Option<Timestamp> {
        self.marks.get(handle).copied()
    }

    fn restorable(&self, handle: &str, _: Timestamp) -> bool {
        self.snapshots.get(handle).is_some_and(|(_, restorable)| *restorable)
    }

    fn snapshots(&self) -> Vec<String> {
        self.snapshots.keys().cloned().collect()
    }

    fn build(&self, _: &str) -> Option<Build> {
        self.build
    }

    fn restores(&self, _: &str) -> u64 {
        self.restores
    }
}

/// A fleet of two nodes and a rollout, and the auditor that looks on.
struct Scene {
    auditor: Auditor,
    truth: Made,
    now: Timestamp,
}

impl Scene {
    fn new() -> Self {
        Self::with("Running", &Value::Null)
    }

    fn with(state: &str, maintenance: &Value) -> Self {
        let mut scene = Self { auditor: Auditor::default(), truth: Made::default(), now: monday() };
        for name in ["win-1", "win-2"] {
            scene.auditor.node(scene.now, By::Others, (None, Some(&node(name, &json!({})))));
        }
        scene.auditor.rollout(scene.now, (None, Some(&rollout(state, maintenance))));
        scene
    }

    fn starts(&mut self, name: &str, more: &Value) {
        let update = update(name, &json!([]), more);
        self.auditor.update(self.now, (None, Some(&update)), &self.truth);
    }

    fn goes(&mut self, before: &Value, after: &Value, more: &Value) {
        let (old, new) = (update("win-1", before, &json!({})), update("win-1", after, more));
        self.auditor.update(self.now, (Some(&old), Some(&new)), &self.truth);
    }

    fn writes(&mut self, by: By, before: &Value, after: &Value) {
        let (old, new) = (node("win-1", before), node("win-1", after));
        self.auditor.node(self.now, by, (Some(&old), Some(&new)));
    }

    #[track_caller]
    fn finds(&self, expected: &[Invariant]) {
        let found: Vec<_> = self.auditor.found().iter().map(|breach| breach.invariant).collect();
        assert_eq!(found, expected, "{:#?}", self.auditor.found());
        assert!(self.auditor.checked() > 0, "nothing was looked at");
    }
}

#[test]
fn a_good_start_breaks_nothing() {
    let mut scene = Scene::new();
    scene.starts("win-1", &json!({}));
    scene.finds(&[]);
}

#[test]
fn more_in_work_than_the_budget() {
    let mut scene = Scene::new();
    scene.starts("win-1", &json!({}));
    scene.starts("win-2", &json!({}));
    scene.finds(&[Invariant::Budget]);
}

#[test]
fn a_node_that_is_away_counts_when_it_has_been_so_for_long() {
    let gone = json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}});
    for (minutes, expected) in [(1, &[][..]), (30, &[Invariant::Budget])] {
        let mut scene = Scene::new();
        scene.writes(By::Others, &json!({}), &gone);
        scene.now += SignedDuration::from_mins(minutes);
        scene.starts("win-2", &json!({}));
        scene.finds(expected);
    }
    // Acting on the one that is away costs nothing more.
    let mut scene = Scene::new();
    scene.writes(By::Others, &json!({}), &gone);
    scene.now += SignedDuration::from_mins(30);
    scene.starts("win-1", &json!({}));
    scene.finds(&[]);
}

#[test]
fn two_updates_of_one_node() {
    let mut scene = Scene::new();
    scene.starts("win-1", &json!({}));
    let other = json!({"metadata": {"uid": "another"}, "spec": {"rolloutUid": "july-uid", "ring": "canary"}});
    scene.starts("win-1", &other);
    scene.finds(&[Invariant::Owner, Invariant::Budget]);
}

#[test]
fn two_owners_of_a_node() {
    let claim = |uid: &str| json!({"metadata": {"annotations": {"windlass.dev/claimed-by": uid}}});
    let mut scene = Scene::new();
    scene.starts("win-1", &json!({}));
    scene.writes(By::Operator, &json!({}), &claim("july-win-1-uid"));
    scene.finds(&[]);
    scene.writes(By::Operator, &claim("another"), &claim("july-win-1-uid"));
    scene.finds(&[Invariant::Owner]);
    scene.writes(By::Operator, &json!({}), &claim("nobody"));
    scene.finds(&[Invariant::Owner, Invariant::Owner]);
}

#[test]
fn the_cordon_of_somebody_else() {
    let cordoned = json!({"spec": {"unschedulable": true}});
    let free = json!({"spec": {"unschedulable": false}});
    let mut scene = Scene::new();
    scene.writes(By::Operator, &free, &cordoned);
    scene.writes(By::Operator, &cordoned, &free);
    scene.finds(&[]);
    scene.writes(By::Others, &free, &cordoned);
    scene.writes(By::Operator, &cordoned, &free);
    scene.finds(&[Invariant::Uncordon]);
    let mut kept = cordoned.clone();
    kept["metadata"] = json!({"annotations": {"windlass.dev/keep-cordoned": "true"}});
    scene.writes(By::Operator, &free, &cordoned);
    scene.writes(By::Operator, &kept, &free);
    scene.finds(&[Invariant::Uncordon, Invariant::Uncordon]);
}

#[test]
fn an_installation_without_a_snapshot() {
    let install = step("Install", "Started", &json!({}));
    let taken = step("Snapshot", "Succeeded", &json!({"handle": "snap-1"}));
    for (snapshots, log, expected) in [
        (None, json!([install]), &[Invariant::Snapshot][..]),
        (None, json!([taken, install]), &[Invariant::Snapshot]),
        (Some(("win-2", true)), json!([taken, install]), &[Invariant::Snapshot]),
        (Some(("win-1", false)), json!([taken, install]), &[Invariant::Snapshot]),
        (Some(("win-1", true)), json!([taken, install]), &[]),
    ] {
        let mut scene = Scene::new();
        scene.truth.snapshots =
            snapshots.map(|(machine, good)| ("snap-1".into(), (machine.into(), good))).into_iter().collect();
        scene.starts("win-1", &json!({}));
        scene.goes(&json!([]), &log, &json!({}));
        scene.finds(expected);
    }
}

/// What was cordoned, drained and snapshotted as the halt or the hold came can still be left as it is.
#[test]
fn an_installation_that_begins_under_a_halt_or_a_hold() {
    let hold: Arc<UpdateHold> = object(json!({
        "apiVersion": "windlass.dev/v1alpha1", "kind": "UpdateHold", "metadata": {"name": "h"}, "spec": {"reason": "x"},
    }));
    let before = json!([step("Snapshot", "Succeeded", &json!({"handle": "snap-1"}))]);
    let attempt = |number: u32| step("Install", "Started", &json!({"attempt": number}));
    let failed = step("Install", "Failed", &json!({"detail": "Retriable"}));
    let with = |more: &[Value]| json!([before.as_array().unwrap().as_slice(), more].concat());
    for (held, wanted) in [(false, Invariant::StartAfterHalt), (true, Invariant::Hold)] {
        for (minutes, log, expected) in [
            (30, with(&[attempt(1)]), &[wanted][..]),
            (5, with(&[attempt(1)]), &[]),
            (30, with(&[failed.clone(), attempt(2)]), &[]),
        ] {
            let mut scene = Scene::new();
            scene.truth.snapshots = BTreeMap::from([("snap-1".into(), ("win-1".into(), true))]);
            scene.starts("win-1", &json!({}));
            if held {
                scene.auditor.hold(scene.now, (None, Some(&hold)));
            } else {
                let change = (rollout("Running", &Value::Null), rollout("Halted", &Value::Null));
                scene.auditor.rollout(scene.now, (Some(&change.0), Some(&change.1)));
            }
            scene.now += SignedDuration::from_mins(minutes);
            scene.goes(&before, &log, &json!({}));
            scene.finds(expected);
        }
    }
}

/// A pod of a workload on win-1.
fn pod(more: &Value) -> Arc<Pod> {
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "r", "controller": true});
    let mut pod = json!({
        "metadata": {"name": "web-1", "namespace": "shop", "creationTimestamp": "2026-01-05T09:00:00Z", "ownerReferences": [owner]},
        "spec": {"nodeName": "win-1", "containers": []}, "status": {"phase": "Running"},
    });
    merge(&mut pod, more);
    object(pod)
}

#[test]
fn a_machine_that_is_touched_with_pods_on_it() {
    let drained = step("Drain", "Succeeded", &json!({}));
    let broken = &[Invariant::Drained][..];
    for (more, expected) in [
        (json!({}), broken),
        (json!({"metadata": {"deletionTimestamp": "2026-01-05T09:59:00Z"}}), broken),
        (json!({"metadata": {"ownerReferences": []}}), broken),
        (json!({"spec": {"nodeName": "win-2"}}), &[]),
        (json!({"status": {"phase": "Succeeded"}}), &[]),
        (
            json!({"metadata": {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "cni", "uid": "d"}]}}),
            &[],
        ),
        (json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}), &[]),
        (json!({"metadata": {"namespace": "windlass-agents"}}), &[]),
        (json!({"spec": {"priorityClassName": "system-node-critical"}}), &[]),
        // It came after the drain.
        (json!({"metadata": {"creationTimestamp": "2026-01-05T10:00:00Z"}}), &[]),
    ] {
        for touch in ["Snapshot", "Reboot"] {
            let mut scene = Scene::new();
            scene.auditor.pod(scene.now, (None, Some(&pod(&more))));
            scene.starts("win-1", &json!({}));
            scene.goes(&json!([]), &json!([drained, step(touch, "Started", &json!({}))]), &json!({}));
            scene.finds(expected);
        }
    }
    // One that is gone, or has ended since, is in nobody's way.
    for after in [None, Some(pod(&json!({"status": {"phase": "Failed"}})))] {
        let mut scene = Scene::new();
        let there = pod(&json!({}));
        scene.auditor.pod(scene.now, (None, Some(&there)));
        scene.auditor.pod(scene.now, (Some(&there), after.as_ref()));
        scene.starts("win-1", &json!({}));
        scene.goes(&json!([]), &json!([drained, step("Snapshot", "Started", &json!({}))]), &json!({}));
        scene.finds(&[]);
    }
}

#[test]
fn a_revert_of_what_was_not_changed() {
    let restore = step("Restore", "Started", &json!({}));
    for (install, expected) in [
        (step("Drain", "Failed", &json!({"detail": "Retriable"})), &[Invariant::NeedlessRevert][..]),
        (step("Install", "Failed", &json!({"detail": "Untouched"})), &[Invariant::NeedlessRevert]),
        (step("Install", "Failed", &json!({})), &[]),
    ] {
        let mut scene = Scene::new();
        scene.starts("win-1", &json!({}));
        scene.goes(&json!([install]), &json!([install, restore]), &json!({}));
        scene.finds(expected);
    }
}

#[test]
fn a_restore_that_no_update_wants() {
    let mut scene = Scene::new();
    let install = step("Install", "Failed", &json!({}));
    scene.starts("win-1", &json!({}));
    scene.goes(&json!([install]), &json!([install, step("Restore", "Started", &json!({}))]), &json!({}));
    scene.auditor.restore(scene.now, "win-1", "key-1");
    scene.finds(&[]);
    scene.auditor.restore(scene.now, "win-2", "key-2");
    scene.auditor.restore(scene.now, "win-2", "key-2");
    scene.finds(&[Invariant::GoodNode]);
}

#[test]
fn a_revert_that_was_none() {
    let ended = json!({"status": {"outcome": "Reverted", "reason": "a probe failed"}});
    let (restored, verified) =
        (step("Restore", "Succeeded", &json!({})), step("VerifyRestored", "Succeeded", &json!({})));
    let failed = step("VerifyRestored", "Failed", &json!({}));
    for (restores, build, log, expected) in [
        (0, OLD, json!([restored, verified]), &[Invariant::Revert][..]),
        (1, NEW, json!([restored, verified]), &[Invariant::Revert]),
        (1, OLD, json!([restored]), &[Invariant::Revert]),
        (1, OLD, json!([restored, failed]), &[Invariant::Revert]),
        (1, OLD, json!([verified, restored]), &[Invariant::Revert]),
        (1, OLD, json!([restored, verified]), &[]),
    ] {
        let mut scene = Scene::new();
        scene.starts("win-1", &json!({}));
        scene.truth.restores = restores;
        scene.truth.build = build.parse().ok();
        scene.goes(&json!([]), &log, &ended);
        scene.finds(expected);
    }
}

#[test]
fn an_end_that_is_none() {
    let ends = |outcome: &str, reason: &str| json!({"status": {"outcome": outcome, "reason": reason}});
    let claimed = json!({"metadata": {"annotations": {"windlass.dev/claimed-by": "july-win-1-uid"}}});
    let cordoned = json!({"spec": {"unschedulable": true}});
    for (left, outcome, reason, expected) in [
        (&claimed, "Failed", "x", &[Invariant::End][..]),
        (&cordoned, "Failed", "x", &[Invariant::End]),
        (&cordoned, "Held", "", &[Invariant::End]),
        (&json!({}), "Held", "x", &[Invariant::End]),
        (&json!({}), "Failed", "", &[Invariant::End]),
        (&cordoned, "Held", "x", &[]),
        (&json!({}), "Failed", "x", &[]),
    ] {
        let mut scene = Scene::new();
        scene.starts("win-1", &json!({}));
        scene.writes(By::Operator, &json!({}), left);
        scene.goes(&json!([]), &json!([]), &ends(outcome, reason));
        scene.finds(expected);
    }
}

/// What somebody else takes over is theirs, with its cordon; a claim that is only taken off leaves the cordon ours.
#[test]
fn a_claim_that_somebody_else_takes() {
    let claimed = |by: &str| json!({"metadata": {"annotations": {"windlass.dev/claimed-by": by}}, "spec": {"unschedulable": true}});
    let (ours, theirs) = (claimed("july-win-1-uid"), claimed("other"));
    let nobodys = json!({"spec": {"unschedulable": true}});
    let free = json!({"metadata": {"annotations": {"windlass.dev/claimed-by": "other"}}});
    let failed = json!({"status": {"outcome": "Failed", "reason": "node win-1 is claimed by node update other"}});
    let held = json!({"status": {"outcome": "Held", "reason": "node win-1 is claimed by node update other"}});
    for (left, ended, expected) in [
        (&theirs, &failed, &[][..]),
        (&nobodys, &failed, &[Invariant::End]),
        (&free, &failed, &[]),
        (&free, &held, &[]),
        (&theirs, &held, &[]),
    ] {
        let mut scene = Scene::new();
        scene.starts("win-1", &json!({}));
        scene.writes(By::Operator, &json!({}), &ours);
        scene.writes(By::Others, &ours, left);
        scene.goes(&json!([]), &json!([]), ended);
        scene.finds(expected);
    }
    // The operator may not take off a cordon that has become somebody else's.
    let mut scene = Scene::new();
    scene.starts("win-1", &json!({}));
    scene.writes(By::Operator, &json!({}), &ours);
    scene.writes(By::Others, &ours, &theirs);
    scene.writes(By::Operator, &theirs, &json!({}));
    scene.finds(&[Invariant::Uncordon]);
}

#[test]
fn a_step_without_end() {
    let mut scene = Scene::new();
    scene.starts("win-1", &json!({}));
    scene.now += SignedDuration::from_hours(20);
    scene.auditor.restore(scene.now, "nobody", "key-3");
    scene.now += SignedDuration::from_hours(20);
    scene.auditor.restore(scene.now, "nobody", "key-4");
    scene.finds(&[Invariant::GoodNode, Invariant::Deadline, Invariant::GoodNode]);
}

#[test]
fn a_start_outside_of_the_windows() {
    let window = json!({"timeZone": "UTC", "allow": [{"days": ["Sun"], "start": "22:00", "duration": "12h"}]});
    for (time, expected) in [
        ("2026-01-05T09:59:59Z", &[][..]),
        ("2026-01-05T10:00:00Z", &[Invariant::Window]),
        ("2026-01-04T21:59:59Z", &[Invariant::Window]),
    ] {
        let mut scene = Scene::with("Running", &window);
        scene.now = time.parse().unwrap();
        scene.starts("win-1", &json!({"spec": {"policy": {"maintenance": window}}}));
        scene.finds(expected);
    }
    let frozen = json!({"timeZone": "UTC", "deny": [{"from": "2026-01-05", "to": "2026-01-05", "reason": "x"}]});
    let mut scene = Scene::new();
    scene.starts("win-1", &json!({"spec": {"policy": {"maintenance": frozen}}}));
    scene.finds(&[Invariant::Window]);
}

#[test]
fn a_start_under_a_hold() {
    for (spec, expected) in [
        (json!({"reason": "x"}), &[Invariant::Hold][..]),
        (json!({"reason": "x", "updates": {"kbs": ["KB5040437"]}}), &[Invariant::Hold]),
        (json!({"reason": "x", "updates": {"builds": {"from": NEW, "to": NEW}}}), &[Invariant::Hold]),
        (json!({"reason": "x", "updates": {"kbs": ["KB1111111"]}}), &[]),
        (json!({"reason": "x", "scope": {"rollouts": ["june"]}}), &[]),
        (json!({"reason": "x", "scope": {"nodeSelector": {"matchLabels": {"ring": "other"}}}}), &[]),
        (json!({"reason": "x", "expiresAt": "2026-01-05T10:30:00Z"}), &[]),
    ] {
        let mut scene = Scene::new();
        let hold: Arc<UpdateHold> = object(
            json!({"apiVersion": "windlass.dev/v1alpha1", "kind": "UpdateHold", "metadata": {"name": "h"}, "spec": spec}),
        );
        scene.auditor.hold(scene.now, (None, Some(&hold)));
        scene.now = scene.now.checked_add(1.hour()).unwrap();
        scene.starts("win-1", &json!({}));
        scene.finds(expected);
    }
}

#[test]
fn what_was_not_pinned() {
    for more in [
        json!({"spec": {"toBuild": "10.0.20348.9999"}}),
        json!({"spec": {"updates": []}}),
        json!({"spec": {"rolloutUid": "no-such"}}),
    ] {
        let mut scene = Scene::new();
        scene.starts("win-1", &more);
        scene.finds(&[Invariant::Pinned]);
    }
    let mut scene = Scene::new();
    let (old, mut new) = (rollout("Running", &Value::Null), UpdateRollout::clone(&rollout("Running", &Value::Null)));
    new.status.as_mut().unwrap().pinned.clear();
    scene.auditor.rollout(scene.now, (Some(&old), Some(&Arc::new(new))));
    scene.finds(&[Invariant::Pinned]);
}

#[test]
fn another_windows() {
    let mut scene = Scene::new();
    scene.starts("win-1", &json!({"spec": {"toBuild": "10.0.26100.1"}}));
    scene.finds(&[Invariant::FeatureUpgrade, Invariant::Pinned]);
    let mut scene = Scene::new();
    scene.starts("win-1", &json!({}));
    scene.truth.build = "10.0.26100.1".parse().ok();
    scene.goes(&json!([]), &json!([]), &json!({"status": {"outcome": "Updated"}}));
    scene.finds(&[Invariant::FeatureUpgrade]);
}

#[test]
fn a_start_after_a_halt_and_a_halt_that_is_left() {
    let mut scene = Scene::with("Halted", &Value::Null);
    scene.starts("win-1", &json!({}));
    scene.finds(&[Invariant::StartAfterHalt]);
    let mut scene = Scene::with("Halted", &Value::Null);
    let change = |to: &str| (rollout("Halted", &Value::Null), rollout(to, &Value::Null));
    let (old, new) = change("Aborted");
    scene.auditor.rollout(scene.now, (Some(&old), Some(&new)));
    scene.finds(&[]);
    let (old, new) = change("Running");
    scene.auditor.rollout(scene.now, (Some(&old), Some(&new)));
    scene.finds(&[Invariant::Halt]);
}

/// A halted rollout whose gate shows a hash, and what it becomes.
fn resumed() -> (Arc<UpdateRollout>, Arc<UpdateRollout>) {
    let mut halted = UpdateRollout::clone(&rollout("Halted", &Value::Null));
    let gate = json!({"name": "Resume", "ring": "canary", "planHash": "0f3a9c1b5d7e2468"});
    halted.status.as_mut().unwrap().gate = serde_json::from_value(gate).unwrap();
    (Arc::new(halted), rollout("Running", &Value::Null))
}

fn approval(more: &Value) -> Arc<UpdateApproval> {
    let mut approval = json!({
        "apiVersion": "windlass.dev/v1alpha1", "kind": "UpdateApproval", "metadata": {"name": "go-on", "uid": "go-on-uid"},
        "spec": {"rolloutName": "july", "rolloutUid": "july-uid", "gate": "Resume", "planHash": "0f3a9c1b5d7e2468",
            "approver": "alice", "expiresAt": "2026-01-06T10:00:00Z"},
    });
    merge(&mut approval, more);
    object(approval)
}

#[test]
fn a_halt_that_is_left_with_and_without_a_persons_word() {
    for (by, more, expected) in [
        (By::Others, json!({}), &[][..]),
        (By::Operator, json!({}), &[Invariant::Halt]),
        (By::Others, json!({"spec": {"rolloutUid": "another"}}), &[Invariant::Halt]),
        (By::Others, json!({"spec": {"gate": "Promote"}}), &[Invariant::Halt]),
        (By::Others, json!({"spec": {"planHash": "0000000000000000"}}), &[Invariant::Halt]),
        (By::Others, json!({"spec": {"expiresAt": "2026-01-05T09:00:00Z"}}), &[Invariant::Halt]),
    ] {
        let mut scene = Scene::with("Halted", &Value::Null);
        scene.auditor.approval(scene.now, by, (None, Some(&approval(&more))));
        let (halted, running) = resumed();
        scene.auditor.rollout(scene.now, (Some(&halted), Some(&running)));
        scene.finds(expected);
    }
    // One word lets it go on once.
    let mut scene = Scene::with("Halted", &Value::Null);
    scene.auditor.approval(scene.now, By::Others, (None, Some(&approval(&json!({})))));
    let (halted, running) = resumed();
    scene.auditor.rollout(scene.now, (Some(&halted), Some(&running)));
    scene.auditor.rollout(scene.now, (Some(&halted), Some(&running)));
    scene.finds(&[Invariant::Halt]);
}

#[test]
fn a_ring_that_starts_before_a_person_has_said_so() {
    let mut two = UpdateRollout::clone(&rollout("Running", &Value::Null));
    let rings = &mut two.status.as_mut().unwrap().rings;
    let mut first = rings[0].clone();
    first.name = "first".into();
    first.revision.ring.promotion = crate::api::Promotion::Approval;
    rings.insert(0, first);
    let two = Arc::new(two);
    for (given, expected) in [(json!({}), &[Invariant::Promotion][..]), (json!({"spec": {"gate": "Promote"}}), &[])] {
        let mut scene = Scene::new();
        scene.auditor.rollout(scene.now, (None, Some(&two)));
        scene.auditor.approval(scene.now, By::Others, (None, Some(&approval(&given))));
        scene.starts("win-1", &json!({}));
        scene.finds(expected);
    }
}

#[test]
fn snapshots_that_nobody_has_on_record() {
    let record: Arc<NodeSnapshot> = object(json!({
        "apiVersion": "windlass.dev/v1alpha1", "kind": "NodeSnapshot", "metadata": {"name": "s"},
        "spec": {"nodeName": "win-1", "nodeUid": "win-1-uid", "providerId": "simulated://sim/win-1", "className": "sim",
            "rolloutName": "july", "rolloutUid": "july-uid", "nodeUpdate": "july-win-1", "handle": "snap-1", "build": OLD,
            "retainSeconds": 3600, "captured": {"at": "2026-01-05T10:00:00Z", "restorable": true}},
    }));
    let there = || BTreeMap::from([("snap-1".to_owned(), ("win-1".to_owned(), true))]);
    // Off the record, and still there.
    let mut scene = Scene::new();
    scene.truth.snapshots = there();
    scene.auditor.snapshot(scene.now, (Some(&record), None), &scene.truth);
    scene.finds(&[Invariant::Orphan]);
    // Left behind by a step that ran out of time: until its mark says so, and for a while after that.
    let mut scene = Scene::new();
    scene.truth.snapshots = there();
    scene.auditor.end(scene.now, &scene.truth);
    scene.finds(&[Invariant::Orphan]);
    let mut scene = Scene::new();
    scene.truth.snapshots = there();
    scene.truth.marks = BTreeMap::from([("snap-1".to_owned(), scene.now)]);
    scene.now += SignedDuration::from_hours(2);
    scene.auditor.end(scene.now, &scene.truth);
    scene.finds(&[]);
    scene.now += SignedDuration::from_secs(1);
    scene.auditor.end(scene.now, &scene.truth);
    scene.finds(&[Invariant::Orphan]);
    // People may want to be told of it only, and then have to be; or to keep all of them.
    let class = |spec: Value, told: &str| -> Arc<SnapshotClass> {
        let told = json!([{"type": "Orphans", "status": "True", "reason": "Found", "message": told,
            "lastTransitionTime": "2026-01-05T10:00:00Z"}]);
        let mut class = json!({"apiVersion": "windlass.dev/v1alpha1", "kind": "SnapshotClass", "metadata": {"name": "sim"},
            "spec": {"provider": {"simulated": {"endpoint": "http://x"}}}, "status": {"conditions": told}});
        merge(&mut class["spec"], &spec);
        object(class)
    };
    for (class, expected) in [
        (class(json!({"orphans": "Delete"}), "snap-1 (node win-1)"), &[Invariant::Orphan][..]),
        (class(json!({}), "nothing"), &[Invariant::Orphan]),
        (class(json!({}), "snap-1 (node win-1)"), &[]),
        (class(json!({"deletionPolicy": "Retain"}), ""), &[]),
    ] {
        let mut scene = Scene::new();
        scene.truth.snapshots = there();
        scene.auditor.class(scene.now, (None, Some(&class)));
        scene.auditor.end(scene.now, &scene.truth);
        scene.finds(expected);
    }
    let mut kept = NodeSnapshot::clone(&record);
    kept.spec.deletion_policy = DeletionPolicy::Retain;
    let mut scene = Scene::new();
    scene.truth.snapshots = there();
    scene.auditor.snapshot(scene.now, (Some(&Arc::new(kept)), None), &scene.truth);
    scene.auditor.end(scene.now, &scene.truth);
    scene.finds(&[]);
    // On record for as long as its rollout goes on, and for a while after that.
    let mut scene = Scene::new();
    scene.truth.snapshots = there();
    scene.auditor.snapshot(scene.now, (None, Some(&record)), &scene.truth);
    scene.now += SignedDuration::from_hours(999);
    scene.auditor.end(scene.now, &scene.truth);
    scene.finds(&[]);
    let mut ended = UpdateRollout::clone(&rollout("Completed", &Value::Null));
    ended.status.as_mut().unwrap().ended_at = serde_json::from_value(json!("2026-01-05T10:00:00Z")).unwrap();
    scene.auditor.rollout(scene.now, (Some(&rollout("Running", &Value::Null)), Some(&Arc::new(ended))));
    scene.now += SignedDuration::from_hours(2);
    scene.auditor.end(scene.now, &scene.truth);
    scene.finds(&[]);
    scene.now += SignedDuration::from_hours(2);
    scene.auditor.end(scene.now, &scene.truth);
    scene.finds(&[Invariant::Orphan]);
    // A provider that does not answer deletes nothing either: the time runs from then on.
    scene.auditor.unanswered(scene.now);
    scene.auditor.end(scene.now + SignedDuration::from_hours(2), &scene.truth);
    scene.finds(&[Invariant::Orphan]);
    scene.auditor.end(scene.now + SignedDuration::from_hours(3), &scene.truth);
    scene.finds(&[Invariant::Orphan, Invariant::Orphan]);
}
