//! From what changed to what is to be looked at.

use crate::api::{ApprovalState, Guarded, NodeSnapshot, NodeUpdate, SnapshotClass, UpdateApproval, UpdateRollout};
use crate::observe::{Change, Parsed, Stores};
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender};
use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use std::collections::BTreeSet;

/// Most changes that are taken together: a list of thousands of nodes is one look at the node updates.
const TOGETHER: usize = 1024;

/// The controllers' queues.
pub struct Queues {
    /// Of node updates.
    pub updates: UnboundedSender<ObjectRef<Guarded<NodeUpdate>>>,
    /// Of rollouts.
    pub rollouts: UnboundedSender<ObjectRef<Guarded<UpdateRollout>>>,
    /// Of snapshots.
    pub snapshots: UnboundedSender<ObjectRef<Guarded<NodeSnapshot>>>,
    /// Of snapshot classes.
    pub classes: UnboundedSender<ObjectRef<Guarded<SnapshotClass>>>,
    /// Of approvals.
    pub approvals: UnboundedSender<ObjectRef<Guarded<UpdateApproval>>>,
}

/// What is to be looked at, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Targets {
    pub updates: BTreeSet<String>,
    pub rollouts: BTreeSet<String>,
    pub snapshots: BTreeSet<String>,
    pub classes: BTreeSet<String>,
    pub approvals: BTreeSet<String>,
}

/// Routes changes until the watches end.
pub async fn route(changes: UnboundedReceiver<Change>, stores: Stores, queues: Queues) {
    let mut changes = changes.ready_chunks(TOGETHER);
    while let Some(together) = changes.next().await {
        let targets = targets(&together, &stores);
        // A receiver is gone only when the process is about to end.
        targets.updates.iter().for_each(|name| drop(queues.updates.unbounded_send(ObjectRef::new(name))));
        targets.rollouts.iter().for_each(|name| drop(queues.rollouts.unbounded_send(ObjectRef::new(name))));
        targets.snapshots.iter().for_each(|name| drop(queues.snapshots.unbounded_send(ObjectRef::new(name))));
        targets.classes.iter().for_each(|name| drop(queues.classes.unbounded_send(ObjectRef::new(name))));
        targets.approvals.iter().for_each(|name| drop(queues.approvals.unbounded_send(ObjectRef::new(name))));
    }
}

pub(super) fn targets(changes: &[Change], stores: &Stores) -> Targets {
    let mut targets = Targets::default();
    // A hold may be about any rollout, and about any node in work.
    let held = if changes.contains(&Change::Hold) { live_rollouts(stores, true) } else { Vec::new() };
    let mut nodes = BTreeSet::new();
    let mut rollouts: BTreeSet<_> = held.iter().map(String::as_str).collect();
    // A rollout may wait for what is to be known when it freezes its rings, and later for a class whose provider was away.
    let (mut catalogue, mut waits_for_class) = (false, false);
    for change in changes {
        match change {
            Change::Catalogue => catalogue = true,
            Change::SnapshotClass(name) => {
                catalogue = true;
                waits_for_class = true;
                targets.classes.insert(name.clone());
            }
            Change::Hold => {}
            Change::Approval { name, rollout } => {
                targets.approvals.insert(name.clone());
                targets.rollouts.insert(rollout.clone());
            }
            Change::Rollout(name) => drop(rollouts.insert(name.as_str())),
            Change::NodeUpdate { name, rollout } => {
                targets.updates.insert(name.clone());
                targets.rollouts.insert(rollout.clone());
                targets.classes.extend(class_at_turn(stores, name));
            }
            Change::NodeSnapshot { name, class } => {
                targets.snapshots.insert(name.clone());
                targets.snapshots.extend(snapshots_beside(stores, name));
                targets.classes.insert(class.clone());
            }
            Change::Node(name) => drop(nodes.insert(name.as_str())),
            Change::Pod { owner_kind, owner } => match owner_kind.as_str() {
                "NodeUpdate" => drop(targets.updates.insert(owner.clone())),
                "UpdateRollout" => drop(targets.rollouts.insert(owner.clone())),
                _ => {}
            },
        }
    }
    if catalogue || !nodes.is_empty() {
        targets.rollouts.extend(live_rollouts(stores, waits_for_class || !nodes.is_empty()));
    }
    if !nodes.is_empty() || !rollouts.is_empty() {
        targets.updates.extend(updates_in_work(stores, &nodes, &rollouts));
    }
    targets.snapshots.extend(snapshots_of(stores, &rollouts));
    targets.approvals.extend(waiting_approvals(stores, &rollouts));
    targets.rollouts.extend(rollouts.into_iter().map(str::to_owned));
    targets.rollouts.remove("");
    targets.classes.remove("");
    targets
}

/// Rollouts that have not ended; without `started`, only those that have not frozen their rings yet.
fn live_rollouts(stores: &Stores, started: bool) -> Vec<String> {
    let live = |rollout: &UpdateRollout| {
        let status = rollout.status.as_ref();
        status.is_none_or(|s| s.ended_at.is_none() && (started || s.rings.is_empty()))
    };
    names(&stores.rollouts, live)
}

