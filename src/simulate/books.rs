//! The books of a simulation: what became of each node, and the story as it happened.

use super::cluster::Object;
use super::machines::ready_since;
use super::report::RefusedAct;
use crate::api::{ApprovalState, NodeUpdate, Outcome, RolloutState, Step, StepPhase, StepRecord, UpdateRollout};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use serde_json::Value;
use std::collections::BTreeMap;

/// How a machine is for the pods on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// They can work.
    Good,
    /// It restarts; they will.
    Restarting,
    /// They can not, and no restart under way will change that.
    Broken,
}

/// What is noted of one node.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of one node")]
pub struct NodeBook {
    /// Name of the rollout that worked on it last.
    pub rollout: Option<String>,
    /// The ring by which it did.
    pub ring: Option<String>,
    /// How its last node update ended.
    pub outcome: Option<Outcome>,
    /// Seconds by what was waited for.
    pub waits: BTreeMap<&'static str, i64>,
    /// The times in which it could not serve because of the update.
    pub harms: Vec<Harm>,
    out: SignedDuration,
    out_since: Option<Timestamp>,
    ready: bool,
    schedulable: bool,
    broken: bool,
    installed: bool,
    restored: bool,
    replaced: bool,
    gone: bool,
    waiting: Option<(&'static str, Timestamp)>,
}

/// A time in which a node could not serve because of the update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Harm {
    /// From when.
    pub from: Timestamp,
    /// Until when; none while it lasts.
    pub until: Option<Timestamp>,
    /// Who brought the node back.
    pub by: Option<&'static str>,
}

/// The books.
#[derive(Debug, Default)]
pub struct Books {
    /// By the node's name.
    pub nodes: BTreeMap<String, NodeBook>,
    /// What happened, as it happened.
    pub story: Vec<(Timestamp, String)>,
    /// What people wanted to do, and could not.
    pub refused: Vec<RefusedAct>,
    /// Whether the story is told.
    pub telling: bool,
}

impl NodeBook {
    /// How long it was out of service up to `now`: not Ready, cordoned, or broken.
    pub fn out_of_service(&self, now: Timestamp) -> SignedDuration {
        self.out + self.out_since.map(|since| now.duration_since(since)).unwrap_or_default()
    }

    /// How long it could not serve because of the update.
    pub fn harmed_for(&self, now: Timestamp) -> SignedDuration {
        let length = |harm: &Harm| harm.until.unwrap_or(now).duration_since(harm.from);
        self.harms.iter().map(length).fold(SignedDuration::ZERO, |sum, one| sum + one)
    }

    fn weigh(&mut self, now: Timestamp) {
        let serves = self.ready && self.schedulable && !self.broken;
        match (serves, self.out_since) {
            (true, Some(since)) => {
                self.out += now.duration_since(since);
                self.out_since = None;
            }
            (false, None) => self.out_since = Some(now),
            _ => {}
        }
    }
}

impl Books {
    /// Notes a write.
    pub fn note(&mut self, now: Timestamp, before: Option<&Object>, after: Option<&Object>) {
        match (before, after) {
            (before, Some(Object::Node(node))) => self.node(now, before.is_none(), node),
            (Some(Object::Node(node)), None) => self.node_gone(now, &node.name_any()),
            (before, Some(Object::NodeUpdate(update))) => {
                let before = if let Some(Object::NodeUpdate(before)) = before { Some(before.as_ref()) } else { None };
                self.update(now, before, update);
            }
            (before, Some(Object::Rollout(rollout))) => {
                let before = if let Some(Object::Rollout(before)) = before { Some(before.as_ref()) } else { None };
                self.rollout(now, before, rollout);
            }
            (_, Some(Object::Approval(approval))) => {
                if let Some(status) = approval.status.as_ref().filter(|status| status.state != ApprovalState::Waiting) {
                    self.tell(now, || {
                        format!("approval {}: {:?}: {}", approval.name_any(), status.state, status.message)
                    });
                }
            }
            _ => {}
        }
    }

    /// Tells something.
    pub fn tell(&mut self, now: Timestamp, line: impl FnOnce() -> String) {
        if self.telling {
            self.story.push((now, line()));
        }
    }

