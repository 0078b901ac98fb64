//! Checks a plan against the invariants: a second opinion that shares no code with the planner.
//!
//! It counts again, in the plainest way, from the facts. A plan with a violation must not be acted on: one of the two
//! programs is wrong, and a node less is updated today rather than one too many. What is decided about one node is
//! checked by [`node`].

pub mod node;

use super::fleet::{Fleet, UpdateSeen};
use super::holds::Held;
use super::rollout::{Plan, RingPlan, Start};
use crate::api::{
    DesiredState, IntOrPercent, Maintenance, NodeSelector, Outcome, RingState, RingStatus, RolloutState, Weekday,
};
use crate::domain::{Build, NodeRef, NodeState};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

/// One broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// What breaks it: a node, or a ring.
    pub subject: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.subject, self.rule)
    }
}

/// The invariants of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Nothing starts while the rollout is paused, aborted, halted, through, or being deleted.
    StoppedRolloutStarts,
    /// Nothing starts in a ring before all rings before it are promoted, nor in one that soaks, is halted or promoted.
    ClosedRingStarts,
    /// No node starts that is not among the nodes seen, or whose labels its ring does not select.
    StrangeNode,
    /// No node starts twice, nor one that this rollout has worked on before (unless that update ended before anything was
    /// changed, or a person wants it tried again), nor one whose name is in work.
    StartedTwice,
    /// No node starts that is claimed, in quarantine, not Ready, or to be left alone.
    UnfitNode,
    /// What is installed is what the rollout pinned, and leads to a higher build.
    NotPinned,
    /// The Windows version stays the same.
    FeatureUpgrade,
    /// With what starts, no more nodes of the ring are unavailable or in work of other rollouts than its budget, and no more are
    /// in work.
    OverBudget,
    /// No node starts under an UpdateHold.
    UnderHold,
    /// No node starts that could not be snapshotted.
    ProviderAway,
    /// No node starts outside of the maintenance windows or on a denied day.
    OutsideWindow,
    /// Nodes of one domain only are in work, where the ring says so.
    SeveralDomains,
    /// What was halted stays halted: only a person opens it again, and that is recorded before anything is planned.
    LeftHalt,
    /// A ring is not promoted while its nodes are in work, or with fewer updated ones than it must have.
    PromotedTooEarly,
    /// A ring is not promoted, and no node of it starts, once as many of its nodes have failed as its policy bears.
    FailedRingGoesOn,
}

/// Checks a plan; a plan with violations must not be acted on.
pub fn lint(fleet: &Fleet<'_>, plan: &Plan<'_>, now: Timestamp) -> Vec<Violation> {
    let facts = Facts::new(fleet, plan);
    let mut found = Vec::new();
    let mut report = |rule: Rule, subject: &str| found.push(Violation { rule, subject: subject.to_owned() });
    if stopped(fleet, plan) && !plan.starts.is_empty() {
        report(Rule::StoppedRolloutStarts, fleet.rollout);
    }
    let mut names = BTreeSet::new();
    for start in &plan.starts {
        let name = start.node.node.name.as_str();
        if !names.insert(name) {
            report(Rule::StartedTwice, name);
        }
        for rule in start_rules(&facts, plan, start, now) {
            report(rule, name);
        }
    }
    for (place, ring) in fleet.status.rings.iter().enumerate() {
        for rule in ring_rules(&facts, plan, place, ring) {
            report(rule, &ring.name);
        }
    }
    found.sort_by(|a, b| (a.rule, &a.subject).cmp(&(b.rule, &b.subject)));
    found
}

/// The facts, indexed: a plan may start hundreds of nodes of thousands.
struct Facts<'f, 'a> {
    fleet: &'f Fleet<'a>,
    nodes: HashMap<&'a str, &'a NodeState>,
    /// Ring of each node that has an update, by UID.
    worked_on: HashMap<&'a str, &'a str>,
    /// Updates in work.
    in_work: Vec<&'a UpdateSeen>,
    /// UIDs of all updates.
    ours: HashSet<&'a str>,
}

