//! Resolves the names of a rollout before it starts: rings, policies, SnapshotClasses, nodes. What is found is frozen.

use super::selector::{Selectors, matches};
use super::stall::{StallCode, Stalled};
use crate::api::{
    Counts, FrozenRing, InPlace, RingState, RingStatus, SnapshotConsistency, UpdatePolicy, UpdateRing,
    UpdateRolloutSpec,
};
use crate::domain::{Capabilities, Capability, Labels, NodeState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The objects that a rollout names directly or indirectly, and the nodes.
#[derive(Clone, Copy, Debug)]
pub struct Catalogue<'a> {
    /// All UpdateRings.
    pub rings: &'a [Arc<UpdateRing>],
    /// All UpdatePolicies.
    pub policies: &'a [Arc<UpdatePolicy>],
    /// All SnapshotClasses: what the provider of each can do, or why it has none.
    pub classes: &'a BTreeMap<String, Result<Capabilities, String>>,
    /// All Windows nodes.
    pub nodes: &'a [NodeState],
    /// The labels of all other nodes: they make the message about a ring without Windows nodes a better one.
    pub other_nodes: &'a [Labels],
}

/// Freezes the rings of a rollout, in its order.
///
/// # Errors
/// All that is wrong at once, in the order of the rings: a ring, policy or SnapshotClass that is not there, a ring that
/// selects no Windows node, two rings that select the same node. Nothing may start then.
pub fn resolve(spec: &UpdateRolloutSpec, catalogue: &Catalogue<'_>) -> Result<Vec<RingStatus>, Vec<Stalled>> {
    let mut problems = Vec::new();
    let mut rings = Vec::new();
    for name in &spec.rings {
        match freeze(name, catalogue) {
            Ok(ring) => rings.push(ring),
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(rings.iter().filter_map(|ring| empty_ring(ring, catalogue)));
    problems.extend(overlaps(&rings, catalogue.nodes));
    if problems.is_empty() { Ok(rings) } else { Err(problems) }
}

fn freeze(name: &str, catalogue: &Catalogue<'_>) -> Result<RingStatus, Stalled> {
    let ring = catalogue
        .rings
        .iter()
        .find(|ring| ring.metadata.name.as_deref() == Some(name))
        .ok_or_else(|| stalled(StallCode::RingMissing, format!("ring {name}: no UpdateRing of that name")))?;
    let wanted = &ring.spec.policy_name;
    let policy = catalogue
        .policies
        .iter()
        .find(|policy| policy.metadata.name.as_ref() == Some(wanted))
        .ok_or_else(|| stalled(StallCode::PolicyMissing, format!("ring {name}: no UpdatePolicy {wanted}")))?;
    if let Some(in_place) = &policy.spec.strategy.in_place {
        let class = &in_place.snapshot.class_name;
        let provided = catalogue.classes.get(class);
        fit_for(provided, in_place, class, wanted)
            .map_err(|(code, why)| stalled(code, format!("ring {name}: {why}")))?;
    }
    Ok(RingStatus {
        name: name.to_owned(),
        state: RingState::Waiting,
        counts: Counts::default(),
        soak_started_at: None,
        soak_failure: None,
        soak_failures: 0,
        soak_failing: Vec::new(),
        resumed_at: None,
        promoted_by: None,
        revision: FrozenRing {
            ring_generation: ring.metadata.generation.unwrap_or_default(),
            policy_generation: policy.metadata.generation.unwrap_or_default(),
            ring: ring.spec.clone(),
            policy: policy.spec.clone().into(),
        }
        .into(),
    })
}

/// What the policy needs of a provider: a restore in place, and the consistency it asks for.
fn needs(in_place: &InPlace) -> Vec<Capability> {
    let mut needs = vec![Capability::InPlace, Capability::KeepsIdentity];
    if in_place.snapshot.consistency == SnapshotConsistency::FileSystem {
        needs.push(Capability::FileSystemConsistent);
    }
    needs
}

/// Whether the class of this name can do what the policy needs.
fn fit_for(
    provided: Option<&Result<Capabilities, String>>,
    in_place: &InPlace,
    class: &str,
    policy: &str,
) -> Result<(), (StallCode, String)> {
    match provided {
        None => {
            let why = format!("no SnapshotClass {class}, which policy {policy} names");
            Err((StallCode::SnapshotClassMissing, why))
        }
        // The provider's words name the class.
        Some(Err(why)) => Err((StallCode::SnapshotClassInvalid, why.clone())),
        Some(Ok(capabilities)) => match capabilities.lacking(&needs(in_place)) {
            None => Ok(()),
            Some(lacking) => {
                let why = format!("SnapshotClass {class} lacks {lacking}, which policy {policy} needs");
                Err((StallCode::CapabilityMissing, why))
            }
        },
    }
}

fn empty_ring(ring: &RingStatus, catalogue: &Catalogue<'_>) -> Option<Stalled> {
    let selector = &ring.revision.ring.node_selector;
    if catalogue.nodes.iter().any(|node| matches(selector, &node.labels)) {
        return None;
    }
    let others = catalogue.other_nodes.iter().filter(|labels| matches(selector, labels)).count();
    let hint = match others {
        0 => String::new(),
        1 => ", only 1 node that does not run Windows".to_owned(),
        n => format!(", only {n} nodes that do not run Windows"),
    };
    Some(stalled(StallCode::RingEmpty, format!("ring {}: its nodeSelector selects no Windows node{hint}", ring.name)))
}

/// One problem for each two rings that share a node; it names the first such node.
fn overlaps(rings: &[RingStatus], nodes: &[NodeState]) -> Vec<Stalled> {
    let selectors = Selectors::new(rings.iter().map(|ring| &ring.revision.ring.node_selector));
    let mut shared: BTreeMap<(usize, usize), BTreeSet<&str>> = BTreeMap::new();
    for node in nodes {
        let of: BTreeSet<usize> = selectors.all(&node.labels).collect();
        let pairs = of.iter().flat_map(|a| of.range(a + 1..).map(move |b| (*a, *b)));
        for pair in pairs {
            shared.entry(pair).or_default().insert(&node.node.name);
        }
    }
    shared.iter().filter_map(|((a, b), names)| overlap(rings.get(*a)?, rings.get(*b)?, names)).collect()
}

fn overlap(a: &RingStatus, b: &RingStatus, nodes: &BTreeSet<&str>) -> Option<Stalled> {
    let first = nodes.first()?;
    let more = match nodes.len() {
        1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    let message =
        format!("rings {} and {} both select node {first}{more}; a node may be in one ring only", a.name, b.name);
    Some(stalled(StallCode::RingsOverlap, message))
}

fn stalled(code: StallCode, message: String) -> Stalled {
    Stalled { code, message }
}