    /// Tells an event that the operator published.
    pub fn event(&mut self, now: Timestamp, body: &[u8]) {
        if !self.telling {
            return;
        }
        let Ok(event) = serde_json::from_slice::<Value>(body) else { return };
        let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        // The event at the node update says the same.
        if text("/regarding/kind") != "UpdateRollout" {
            return;
        }
        self.tell(now, || format!("{}: {}: {}", text("/regarding/name"), text("/reason"), text("/note")));
    }

    /// Notes how a machine is.
    pub fn machine(&mut self, now: Timestamp, health: Health, name: &str) {
        let node = self.nodes.entry(name.to_owned()).or_default();
        let was = std::mem::replace(&mut node.broken, health == Health::Broken);
        let open = node.harms.last_mut().filter(|harm| harm.until.is_none());
        let mut line = None;
        match (health, open) {
            (Health::Broken, None) if node.installed => {
                node.harms.push(Harm { from: now, until: None, by: None });
                line = Some(format!("{name}: can not serve because of the update"));
            }
            (Health::Broken, None) if !was => line = Some(format!("{name}: can not serve")),
            (Health::Good, Some(harm)) => {
                let by = if node.replaced {
                    "replacement"
                } else if node.restored {
                    "operator"
                } else {
                    "itself"
                };
                (harm.until, harm.by) = (Some(now), Some(by));
                line = Some(format!("{name}: serves again ({by})"));
            }
            _ => {}
        }
        node.weigh(now);
        if let Some(line) = line {
            self.tell(now, || line);
        }
    }

    fn node(&mut self, now: Timestamp, new: bool, node: &Node) {
        let name = node.name_any();
        let telling = self.telling;
        let book = self.nodes.entry(name.clone()).or_default();
        let (was_ready, was_schedulable) = (book.ready, book.schedulable);
        book.ready = ready_since(node).is_some();
        book.schedulable = !node.spec.as_ref().and_then(|s| s.unschedulable).unwrap_or(false);
        book.replaced |= new && book.rollout.is_some();
        let again = std::mem::take(&mut book.gone);
        book.weigh(now);
        let (ready, schedulable) = (book.ready, book.schedulable);
        if again {
            self.tell(now, || format!("{name}: has a new Node object"));
        }
        if !telling || (new && !again) {
            return;
        }
        if ready != was_ready {
            self.tell(now, || format!("{name}: {}", if ready { "Ready" } else { "not Ready" }));
        }
        if schedulable != was_schedulable {
            self.tell(now, || format!("{name}: {}", if schedulable { "uncordoned" } else { "cordoned" }));
        }
    }

    /// A node without its object serves nobody, until there is one again.
    fn node_gone(&mut self, now: Timestamp, name: &str) {
        let book = self.nodes.entry(name.to_owned()).or_default();
        (book.ready, book.schedulable, book.gone) = (false, true, true);
        book.weigh(now);
        self.tell(now, || format!("{name}: its Node object is gone"));
    }

    fn update(&mut self, now: Timestamp, before: Option<&NodeUpdate>, update: &NodeUpdate) {
        let name = &update.spec.node_name;
        let status = update.status.as_ref();
        let steps = status.map(|s| s.steps.as_slice()).unwrap_or_default();
        let seen = before.and_then(|b| b.status.as_ref()).map(|s| s.steps.as_slice()).unwrap_or_default();
        let book = self.nodes.entry(name.clone()).or_default();
        if before.is_none() {
            book.rollout = Some(update.spec.rollout_name.clone());
            book.ring = Some(update.spec.ring.clone());
            (book.outcome, book.installed, book.restored, book.replaced) = (None, false, false, false);
        }
        if let Some((cause, since)) = book.waiting.take() {
            *book.waits.entry(cause).or_default() += now.duration_since(since).as_secs();
        }
        book.waiting = status.and_then(|s| s.waiting_on.as_deref()).map(|on| (cause(on), now));
        let outcome = status.and_then(|s| s.outcome);
        let ended = outcome.filter(|_| book.outcome != outcome);
        book.outcome = outcome.or(book.outcome);
        for step in steps.iter().skip(seen.len()) {
            book.installed |= step.step == Step::Install;
            book.restored |= step.step == Step::Restore;
        }
        if self.telling {
            self.steps(now, name, seen, steps);
            if let Some(outcome) = ended {
                let why = status.and_then(|s| s.reason.clone()).map(|why| format!(": {why}")).unwrap_or_default();
                self.tell(now, || format!("{name}: {outcome:?}{why}"));
            }
        }
    }

