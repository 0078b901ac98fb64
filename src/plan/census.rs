//! Counts the nodes: the ring of each, and where each stands. One pass over nodes and updates, the only one.

use super::approve::is_forgiven;
use super::failure;
use super::fleet::{Fleet, UpdateSeen};
use super::selector::Selectors;
use super::unworked::{Pending, Skip};
use crate::api::{Counts, DesiredState, Outcome, PinnedSet, RingState, Spread};
use crate::domain::{Build, NodeState};
use hashbrown::hash_map::{Entry, HashMap};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// The label that orders nodes where the ring names none: the well-known zone label of Kubernetes.
const ZONE: &str = "topology.kubernetes.io/zone";

/// One ring, counted.
#[derive(Clone, Debug, Default)]
pub struct RingCensus<'a> {
    /// Its nodes by outcome. A machine that is gone counts, its successor of the same name is another one.
    pub counts: Counts,
    /// Nodes that are there.
    pub present: usize,
    /// Nodes that are unavailable for whatever reason or in work, be it another rollout's, each once.
    pub spent: usize,
    /// Nodes that are in work.
    pub in_work: usize,
    /// Nodes that are not Ready, and neither in work nor held by us: what that is, is not the update.
    pub vanished: usize,
    /// The first by name of the nodes that are unavailable, or another rollout's: it spends budget without getting on.
    pub first_away: Option<&'a str>,
    /// Updates whose node we hold, and that is unavailable until a person has looked at it.
    pub held: Vec<&'a UpdateSeen>,
    /// Domains of the nodes that are in work, be it another rollout's.
    pub domains: BTreeSet<&'a str>,
    /// Nodes that have still to start, in any order.
    pub pending: Vec<Pending<'a>>,
    /// Updates whose failure counts towards halting.
    pub failures: Vec<&'a UpdateSeen>,
    /// Updates whose node was gone once its installation had begun: one is a machine that somebody replaced, and many are an
    /// update that machines do not survive.
    pub gone: Vec<&'a UpdateSeen>,
    /// Updates whose node has rebooted by itself again and again since it was put back in service, while the ring is not
    /// through: one is a machine of its own, and many are an update that crashes machines later.
    pub rebooting: Vec<&'a UpdateSeen>,
    /// Updates whose failure does not halt: it came before the machine was changed, or a person has let the rollout go on
    /// since.
    pub noise: Vec<&'a UpdateSeen>,
    /// Nodes that this rollout has updated and that are still there, in any order. Those that were gone in the midst of it and
    /// came back with the update are among them: nobody has verified it, so that they are to be watched, and count as nothing.
    pub updated: Vec<&'a NodeState>,
    /// Those of them that no other rollout has in work: what a reboot of its makes of the others is not to be blamed on us.
    pub watched: Vec<&'a NodeState>,
    /// How many nodes this rollout has updated, be they still there or not.
    pub updated_by_us: usize,
    /// How many nodes had the build before.
    pub had_build: usize,
    /// When the last update ended.
    pub last_end: Option<Timestamp>,
    /// The first node by name that is skipped without a node update.
    pub first_skip: Option<(&'a str, Skip)>,
}

impl<'a> RingCensus<'a> {
    /// Counts what a node that is not in work of ours takes of the budget: nothing, unless it is unavailable, or another
    /// rollout has it in work and is going to take it out of service.
    fn count_away(&mut self, node: &'a NodeState, spread: Option<&Spread>, (held, taken): (bool, bool)) {
        // One that is held is claimed as well, and nobody works on it.
        if taken && !node.quarantined {
            self.domains.insert(domain(node, spread));
        }
        if node.available() && !taken {
            return;
        }
        let name = node.node.name.as_str();
        self.spent += 1;
        self.vanished += usize::from(!node.readiness.is_ready() && !held);
        self.first_away = Some(self.first_away.map_or(name, |first| first.min(name)));
    }
}

/// Where a node stands that has no update.
enum Class<'a> {
    Pending { from: Build, to: Build, pinned: &'a PinnedSet },
    AtBuild,
    Skipped(Skip),
}