/// Node updates in work on one of these nodes, or of one of these rollouts, and those that hold one of these nodes.
fn updates_in_work(stores: &Stores, nodes: &BTreeSet<&str>, rollouts: &BTreeSet<&str>) -> Vec<String> {
    names(&stores.updates, |update: &NodeUpdate| {
        let spec = &update.spec;
        let on_node = || nodes.contains(spec.node_name.as_str());
        update.in_work() && (on_node() || rollouts.contains(spec.rollout_name.as_str()))
            || update.is_held() && on_node()
    })
}

/// The class of a node update that is new, and so needs it from now on, or has ended, and does not any more.
fn class_at_turn(stores: &Stores, name: &str) -> Option<String> {
    let update = Stores::get(&stores.updates, name)?;
    (update.status.is_none() || !update.in_work()).then(|| update.spec.snapshot_class.clone())
}

fn snapshots_of(stores: &Stores, rollouts: &BTreeSet<&str>) -> Vec<String> {
    if rollouts.is_empty() {
        return Vec::new();
    }
    names(&stores.snapshots, |s: &NodeSnapshot| rollouts.contains(s.spec.rollout_name.as_str()))
}

/// The other snapshots of a snapshot's node: with this one, they may be more than are to be kept.
fn snapshots_beside(stores: &Stores, name: &str) -> Vec<String> {
    let Some(snapshot) = Stores::get(&stores.snapshots, name) else { return Vec::new() };
    names(&stores.snapshots, |other: &NodeSnapshot| other.spec.node_name == snapshot.spec.node_name)
}

/// Approvals for one of these rollouts of which nothing has come yet.
fn waiting_approvals(stores: &Stores, rollouts: &BTreeSet<&str>) -> Vec<String> {
    names(&stores.approvals, |approval: &UpdateApproval| {
        let ended = approval.status.as_ref().is_some_and(|status| status.state != ApprovalState::Waiting);
        !ended && rollouts.contains(approval.spec.rollout_name.as_str())
    })
}

fn names<K>(store: &Parsed<K>, wanted: impl Fn(&K) -> bool) -> Vec<String>
where
    K: Resource<DynamicType = ()> + Clone,
{
    Stores::select(store, wanted).iter().filter_map(|object| object.meta().name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::samples::{node_update, rollout, snapshot, stores};

    fn targets_of(changes: &[Change]) -> (Vec<String>, Vec<String>, Vec<String>) {
        let stores = stores(
            vec![
                node_update("nu-1", "win-1", "now", None),
                node_update("nu-2", "win-2", "now", None),
                node_update("nu-0", "win-1", "before", Some("Updated")),
            ],
            vec![rollout("now", None), rollout("before", Some("2026-11-22T10:00:00Z"))],
            vec![snapshot("s-1", "now"), snapshot("s-0", "before")],
        );
        let Targets { updates, rollouts, snapshots, .. } = targets(changes, &stores);
        (Vec::from_iter(updates), Vec::from_iter(rollouts), Vec::from_iter(snapshots))
    }

    fn check(changes: &[Change], updates: &[&str], rollouts: &[&str], snapshots: &[&str]) {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(targets_of(changes), (owned(updates), owned(rollouts), owned(snapshots)), "{changes:?}");
    }

    #[test]
    fn a_class_is_told_of_what_begins_to_need_it_and_of_what_does_not_any_more() {
        let mut new = node_update("new", "win-1", "now", None);
        new.status = None;
        let work = node_update("work", "win-2", "now", None);
        let stores = stores(vec![new, work, node_update("old", "win-3", "now", Some("Updated"))], vec![], vec![]);
        for (name, told) in [("new", &["sim"][..]), ("work", &[]), ("old", &["sim"]), ("gone", &[])] {
            let change = Change::NodeUpdate { name: name.into(), rollout: "now".into() };
            assert_eq!(Vec::from_iter(targets(&[change], &stores).classes), told, "{name}");
        }
    }

    #[test]
    fn a_change_is_told_to_whom_it_may_concern_and_to_nobody_else() {
        let node = |name: &str| Change::Node(name.into());
        let pod = |kind: &str, owner: &str| Change::Pod { owner_kind: kind.into(), owner: owner.into() };
        let update = |name: &str, of: &str| Change::NodeUpdate { name: name.into(), rollout: of.into() };
        check(&[node("win-1")], &["nu-1"], &["now"], &[]);
        check(&[node("win-9")], &[], &["now"], &[]);
        check(&[node("win-1"), node("win-2")], &["nu-1", "nu-2"], &["now"], &[]);
        check(&[Change::Rollout("now".into())], &["nu-1", "nu-2"], &["now"], &["s-1"]);
        check(&[Change::Rollout("before".into())], &[], &["before"], &["s-0"]);
        check(&[Change::Catalogue], &[], &["now"], &[]);
        check(&[Change::Hold], &["nu-1", "nu-2"], &["now"], &["s-1"]);
        check(&[update("nu-1", "now")], &["nu-1"], &["now"], &[]);
        check(&[update("broken", "")], &["broken"], &[], &[]);
        check(&[pod("NodeUpdate", "nu-2")], &["nu-2"], &[], &[]);
        check(&[pod("UpdateRollout", "now")], &[], &["now"], &[]);
        check(&[pod("Job", "x")], &[], &[], &[]);
        check(&[Change::NodeSnapshot { name: "s-1".into(), class: "sim".into() }], &[], &[], &["s-0", "s-1"]);
        check(&[Change::SnapshotClass("sim".into())], &[], &["now"], &[]);
    }
}
