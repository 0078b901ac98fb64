//! What must hold at a scenario's end, as it is written. Who plays the scenario judges it.

use super::{MachineSpec, Period, ScenarioError, contradictions, instead};
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, fmt};
use windlass_protocol::Build;

/// One thing that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Its line in the file, from 1.
    pub line: u64,
    /// Its field (`expect.harmed`).
    pub field: String,
    /// What must hold.
    pub expected: Expected,
}

/// What must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A rollout ends in this state; without a name, each rollout does.
    Rollout {
        /// The rollout's name.
        name: Option<String>,
        /// Its state.
        state: RolloutState,
    },
    /// The reason of some rollout contains this.
    Reason(String),
    /// The ring in which some rollout stopped.
    Ring(String),
    /// So many nodes came to this.
    Count(Tally, Range),
    /// All nodes have this build.
    AllNodesBuild(Build),
    /// A node ended like this.
    Node {
        /// Its name.
        name: String,
        /// Its outcome.
        outcome: Option<NodeOutcome>,
        /// Its build.
        build: Option<Build>,
    },
    /// All rollouts have ended so soon after the start of the first.
    EndsWithin(Period),
    /// No node is harmed any more so soon after the first was.
    AllClearWithin(Period),
}

/// What nodes are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// Could not serve at some time because of the update.
    Harmed,
    /// Updated.
    Updated,
    /// Reverted.
    Reverted,
    /// Failed, and back in service.
    Failed,
    /// Held for a person.
    Held,
    /// Skipped.
    Skipped,
}

/// A state of a rollout, as its status says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the states of UpdateRollout, which says what they mean")]
pub enum RolloutState {
    Pending,
    Running,
    Soaking,
    Paused,
    Halted,
    Completed,
    Aborted,
    Stalled,
}

/// An outcome of a node update, as its status says it; or that there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the outcomes of NodeUpdate, which says what they mean")]
pub enum NodeOutcome {
    NotStarted,
    Updated,
    Reverted,
    Failed,
    Held,
    Skipped,
    Aborted,
    NodeGone,
}

impl NodeOutcome {
    /// What nodes with it are counted as.
    pub(super) const fn tally(self) -> Option<Tally> {
        match self {
            Self::Updated => Some(Tally::Updated),
            Self::Reverted => Some(Tally::Reverted),
            Self::Failed => Some(Tally::Failed),
            Self::Held => Some(Tally::Held),
            Self::Skipped => Some(Tally::Skipped),
            Self::NotStarted | Self::Aborted | Self::NodeGone => None,
        }
    }
}

impl fmt::Display for RolloutState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for NodeOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// At least.
    pub at_least: u32,
    /// At most; none is any number.
    pub at_most: Option<u32>,
}

impl Range {
    /// Whether `n` is in it.
    pub fn contains(self, n: u32) -> bool {
        n >= self.at_least && self.at_most.is_none_or(|most| n <= most)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.at_least, self.at_most) {
            (least, Some(most)) if least == most => write!(f, "{least}"),
            (0, Some(most)) => write!(f, "at most {most}"),
            (least, Some(most)) => write!(f, "{least} to {most}"),
            (least, None) => write!(f, "at least {least}"),
        }
    }
}

/// The block as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Block {
    rollout: Option<Spanned<StateOf>>,
    reason: Option<Spanned<String>>,
    ring: Option<Spanned<String>>,
    harmed: Option<Spanned<Count>>,
    updated: Option<Spanned<Count>>,
    reverted: Option<Spanned<Count>>,
    failed: Option<Spanned<Count>>,
    held: Option<Spanned<Count>>,
    skipped: Option<Spanned<Count>>,
    all_nodes_build: Option<Spanned<Build>>,
    nodes: Option<Spanned<BTreeMap<String, NodeEnd>>>,
    ends_within: Option<Spanned<Period>>,
    all_clear_within: Option<Spanned<Period>>,
}

/// One state for all rollouts, or one for each by name.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "must be a state (Pending, Running, Soaking, Paused, Halted, Completed, Aborted, Stalled), or a map of rollouts' names to states"
)]
enum StateOf {
    All(RolloutState),
    Each(BTreeMap<String, RolloutState>),
}

