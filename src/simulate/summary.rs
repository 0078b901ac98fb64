//! What many simulations came to, in one line.

use super::Outcome;
use std::collections::BTreeMap;

/// What simulations came to, counted.
#[derive(Debug, Default)]
pub struct Summary {
    runs: u64,
    /// How often rollouts ended so.
    states: BTreeMap<String, u64>,
    missed: u64,
    broken: u64,
}

impl Summary {
    /// Counts one more. Where there are several rollouts, all their states together are what it came to.
    pub fn count(&mut self, outcome: &Outcome, missed: bool) {
        let states: Vec<_> = outcome.report.rollouts.iter().map(|rollout| rollout.state.as_str()).collect();
        let came_to = if states.is_empty() { "without a rollout at the end".to_owned() } else { states.join("+") };
        *self.states.entry(came_to).or_default() += 1;
        self.runs += 1;
        self.missed += u64::from(missed);
        self.broken += u64::from(!outcome.report.invariants.broken.is_empty());
    }

    /// The line, for runs of which the first one had this seed.
    pub fn text(&self, first: u64) -> String {
        let Self { runs, states, missed, broken } = self;
        let last = first.wrapping_add(runs.saturating_sub(1));
        let states: Vec<_> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let states = states.join(", ");
        format!(
            "{runs} runs (seeds {first} to {last}): {states}; {missed} missed what was expected; {broken} broke an invariant"
        )
    }
}