impl<'f, 'a> Facts<'f, 'a> {
    /// Indexes what `plan` makes necessary: mostly nothing starts or is promoted, and then nothing has to be looked up.
    fn new(fleet: &'f Fleet<'a>, plan: &Plan<'_>) -> Self {
        let changes = !plan.starts.is_empty() || fleet.status.rings.iter().any(|ring| is_promoted(plan, ring));
        let (nodes, updates) = if changes { (fleet.nodes, fleet.updates) } else { Default::default() };
        Self {
            fleet,
            nodes: nodes.iter().map(|node| (node.node.uid.as_str(), node)).collect(),
            worked_on: updates
                .iter()
                .filter(|update| !is_void(update))
                .map(|update| (update.node_uid.as_str(), update.ring.as_str()))
                .collect(),
            in_work: updates.iter().filter(|update| update.outcome.is_none()).collect(),
            ours: updates.iter().map(|update| update.uid.as_str()).collect(),
        }
    }

    /// UIDs of the nodes in work in a ring.
    fn in_work_of(&self, ring: &str) -> BTreeSet<&'a str> {
        self.in_work.iter().filter(|update| update.ring == ring).map(|update| update.node_uid.as_str()).collect()
    }
}

fn stopped(fleet: &Fleet<'_>, plan: &Plan<'_>) -> bool {
    fleet.deleting
        || fleet.desired != DesiredState::Running
        || fleet.status.ended_at.is_some()
        || plan.state != RolloutState::Running
        || fleet.status.rings.iter().any(|ring| ring.state == RingState::Halted)
}

/// What is wrong with one start.
fn start_rules(facts: &Facts<'_, '_>, plan: &Plan<'_>, start: &Start<'_>, now: Timestamp) -> Vec<Rule> {
    let ring = facts.fleet.status.rings.iter().find(|ring| ring.name == start.ring);
    let maintenance = ring.and_then(|ring| ring.revision.policy.maintenance.as_ref());
    let checks = [
        (Rule::ClosedRingStarts, !is_open(plan, start.ring)),
        (Rule::StrangeNode, !ring.is_some_and(|ring| is_member(facts, ring, start.node))),
        (Rule::StartedTwice, was_worked_on(facts, start.node)),
        (Rule::UnfitNode, is_unfit(start.node)),
        (Rule::NotPinned, !is_pinned(facts.fleet, start)),
        (Rule::FeatureUpgrade, !start.from.same_os(start.to)),
        (Rule::UnderHold, is_held(facts.fleet, start, now)),
        (Rule::ProviderAway, ring.is_some_and(|ring| is_away(facts.fleet, ring))),
        (Rule::OutsideWindow, maintenance.is_some_and(|maintenance| !is_allowed(maintenance, now))),
    ];
    checks.into_iter().filter(|(_, broken)| *broken).map(|(rule, _)| rule).collect()
}

/// Whether an update stands in no other one's way.
fn is_void(update: &UpdateSeen) -> bool {
    match update.outcome {
        None => false,
        Some(Outcome::Aborted) => true,
        Some(_) => update.retry,
    }
}

/// Whether the provider of the ring's snapshots does not work.
fn is_away(fleet: &Fleet<'_>, ring: &RingStatus) -> bool {
    let in_place = ring.revision.policy.strategy.in_place.iter();
    let classes: Vec<_> = in_place.map(|in_place| &in_place.snapshot.class_name).collect();
    fleet.providers_away.iter().any(|(class, _)| classes.contains(&class))
}

