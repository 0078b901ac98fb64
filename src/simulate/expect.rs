//! Whether what a scenario expects has come.

use super::Outcome;
use super::report::{NodeReport, Report, RolloutReport};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::fmt;
use winfleet::scenario::{Expectation, Expected, Tally};

/// An expectation that was missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// Its line in the scenario, from 1.
    pub line: u64,
    /// Its field, `expect.harmed`.
    pub field: String,
    /// What was expected, and what came.
    pub message: String,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.field, self.message)
    }
}

/// The expectations that the outcome misses, in the order of the scenario.
pub fn misses(expectations: &[Expectation], outcome: &Outcome) -> Vec<Miss> {
    let ring = |rollout: &std::sync::Arc<crate::api::UpdateRollout>| {
        (rollout.name_any(), rollout.status.as_ref().and_then(|status| status.ring.clone()))
    };
    let rings = outcome.tables.rollouts.all().map(ring).collect();
    let found = Found { report: &outcome.report, rings };
    let miss = |one: &Expectation| {
        let message = found.lacks(&one.expected)?;
        Some(Miss { line: one.line, field: one.field.clone(), message })
    };
    expectations.iter().filter_map(miss).collect()
}

/// What came.
struct Found<'a> {
    report: &'a Report,
    /// The ring in which each rollout stands, by the rollout's name.
    rings: Vec<(String, Option<String>)>,
}

impl Found<'_> {
    /// What was expected and what came instead; none when it is as expected.
    fn lacks(&self, expected: &Expected) -> Option<String> {
        match expected {
            Expected::Rollout { name, state } => self.other_state(name.as_deref(), &state.to_string()),
            Expected::Reason(words) => self.no_reason(words),
            Expected::Ring(ring) => {
                let there = self.rings.iter().any(|(_, stopped)| stopped.as_ref() == Some(ring));
                (!there).then(|| format!("no rollout stopped in ring {ring}: {}", self.stopped()))
            }
            Expected::Count(tally, range) => {
                let count = self.count(*tally);
                (!range.contains(count))
                    .then(|| format!("{range} expected, {count} came{}", self.counted(*tally, count)))
            }
            Expected::AllNodesBuild(build) => {
                let others = self.report.nodes.iter().filter(|node| node.build != build.to_string());
                first(others, |node| format!("{} expected, {} has {}", build, node.name, node.build))
            }
            Expected::Node { name, outcome, build } => {
                let Some(node) = self.report.nodes.iter().find(|node| node.name == *name) else {
                    return Some(format!("there is no node {name}"));
                };
                let outcome = outcome.map(|outcome| outcome.to_string());
                let open = if node.ring.is_none() { "NotStarted" } else { "no end" };
                let came = node.outcome.as_deref().unwrap_or(open);
                let build = build.map(|build| build.to_string()).filter(|build| *build != node.build);
                let outcome =
                    outcome.filter(|outcome| outcome != came).map(|wanted| format!("{wanted} expected, {came} came"));
                outcome.or_else(|| build.map(|wanted| format!("{wanted} expected, it has {}", node.build)))
            }
            Expected::EndsWithin(period) => self.ends_late(SignedDuration::try_from(period.to_std()).ok()?),
            Expected::AllClearWithin(period) => self.clear_late(SignedDuration::try_from(period.to_std()).ok()?),
        }
    }

    fn other_state(&self, name: Option<&str>, wanted: &str) -> Option<String> {
        let mut meant =
            self.report.rollouts.iter().filter(|rollout| name.is_none_or(|name| rollout.name == name)).peekable();
        if meant.peek().is_none() {
            return Some(format!("there is no rollout {}", name.unwrap_or("at all")));
        }
        let other = meant.find(|rollout| rollout.state != wanted)?;
        let reason = other.reason.as_deref().unwrap_or("no reason");
        Some(format!("{wanted} expected, {} is {} ({reason})", other.name, other.state))
    }

    fn no_reason(&self, words: &str) -> Option<String> {
        let reasons: Vec<_> = self.report.rollouts.iter().filter_map(|rollout| rollout.reason.as_deref()).collect();
        (!reasons.iter().any(|reason| reason.contains(words)))
            .then(|| format!("{words:?} is in no reason: {reasons:?}"))
    }

    fn stopped(&self) -> String {
        let one = |(name, ring): &(String, Option<String>)| format!("{name} in {}", ring.as_deref().unwrap_or("none"));
        self.rings.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn count(&self, tally: Tally) -> u32 {
        let outcome = match tally {
            Tally::Harmed => None,
            Tally::Updated => Some("Updated"),
            Tally::Reverted => Some("Reverted"),
            Tally::Failed => Some("Failed"),
            Tally::Held => Some("Held"),
            Tally::Skipped => Some("Skipped"),
        };
        let counts = |node: &&NodeReport| outcome.map_or(node.harmed, |wanted| node.outcome.as_deref() == Some(wanted));
        u32::try_from(self.report.nodes.iter().filter(counts).count()).unwrap_or(u32::MAX)
    }

    /// What the rollouts count, where that is more: they count nodes that they did not begin, too, and each by itself.
    fn counted(&self, tally: Tally, count: u32) -> String {
        let of = |rollout: &RolloutReport| match tally {
            Tally::Harmed => 0,
            Tally::Updated => rollout.updated,
            Tally::Reverted => rollout.reverted,
            Tally::Failed => rollout.failed,
            Tally::Held => rollout.held,
            Tally::Skipped => rollout.skipped,
        };
        let rollouts = &self.report.rollouts;
        let all: u32 = rollouts.iter().filter_map(|rollout| u32::try_from(of(rollout)).ok()).sum();
        let who =
            if let [one] = &rollouts[..] { format!("{} counts", one.name) } else { "the rollouts count".to_owned() };
        if all <= count {
            return String::new();
        }
        let with = match tally {
            Tally::Updated => "nodes that had the build before",
            Tally::Skipped => "nodes that were not begun, and those that were aborted or are gone",
            Tally::Harmed | Tally::Reverted | Tally::Failed | Tally::Held => "earlier updates of the same nodes",
        };
        format!(" by the last update of each node; {who} {all}, with {with}")
    }

    fn ends_late(&self, within: SignedDuration) -> Option<String> {
        let rollouts = &self.report.rollouts;
        if let Some(open) = rollouts.iter().find(|rollout| rollout.ended_at.is_none()) {
            return Some(format!("{} has not ended", open.name));
        }
        let took = span(rollouts.iter().filter_map(|r| r.started_at), rollouts.iter().filter_map(|r| r.ended_at))?;
        (took > within).then(|| format!("within {within:#} expected, it took {took:#}"))
    }

    fn clear_late(&self, within: SignedDuration) -> Option<String> {
        let harmed = || self.report.nodes.iter().filter(|node| node.harmed);
        if let Some(node) = harmed().find(|node| node.served_again_at.is_none()) {
            return Some(format!("{} can still not serve", node.name));
        }
        let took = span(harmed().filter_map(|n| n.harmed_at), harmed().filter_map(|n| n.served_again_at))?;
        (took > within).then(|| format!("within {within:#} expected, it took {took:#}"))
    }
}

