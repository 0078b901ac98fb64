//! What the auditor remembers.

use super::approvals::Approvals;
use super::fleet::{self, available, claim, cordoned, in_work, steps, uid};
use super::pods::Pods;
use super::starts::KNOWN_AFTER;
use super::{By, Change, Check, Invariant, Truth};
use crate::api::{
    DeletionPolicy, NodeSelector, NodeSnapshot, NodeUpdate, Orphans, RolloutState, SnapshotClass, Step, UpdateHold,
    UpdateRollout,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How much longer than its time a step may stay: the API server, the operator and its retries have bad days.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
/// How much longer than agreed a snapshot may stay at the provider, or after somebody was last asked and did not answer.
const RETENTION_PATIENCE: SignedDuration = SignedDuration::from_hours(2);

/// A node update, and what was true when it was made.
#[derive(Clone, Debug)]
pub struct Work {
    /// The object.
    pub update: Arc<NodeUpdate>,
    /// How often its machine had been restored.
    pub restores: u64,
}

/// The auditor's books.
#[derive(Debug, Default)]
pub struct Books {
    /// Nodes by name.
    pub nodes: HashMap<String, Arc<Node>>,
    /// Pods that have to leave their nodes.
    pub pods: Pods,
    /// Node updates by UID.
    pub updates: HashMap<String, Work>,
    /// Those in work, by node name: there should never be two.
    pub in_work: BTreeMap<String, BTreeSet<String>>,
    /// Rollouts by UID.
    pub rollouts: HashMap<String, Arc<UpdateRollout>>,
    /// Keys of the restores that were asked for.
    pub restores: HashSet<String>,
    /// Since when rollouts are halted, by UID.
    halted: HashMap<String, Timestamp>,
    /// Since when nodes can take no work.
    pub unavailable: BTreeMap<String, Timestamp>,
    /// Who cordoned the nodes that are.
    pub cordoned_by: HashMap<String, By>,
    /// Holds by name, with the time since when they are as they are.
    pub holds: BTreeMap<String, (Timestamp, Arc<UpdateHold>)>,
    /// What people have approved.
    pub approvals: Approvals,
    /// When a provider or the API server was asked for something at last and did not answer: until then nothing could be
    /// deleted.
    pub unanswered: Option<Timestamp>,
    snapshots: HashMap<String, Arc<NodeSnapshot>>,
    classes: HashMap<String, Arc<SnapshotClass>>,
    /// Snapshots whose record is gone, and which people wanted to keep at the provider.
    retained: HashSet<String>,
    ended: HashMap<String, Timestamp>,
    due: BTreeSet<(Timestamp, String)>,
    due_of: HashMap<String, Timestamp>,
    /// Sizes of rings by rollout and ring; a node that comes, goes or is labelled anew makes them void.
    sizes: RefCell<HashMap<(String, String), usize>>,
}

impl Books {
    /// A Node was written.
    pub fn node(&mut self, at: Timestamp, by: By, change: Change<'_, Node>) {
        let labels = |node: Option<&Arc<Node>>| node.map(|node| node.metadata.labels.clone());
        if labels(change.0) != labels(change.1) {
            self.sizes.get_mut().clear();
        }
        let Some(name) = change.1.or(change.0).and_then(|node| node.metadata.name.clone()) else { return };
        let Some(node) = change.1 else {
            self.nodes.remove(&name);
            self.unavailable.remove(&name);
            self.cordoned_by.remove(&name);
            return;
        };
        if available(node) {
            self.unavailable.remove(&name);
        } else {
            self.unavailable.entry(name.clone()).or_insert(at);
        }
        let before = change.0.and_then(|old| claim(old));
        // Whoever takes a claim over takes the node as it is, with its cordon.
        let taken_over = before.is_some() && claim(node).is_some() && before != claim(node);
        if !cordoned(node) {
            self.cordoned_by.remove(&name);
        } else if taken_over || !change.0.is_some_and(|old| cordoned(old)) {
            self.cordoned_by.insert(name.clone(), by);
        }
        self.nodes.insert(name, Arc::clone(node));
    }

    /// A `NodeUpdate` was written.
    pub fn update(&mut self, at: Timestamp, change: Change<'_, NodeUpdate>, truth: &dyn Truth) {
        let Some(update) = change.1.or(change.0) else { return };
        let (uid, node) = (uid(update).to_owned(), &update.spec.node_name);
        let works = change.1.is_some() && in_work(update);
        let there = self.in_work.entry(node.clone()).or_default();
        if works {
            there.insert(uid.clone());
        } else {
            there.remove(&uid);
        }
        if there.is_empty() {
            self.in_work.remove(node);
        }
        let went_on =
            change.0.is_none_or(|old| steps(old).len() != steps(update).len() || fleet::began(old, update).is_some());
        if !works || went_on {
            self.set_due(&uid, works.then(|| at + time_for(update) + PATIENCE));
        }
        if change.1.is_none() {
            self.updates.remove(&uid);
        } else if let Some(work) = self.updates.get_mut(&uid) {
            work.update = Arc::clone(update);
        } else {
            let restores = truth.restores(node);
            self.updates.insert(uid, Work { update: Arc::clone(update), restores });
        }
    }

    /// An `UpdateRollout` was written.
    pub fn rollout(&mut self, at: Timestamp, change: Change<'_, UpdateRollout>) {
        let Some(rollout) = change.1.or(change.0) else { return };
        let uid = rollout.metadata.uid.clone().unwrap_or_default();
        let ended = rollout.status.as_ref().is_some_and(|status| status.ended_at.is_some());
        if ended || change.1.is_none() {
            self.ended.entry(uid.clone()).or_insert(at);
        } else {
            self.ended.remove(&uid);
        }
        if rollout.status.as_ref().is_some_and(|status| status.state == RolloutState::Halted) {
            self.halted.entry(uid.clone()).or_insert(at);
        } else {
            self.halted.remove(&uid);
        }
        match change.1 {
            Some(rollout) => self.rollouts.insert(uid, Arc::clone(rollout)),
            None => self.rollouts.remove(&uid),
        };
    }

    /// An `UpdateHold` was written.
    pub fn hold(&mut self, at: Timestamp, change: Change<'_, UpdateHold>) {
        let Some(name) = change.1.or(change.0).and_then(|hold| hold.metadata.name.clone()) else { return };
        match change.1 {
            Some(hold) => _ = self.holds.insert(name, (at, Arc::clone(hold))),
            None => _ = self.holds.remove(&name),
        }
    }

    /// A `NodeSnapshot` was written.
    pub fn snapshot(&mut self, change: Change<'_, NodeSnapshot>) {
        match change {
            (_, Some(snapshot)) => _ = self.snapshots.insert(snapshot.spec.handle.clone(), Arc::clone(snapshot)),
            (Some(snapshot), None) => {
                self.snapshots.remove(&snapshot.spec.handle);
                if snapshot.spec.deletion_policy == DeletionPolicy::Retain {
                    self.retained.insert(snapshot.spec.handle.clone());
                }
            }
            (None, None) => {}
        }
    }

    /// A `SnapshotClass` was written.
    pub fn class(&mut self, change: Change<'_, SnapshotClass>) {
        let Some(name) = change.1.or(change.0).and_then(|class| class.metadata.name.clone()) else { return };
        match change.1 {
            Some(class) => _ = self.classes.insert(name, Arc::clone(class)),
            None => _ = self.classes.remove(&name),
        }
    }

    /// How many nodes a ring has.
    pub fn size(&self, rollout: &str, ring: &str, selector: &NodeSelector) -> usize {
        let count = || self.nodes.values().filter(|node| fleet::selected(selector, node)).count();
        *self.sizes.borrow_mut().entry((rollout.to_owned(), ring.to_owned())).or_insert_with(count)
    }

    /// That the rollout of a node which is to be installed has been halted for so long that it must be known.
    pub fn halted(&self, at: Timestamp, update: &NodeUpdate) -> Option<String> {
        let since = self.halted.get(&update.spec.rollout_uid).filter(|since| **since + KNOWN_AFTER < at)?;
        Some(format!("{} is to be installed, and its rollout is halted since {since}", update.spec.node_name))
    }

    /// The node updates in work on a node.
    pub fn works_on<'a>(&'a self, node: &str) -> impl Iterator<Item = &'a Work> {
        self.in_work.get(node).into_iter().flatten().filter_map(|uid| self.updates.get(uid))
    }

    /// The node updates that should have gone on by now; each is given once.
    pub fn overdue(&mut self, at: Timestamp) -> Vec<Check> {
        let mut late = Vec::new();
        while self.due.first().is_some_and(|(due, _)| *due < at) {
            let Some((due, uid)) = self.due.pop_first() else { break };
            self.due_of.remove(&uid);
            let name = self.updates.get(&uid).map_or(uid.as_str(), |work| fleet::name(&work.update));
            late.push((Invariant::Deadline, Some(format!("{name} has not gone on by {due}"))));
        }
        late
    }

    /// Snapshots at the provider that nobody has on record, or that should be gone.
    pub fn orphans(&self, at: Timestamp, truth: &dyn Truth) -> Vec<Check> {
        let check = |handle: String| (Invariant::Orphan, self.orphan(&handle, at, truth));
        truth.snapshots().into_iter().map(check).collect()
    }

    fn orphan(&self, handle: &str, at: Timestamp, truth: &dyn Truth) -> Option<String> {
        let Some(snapshot) = self.snapshots.get(handle) else {
            if self.retained.contains(handle) || self.classes.values().any(|class| is_left(class, handle)) {
                return None;
            }
            let machine = truth.snapshot_of(handle)?;
            // One that is being taken is on record once it is restorable.
            let taking = |work: &Work| steps(&work.update).iter().any(|record| record.step == Step::Snapshot);
            if self.works_on(&machine).any(taking) {
                return None;
            }
            // A step that ran out of time may leave one behind; by its mark, it is swept up once its time is over.
            let until = truth.unwanted_from(handle).map(|from| self.patient_until(from));
            return until
                .is_none_or(|until| until < at)
                .then(|| format!("snapshot {handle} of {machine} is on no record"));
        };
        let ended = *self.ended.get(&snapshot.spec.rollout_uid)?;
        let until = self.patient_until(ended + SignedDuration::from_secs(snapshot.spec.retain_seconds));
        (until < at).then(|| format!("snapshot {handle} of {} should be gone since {until}", snapshot.spec.node_name))
    }

    /// Until when something may stay at the provider that is not wanted from this time on.
    fn patient_until(&self, from: Timestamp) -> Timestamp {
        self.unanswered.map_or(from, |unanswered| unanswered.max(from)) + RETENTION_PATIENCE
    }

    fn set_due(&mut self, uid: &str, at: Option<Timestamp>) {
        if let Some(before) = self.due_of.remove(uid) {
            self.due.remove(&(before, uid.to_owned()));
        }
        if let Some(at) = at {
            self.due.insert((at, uid.to_owned()));
            self.due_of.insert(uid.to_owned(), at);
        }
    }
}

/// Whether people want a snapshot left that is on no record: because they keep all of them, or want to be told only, and are.
fn is_left(class: &SnapshotClass, handle: &str) -> bool {
    let conditions = class.status.iter().flat_map(|status| &status.conditions);
    // A text names the first ones, and says how many more there are.
    let names = |text: &str| text.contains(handle) || text.contains(" more");
    let told = || conditions.filter(|one| one.type_ == "Orphans").any(|one| names(&one.message));
    class.spec.deletion_policy == DeletionPolicy::Retain || class.spec.orphans == Orphans::Report && told()
}

/// The longest time that the policy gives a step.
fn time_for(update: &NodeUpdate) -> SignedDuration {
    let policy = &update.spec.policy;
    let mut times = vec![policy.drain.timeout, policy.verify.timeout];
    if let Some(in_place) = &policy.strategy.in_place {
        let install = &in_place.install;
        times.extend([install.stage_timeout, install.timeout, install.reboot_timeout]);
        times.extend([in_place.snapshot.timeout, in_place.snapshot.restore_timeout]);
    }
    let longest = times.into_iter().map(crate::api::Span::get).max().unwrap_or(Duration::ZERO);
    SignedDuration::try_from(longest).unwrap_or(SignedDuration::MAX)
}
