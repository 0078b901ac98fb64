//! Tests of the rollout planner, rule by rule, and of whole rollouts in random order.

mod anew;
mod approve;
mod facts;
mod gates;
mod holds;
mod lint;
mod pin;
mod properties;
mod resolve;
mod rollout;
mod scan;
mod soak;
mod window;

use super::fleet::{Fleet, SoakObservation, SoakSeen};
use super::holds::HoldSeen;
use super::rollout::{Plan, plan};
use super::sample::{self, NEW, Sample};
use crate::api::{DesiredState, Outcome, RingState, RingStatus};
use crate::domain::{NodeState, Readiness};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Monday, 12:00 UTC.
fn noon() -> Timestamp {
    at("2026-11-23T12:00:00Z")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect(text)
}

/// The ring that a node's label names.
fn ring_of(node: &NodeState) -> &str {
    node.labels.get("ring").expect("a label")
}

/// Gives a node a label, or takes it away.
fn set_label(node: &mut NodeState, key: &str, value: Option<&str>) {
    let others = node.labels.iter().filter(|(other, _)| *other != key);
    node.labels = others.chain(value.map(|value| (key, value))).collect();
}

/// Facts that a test bends to its purpose.
#[derive(Clone)]
struct World {
    sample: Sample,
    deleting: bool,
    operator_node: Option<String>,
    holds: Vec<HoldSeen>,
    providers_away: Vec<(String, String)>,
    taken: Vec<(String, Timestamp)>,
    probed_at: Option<Timestamp>,
    fresh: Option<SoakObservation>,
}

impl World {
    /// Rings with so many healthy nodes each, `canary-0`, `canary-1` ..., one node at a time, no soak.
    fn new(rings: &[(&str, usize)]) -> Self {
        let spec = json!({"batch": {"maxUnavailable": 1}, "soak": {"duration": "0s"}});
        Self::with(&rings.iter().map(|(name, nodes)| (*name, *nodes, spec.clone(), json!({}))).collect::<Vec<_>>())
    }

    /// Rings with so many nodes each, and fields of their specs and of their policies.
    fn with(rings: &[(&str, usize, Value, Value)]) -> Self {
        let frozen = rings.iter().map(|(name, _, spec, policy)| ring(name, spec, policy)).collect();
        let nodes = rings
            .iter()
            .flat_map(|(name, nodes, ..)| (0..*nodes).map(move |i| sample::node(&format!("{name}-{i}"), name, i % 3)));
        let sample = Sample {
            desired: DesiredState::Running,
            status: sample::status(frozen).expect("a status"),
            nodes: nodes.collect(),
            updates: Vec::new(),
        };
        Self {
            sample,
            deleting: false,
            operator_node: None,
            holds: Vec::new(),
            providers_away: Vec::new(),
            taken: Vec::new(),
            probed_at: None,
            fresh: None,
        }
    }

    fn fleet(&self) -> Fleet<'_> {
        Fleet {
            deleting: self.deleting,
            operator_node: self.operator_node.as_deref(),
            holds: &self.holds,
            providers_away: &self.providers_away,
            taken: &self.taken,
            soak: SoakSeen { probed_at: self.probed_at, turn: None, fresh: self.fresh.as_ref() },
            ..self.sample.fleet()
        }
    }

    fn plan(&self, now: Timestamp) -> Plan<'_> {
        let fleet = self.fleet();
        let plan = plan(&fleet, now);
        assert_eq!(super::lint::lint(&fleet, &plan, now), vec![], "a plan is without fault");
        plan
    }

    /// Plans, and records the status as the controller does.
    fn record(&mut self, now: Timestamp) -> &mut Self {
        self.sample.status = self.plan(now).status(&self.sample.status, now);
        self.probed_at = self.fresh.take().map(|fresh| fresh.at).or(self.probed_at);
        self
    }

    fn node(&mut self, name: &str) -> &mut NodeState {
        self.sample.nodes.iter_mut().find(|node| node.node.name == name).expect(name)
    }

    fn ring(&mut self, name: &str) -> &mut RingStatus {
        self.sample.status.rings.iter_mut().find(|ring| ring.name == name).expect(name)
    }

    /// Promotes a ring as if its nodes had had the build before.
    fn promoted(&mut self, name: &str) -> &mut Self {
        self.ring(name).state = RingState::Promoted;
        for node in self.sample.nodes.iter_mut().filter(|node| ring_of(node) == name) {
            node.build = Some(NEW);
        }
        self
    }

    /// Gives the node an update: in work without an outcome, else ended at noon with a reason.
    fn update(&mut self, node: &str, outcome: Option<Outcome>, reason: &str) -> &mut Self {
        let node = self.node(node).clone();
        let mut update = sample::update(&node, ring_of(&node), outcome);
        update.ended_at = outcome.map(|_| noon());
        update.started_at = Some(at("2026-11-23T11:40:00Z"));
        update.reason = (!reason.is_empty()).then(|| reason.to_owned());
        if outcome == Some(Outcome::Updated) {
            self.node(&node.node.name).build = Some(NEW);
        }
        self.sample.updates.push(update);
        self
    }

    fn not_ready(&mut self, node: &str) -> &mut Self {
        self.node(node).readiness = Readiness::NotReady(noon());
        self
    }
}

fn ring(name: &str, spec: &Value, policy: &Value) -> RingStatus {
    sample::ring(name, spec.clone(), policy.clone()).expect("a ring")
}

/// Names of the nodes that start.
fn starts<'a>(plan: &Plan<'a>) -> Vec<&'a str> {
    plan.starts.iter().map(|start| start.node.node.name.as_str()).collect()
}

/// What is said of the nodes that wait.
fn holds(plan: &Plan<'_>) -> Vec<String> {
    plan.waiting.iter().map(|waiting| format!("{}: {}", waiting.node.node.name, waiting.on.as_str())).collect()
}

fn reason(plan: &Plan<'_>) -> String {
    plan.reason.clone().unwrap_or_default()
}

const UPDATED: Option<Outcome> = Some(Outcome::Updated);
const IN_WORK: Option<Outcome> = None;