/// From the first beginning to the last end.
fn span(begins: impl Iterator<Item = Timestamp>, ends: impl Iterator<Item = Timestamp>) -> Option<SignedDuration> {
    Some(ends.max()?.duration_since(begins.min()?))
}

/// A sentence about the first, and how many more there are.
fn first<T>(mut those: impl Iterator<Item = T>, say: impl Fn(T) -> String) -> Option<String> {
    let said = say(those.next()?);
    let more = those.count();
    Some(if more == 0 { said } else { format!("{said}, and {more} more are not as expected") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::crash::stories;
    use crate::simulate::run;
    use winfleet::scenario::Scenario;

    /// What is expected, and what is said of it when it did not come.
    const EXPECTED: &[(&str, Option<&str>)] = &[
        ("rollout: Halted", None),
        ("rollout: Completed", Some("Completed expected, june is Halted (")),
        ("rollout: {june: Halted}", None),
        ("rollout: {june: Aborted}", Some("Aborted expected, june is Halted (")),
        ("rollout: {july: Halted}", Some("there is no rollout july")),
        ("reason: probe network", None),
        ("reason: probe ready", Some("\"probe ready\" is in no reason: [")),
        ("ring: only", None),
        ("ring: other", Some("no rollout stopped in ring other: june in only")),
        ("harmed: 1", None),
        ("harmed: {atMost: 0}", Some("0 expected, 1 came")),
        ("updated: 0", None),
        ("updated: {atLeast: 1}", Some("at least 1 expected, 0 came")),
        ("reverted: {atLeast: 1, atMost: 2}", None),
        ("reverted: 0", Some("0 expected, 1 came")),
        ("failed: 1", Some("1 expected, 0 came")),
        ("held: 1", Some("1 expected, 0 came")),
        ("skipped: 1", Some("1 expected, 0 came")),
        ("allNodesBuild: 10.0.20348.2461", None),
        ("allNodesBuild: 10.0.20348.2527", Some("10.0.20348.2527 expected, win-1 has 10.0.20348.2461")),
        ("nodes: {win-1: {outcome: Reverted, build: 10.0.20348.2461}}", None),
        ("nodes: {win-1: {outcome: Updated}}", Some("Updated expected, Reverted came")),
        ("nodes: {win-1: {build: 10.0.20348.2527}}", Some("10.0.20348.2527 expected, it has 10.0.20348.2461")),
        ("nodes: {win-1: {outcome: NotStarted}}", Some("NotStarted expected, Reverted came")),
        ("endsWithin: 30m", None),
        ("endsWithin: 5m", Some("within 5m expected, it took ")),
        ("allClearWithin: 2h", None),
        ("allClearWithin: 10s", Some("within 10s expected, it took ")),
    ];

    /// Each expectation, met and missed, by a rollout whose one node is reverted.
    #[test]
    fn each_expectation_is_met_or_missed_in_so_many_words() {
        let bad = "faults: [{name: f, when: {phase: running, kb: KB5039227}, effects: [podNetworkDead]}]";
        let outcome = run(&stories::setup(bad), vec![]).expect("an outcome");
        for (expected, said) in EXPECTED {
            let machine = "machines: [{names: [win-1], build: 10.0.20348.2461}]";
            let scenario = Scenario::parse(&format!("{machine}\nexpect:\n  {expected}\n")).expect(expected);
            let missed = misses(&scenario.expect, &outcome);
            match (&missed[..], said) {
                ([], None) => {}
                ([miss], Some(words)) => {
                    assert!(miss.message.starts_with(words), "{expected}: {miss}");
                    assert_eq!(miss.line, 3, "{expected}: {miss}");
                }
                _ => panic!("{expected}: {missed:?}"),
            }
        }
    }
}
