//! Which ring a node belongs to. The selectors are indexed once per pass, so that a pass stays linear in the nodes.

use crate::api::{NodeSelector, Requirement, SelectorOperator};
use crate::domain::Labels;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};

/// Whether a selector selects these labels.
pub fn matches(selector: &NodeSelector, labels: &Labels) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value.as_str()))
        && selector.match_expressions.iter().all(|requirement| holds(requirement, labels))
}

fn holds(requirement: &Requirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    let listed = value.is_some_and(|value| requirement.values.iter().any(|listed| listed == value));
    match requirement.operator {
        SelectorOperator::In => listed,
        SelectorOperator::NotIn => !listed,
        SelectorOperator::Exists => value.is_some(),
        SelectorOperator::DoesNotExist => value.is_none(),
    }
}

/// The selectors of a rollout's rings, indexed by a label that each needs.
///
/// Twenty rings asked in turn about each of 10,000 nodes would take longer than the whole pass may. Rings nearly always
/// differ by the value of one label, so each is filed under one; only those that name no value are asked every time.
#[derive(Debug)]
pub struct Selectors<'a> {
    /// The selector of each ring that wants more than the label it is filed under.
    wanting: Vec<Option<&'a NodeSelector>>,
    /// Label, value, and the rings that need that value.
    by_value: BTreeMap<&'a str, HashMap<&'a str, Vec<usize>>>,
    /// Rings that name no value: `Exists`, `NotIn`, `DoesNotExist` only.
    others: Vec<usize>,
}

impl<'a> Selectors<'a> {
    /// Indexes the selectors; a ring is its place in the list.
    pub fn new(selectors: impl IntoIterator<Item = &'a NodeSelector>) -> Self {
        let mut index = Self { wanting: Vec::new(), by_value: BTreeMap::new(), others: Vec::new() };
        for (ring, selector) in selectors.into_iter().enumerate() {
            let needed = needed_values(selector);
            if needed.is_empty() {
                index.others.push(ring);
            }
            let all_filed = selector.match_labels.len() + selector.match_expressions.len() == 1 && !needed.is_empty();
            index.wanting.push((!all_filed).then_some(selector));
            for (key, value) in needed {
                index.by_value.entry(key).or_default().entry(value).or_default().push(ring);
            }
        }
        index
    }

    /// The rings that select a node with these labels, in any order.
    pub fn all<'s>(&'s self, labels: &'s Labels) -> impl Iterator<Item = usize> + 's {
        let filed = self.by_value.iter().filter_map(|(key, rings)| rings.get(labels.get(key)?)).flatten();
        filed
            .chain(&self.others)
            .copied()
            .filter(|ring| self.wanting.get(*ring).is_some_and(|more| more.is_none_or(|all| matches(all, labels))))
    }

    /// The ring a node with these labels belongs to: of several the first, and those are refused before a rollout starts.
    pub fn ring_of(&self, labels: &Labels) -> Option<usize> {
        self.all(labels).min()
    }
}

/// One label and the values of it that a node must have one of, to be selected; empty when there is none such.
/// A set: a list may name a value twice.
fn needed_values(selector: &NodeSelector) -> BTreeSet<(&str, &str)> {
    if let Some((key, value)) = selector.match_labels.iter().next() {
        return BTreeSet::from([(key.as_str(), value.as_str())]);
    }
    let listing = selector.match_expressions.iter().find(|r| r.operator == SelectorOperator::In);
    listing.map(|r| r.values.iter().map(|value| (r.key.as_str(), value.as_str())).collect()).unwrap_or_default()
}
