//! The words users read about a rollout: one sentence that says where it stands and names who is to blame.
//!
//! Deterministic: what is named is the first by time, then by name; nothing in the text moves with the clock.

use super::census::RingCensus;
use super::fleet::{Fleet, UpdateSeen};
use super::gate::Hold;
use super::holds::{HeldBack, pausing};
use super::ring::Judged;
use super::rollout::Waiting;
use crate::api::{Outcome, RingState, RingStatus, RolloutState};
use jiff::Timestamp;

/// Longest reason of a rollout, in characters: the schema's bound.
pub const MAX_REASON: usize = 1024;

/// Longest text about a soak's failure, in characters: the schema's bound.
pub const MAX_FAILURE: usize = 512;

/// Names of later rings that a halt's sentence lists; of more it says how many.
const MAX_RINGS: usize = 3;

/// A rollout, judged: what its sentence is made of.
#[derive(Clone, Copy, Debug)]
pub struct Story<'s, 'a> {
    /// The facts.
    pub fleet: &'s Fleet<'a>,
    /// The rings, counted.
    pub census: &'s [RingCensus<'a>],
    /// The rings, judged.
    pub rings: &'s [Judged<'a>],
    /// Place of the ring in work.
    pub current: Option<usize>,
    /// The nodes of that ring that do not start.
    pub waiting: &'s [Waiting<'a>],
    /// How many start now.
    pub starts: usize,
}

/// Says why the rollout stands in this state.
pub fn reason(story: &Story<'_, '_>, state: RolloutState, now: Timestamp) -> Option<String> {
    let text = match state {
        RolloutState::Pending => return None,
        RolloutState::Running => running(story)?,
        RolloutState::Soaking => soaking(story)?,
        RolloutState::Paused => match pausing(story.fleet, now) {
            Some(hold) => format!("{}{}", HeldBack { hold, what: None }, still_in_work(story)),
            None => format!("paused by a person{}", still_in_work(story)),
        },
        RolloutState::Halted => halted(story)?,
        RolloutState::Completed => completed(story),
        RolloutState::Aborted if story.fleet.deleting => {
            format!("the rollout is being deleted{}", still_in_work(story))
        }
        RolloutState::Aborted => format!("aborted by a person{}", still_in_work(story)),
        RolloutState::Stalled => story.rings.iter().find_map(|ring| ring.stalled.as_ref())?.message.clone(),
    };
    Some(cut(&text, MAX_REASON))
}

fn running(story: &Story<'_, '_>) -> Option<String> {
    let ring = &story.rings.get(story.current?)?.plan;
    let counts = &ring.counts;
    let blocker = story.waiting.first().filter(|_| story.starts == 0);
    let more = match (counts.in_progress, blocker) {
        (0, None) => String::new(),
        (0, Some(first)) => format!("; {}", first.sentence()),
        (in_work, _) => format!(", {in_work} in work"),
    };
    Some(format!("ring {}: {} of {} nodes updated{more}", ring.name, counts.updated, counts.total))
}

impl Waiting<'_> {
    /// What holds the node back, as a sentence that names the node where the reason is the node's own.
    pub fn sentence(&self) -> String {
        let Self { node, on } = self;
        match on {
            Hold::Paused
            | Hold::UpdateHeld(_)
            | Hold::Ended
            | Hold::ProbesFail
            | Hold::Window(_)
            | Hold::ProviderAway { .. }
            | Hold::NodesVanished { .. }
            | Hold::Domain { .. }
            | Hold::Budget { .. } => on.to_string(),
            Hold::Predecessor { .. } => format!("{}: {on}", node.node.name),
            Hold::NotReady | Hold::Quarantined | Hold::Claimed { .. } | Hold::OwnNode => {
                format!("{} {on}", node.node.name)
            }
        }
    }
}

fn soaking(story: &Story<'_, '_>) -> Option<String> {
    let ring = story.fleet.status.rings.get(story.current?)?;
    let plan = &story.rings.get(story.current?)?.plan;
    let soak = &ring.revision.ring.soak;
    if story.rings.get(story.current?)?.awaits_approval {
        return Some(format!(
            "ring {} has soaked; the next one starts by an UpdateApproval Promote (status.gate)",
            ring.name
        ));
    }
    if story.census.get(story.current?)?.watched.is_empty() {
        return Some(format!("ring {} soaks, and waits for its updated nodes: other rollouts work on them", ring.name));
    }
    Some(match &plan.soak_failure {
        None => format!("ring {} soaks for {} after its last node", ring.name, soak.duration),
        Some(failure) => format!(
            "ring {} soaks, its probes have failed {} of at most {} times in a row: {failure}",
            ring.name, plan.soak_failures, soak.failure_threshold
        ),
    })
}