/// Whether a hold that has not expired forbids this start.
fn is_held(fleet: &Fleet<'_>, start: &Start<'_>, now: Timestamp) -> bool {
    fleet.holds.iter().any(|hold| {
        let expired = hold.expires_at.is_some_and(|at| at <= now);
        let named = hold.rollouts.is_empty() || hold.rollouts.contains(&fleet.rollout.to_owned());
        let selected = hold.selector.as_ref().is_none_or(|selector| selects(selector, start.node));
        let forbidden = match &hold.what {
            Held::Everything => true,
            Held::Updates { kbs, builds } => {
                start.pinned.updates.iter().any(|update| kbs.contains(&update.kb))
                    || builds.is_some_and(|(first, last)| first <= start.to && start.to <= last)
            }
        };
        !expired && named && selected && forbidden
    })
}

fn is_open(plan: &Plan<'_>, name: &str) -> bool {
    let running = plan.rings.iter().any(|ring| ring.name == name && ring.state == RingState::Running);
    running && plan.rings.iter().take_while(|ring| ring.name != name).all(|ring| ring.state == RingState::Promoted)
}

fn is_member(facts: &Facts<'_, '_>, ring: &RingStatus, node: &NodeState) -> bool {
    facts.nodes.get(node.node.uid.as_str()).is_some_and(|seen| *seen == node)
        && selects(&ring.revision.ring.node_selector, node)
}

fn selects(selector: &NodeSelector, node: &NodeState) -> bool {
    use crate::api::SelectorOperator::{DoesNotExist, Exists, In, NotIn};
    for (key, value) in &selector.match_labels {
        if node.labels.get(key).is_none_or(|label| label != value.as_str()) {
            return false;
        }
    }
    for wanted in &selector.match_expressions {
        let label = node.labels.get(&wanted.key);
        let holds = match (wanted.operator, label) {
            (In, Some(label)) => wanted.values.iter().any(|value| value == label),
            (NotIn, Some(label)) => !wanted.values.iter().any(|value| value == label),
            (Exists, Some(_)) | (NotIn | DoesNotExist, None) => true,
            (In | Exists, None) | (DoesNotExist, Some(_)) => false,
        };
        if !holds {
            return false;
        }
    }
    true
}

fn was_worked_on(facts: &Facts<'_, '_>, node: &NodeState) -> bool {
    let NodeRef { name, uid, .. } = &node.node;
    facts.worked_on.contains_key(uid.as_str()) || facts.in_work.iter().any(|update| update.node == *name)
}

fn is_unfit(node: &NodeState) -> bool {
    node.skip || node.quarantined || node.claimed_by.is_some() || !node.readiness.is_ready()
}

fn is_pinned(fleet: &Fleet<'_>, start: &Start<'_>) -> bool {
    let set = fleet.status.pinned.iter().find(|set| set.os_build == start.from.os_build());
    let expected = set.and_then(|set| set.expected_build.as_ref()?.parse::<Build>().ok());
    set.is_some_and(|set| set == start.pinned && !set.updates.is_empty())
        && expected == Some(start.to)
        && start.node.build == Some(start.from)
        && start.to > start.from
}

/// Whether some window is open; whether the node will fit into it is left to the planner's estimate.
fn is_allowed(maintenance: &Maintenance, now: Timestamp) -> bool {
    let zone = maintenance.time_zone.get();
    let today = now.to_zoned(zone.clone()).date();
    if maintenance.deny.iter().any(|deny| (*deny.from.get()..=*deny.to.get()).contains(&today)) {
        return false;
    }
    // The longest window lasts seven days: one that is open now opened at most eight calendar days ago.
    let opened = (0..=8).filter_map(|back: i64| today.checked_sub(back.days()).ok());
    maintenance.allow.is_empty()
        || opened.into_iter().any(|day| {
            maintenance.allow.iter().filter(|window| window.days.contains(&weekday(day))).any(|window| {
                let start = day.to_datetime(*window.start.get()).to_zoned(zone.clone()).map(|at| at.timestamp());
                start
                    .is_ok_and(|start| start <= now && now.duration_since(start).unsigned_abs() < window.duration.get())
            })
        })
}

