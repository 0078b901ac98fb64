//! Which nodes are asked what the catalogue offers: one for each OS build, before anything is pinned.

use super::selector::Selectors;
use crate::api::RingStatus;
use crate::domain::NodeState;
use std::collections::BTreeMap;

/// The OS builds of a rollout's nodes (`10.0.20348`), each with the nodes that may be asked, the best first: that with the
/// lowest build, as one that has an update already is not offered it; then by ring and name. A node that is not Ready, that is to be left alone, or that is in somebody's work is not asked.
pub fn candidates<'a>(rings: &[RingStatus], nodes: &'a [NodeState]) -> BTreeMap<String, Vec<&'a NodeState>> {
    let selectors = Selectors::new(rings.iter().map(|ring| &ring.revision.ring.node_selector));
    let mut ordered: Vec<_> =
        nodes.iter().filter_map(|node| Some((node.build?, selectors.ring_of(&node.labels)?, node))).collect();
    ordered.sort_by_key(|(build, ring, node)| (*build, *ring, node.node.name.as_str()));
    let mut found: BTreeMap<String, Vec<&NodeState>> = BTreeMap::new();
    for (build, _, node) in ordered {
        let of_build = found.entry(build.os_build()).or_default();
        if node.readiness.is_ready() && !node.skip && node.claimed_by.is_none() {
            of_build.push(node);
        }
    }
    found
}

/// Why no node of this OS build can be asked: the first of them by name, and what is the matter with it.
pub fn why_nobody(rings: &[RingStatus], nodes: &[NodeState], wanted: &str) -> String {
    let selectors = Selectors::new(rings.iter().map(|ring| &ring.revision.ring.node_selector));
    let candidates = |node: &&NodeState| node.build.is_some_and(|build| build.os_build() == wanted);
    let mut candidates: Vec<_> =
        nodes.iter().filter(candidates).filter(|node| selectors.ring_of(&node.labels).is_some()).collect();
    candidates.sort_by_key(|node| node.node.name.as_str());
    let Some((first, more)) = candidates.split_first() else { return "there is none".to_owned() };
    let why = match (first.skip, &first.claimed_by) {
        (true, _) => "has the annotation windlass.dev/skip".to_owned(),
        (false, Some(by)) => format!("is claimed by node update {by}"),
        (false, None) => "is not Ready".to_owned(),
    };
    let more = if more.is_empty() { String::new() } else { format!(", and {} more", more.len()) };
    format!("{} {why}{more}", first.node.name)
}
