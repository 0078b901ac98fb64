//! Whether an `UpdateHold` keeps a node.

use super::books::Books;
use super::fleet::selected;
use super::starts::KNOWN_AFTER;
use crate::api::{NodeUpdate, UpdateHold};
use jiff::Timestamp;
use windlass_protocol::Build;

/// The hold that keeps a node which starts, or is to be installed.
pub fn held(books: &Books, at: Timestamp, update: &NodeUpdate) -> Option<String> {
    let known = books.holds.values().filter(|(since, _)| *since + KNOWN_AFTER < at).map(|(_, hold)| hold);
    let hold =
        known.into_iter().find(|hold| lasts(hold, at) && is_about(books, hold, update) && names(hold, update))?;
    let name = hold.metadata.name.as_deref().unwrap_or_default();
    Some(format!("{} goes on, and UpdateHold {name} keeps it: {}", update.spec.node_name, hold.spec.reason))
}

fn lasts(hold: &UpdateHold, at: Timestamp) -> bool {
    hold.spec.expires_at.as_ref().is_none_or(|until| at < until.0)
}

/// Whether the rollout and the node are meant.
fn is_about(books: &Books, hold: &UpdateHold, update: &NodeUpdate) -> bool {
    let Some(scope) = &hold.spec.scope else { return true };
    let node = books.nodes.get(&update.spec.node_name);
    (scope.rollouts.is_empty() || scope.rollouts.contains(&update.spec.rollout_name))
        && scope.node_selector.as_ref().is_none_or(|selector| node.is_some_and(|node| selected(selector, node)))
}

/// Whether what is to be installed is meant.
fn names(hold: &UpdateHold, update: &NodeUpdate) -> bool {
    let Some(updates) = &hold.spec.updates else { return true };
    let number = |text: &str| text.parse::<Build>().ok();
    let to = number(&update.spec.to_build);
    update.spec.updates.iter().any(|one| updates.kbs.contains(&one.kb))
        || updates.builds.as_ref().is_some_and(|builds| number(&builds.from) <= to && to <= number(&builds.to))
}
