//! The look at a node before anything is touched: an ordered list of small checks.

use super::node::Observed;
use crate::domain::{NodeState, WaitingOn};

/// Whether a node may be worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// It may.
    Fit,
    /// Not now.
    NotYet(WaitingOn),
    /// It may not.
    Unfit(String),
}

/// Looks at the node: the first check that objects decides.
pub fn check(seen: &Observed<'_>) -> Fitness {
    let Some(node) = seen.node.here() else { return Fitness::Unfit("the node is gone".into()) };
    let claimed_by_us = node.claimed_by.as_deref() == Some(seen.intent.uid.as_str());
    if let Some(holder) = node.claimed_by.as_ref().filter(|_| !claimed_by_us) {
        return Fitness::NotYet(WaitingOn::Claim { holder: holder.clone() });
    }
    if let Some(objection) = objection(seen, node) {
        return Fitness::Unfit(objection);
    }
    if !node.readiness.is_ready() {
        return Fitness::NotYet(WaitingOn::Boot { node: node.node.name.clone() });
    }
    Fitness::Fit
}

fn objection(seen: &Observed<'_>, node: &NodeState) -> Option<String> {
    let name = &node.node.name;
    if node.skip {
        return Some(format!("{name} has the annotation {}", crate::api::SKIP));
    }
    if node.node.provider_id != seen.intent.node.provider_id {
        return Some(format!(
            "{name} is machine {:?} now, not {:?}",
            node.node.provider_id, seen.intent.node.provider_id
        ));
    }
    match node.build {
        None => Some(format!("{name} shows no Windows build in nodeInfo.kernelVersion")),
        Some(build) if !build.same_os(seen.intent.to) => {
            Some(format!("{name} runs {build}, {} would be a feature upgrade", seen.intent.to))
        }
        Some(_) => None,
    }
}
