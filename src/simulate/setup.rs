//! What is simulated: a scenario in the words of the engine.

use super::acts::Act;
use super::calls::{Boundary, Kill, Trouble, What, When};
use crate::manifest::Manifest;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use winfleet::scenario::{ApiServerEffect, Deed, HypervisorEffect, Period, Scenario, Side};

/// How late a write comes to a store when nothing is wrong: a watch takes some milliseconds.
const LAG: Duration = Duration::from_millis(20);

/// How long a simulation goes on after all rollouts have ended, where nobody says otherwise.
const AFTERWARDS: SignedDuration = SignedDuration::from_hours(1);

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The machines, the updates, and what goes wrong with them.
    pub scenario: Scenario,
    /// What people apply, in any order; those of the scenario are among them.
    pub manifests: Vec<Manifest>,
    /// Where chance begins; it takes the place of the scenario's own.
    pub seed: u64,
    /// When the simulation begins.
    pub start: Timestamp,
    /// How long it goes at most.
    pub lasts: SignedDuration,
    /// How long it goes on after all rollouts have ended: pods leave, events are told.
    pub afterwards: SignedDuration,
    /// How many operators run at once, without any leader among them.
    pub instances: usize,
    /// When operators are killed.
    pub kills: Vec<Kill>,
    /// What is wrong with the API server and the hypervisor, and when.
    pub troubles: Vec<Trouble>,
    /// What people do meanwhile.
    pub acts: Vec<Act>,
    /// How late a write comes to the operators' stores.
    pub lag: Duration,
    /// How long the API server takes to answer.
    pub latency: Duration,
    /// Whether the story is told.
    pub story: bool,
    /// Whether calls are named in the outcome.
    pub name_calls: bool,
}

impl Setup {
    /// A scenario with its own seed, where nothing goes wrong but what it says.
    pub fn new(scenario: Scenario, mut manifests: Vec<Manifest>) -> Self {
        let embedded = |m: &winfleet::scenario::Manifest| Manifest {
            line: m.line,
            object: m.object.clone(),
            ..Manifest::default()
        };
        manifests.extend(scenario.manifests.iter().map(embedded));
        let lag = scenario.api_server.cache_lag.to_std();
        Self {
            seed: scenario.seed,
            start: scenario.start,
            lasts: SignedDuration::try_from(scenario.lasts.to_std()).unwrap_or(SignedDuration::MAX),
            afterwards: AFTERWARDS,
            instances: usize::try_from(scenario.operator.instances.get()).unwrap_or(1),
            kills: kills(&scenario),
            troubles: troubles(&scenario),
            acts: acts(&scenario),
            lag: if lag.is_zero() { LAG } else { lag },
            latency: scenario.api_server.latency.to_std(),
            story: false,
            name_calls: false,
            manifests,
            scenario,
        }
    }

    /// Whether an object of this kind is made, at the beginning or later.
    pub fn makes(&self, kind: &str) -> bool {
        let is = |object: &serde_json::Value| object["kind"] == kind;
        let created = |act: &Act| matches!(&act.what, Deed::Create(object) if is(object));
        self.manifests.iter().any(|manifest| is(&manifest.object)) || self.acts.iter().any(created)
    }
}

fn acts(scenario: &Scenario) -> Vec<Act> {
    let act = |act: &winfleet::scenario::Act| Act { at: act.when.time(scenario.start), what: act.deed.clone() };
    scenario.acts.iter().map(act).collect()
}

fn kills(scenario: &Scenario) -> Vec<Kill> {
    let side = |side: Side| match side {
        Side::Before => Boundary::Before,
        Side::After => Boundary::After,
    };
    let kill = |kill: &winfleet::scenario::Kill| {
        let when = match (kill.time(scenario.start), kill.call) {
            (Some(at), _) => When::At(at),
            (None, Some(call)) => When::Call(u64::from(call.get()), side(kill.side.unwrap_or_default())),
            (None, None) => return None,
        };
        Some(Kill { when, down_for: kill.down_for.to_std() })
    };
    scenario.operator.kills.iter().filter_map(kill).collect()
}

fn troubles(scenario: &Scenario) -> Vec<Trouble> {
    let start = scenario.start;
    let api = scenario.api_server.troubles.iter().map(|trouble| {
        let what = match trouble.effect {
            ApiServerEffect::Down => What::Down,
            ApiServerEffect::Slow { by } => What::Slow(by.to_std()),
            ApiServerEffect::Conflicts { every_nth } => What::Conflicts(u64::from(every_nth.get())),
            ApiServerEffect::StaleCaches { by } => What::Stale(by.to_std()),
            ApiServerEffect::EvictionsRefused => What::EvictionsRefused,
        };
        Trouble { from: trouble.begins(start), until: trouble.ends(start), what }
    });
    let hypervisor = scenario.hypervisor.troubles.iter().filter_map(|trouble| {
        let what = match trouble.effect {
            HypervisorEffect::Down => What::HypervisorDown,
            HypervisorEffect::Throttled(throttle) => throttled(throttle.every_nth.get(), throttle.retry_after),
            HypervisorEffect::AnswersLate { by } => What::HypervisorLate(by.to_std()),
            // The model's tasks take longer by themselves.
            HypervisorEffect::Slow { .. } => return None,
        };
        Some(Trouble { from: trouble.begins(start), until: trouble.ends(start), what })
    });
    let always = scenario.hypervisor.throttle.map(|throttle| Trouble {
        from: start,
        until: Timestamp::MAX,
        what: throttled(throttle.every_nth.get(), throttle.retry_after),
    });
    api.chain(hypervisor).chain(always).collect()
}

fn throttled(every_nth: u32, retry_after: Period) -> What {
    What::HypervisorThrottled(u64::from(every_nth), retry_after.to_std())
}