fn weekday(day: Date) -> Weekday {
    match day.weekday() {
        jiff::civil::Weekday::Monday => Weekday::Mon,
        jiff::civil::Weekday::Tuesday => Weekday::Tue,
        jiff::civil::Weekday::Wednesday => Weekday::Wed,
        jiff::civil::Weekday::Thursday => Weekday::Thu,
        jiff::civil::Weekday::Friday => Weekday::Fri,
        jiff::civil::Weekday::Saturday => Weekday::Sat,
        jiff::civil::Weekday::Sunday => Weekday::Sun,
    }
}

/// What is wrong with one ring.
fn ring_rules(facts: &Facts<'_, '_>, plan: &Plan<'_>, place: usize, ring: &RingStatus) -> Vec<Rule> {
    let starts: Vec<_> = plan.starts.iter().filter(|start| start.ring == ring.name).collect();
    let starting = !starts.is_empty();
    let checks = [
        (Rule::OverBudget, starting && over_budget(facts, place, ring, &starts)),
        (Rule::SeveralDomains, starting && several_domains(facts, place, ring, &starts)),
        (Rule::LeftHalt, left_halt(plan, ring)),
        (Rule::PromotedTooEarly, promoted_too_early(facts.fleet, plan, ring)),
        (Rule::FailedRingGoesOn, (starting || is_promoted(plan, ring)) && has_failed(facts, plan, ring)),
    ];
    checks.into_iter().filter(|(_, broken)| *broken).map(|(rule, _)| rule).collect()
}

/// The ring's nodes: those it has worked on, and of the others those that it selects and no ring before it.
fn members<'a>(facts: &Facts<'_, 'a>, place: usize) -> Vec<&'a NodeState> {
    let rings = &facts.fleet.status.rings;
    let belongs = |node: &&NodeState| match facts.worked_on.get(node.node.uid.as_str()) {
        Some(worked_on) => rings.get(place).is_some_and(|ring| ring.name == *worked_on),
        None => rings.iter().position(|ring| selects(&ring.revision.ring.node_selector, node)) == Some(place),
    };
    facts.fleet.nodes.iter().filter(belongs).collect()
}

