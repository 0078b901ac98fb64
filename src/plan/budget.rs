//! How many nodes of a ring may be unavailable at once.

use crate::api::IntOrPercent;

/// The budget of one ring, spent.
///
/// Every node counts that is unavailable for whatever reason, ours or not, and every node that is in work, each once.
/// A bad value means zero, never unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many nodes may be unavailable at once.
    pub max: usize,
    /// How many are, or are in work.
    pub spent: usize,
    /// How many are in work.
    pub in_work: usize,
}

impl Budget {
    /// Whether one more node may start. One that is unavailable already costs nothing more, but no more nodes than
    /// the budget are in work at a time: were all of a ring cordoned by somebody, they would else all start at once.
    pub fn allows(self, available: bool) -> bool {
        self.in_work < self.max && (self.spent < self.max || !available)
    }

    /// Spends one more node.
    pub fn spend(&mut self, available: bool) {
        self.in_work += 1;
        self.spent += usize::from(available);
    }
}

/// How many of `nodes` nodes may be unavailable at once: a percentage is rounded down, but to at least 1 unless it is 0.
pub fn max_unavailable(limit: IntOrPercent, nodes: usize) -> usize {
    match limit {
        IntOrPercent::Nodes(count) => saturated(count),
        IntOrPercent::Percent(percent @ 1..=100) => (nodes * saturated(percent) / 100).max(1),
        IntOrPercent::Percent(_) => 0,
    }
}

/// At how many failed of `nodes` nodes a rollout halts: a percentage is rounded up. At least 1: a bad value halts early.
pub fn halt_after(limit: IntOrPercent, nodes: usize) -> usize {
    rounded_up(limit, nodes).max(1)
}

/// How many of `nodes` updated nodes may reboot by themselves again and again: a percentage is rounded up, so that one of a few
/// may.
pub fn max_rebooting(limit: IntOrPercent, nodes: usize) -> usize {
    rounded_up(limit, nodes)
}

fn rounded_up(limit: IntOrPercent, nodes: usize) -> usize {
    match limit {
        IntOrPercent::Nodes(count) => saturated(count),
        IntOrPercent::Percent(percent) => (nodes * saturated(percent)).div_ceil(100),
    }
}

fn saturated(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