/// A number, or bounds.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "must be a number, or {atLeast, atMost}")]
enum Count {
    Exactly(u32),
    Between(Bounds),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Bounds {
    at_least: u32,
    at_most: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct NodeEnd {
    outcome: Option<NodeOutcome>,
    build: Option<Build>,
}

impl Count {
    const fn range(&self) -> Range {
        match self {
            Self::Exactly(n) => Range { at_least: *n, at_most: Some(*n) },
            Self::Between(Bounds { at_least, at_most }) => Range { at_least: *at_least, at_most: *at_most },
        }
    }
}

/// Collects the expectations of a block, in the order of the fields above.
struct Collected<'a> {
    machines: &'a [MachineSpec],
    all: Vec<Expectation>,
}

impl Block {
    /// Spells the block out.
    ///
    /// # Errors
    /// An expectation that nothing can meet: bounds that leave no number, more nodes than there are, a node that is not
    /// in the scenario, two that exclude each other; or that nothing can miss: a time that is longer than the scenario,
    /// no text, any number of nodes.
    pub(super) fn expectations(
        self,
        machines: &[MachineSpec],
        lasts: Period,
    ) -> Result<Vec<Expectation>, ScenarioError> {
        let mut to = Collected { machines, all: Vec::new() };
        to.rollouts(self.rollout);
        to.reason(self.reason)?;
        to.plain("ring", self.ring, Expected::Ring);
        let counts = [
            ("harmed", self.harmed, Tally::Harmed),
            ("updated", self.updated, Tally::Updated),
            ("reverted", self.reverted, Tally::Reverted),
            ("failed", self.failed, Tally::Failed),
            ("held", self.held, Tally::Held),
            ("skipped", self.skipped, Tally::Skipped),
        ];
        for (field, count, tally) in counts {
            to.count(field, count, tally)?;
        }
        to.plain("allNodesBuild", self.all_nodes_build, Expected::AllNodesBuild);
        to.nodes(self.nodes)?;
        to.within("endsWithin", self.ends_within, lasts, Expected::EndsWithin)?;
        to.within("allClearWithin", self.all_clear_within, lasts, Expected::AllClearWithin)?;
        contradictions::check(&to.all, machines.len())?;
        Ok(to.all)
    }
}

impl Collected<'_> {
    fn add(&mut self, line: u64, field: String, expected: Expected) {
        self.all.push(Expectation { line, field, expected });
    }

    fn plain<T>(&mut self, field: &str, value: Option<Spanned<T>>, expected: impl Fn(T) -> Expected) {
        if let Some(value) = value {
            self.add(value.referenced.line(), format!("expect.{field}"), expected(value.value));
        }
    }

    fn within(
        &mut self,
        field: &str,
        period: Option<Spanned<Period>>,
        lasts: Period,
        expected: impl Fn(Period) -> Expected,
    ) -> Result<(), ScenarioError> {
        if let Some(long) = period.as_ref().filter(|period| period.value > lasts) {
            let message = format!("{} is longer than the scenario lasts ({lasts})", long.value);
            return Err(ScenarioError { line: long.referenced.line(), field: format!("expect.{field}"), message });
        }
        self.plain(field, period, expected);
        Ok(())
    }

    fn rollouts(&mut self, states: Option<Spanned<StateOf>>) {
        let Some(states) = states else { return };
        let line = states.referenced.line();
        match states.value {
            StateOf::All(state) => self.add(line, "expect.rollout".into(), Expected::Rollout { name: None, state }),
            StateOf::Each(states) => {
                for (name, state) in states {
                    let field = format!("expect.rollout.{name}");
                    self.add(line, field, Expected::Rollout { name: Some(name), state });
                }
            }
        }
    }

    fn reason(&mut self, words: Option<Spanned<String>>) -> Result<(), ScenarioError> {
        if let Some(none) = words.as_ref().filter(|words| words.value.trim().is_empty()) {
            let message = "must not be empty: every reason contains that".to_owned();
            return Err(ScenarioError { line: none.referenced.line(), field: "expect.reason".into(), message });
        }
        self.plain("reason", words, Expected::Reason);
        Ok(())
    }

    fn count(&mut self, field: &str, count: Option<Spanned<Count>>, tally: Tally) -> Result<(), ScenarioError> {
        let Some(count) = count else { return Ok(()) };
        let machines = self.machines.len();
        let (line, range) = (count.referenced.line(), count.value.range());
        let field = format!("expect.{field}");
        if range.at_most.is_some_and(|most| most < range.at_least) {
            let message = format!("atLeast {} is above atMost", range.at_least);
            return Err(ScenarioError { line, field, message });
        }
        if usize::try_from(range.at_least).is_ok_and(|least| least > machines) {
            let message = format!("{} of {machines} machines can not be", range.at_least);
            return Err(ScenarioError { line, field, message });
        }
        let any_number = range.at_most.is_none_or(|most| usize::try_from(most).is_ok_and(|most| most >= machines));
        if range.at_least == 0 && any_number {
            let message = format!("can not be missed: there are {machines} machines, and any number of them will do");
            return Err(ScenarioError { line, field, message });
        }
        self.add(line, field, Expected::Count(tally, range));
        Ok(())
    }

    fn nodes(&mut self, nodes: Option<Spanned<BTreeMap<String, NodeEnd>>>) -> Result<(), ScenarioError> {
        let Some(nodes) = nodes else { return Ok(()) };
        let line = nodes.referenced.line();
        for (name, NodeEnd { outcome, build }) in nodes.value {
            let field = format!("expect.nodes.{name}");
            if !self.machines.iter().any(|machine| machine.name == name) {
                let message = format!("{name} is not in machines{}", instead::of_machines(self.machines));
                return Err(ScenarioError { line, field, message });
            }
            if outcome.is_none() && build.is_none() {
                return Err(ScenarioError { line, field, message: "outcome or build is needed".into() });
            }
            self.add(line, field, Expected::Node { name, outcome, build });
        }
        Ok(())
    }
}
