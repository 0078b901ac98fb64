//! What may be done to a Node object.

use super::books::Books;
use super::fleet::{claim, cordoned, keeps_cordon};
use super::{By, Change, Check, Invariant};
use k8s_openapi::api::core::v1::Node;

/// Looks at a Node that was written.
pub fn check(books: &Books, by: By, change: Change<'_, Node>) -> Vec<Check> {
    let (Some(old), Some(new)) = change else { return Vec::new() };
    if by != By::Operator {
        return Vec::new();
    }
    vec![(Invariant::Owner, owner(books, old, new)), (Invariant::Uncordon, uncordon(books, old, new))]
}

/// A claim is taken on a node that nobody claims, for an update that is in work or holds the node.
fn owner(books: &Books, old: &Node, new: &Node) -> Option<String> {
    let name = new.metadata.name.as_deref().unwrap_or_default();
    let (before, after) = (claim(old), claim(new)?);
    if before == Some(after) {
        return None;
    }
    if let Some(before) = before {
        return Some(format!("{name} is claimed by {after}, and was {before}'s"));
    }
    let known = books.updates.get(after).is_some_and(|work| work.update.spec.node_name == name);
    (!known).then(|| format!("{name} is claimed by {after}, which is no update of it"))
}

/// The operator takes a cordon off only if it put it on, and nobody wants it kept.
fn uncordon(books: &Books, old: &Node, new: &Node) -> Option<String> {
    if !cordoned(old) || cordoned(new) {
        return None;
    }
    let name = new.metadata.name.as_deref().unwrap_or_default();
    if keeps_cordon(old) {
        return Some(format!("{name} was uncordoned, although a person wants it kept cordoned"));
    }
    (books.cordoned_by.get(name) != Some(&By::Operator))
        .then(|| format!("{name} was uncordoned, and it was somebody else who had cordoned it"))
}