    fn steps(&mut self, now: Timestamp, name: &str, seen: &[StepRecord], steps: &[StepRecord]) {
        let failed = |step: &&StepRecord| step.phase == StepPhase::Failed;
        for (at, step) in steps.iter().enumerate() {
            let before = seen.get(at);
            if before.is_none_or(|before| before.phase != step.phase)
                && let Some(step) = Some(step).filter(failed)
            {
                self.tell(now, || format!("{name}: {:?} failed: {}", step.step, step.message));
            }
            if before.is_none() {
                let again = if step.attempt > 1 { format!(", attempt {}", step.attempt) } else { String::new() };
                let round = if step.round > 1 { format!(", round {}", step.round) } else { String::new() };
                self.tell(now, || format!("{name}: {:?}{round}{again}", step.step));
            }
        }
    }

    fn rollout(&mut self, now: Timestamp, before: Option<&UpdateRollout>, rollout: &UpdateRollout) {
        let state = |rollout: &UpdateRollout| rollout.status.as_ref().map(|s| (s.state, s.ring.clone()));
        let (was, is) = (before.and_then(state), state(rollout));
        let Some((state, ring)) = is.clone().filter(|_| is != was) else { return };
        if matches!(state, RolloutState::Running | RolloutState::Soaking | RolloutState::Paused | RolloutState::Pending)
        {
            let ring = ring.map(|ring| format!(", ring {ring}")).unwrap_or_default();
            self.tell(now, || format!("{}: {state:?}{ring}", rollout.name_any()));
        }
    }
}

/// What a sentence of `waitingOn` is about.
fn cause(on: &str) -> &'static str {
    let causes = [
        ("agent: ", "agent"),
        ("PDB ", "disruption budget"),
        ("volumes ", "volumes"),
        ("provider", "provider"),
        ("the node to settle", "settle"),
        ("probes to pass", "probes"),
        ("attempt ", "retry"),
        ("the node's claim", "claim"),
        ("API server", "API server"),
    ];
    if on.ends_with(" to terminate") || on.contains(" to terminate, ") {
        return "pods terminating";
    }
    if on.ends_with(" to boot and be Ready") {
        return "boot";
    }
    causes.iter().find(|(start, _)| on.starts_with(start)).map_or("other", |(_, cause)| cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_its_object_is_out_of_service() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let ready = serde_json::json!({
            "metadata": {"name": "n"},
            "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:00Z"}]},
        });
        let node = Object::Node(std::sync::Arc::new(serde_json::from_value(ready).expect("a node")));
        let mut books = Books { telling: true, ..Books::default() };
        books.note(at(0), None, Some(&node));
        books.note(at(10), Some(&node), None);
        books.note(at(50), None, Some(&node));
        assert_eq!(books.nodes["n"].out_of_service(at(100)).as_secs(), 40);
        let told: Vec<_> = books.story.iter().map(|(_, line)| line.as_str()).collect();
        assert_eq!(told, ["n: its Node object is gone", "n: has a new Node object", "n: Ready"]);
    }

    #[test]
    fn harm_is_what_follows_an_installation_and_outlasts_a_restart() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let mut books = Books::default();
        books.machine(at(0), Health::Broken, "n");
        books.machine(at(1), Health::Good, "n");
        assert_eq!(books.nodes["n"].harms, []);
        books.nodes.entry("n".into()).or_default().installed = true;
        books.machine(at(2), Health::Restarting, "n");
        books.machine(at(3), Health::Broken, "n");
        books.machine(at(4), Health::Restarting, "n");
        books.machine(at(9), Health::Good, "n");
        let book = &books.nodes["n"];
        assert_eq!(book.harms, [Harm { from: at(3), until: Some(at(9)), by: Some("itself") }]);
        assert_eq!(book.harmed_for(at(100)).as_secs(), 6);
    }
}
