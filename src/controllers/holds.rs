//! The UpdateHolds, as the planner takes them.

use crate::observe::Stores;
use crate::plan::holds::HoldSeen;
use kube::ResourceExt;

/// All of them, by name. One that does not parse holds everything, and says so.
pub fn seen(stores: &Stores) -> Vec<HoldSeen> {
    let guards = stores.holds.state();
    let mut holds: Vec<_> = guards
        .iter()
        .map(|guard| match &guard.0 {
            Ok(hold) => HoldSeen::read(hold),
            Err(invalid) => HoldSeen::unreadable(&guard.name_any(), &invalid.error),
        })
        .collect();
    holds.sort_by(|a, b| a.name.cmp(&b.name));
    holds
}
