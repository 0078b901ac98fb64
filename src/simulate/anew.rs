//! Machines that register as another Node object: what is held stays so, and on record.

use super::Outcome;
use super::crash::stories::held;
use super::tests::audited;
use crate::api::{CLAIMED_BY, NodeUpdate};
use kube::ResourceExt;
use std::sync::Arc;

/// The node updates, and the UID of the one that claims the node.
fn standing(outcome: &Outcome) -> (Vec<Arc<NodeUpdate>>, Option<String>) {
    let node = outcome.tables.nodes.get("win-1").expect("a node");
    let claim = node.annotations().get(CLAIMED_BY).cloned();
    (outcome.tables.updates.all().cloned().collect(), claim)
}

/// It took pods again, counted as updated, and was updated once more, with nobody's release.
#[test]
fn a_held_machine_whose_node_object_is_deleted_is_held_again() {
    let restarts = ", {name: restarts, when: {after: 70m}, effects: [restartsByItself], heals: never}";
    let deleted = "acts: [{after: 1h, act: {delete: {kind: Node, name: win-1}}}]";
    let outcome = audited(&held(restarts, deleted));
    let (updates, claim) = standing(&outcome);
    let [update] = updates.as_slice() else { panic!("{} node updates", updates.len()) };
    assert!(update.is_held() && claim == update.uid(), "{claim:?}");
    assert_ne!(outcome.tables.nodes.get("win-1").and_then(|node| node.uid()), Some(update.spec.node_uid.clone()));
}

/// The watch shows the node without the claim that was just written: that is no sign that nothing is held any more.
#[test]
fn the_record_of_a_held_node_stays_although_the_watch_lags() {
    let acts = "apiServer: {cacheLag: 100ms}\nacts: [{after: 5m, act: {delete: {kind: NodeUpdate, name: win-1}}}, \
                {after: 8m, act: {delete: {kind: Node, name: win-1}}}]";
    let (updates, claim) = standing(&audited(&held("", acts)));
    let first = updates.iter().find(|update| update.metadata.deletion_timestamp.is_some());
    assert!(claim.is_some() && claim == first.and_then(|update| update.uid()), "{claim:?} of {}", updates.len());
}
