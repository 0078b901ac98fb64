//! Whether a node may start: looked at when its `NodeUpdate` is made.

use super::books::Books;
use super::fleet::{self, selected, uid};
use super::{Check, Invariant, holds, window};
use crate::api::{IntOrPercent, NodeUpdate, RingStatus, RolloutState, UpdateRolloutStatus};
use jiff::{SignedDuration, Timestamp};
use windlass_protocol::Build;

/// How long something must have been so before everybody has to know: stores lag behind.
pub const KNOWN_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// Looks at a node that starts.
pub fn check(books: &Books, at: Timestamp, update: &NodeUpdate) -> Vec<Check> {
    let spec = &update.spec;
    let mut checks = vec![(Invariant::Owner, owner(books, update)), (Invariant::FeatureUpgrade, upgrade(update))];
    let status = books.rollouts.get(&spec.rollout_uid).and_then(|rollout| rollout.status.as_ref());
    let Some(status) = status else {
        checks.push((Invariant::Pinned, Some(format!("{} starts for a rollout that is not there", spec.node_name))));
        return checks;
    };
    checks.push((Invariant::StartAfterHalt, halted(status, update)));
    checks.push((Invariant::Pinned, pinned(status, update)));
    checks.push((Invariant::Promotion, books.approvals.unpromoted(&spec.rollout_uid, status, &spec.ring)));
    checks.push((Invariant::Hold, holds::held(books, at, update)));
    if let Some(ring) = status.rings.iter().find(|ring| ring.name == spec.ring) {
        checks.push((Invariant::Budget, budget(books, at, ring, update)));
        let closed = spec.policy.maintenance.as_ref().is_some_and(|maintenance| !window::open(maintenance, at));
        let message = || format!("{} starts at {at}, outside of the windows of ring {}", spec.node_name, ring.name);
        checks.push((Invariant::Window, closed.then(message)));
    }
    checks
}

fn owner(books: &Books, update: &NodeUpdate) -> Option<String> {
    let other = books.works_on(&update.spec.node_name).next()?;
    Some(format!("{} starts, and {} is in work on it", update.spec.node_name, fleet::name(&other.update)))
}

fn upgrade(update: &NodeUpdate) -> Option<String> {
    let (from, to) = (&update.spec.from_build, &update.spec.to_build);
    let os = |build: &str| build.rsplit_once('.').map(|(os, _)| os.to_owned());
    (os(from) != os(to)).then(|| format!("{} is to go from {from} to {to}", update.spec.node_name))
}

fn halted(status: &UpdateRolloutStatus, update: &NodeUpdate) -> Option<String> {
    let stopped = matches!(status.state, RolloutState::Halted | RolloutState::Aborted | RolloutState::Completed);
    stopped.then(|| format!("{} starts, and its rollout is {:?}", update.spec.node_name, status.state))
}

fn pinned(status: &UpdateRolloutStatus, update: &NodeUpdate) -> Option<String> {
    let spec = &update.spec;
    let set = status.pinned.iter().find(|set| spec.from_build.starts_with(&format!("{}.", set.os_build)));
    let same = set.is_some_and(|set| {
        set.updates == spec.updates && !set.updates.is_empty() && set.expected_build.as_ref() == Some(&spec.to_build)
    });
    let number = |text: &str| text.parse::<Build>().ok();
    let higher = number(&spec.from_build) < number(&spec.to_build);
    (!same || !higher)
        .then(|| format!("{} gets {}, which is not what was pinned for it", spec.node_name, spec.to_build))
}

/// With this node, no more of the ring are in work than its budget, and no more are away than were or may be.
fn budget(books: &Books, at: Timestamp, ring: &RingStatus, update: &NodeUpdate) -> Option<String> {
    let spec = &update.spec;
    let selector = &ring.revision.ring.node_selector;
    let limit = match ring.revision.ring.batch.max_unavailable {
        IntOrPercent::Nodes(nodes) => nodes as usize,
        IntOrPercent::Percent(0) => 0,
        IntOrPercent::Percent(percent) => {
            (books.size(&spec.rollout_uid, &ring.name, selector) * percent as usize / 100).max(1)
        }
    };
    let ours = |name: &&String| {
        books.works_on(name).any(|work| {
            let other = &work.update.spec;
            uid(&work.update) != uid(update) && other.rollout_uid == spec.rollout_uid && other.ring == spec.ring
        })
    };
    let mut away: Vec<&String> = books.in_work.keys().filter(ours).collect();
    if away.len() + 1 > limit {
        return Some(format!(
            "{} starts as number {} in ring {}, which allows {limit}",
            spec.node_name,
            away.len() + 1,
            ring.name
        ));
    }
    let long = books.unavailable.iter().filter(|(_, since)| **since + KNOWN_AFTER < at).map(|(name, _)| name);
    let of_ring = |name: &&String| books.nodes.get(*name).is_some_and(|node| selected(selector, node));
    away.extend(long.filter(of_ring));
    away.sort_unstable();
    away.dedup();
    let more = !away.contains(&&spec.node_name);
    (more && away.len() + 1 > limit).then(|| {
        format!(
            "{} starts in ring {}, which allows {limit}, and {} are away: {away:?}",
            spec.node_name,
            ring.name,
            away.len()
        )
    })
}