/// The story of a halt: the ring, the node that failed first and why, and what was spared.
fn halted(story: &Story<'_, '_>) -> Option<String> {
    let place = story.rings.iter().position(|ring| ring.plan.state == RingState::Halted)?;
    let (ring, census) = (&story.rings.get(place)?.plan, story.census.get(place)?);
    let why = match (&ring.soak_failure, census.failures.as_slice()) {
        (Some(failure), _) => format!("its soak failed {} times in a row: {failure}", ring.soak_failures),
        (None, [first, rest @ ..]) => culprit(first, rest.len()),
        // The node updates were deleted since: what was said of them is all that is left.
        (None, []) => return story.fleet.status.reason.clone(),
    };
    let spared = names(story.rings.get(place + 1..)?.iter().map(|ring| ring.plan.name));
    Some(format!("ring {}: {why}{spared}{}", ring.name, still_in_work(story)))
}

fn culprit(first: &UpdateSeen, more: usize) -> String {
    let more = match more {
        0 => String::new(),
        1 => " (and 1 more node)".to_owned(),
        n => format!(" (and {n} more nodes)"),
    };
    let what = match first.outcome {
        Some(Outcome::Updated) => {
            return format!("{} reboots by itself again and again since its update{more}", first.node);
        }
        Some(Outcome::Reverted) => "reverted",
        Some(Outcome::Held) => "held",
        Some(Outcome::NodeGone) => "was gone after its installation had begun",
        None => "is being reverted",
        Some(_) => "failed",
    };
    let why = first.reason.as_deref().or(first.reason_code.as_deref()).unwrap_or("for no reason it gives");
    format!("{} {what}: {why}{more}", first.node)
}

/// `; broad not started`, with so many names as a reader wants.
fn names<'a>(rings: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = rings.len();
    if count == 0 {
        return String::new();
    }
    let listed = rings.take(MAX_RINGS).collect::<Vec<_>>().join(", ");
    match count.saturating_sub(MAX_RINGS) {
        0 => format!("; {listed} not started"),
        n => format!("; {listed} and {n} more rings not started"),
    }
}

fn completed(story: &Story<'_, '_>) -> String {
    let sum = |of: fn(&RingCensus<'_>) -> i32| story.census.iter().map(of).sum::<i32>();
    let (updated, total) = (sum(|ring| ring.counts.updated), sum(|ring| ring.counts.total));
    let failed: Vec<_> = story.census.iter().flat_map(|ring| ring.failures.iter().chain(&ring.noise)).collect();
    let failures = failed.split_first().map(|(first, rest)| culprit(first, rest.len()));
    let skipped = Some(sum(|ring| ring.counts.skipped)).filter(|skipped| *skipped > 0);
    let updated = format!("{updated} of {total} nodes updated");
    let parts = [Some(updated), only_the_build(story), failures, skipped.map(|skipped| format!("{skipped} skipped"))];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// That nodes which had the build before were not looked at for updates that name no build (.NET, servicing stacks).
fn only_the_build(story: &Story<'_, '_>) -> Option<String> {
    let had: usize = story.census.iter().map(|ring| ring.had_build).sum();
    let others = story.fleet.status.pinned.iter().any(|set| set.expected_build.is_some() && set.updates.len() > 1);
    (had > 0 && others).then(|| format!("{had} had the build before and got none of the other updates"))
}

fn still_in_work(story: &Story<'_, '_>) -> String {
    match story.fleet.updates.iter().filter(|update| update.in_work()).count() {
        0 => String::new(),
        1 => "; 1 node still in work".to_owned(),
        n => format!("; {n} nodes still in work"),
    }
}

/// Says that a ring is through with fewer updated nodes than it must have, and why the first of them is not.
pub fn too_few_updated(ring: &RingStatus, census: &RingCensus<'_>) -> String {
    let least = ring.revision.ring.soak.min_updated;
    let example = match (census.failures.first().or(census.noise.first()), census.first_skip) {
        (Some(failed), _) => format!("; {}", culprit(failed, census.failures.len() + census.noise.len() - 1)),
        (None, Some((node, skip))) => format!("; {node} is skipped: {skip}"),
        (None, None) if census.counts.total == 0 => "; it has no Windows node".to_owned(),
        (None, None) => String::new(),
    };
    let text = format!("ring {}: {} of at least {least} nodes updated{example}", ring.name, census.counts.updated);
    cut(&text, MAX_REASON)
}

/// Says that the nodes a ring has updated have all gone, so that nothing is left to watch.
pub fn nothing_left_to_soak(ring: &RingStatus, census: &RingCensus<'_>) -> String {
    format!("ring {}: none of its {} updated nodes is left to soak", ring.name, census.updated_by_us)
}

/// Says that a ring lets no node start.
pub fn budget_zero(ring: &RingStatus) -> String {
    let limit = ring.revision.ring.batch.max_unavailable;
    format!(
        "ring {}: batch.maxUnavailable is {limit}, so no node may start; a new rollout takes an edited ring",
        ring.name
    )
}

/// Says that the nodes a person has to look at take up all of a ring's budget.
pub fn budget_held(ring: &RingStatus, census: &RingCensus<'_>) -> String {
    let limit = ring.revision.ring.batch.max_unavailable;
    let example = census.held.split_first().map(|(first, rest)| culprit(first, rest.len())).unwrap_or_default();
    let text = format!("ring {}: held nodes take up its budget (maxUnavailable {limit}); {example}", ring.name);
    cut(&text, MAX_REASON)
}

/// Cuts a text to so many characters, the last of them `…` when something is missing.
pub fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}
