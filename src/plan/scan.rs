//! Which nodes are asked what the catalogue offers: one for each OS build, before anything is pinned.

use super::selector::Selectors;
use crate::api::RingStatus;
use crate::domain::NodeState;
use std::collections::BTreeMap;

/// The OS builds of a rollout's nodes (`10.0.20348`), each with the nodes that may be asked, the best first: by ring,
/// then by name. A node that is not Ready, that is to be left alone, or that is in somebody's work is not asked.
pub fn candidates<'a>(rings: &[RingStatus], nodes: &'a [NodeState]) -> BTreeMap<String, Vec<&'a NodeState>> {
    let selectors = Selectors::new(rings.iter().map(|ring| &ring.revision.ring.node_selector));
    let mut ordered: Vec<_> = nodes
        .iter()
        .filter_map(|node| Some((selectors.ring_of(&node.labels)?, node.build?.os_build(), node)))
        .collect();
    ordered.sort_by(|(a_ring, _, a), (b_ring, _, b)| (a_ring, &a.node.name).cmp(&(b_ring, &b.node.name)));
    let mut found: BTreeMap<String, Vec<&NodeState>> = BTreeMap::new();
    for (_, os_build, node) in ordered {
        let of_build = found.entry(os_build).or_default();
        if node.readiness.is_ready() && !node.skip && node.claimed_by.is_none() {
            of_build.push(node);
        }
    }
    found
}
