//! What is known of a rollout beyond its status. Without it, after a restart, some things are asked once more.

use crate::api::{NodeUpdate, UpdateRollout, UpdateRolloutStatus};
use crate::domain::NodeState;
use crate::observe::Reading;
use crate::plan::fleet::{SoakObservation, SoakSeen, UpdateSeen};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a store may lag behind our own write before it is believed that the object was deleted meanwhile.
const LAG: Duration = Duration::from_mins(1);

/// How long a status waits, in seconds, in which nothing is new but numbers.
const COUNTS_WAIT: Duration = Duration::from_secs(3);

/// What is known of all rollouts, by UID.
#[derive(Default)]
pub struct Memories(Mutex<HashMap<String, Shared>>);

type Shared = Arc<tokio::sync::Mutex<Memory>>;

impl Memories {
    /// What is known of the rollout with this UID. It outlives a pass that is cut off.
    pub fn of(&self, uid: &str) -> Shared {
        let mut memories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(memories.entry(uid.to_owned()).or_default())
    }

    /// Forgets a rollout that has ended.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// All that is known but for this rollout's. Rollouts are taken one after the other, so none of them is locked.
    pub(super) fn others(&self, uid: &str) -> Vec<Shared> {
        let memories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memories.iter().filter(|(other, _)| *other != uid).map(|(_, memory)| Arc::clone(memory)).collect()
    }
}

/// What is known of one rollout.
#[derive(Default)]
pub struct Memory {
    /// Node updates that were made and that the store may not show yet, by name.
    made: BTreeMap<String, (UpdateSeen, Instant)>,
    /// How asking for the offered updates goes, by OS build.
    pub(super) scans: BTreeMap<String, Scan>,
    /// How the soak goes.
    pub(super) soak: Soak,
    /// What was read in the last pass: most of it is still so in the next.
    pub(super) read: Read,
    /// UIDs of the node updates whose pods were deleted.
    pub(super) tidied: HashSet<String>,
    last_pass: Option<Instant>,
    /// Since when a status is to be written in which only numbers are new.
    counts_since: Option<Instant>,
}

/// What was read of the stores.
#[derive(Default)]
pub struct Read {
    /// All Windows nodes. One that another rollout works on counts as claimed before its claim is written.
    pub nodes: Reading<Node, NodeState>,
    /// The node updates of the rollout.
    pub updates: Reading<NodeUpdate, UpdateSeen>,
}

/// Asking one OS build's nodes what they are offered.
#[derive(Clone, Debug)]
pub struct Scan {
    /// From 1; each attempt asks the next candidate.
    pub attempt: u32,
    /// Before this the attempt is not made.
    pub since: Timestamp,
    /// Why the last attempt failed.
    pub failure: Option<String>,
}

/// Probing of a soaking ring.
#[derive(Clone, Debug, Default)]
pub struct Soak {
    /// When the last probing was made.
    pub probed_at: Option<Timestamp>,
    /// Name of the node whose turn was the last.
    pub turn: Option<String>,
    /// A probing that no status counts yet.
    pub fresh: Option<SoakObservation>,
    /// The probing under way: its ring, and when it was begun.
    pub under_way: Option<(String, Timestamp)>,
}

impl Soak {
    /// As the planner sees it.
    pub fn seen(&self) -> SoakSeen<'_> {
        SoakSeen { probed_at: self.probed_at, turn: self.turn.as_deref(), fresh: self.fresh.as_ref() }
    }

    /// A status that counts the last probing is recorded.
    pub fn counted(&mut self) {
        if let Some(fresh) = self.fresh.take() {
            self.probed_at = Some(fresh.at);
        }
    }
}

impl Memory {
    /// How long to wait still, if the last pass is less than `apart` ago. Otherwise a pass begins.
    pub fn early(&mut self, apart: Duration) -> Option<Duration> {
        let left = self.last_pass.map(|last| apart.saturating_sub(last.elapsed())).filter(|left| !left.is_zero());
        if left.is_none() {
            self.last_pass = Some(Instant::now());
        }
        left
    }

    /// How long a status waits that says nothing new but numbers: nodes of a batch begin and end together, and a write
    /// for each of them would tell nobody more.
    pub fn counts_wait(&mut self, seen: &UpdateRolloutStatus, next: &UpdateRolloutStatus) -> Option<Duration> {
        let only_counts = seen != next && self.soak.fresh.is_none() && is_same_but_counts(seen, next);
        let since = only_counts.then(|| self.counts_since.unwrap_or_else(Instant::now));
        let left = since.map(|since| COUNTS_WAIT.saturating_sub(since.elapsed())).filter(|left| !left.is_zero());
        self.counts_since = left.and(since);
        left
    }

    /// Remembers a node update that was made.
    pub fn made(&mut self, update: &NodeUpdate) {
        self.made.insert(update.name_any(), (UpdateSeen::read(update), Instant::now()));
    }

    /// The node updates that were made and are not shown.
    pub fn not_shown(&mut self, is_shown: impl Fn(&str) -> bool) -> Vec<UpdateSeen> {
        self.made.retain(|name, (_, at)| at.elapsed() < LAG && !is_shown(name));
        self.made.values().map(|(update, _)| update.clone()).collect()
    }
}

/// Whether two statuses differ in numbers of nodes alone, and in the sentences that tell them.
fn is_same_but_counts(seen: &UpdateRolloutStatus, next: &UpdateRolloutStatus) -> bool {
    let mut seen = seen.clone();
    for (seen, next) in seen.rings.iter_mut().zip(&next.rings) {
        seen.counts = next.counts;
    }
    UpdateRolloutStatus { counts: next.counts, reason: next.reason.clone(), eta: next.eta.clone(), ..seen } == *next
}

/// The reference by which a rollout owns its node updates.
pub(super) fn uid_of(rollout: &UpdateRollout) -> String {
    rollout.uid().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Counts, RolloutState};

    fn status(in_progress: i32, reason: &str) -> UpdateRolloutStatus {
        let counts = Counts { in_progress, ..Counts::default() };
        UpdateRolloutStatus { counts, reason: Some(reason.to_owned()), ..UpdateRolloutStatus::default() }
    }

    #[test]
    fn numbers_wait_for_more_of_them_and_nothing_else_does() {
        let (before, after) = (status(1, "1 in work"), status(2, "2 in work"));
        let mut memory = Memory::default();
        assert!(memory.counts_wait(&before, &after).is_some_and(|wait| wait <= COUNTS_WAIT));
        memory.counts_since = Instant::now().checked_sub(COUNTS_WAIT);
        assert_eq!(memory.counts_wait(&before, &after), None, "they have waited long enough");
        assert!(memory.counts_wait(&before, &after).is_some(), "the next ones wait anew");
        assert_eq!(memory.counts_wait(&before, &before), None);
        let halted = UpdateRolloutStatus { state: RolloutState::Halted, ..after.clone() };
        assert_eq!(memory.counts_wait(&before, &halted), None);
        memory.soak.fresh =
            Some(SoakObservation { ring: "r".into(), at: Timestamp::UNIX_EPOCH, failures: vec![], passed: [].into() });
        assert_eq!(memory.counts_wait(&before, &after), None, "a probing is to be counted");
    }
}
