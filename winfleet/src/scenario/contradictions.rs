//! Expectations that exclude each other.

use super::{Expectation, Expected, RolloutState, ScenarioError, Tally};
use windlass_protocol::Build;

/// A node has one outcome: what is expected of all outcomes together may not be more than there are `machines`, and of no
/// outcome may more nodes be named than are expected. One node may not have another build than all nodes, and a rollout
/// that is through has stopped nowhere.
pub(super) fn check(all: &[Expectation], machines: usize) -> Result<(), ScenarioError> {
    let (mut spoken_for, mut named_before) = (0_usize, Vec::new());
    for Expectation { line, field, expected } in all {
        let refuse = |message| Err(ScenarioError { line: *line, field: field.clone(), message });
        let more = match expected {
            Expected::Ring(_) if all_complete(all) => {
                return refuse("contradicts rollout: one that is Completed has stopped in no ring".to_owned());
            }
            Expected::Count(tally, range) if *tally != Tally::Harmed => {
                let named = named(all, *tally);
                if range.at_most.is_some_and(|most| named > to_usize(most)) {
                    return refuse(format!("contradicts expect.nodes, which has {named} of them"));
                }
                to_usize(range.at_least)
            }
            Expected::Node { build: Some(build), .. } if build_of_all(all).is_some_and(|all| all != *build) => {
                return refuse(format!("{build} contradicts allNodesBuild"));
            }
            Expected::Node { outcome: Some(outcome), .. } => {
                let tally = outcome.tally();
                named_before.push(tally);
                let so_far = named_before.iter().filter(|one| **one == tally).count();
                // The first ones are among those that are counted.
                usize::from(tally.is_none_or(|tally| so_far > at_least(all, tally)))
            }
            _ => 0,
        };
        spoken_for = spoken_for.saturating_add(more);
        if more > 0 && spoken_for > machines {
            return refuse(format!("contradicts the counts above: there are {machines} machines"));
        }
    }
    Ok(())
}

/// Whether all rollouts are expected to be through.
fn all_complete(all: &[Expectation]) -> bool {
    let through = Expected::Rollout { name: None, state: RolloutState::Completed };
    all.iter().any(|one| one.expected == through)
}

fn build_of_all(all: &[Expectation]) -> Option<Build> {
    all.iter().find_map(|one| if let Expected::AllNodesBuild(build) = one.expected { Some(build) } else { None })
}

/// How many nodes are expected to come to this at least.
fn at_least(all: &[Expectation], tally: Tally) -> usize {
    let counted = |one: &Expectation| match one.expected {
        Expected::Count(counted, range) if counted == tally => Some(to_usize(range.at_least)),
        _ => None,
    };
    all.iter().find_map(counted).unwrap_or(0)
}

/// How many nodes are expected by name to come to this.
fn named(all: &[Expectation], tally: Tally) -> usize {
    let is = |one: &&Expectation| matches!(one.expected, Expected::Node { outcome: Some(outcome), .. } if outcome.tally() == Some(tally));
    all.iter().filter(is).count()
}

fn to_usize(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
