//! One scenario, played to its end.

use anyhow::{Context, Result};
use jiff::SignedDuration;
use std::path::Path;
use windlass::api::{IntOrPercent, UpdateRing};
use windlass::manifest::Manifest;
use windlass::simulate::{self, Auditor, Broken, Outcome, RolloutReport, Setup};
use winfleet::scenario::Scenario;

/// What a rollout says that saw nodes reboot by themselves.
const REBOOTS: &str = "reboots by itself again and again";

/// What a scenario came to.
#[derive(Debug)]
pub struct Played {
    /// Its name: that of its file.
    pub name: String,
    /// The rollout.
    pub rollout: RolloutReport,
    /// The ring in which it stopped; none when it did not.
    pub ring: Option<String>,
    /// How many nodes the first batch of that ring has.
    pub first_batch: usize,
    /// From the first node that was harmed until none is any more; none while one is, or when none was.
    pub all_clear: Option<SignedDuration>,
    /// What was expected and did not come.
    pub missed: Vec<String>,
    /// Broken invariants.
    pub broken: Vec<Broken>,
}

impl Played {
    /// Plays a scenario with these manifests.
    ///
    /// # Errors
    /// The file can not be read or played, or its manifests make no rollout.
    pub fn play(file: &Path, manifests: &[Manifest]) -> Result<Self> {
        let name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let scenario = Scenario::parse(&text).with_context(|| file.display().to_string())?;
        let expect = scenario.expect.clone();
        let setup = Setup::new(scenario, manifests.to_vec());
        let outcome = simulate::run(&setup, vec![Box::new(Auditor::default())]).with_context(|| name.clone())?;
        let rollout = outcome.report.rollouts.first().with_context(|| format!("{name}: no rollout"))?.clone();
        let ring = stopped_in(&outcome, &rollout);
        Ok(Self {
            first_batch: ring.as_deref().map_or(0, |ring| first_batch(ring, &setup, manifests)),
            all_clear: all_clear(&outcome),
            missed: simulate::misses(&expect, &outcome).iter().map(ToString::to_string).collect(),
            broken: outcome.report.invariants.broken.clone(),
            ring,
            rollout,
            name,
        })
    }

    /// What saw it, in a word or two: a probe's name, or the step that did not end well.
    pub fn caught_by(&self) -> String {
        let reason = self.rollout.reason.as_deref().unwrap_or_default();
        let after = |words: &str| reason.split_once(words).map(|(_, rest)| rest);
        let word = |rest: &str| rest.split([' ', ':', ';', ',']).next().unwrap_or_default().to_owned();
        let soak = if self.soaked() { " (soak)" } else { "" };
        match (self.ring.is_some(), after("probe "), after("not done within "), after("installation of ")) {
            (false, ..) if self.rollout.harmed > 0 => "not seen".to_owned(),
            (false, ..) => "nothing to catch".to_owned(),
            _ if reason.contains(REBOOTS) => format!("boot IDs{soak}"),
            (_, Some(rest), ..) => format!("{}{soak}", word(rest)),
            (_, _, Some(rest), _) if rest.contains("probes to pass: ") => {
                word(rest.rsplit("probes to pass: ").next().unwrap_or_default())
            }
            (_, _, Some(rest), _) if rest.contains("boot") => "the reboot's deadline".to_owned(),
            (_, _, Some(_), _) => "a step's deadline".to_owned(),
            (_, _, _, Some(_)) => "the installation".to_owned(),
            _ => "another step".to_owned(),
        }
    }

    /// Whether it was seen on nodes that had been put back into service: they keep the update until a person decides.
    pub fn soaked(&self) -> bool {
        let of_soak = |reason: &str| reason.contains("soak failed") || reason.contains(REBOOTS);
        self.rollout.reason.as_deref().is_some_and(of_soak)
    }

    /// Harmed nodes of a hundred of the first batch.
    pub fn share_of_first_batch(&self) -> Option<usize> {
        (self.first_batch > 0).then(|| self.rollout.harmed * 100 / self.first_batch)
    }

    /// Everything that is not as it should be, a line each.
    pub fn wrong(&self) -> Vec<String> {
        let missed = self.missed.iter().map(|miss| format!("{}: {miss}", self.name));
        let broken = self.broken.iter().map(|b| format!("{}: {} {}: {}", self.name, b.at, b.invariant, b.message));
        missed.chain(broken).collect()
    }
}

fn stopped_in(outcome: &Outcome, rollout: &RolloutReport) -> Option<String> {
    let stopped = matches!(rollout.state.as_str(), "Halted" | "Stalled");
    let of = outcome.tables.rollouts.all().find(|one| one.metadata.name.as_deref() == Some(&rollout.name))?;
    of.status.as_ref()?.ring.clone().filter(|_| stopped)
}

/// How many nodes of a ring go at once at first.
fn first_batch(ring: &str, setup: &Setup, manifests: &[Manifest]) -> usize {
    let is_ring = |m: &&Manifest| m.object["kind"] == "UpdateRing" && m.object["metadata"]["name"] == ring;
    let found = manifests.iter().find(is_ring);
    let Some(found) = found.and_then(|m| serde_json::from_value::<UpdateRing>(m.object.clone()).ok()) else { return 0 };
    let wanted = found.spec.node_selector.match_labels.clone();
    let fits = |labels: &std::collections::BTreeMap<String, String>| {
        wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    let nodes = setup.scenario.machines.iter().filter(|machine| fits(&machine.labels)).count();
    match found.spec.batch.max_unavailable {
        IntOrPercent::Nodes(n) => usize::try_from(n).unwrap_or(0).min(nodes),
        IntOrPercent::Percent(percent) => (nodes * usize::try_from(percent).unwrap_or(0) / 100).max(1),
    }
}

fn all_clear(outcome: &Outcome) -> Option<SignedDuration> {
    let harmed = || outcome.report.nodes.iter().filter(|node| node.harmed);
    let ends: Option<Vec<_>> = harmed().map(|node| node.served_again_at).collect();
    let begin = harmed().filter_map(|node| node.harmed_at).min()?;
    Some(ends?.into_iter().max()?.duration_since(begin))
}