/// Counts all rings, in the order of the rollout.
pub fn take<'a>(fleet: &Fleet<'a>) -> Vec<RingCensus<'a>> {
    let mut census = Census::new(fleet);
    let mut machines = census.by_machine();
    census.go_again(&mut machines);
    // In the order of the slice, as memory likes it; lists that this makes are sorted below.
    for update in fleet.updates {
        match machines.get(update.node_uid.as_str()) {
            Some(worked) if std::ptr::eq(worked.update, update) => census.count_update(worked),
            Some(_) | None => {}
        }
    }
    for node in fleet.nodes {
        match machines.get_mut(node.node.uid.as_str()) {
            None => match census.former_of(node) {
                Some(held) if held.outcome == Some(Outcome::Held) => {
                    let worked = census.worked(held);
                    census.count_worked(node, &worked);
                }
                gone => census.count_unworked(node, (None, gone.is_some())),
            },
            Some(worked) => {
                worked.present = true;
                if worked.again {
                    census.count_unworked(node, (Some(worked.update), false));
                } else {
                    census.count_worked(node, worked);
                }
            }
        }
    }
    census.find_predecessors(machines.values());
    census.sorted()
}

/// What counting a node needs to know of its update. The update itself lies elsewhere in memory, and there are thousands.
struct Worked<'a> {
    update: &'a UpdateSeen,
    /// Its ring's place; `None` for a ring that the rollout does not have.
    place: Option<usize>,
    outcome: Option<Outcome>,
    /// Whether its node is taken along once more.
    again: bool,
    /// Whether its node is there.
    present: bool,
}

/// Machines by the UID of their nodes.
type Machines<'a> = HashMap<&'a str, Worked<'a>>;

fn rank(update: &UpdateSeen) -> (bool, Option<Timestamp>, Option<Timestamp>, &str) {
    (update.in_work(), update.created_at, update.started_at, &update.name)
}

struct Census<'f, 'a> {
    fleet: &'f Fleet<'a>,
    places: HashMap<&'a str, usize>,
    selectors: Selectors<'a>,
    targets: Vec<Target<'a>>,
    rings: Vec<RingCensus<'a>>,
    /// Updates whose machine may be there as another Node object, by the node's name: it was gone once its installation had
    /// begun, or is held.
    former: HashMap<&'a str, &'a UpdateSeen>,
}

/// A pinned set, its builds parsed.
struct Target<'a> {
    /// The OS build; its last number means nothing.
    os: Build,
    expected: Build,
    pinned: &'a PinnedSet,
}

impl<'f, 'a> Census<'f, 'a> {
    fn new(fleet: &'f Fleet<'a>) -> Self {
        let rings = &fleet.status.rings;
        Self {
            fleet,
            places: rings.iter().enumerate().map(|(place, ring)| (ring.name.as_str(), place)).collect(),
            selectors: Selectors::new(rings.iter().map(|ring| &ring.revision.ring.node_selector)),
            targets: fleet.status.pinned.iter().filter_map(target).collect(),
            rings: vec![RingCensus::default(); rings.len()],
            former: HashMap::new(),
        }
    }

