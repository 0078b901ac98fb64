//! The auditor: looks on while a rollout is simulated, and finds what must never happen.
//!
//! It shares no code with what decides: it reads the objects that are written, keeps books of its own, and compares
//! them with the machines as they really are. A rule is checked when something happens that could break it.

mod approvals;
mod books;
mod ends;
mod eyes;
mod fleet;
mod holds;
mod nodes;
mod pods;
mod rollouts;
mod starts;
mod truth;
mod window;

#[cfg(test)]
mod tests;

pub use truth::Truth;

use crate::api::{DeletionPolicy, NodeSnapshot, NodeUpdate, SnapshotClass, UpdateApproval, UpdateHold, UpdateRollout};
use books::Books;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use std::fmt;
use std::sync::Arc;

/// What must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// The budget of a ring is never exceeded by us.
    Budget,
    /// Nothing is installed without a snapshot from which the machine can really be restored.
    Snapshot,
    /// No machine is snapshot, changed or rebooted with pods on it that had to leave.
    Drained,
    /// A node never has two owners.
    Owner,
    /// Nobody uncordons what somebody else cordoned.
    Uncordon,
    /// A node update that has ended leaves its node in service, or held with a reason.
    End,
    /// No state lasts for ever.
    Deadline,
    /// Nothing starts outside of a maintenance window.
    Window,
    /// Nothing starts that an `UpdateHold` keeps.
    Hold,
    /// All rings of a rollout get the pinned set, and nothing else.
    Pinned,
    /// No node gets another Windows version.
    FeatureUpgrade,
    /// Nobody reverts a machine that was not changed.
    NeedlessRevert,
    /// After a halt no new node starts, and nothing is installed on one that was not begun to be installed.
    StartAfterHalt,
    /// What was halted stays so until somebody says otherwise.
    Halt,
    /// `Reverted` means that the machine really was restored, was verified since, and has its old build.
    Revert,
    /// No ring starts behind one that waits for a person's word.
    Promotion,
    /// Nodes that took the update well are not reverted.
    GoodNode,
    /// No snapshot stays at the provider that nobody has on record, or for longer than it is retained, unless people want
    /// it so.
    Orphan,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// An invariant that was seen broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which.
    pub invariant: Invariant,
    /// When.
    pub at: Timestamp,
    /// What was seen, in one sentence.
    pub message: String,
}

/// Who wrote something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The operator.
    Operator,
    /// Anybody else: kubelets, controllers of Kubernetes, people.
    Others,
}

/// An object as it was and as it is; none is an object that is not there.
pub type Change<'a, K> = (Option<&'a Arc<K>>, Option<&'a Arc<K>>);

/// The auditor.
#[derive(Debug, Default)]
pub struct Auditor {
    books: Books,
    found: Vec<Breach>,
    checked: u64,
}

impl Auditor {
    /// What was found, in the order of time.
    pub fn found(&self) -> &[Breach] {
        &self.found
    }

    /// How many times a rule was checked.
    pub fn checked(&self) -> u64 {
        self.checked
    }

    /// A Node was written.
    pub fn node(&mut self, at: Timestamp, by: By, change: Change<'_, Node>) {
        self.time(at);
        let breaches = nodes::check(&self.books, by, change);
        self.add(at, breaches);
        self.books.node(at, by, change);
    }

    /// A Pod was written.
    pub fn pod(&mut self, at: Timestamp, change: Change<'_, Pod>) {
        self.time(at);
        self.books.pods.wrote(change);
    }

    /// A `NodeUpdate` was written.
    pub fn update(&mut self, at: Timestamp, change: Change<'_, NodeUpdate>, truth: &dyn Truth) {
        self.time(at);
        let mut breaches = Vec::new();
        match change {
            (None, Some(new)) => breaches.extend(starts::check(&self.books, at, new)),
            (Some(old), Some(new)) => breaches.extend(ends::check(&self.books, at, old, new, truth)),
            (_, None) => {}
        }
        self.add(at, breaches);
        self.books.update(at, change, truth);
    }

    /// An `UpdateRollout` was written.
    pub fn rollout(&mut self, at: Timestamp, change: Change<'_, UpdateRollout>) {
        self.time(at);
        if let (Some(old), Some(new)) = change {
            let breaches = rollouts::check(&mut self.books, at, old, new);
            self.add(at, breaches);
        }
        self.books.rollout(at, change);
    }

    /// A `NodeSnapshot` was written.
    pub fn snapshot(&mut self, at: Timestamp, change: Change<'_, NodeSnapshot>, truth: &dyn Truth) {
        self.time(at);
        if let (Some(old), None) = change {
            let deleted = old.spec.deletion_policy == DeletionPolicy::Delete;
            let there = deleted && truth.snapshot_of(&old.spec.handle).is_some();
            let message = || format!("snapshot {} is off the record, and still at the provider", old.spec.handle);
            self.add(at, vec![(Invariant::Orphan, there.then(message))]);
        }
        self.books.snapshot(change);
    }

    /// A `SnapshotClass` was written.
    pub fn class(&mut self, at: Timestamp, change: Change<'_, SnapshotClass>) {
        self.time(at);
        self.books.class(change);
    }

    /// An `UpdateHold` was written.
    pub fn hold(&mut self, at: Timestamp, change: Change<'_, UpdateHold>) {
        self.time(at);
        self.books.hold(at, change);
    }

    /// An `UpdateApproval` was written. One that the operator has made for itself is none.
    pub fn approval(&mut self, at: Timestamp, by: By, change: Change<'_, UpdateApproval>) {
        self.time(at);
        if let (None, Some(approval)) = change
            && by == By::Others
        {
            self.books.approvals.given(approval);
        }
    }

    /// A provider was asked to restore a node. The same key again, by an operator that is behind, restores nothing: it is told
    /// what came of the first time.
    pub fn restore(&mut self, at: Timestamp, node: &str, key: &str) {
        self.time(at);
        if !self.books.restores.insert(key.to_owned()) {
            return;
        }
        let breaches = ends::restore(&self.books, node);
        self.add(at, breaches);
    }

    /// A provider or the API server was asked for something, and did not answer; or a provider for a deletion, and was too
    /// busy.
    pub fn unanswered(&mut self, at: Timestamp) {
        self.time(at);
        self.books.unanswered = Some(at);
    }

    /// The simulation is over.
    pub fn end(&mut self, at: Timestamp, truth: &dyn Truth) {
        self.time(at);
        let breaches = self.books.orphans(at, truth);
        self.add(at, breaches);
    }

    /// Time has come to `at`: what should have gone on by now has not.
    fn time(&mut self, at: Timestamp) {
        let late = self.books.overdue(at);
        if !late.is_empty() {
            self.add(at, late);
        }
    }

    fn add(&mut self, at: Timestamp, checks: Vec<Check>) {
        self.checked += checks.len() as u64;
        let breach = |(invariant, message): Check| Some(Breach { invariant, at, message: message? });
        self.found.extend(checks.into_iter().filter_map(breach));
    }
}

/// A rule that was checked, and what was found, if something was.
type Check = (Invariant, Option<String>);