fn over_budget(facts: &Facts<'_, '_>, place: usize, ring: &RingStatus, starts: &[&Start<'_>]) -> bool {
    let nodes = members(facts, place);
    let limit = match ring.revision.ring.batch.max_unavailable {
        IntOrPercent::Nodes(count) => u64::from(count),
        IntOrPercent::Percent(0 | 101..) => 0,
        IntOrPercent::Percent(percent) => (nodes.len() as u64 * u64::from(percent) / 100).max(1),
    };
    let mut in_work = facts.in_work_of(&ring.name);
    let mut away = in_work.clone();
    let is_away = |node: &&&NodeState| !node.available() || is_taken(facts, node);
    away.extend(nodes.iter().filter(is_away).map(|node| node.node.uid.as_str()));
    let away_before = away.len() as u64;
    in_work.extend(starts.iter().map(|start| start.node.node.uid.as_str()));
    away.extend(&in_work);
    // What was unavailable before may be more than the budget, and is not ours to mend; it must not get more.
    in_work.len() as u64 > limit || away.len() as u64 > limit.max(away_before)
}

/// Whether another rollout has the node in work.
fn is_taken(facts: &Facts<'_, '_>, node: &NodeState) -> bool {
    node.claimed_by.as_deref().is_some_and(|by| !facts.ours.contains(by))
}

fn several_domains(facts: &Facts<'_, '_>, place: usize, ring: &RingStatus, starts: &[&Start<'_>]) -> bool {
    let Some(spread) = &ring.revision.ring.batch.spread else { return false };
    let in_work = facts.in_work_of(&ring.name);
    let taken = members(facts, place).into_iter().filter(|node| is_taken(facts, node) && !node.quarantined);
    let busy = in_work.iter().filter_map(|uid| facts.nodes.get(uid).copied()).chain(taken);
    let nodes = busy.chain(starts.iter().map(|start| start.node));
    let domains: BTreeSet<_> = nodes.map(|node| node.labels.get(&spread.topology_key).unwrap_or_default()).collect();
    domains.len() > 1
}

/// What is planned for the ring.
fn planned<'p, 'a>(plan: &'p Plan<'a>, ring: &RingStatus) -> Option<&'p RingPlan<'a>> {
    plan.rings.iter().find(|planned| planned.name == ring.name)
}

fn left_halt(plan: &Plan<'_>, ring: &RingStatus) -> bool {
    ring.state == RingState::Halted && planned(plan, ring).is_none_or(|planned| planned.state != RingState::Halted)
}

/// Whether the plan promotes the ring.
fn is_promoted(plan: &Plan<'_>, ring: &RingStatus) -> bool {
    ring.state != RingState::Promoted && planned(plan, ring).is_some_and(|planned| planned.state == RingState::Promoted)
}

fn promoted_too_early(fleet: &Fleet<'_>, plan: &Plan<'_>, ring: &RingStatus) -> bool {
    let Some(promoted) = planned(plan, ring).filter(|_| is_promoted(plan, ring)) else { return false };
    let in_work = fleet.updates.iter().any(|update| update.ring == ring.name && update.outcome.is_none());
    in_work || promoted.counts.pending > 0 || promoted.counts.updated < ring.revision.ring.soak.min_updated
}

/// Whether the nodes of the ring that are certain to have failed are as many as its policy bears: those that were reverted or
/// are held, and those that rebooted twice by themselves since, where they are more than the ring bears. What was before a
/// person let it go on does not count, nor the boots of a node that another rollout has taken.
fn has_failed(facts: &Facts<'_, '_>, plan: &Plan<'_>, ring: &RingStatus) -> bool {
    let resumed = ring.resumed_at.as_ref().map(|at| at.0);
    let counted = |update: &&UpdateSeen| update.ring == ring.name && !is_void(update);
    let worked: Vec<_> = facts.fleet.updates.iter().filter(counted).collect();
    let since = |update: &UpdateSeen| resumed.is_none_or(|at| update.started_at.is_some_and(|started| started > at));
    let is_bad = |update: &UpdateSeen| matches!(update.outcome, Some(Outcome::Reverted | Outcome::Held));
    let bad = worked.iter().filter(|update| is_bad(update) && since(update)).count();
    let updated = worked.iter().filter(|update| update.outcome == Some(Outcome::Updated));
    let rebooting = updated.clone().filter(|update| since(update) && has_rebooted_twice(facts, update)).count();
    let borne = at_most(ring.revision.ring.soak.max_rebooting, updated.count());
    let failed = bad + if rebooting > borne { rebooting } else { 0 };
    let total = planned(plan, ring).and_then(|planned| usize::try_from(planned.counts.total).ok()).unwrap_or_default();
    failed >= at_most(ring.revision.policy.on_failure.halt_after, total).max(1)
}

fn has_rebooted_twice(facts: &Facts<'_, '_>, update: &UpdateSeen) -> bool {
    let node = facts.nodes.get(update.node_uid.as_str());
    let boots = |id: Option<&str>| id.and_then(|id| id.parse::<u64>().ok());
    let (then, now) = (boots(update.boot_id.as_deref()), boots(node.map(|node| node.boot_id.as_str())));
    let twice = matches!((then, now), (Some(then), Some(now)) if now >= then.saturating_add(2));
    let second = |at: Timestamp| at.as_second();
    let after = |at: Timestamp| update.ended_at.is_none_or(|end| second(at) >= second(end));
    twice && !facts.fleet.taken.iter().any(|(uid, at)| *uid == update.node_uid && after(*at))
}

/// A share of so many nodes, rounded up.
fn at_most(limit: IntOrPercent, nodes: usize) -> usize {
    match limit {
        IntOrPercent::Nodes(count) => count as usize,
        IntOrPercent::Percent(percent) => (nodes * percent as usize).div_ceil(100),
    }
}