    /// The update of each machine. Were there ever two, the one in work counts, or the later one.
    fn by_machine(&self) -> Machines<'a> {
        let mut machines: Machines<'_> = HashMap::with_capacity(self.fleet.updates.len());
        for update in self.fleet.updates {
            let worked = self.worked(update);
            match machines.entry(&update.node_uid) {
                Entry::Vacant(free) => _ = free.insert(worked),
                Entry::Occupied(mut seen) if rank(update) > rank(seen.get().update) => _ = seen.insert(worked),
                Entry::Occupied(_) => {}
            }
        }
        machines
    }

    fn worked(&self, update: &'a UpdateSeen) -> Worked<'a> {
        let place = self.places.get(update.ring.as_str()).copied();
        Worked { update, place, outcome: update.outcome, again: false, present: false }
    }

    /// Marks the machines that are taken along once more: those that are there, and whose ring, which may be another one by
    /// now, is not through.
    fn go_again(&self, machines: &mut Machines<'a>) {
        let fleet = self.fleet;
        if fleet.deleting || fleet.desired == DesiredState::Aborted {
            return;
        }
        // Hardly ever is there one, and then nobody looks at the nodes for it.
        if fleet.updates.iter().any(UpdateSeen::may_go_again) {
            for node in fleet.nodes {
                if let Some(worked) = machines.get_mut(node.node.uid.as_str()) {
                    worked.again = worked.update.may_go_again() && !self.is_through(node, worked);
                }
            }
        }
    }

    /// Whether the ring that a node is in is promoted: the one that selects it, or else that of its update.
    fn is_through(&self, node: &NodeState, worked: &Worked<'a>) -> bool {
        let place = self.selectors.ring_of(&node.labels).or(worked.place);
        let ring = place.and_then(|place| self.fleet.status.rings.get(place));
        ring.is_some_and(|ring| ring.state == RingState::Promoted)
    }

    /// The update of the machine that this Node object, which has none itself, may be of.
    fn former_of(&self, node: &NodeState) -> Option<&'a UpdateSeen> {
        self.former.get(node.node.name.as_str()).filter(|update| update.is_of(&node.node)).copied()
    }

    fn count_update(&mut self, worked: &Worked<'a>) {
        let (Some(place), false) = (worked.place, worked.again) else { return };
        let update = worked.update;
        let Some((ring, status)) = self.rings.get_mut(place).zip(self.fleet.status.rings.get(place)) else { return };
        let resumed_at = status.resumed_at.as_ref();
        let counts = &mut ring.counts;
        counts.total += 1;
        match update.outcome {
            None => counts.in_progress += 1,
            Some(Outcome::Updated) => {
                counts.updated += 1;
                ring.updated_by_us += 1;
            }
            Some(Outcome::Reverted) => counts.reverted += 1,
            Some(Outcome::Held) => counts.held += 1,
            Some(Outcome::Failed) => counts.failed += 1,
            Some(Outcome::Skipped | Outcome::Aborted | Outcome::NodeGone) => counts.skipped += 1,
        }
        if update.in_work() {
            ring.in_work += 1;
            ring.spent += 1;
        }
        if failure::counts_towards_halt(update) {
            let of = if is_forgiven(update, resumed_at) { &mut ring.noise } else { &mut ring.failures };
            of.push(update);
        } else if update.outcome == Some(Outcome::Failed) {
            ring.noise.push(update);
        } else if failure::is_gone_changed(update) && !is_forgiven(update, resumed_at) {
            ring.gone.push(update);
        }
        ring.last_end = ring.last_end.max(update.ended_at);
        if update.outcome == Some(Outcome::Held) || failure::is_gone_changed(update) {
            let known = self.former.entry(update.node.as_str()).or_insert(update);
            *known = std::cmp::max_by(*known, update, |a, b| rank(a).cmp(&rank(b)));
        }
    }

    /// Counts a node that has an update, which is counted already.
    fn count_worked(&mut self, node: &'a NodeState, update: &Worked<'a>) {
        let Some(place) = update.place else { return };
        let Some((ring, frozen)) = self.rings.get_mut(place).zip(self.fleet.status.rings.get(place)) else { return };
        ring.present += 1;
        let spread = frozen.revision.ring.batch.spread.as_ref();
        let taken = node.claimed_by.as_ref().is_some_and(|by| *by != update.update.uid);
        match update.outcome {
            None => {
                ring.domains.insert(domain(node, spread));
                return;
            }
            Some(Outcome::Updated) => {
                ring.updated.push(node);
                ring.watched.extend(Some(node).filter(|_| !taken));
                if failure::keeps_rebooting(self.fleet, update.update, node, frozen) {
                    ring.rebooting.push(update.update);
                }
            }
            Some(_) => {}
        }
        let held = update.outcome == Some(Outcome::Held);
        ring.held.extend(Some(update.update).filter(|_| held && !node.available()));
        ring.count_away(node, spread, (held, taken));
    }

    /// Counts a node that has still to start, or need not; `before` is its update that does not count any more, and `is_back`
    /// says that it was gone in the midst of one, as another Node object.
    fn count_unworked(&mut self, node: &'a NodeState, (before, is_back): (Option<&'a UpdateSeen>, bool)) {
        let Some(place) = self.selectors.ring_of(&node.labels) else { return };
        let class = self.classify(node);
        let Some((ring, frozen)) = self.rings.get_mut(place).zip(self.fleet.status.rings.get(place)) else { return };
        let closed = frozen.state == RingState::Promoted;
        let previous = before.map(|update| update.uid.as_str());
        ring.present += 1;
        // It has no update of ours in work: whoever has claimed it is another's.
        ring.count_away(node, frozen.revision.ring.batch.spread.as_ref(), (false, node.claimed_by.is_some()));
        match class {
            // A node that joins a closed ring is not taken along.
            Class::Pending { .. } if closed => return,
            Class::Pending { from, to, pinned } => {
                ring.counts.pending += 1;
                ring.pending.push(Pending { node, from, to, pinned, predecessor: None, previous });
            }
            // Its update counts it already.
            Class::AtBuild if is_back => {
                ring.updated.push(node);
                ring.watched.extend(Some(node).filter(|node| node.claimed_by.is_none()));
                return;
            }
            Class::AtBuild => {
                ring.counts.updated += 1;
                ring.had_build += 1;
            }
            Class::Skipped(why) => {
                ring.counts.skipped += 1;
                let name = node.node.name.as_str();
                if ring.first_skip.is_none_or(|(first, _)| name < first) {
                    ring.first_skip = Some((name, why));
                }
            }
        }
        ring.counts.total += 1;
    }

    /// Finds the updates in work whose machines are gone, and tells them the nodes that have their names now.
    fn find_predecessors<'w>(&mut self, machines: impl Iterator<Item = &'w Worked<'a>>)
    where
        'a: 'w,
    {
        let gone = machines.filter(|worked| worked.outcome.is_none() && !worked.present).map(|worked| worked.update);
        let gone: HashMap<_, _> = gone.map(|update| (update.node.as_str(), update.name.as_str())).collect();
        for pending in self.rings.iter_mut().flat_map(|ring| &mut ring.pending).filter(|_| !gone.is_empty()) {
            pending.predecessor = gone.get(pending.node.node.name.as_str()).copied();
        }
    }

    fn classify(&self, node: &NodeState) -> Class<'a> {
        if node.skip {
            return Class::Skipped(Skip::Annotated);
        }
        let Some(from) = node.build else { return Class::Skipped(Skip::UnknownBuild) };
        match self.targets.iter().find(|target| target.os.same_os(from)) {
            None => Class::Skipped(Skip::without_target(from, &self.fleet.status.pinned)),
            Some(target) if from >= target.expected => Class::AtBuild,
            Some(target) => Class::Pending { from, to: target.expected, pinned: target.pinned },
        }
    }

    /// The rings, their lists in an order that does not depend on that of the input. Lists of nodes are long, and
    /// sorted where one of them is used.
    fn sorted(self) -> Vec<RingCensus<'a>> {
        let mut rings = self.rings;
        for (ring, frozen) in rings.iter_mut().zip(&self.fleet.status.rings) {
            if failure::are_many_rebooting(ring.rebooting.len(), ring.updated_by_us, frozen) {
                ring.failures.append(&mut ring.rebooting);
            }
            if failure::are_many_gone(ring.gone.len(), ring.updated_by_us) {
                ring.failures.append(&mut ring.gone);
            }
            ring.failures.sort_unstable_by_key(|update| (update.in_work(), update.ended_at, &update.node));
            ring.noise.sort_unstable_by_key(|update| (update.ended_at, &update.node));
        }
        rings
    }
}

/// A pinned set with a target; `None` for one without, and for one whose builds are of two Windows versions.
fn target(pinned: &PinnedSet) -> Option<Target<'_>> {
    let os: Build = format!("{}.0", pinned.os_build).parse().ok()?;
    let expected: Build = pinned.expected_build.as_deref()?.parse().ok()?;
    os.same_os(expected).then_some(Target { os, expected, pinned })
}

/// The failure domain of a node by its ring's spread, or else its zone.
pub fn domain<'a>(node: &'a NodeState, spread: Option<&Spread>) -> &'a str {
    let key = spread.map_or(ZONE, |spread| spread.topology_key.as_str());
    node.labels.get(key).unwrap_or_default()
}
