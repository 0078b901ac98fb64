//! What a `NodeUpdate` may begin, and how it may end.

use super::books::Books;
use super::fleet::{began, claim, cordoned, harmless, in_work, name, steps, uid};
use super::{By, Check, Invariant, Truth, holds};
use crate::api::{NodeUpdate, Outcome, Step, StepPhase};
use jiff::Timestamp;
use windlass_protocol::Build;

/// Looks at a `NodeUpdate` that was changed.
pub fn check(books: &Books, at: Timestamp, old: &NodeUpdate, new: &NodeUpdate, truth: &dyn Truth) -> Vec<Check> {
    let mut checks = Vec::new();
    let begun = began(old, new).map(|record| record.step);
    if matches!(begun, Some(Step::Snapshot | Step::Install | Step::Reboot)) {
        checks.push((Invariant::Drained, books.pods.left(new)));
    }
    match begun {
        Some(Step::Install) => {
            checks.push((Invariant::Snapshot, no_snapshot(at, new, truth)));
            if is_first_install(new) {
                checks.push((Invariant::StartAfterHalt, books.halted(at, new)));
                checks.push((Invariant::Hold, holds::held(books, at, new)));
            }
        }
        Some(Step::Restore) => checks.push((Invariant::NeedlessRevert, needless(new))),
        _ => {}
    }
    let outcome = new.status.as_ref().and_then(|status| status.outcome);
    if let Some(outcome) = outcome.filter(|_| in_work(old)) {
        checks.push((Invariant::End, end(books, new, outcome)));
        match outcome {
            Outcome::Reverted => checks.push((Invariant::Revert, not_reverted(books, new, truth))),
            Outcome::Updated => {
                checks.push((Invariant::FeatureUpgrade, other_windows(new, truth)));
                checks.push((Invariant::End, not_updated(new, truth)));
            }
            _ => {}
        }
    }
    checks
}

/// A provider was asked to restore a node: some update of it is on its way back.
pub fn restore(books: &Books, node: &str) -> Vec<Check> {
    let going_back = books.works_on(node).any(|work| {
        steps(&work.update)
            .last()
            .is_some_and(|record| record.step == Step::Restore && record.phase == StepPhase::Started)
    });
    let message = || format!("{node} is restored, and no update of it is on its way back");
    vec![(Invariant::GoodNode, (!going_back).then(message))]
}

/// Whether nothing was installed before: then there is still time to leave the machine as it is.
fn is_first_install(update: &NodeUpdate) -> bool {
    steps(update).iter().filter(|record| record.step == Step::Install).count() == 1
}

fn no_snapshot(at: Timestamp, update: &NodeUpdate, truth: &dyn Truth) -> Option<String> {
    let node = &update.spec.node_name;
    let taken =
        |record: &&crate::api::StepRecord| record.step == Step::Snapshot && record.phase == StepPhase::Succeeded;
    let handle = steps(update).iter().rev().find(taken).and_then(|record| record.handle.clone());
    let Some(handle) = handle else { return Some(format!("{node} is installed without a snapshot")) };
    let good = truth.snapshot_of(&handle).as_ref() == Some(node) && truth.restorable(&handle, at);
    (!good).then(|| format!("{node} is installed, and can not be restored from {handle}"))
}

fn needless(update: &NodeUpdate) -> Option<String> {
    let mut installs = steps(update).iter().filter(|record| record.step == Step::Install);
    installs.all(harmless).then(|| format!("{} is restored, and nothing was installed", update.spec.node_name))
}

/// The node is in service as far as we are concerned, or held with a reason.
fn end(books: &Books, update: &NodeUpdate, outcome: Outcome) -> Option<String> {
    let (node_name, uid) = (&update.spec.node_name, uid(update));
    let node = books.nodes.get(node_name).filter(|node| node.metadata.uid.as_deref() == Some(&update.spec.node_uid));
    let reason = update.status.as_ref().and_then(|status| status.reason.as_deref()).unwrap_or_default();
    let what = match outcome {
        Outcome::NodeGone => return None,
        Outcome::Held if reason.is_empty() => "is held without a reason",
        // A node that registered anew is looked at under its new UID. One that somebody else has claimed is theirs.
        Outcome::Held => match books.nodes.get(node_name) {
            Some(node) if !cordoned(node) && claim(node).is_none_or(|holder| holder == uid) => "is held and takes work",
            _ => return None,
        },
        _ if node.is_some_and(|node| claim(node) == Some(uid)) => "is still claimed",
        _ if node.is_some_and(|node| cordoned(node)) && is_ours(books, update) => "is still cordoned by us",
        Outcome::Updated | Outcome::Aborted => return None,
        _ if reason.is_empty() => "does not say why",
        _ => return None,
    };
    Some(format!("{} ended as {outcome:?}, and {node_name} {what}", name(update)))
}

/// Whether the cordon is the operator's, for this update: none other is in work on the node.
fn is_ours(books: &Books, update: &NodeUpdate) -> bool {
    let others = books.works_on(&update.spec.node_name).any(|work| uid(&work.update) != uid(update));
    let kept = books.nodes.get(&update.spec.node_name).is_some_and(|node| super::fleet::keeps_cordon(node));
    books.cordoned_by.get(&update.spec.node_name) == Some(&By::Operator) && !others && !kept
}

fn not_reverted(books: &Books, update: &NodeUpdate, truth: &dyn Truth) -> Option<String> {
    let node = &update.spec.node_name;
    let before = books.updates.get(uid(update)).map_or(0, |work| work.restores);
    if truth.restores(node) <= before {
        return Some(format!("{node} is said to be reverted, and was never restored"));
    }
    let succeeded =
        |step| steps(update).iter().rposition(|record| record.step == step && record.phase == StepPhase::Succeeded);
    if succeeded(Step::VerifyRestored) <= succeeded(Step::Restore) {
        return Some(format!("{node} is said to be reverted, and nobody has looked at it since it was restored"));
    }
    let (build, wanted) = (truth.build(node), update.spec.from_build.parse::<Build>().ok());
    (build != wanted).then(|| format!("{node} is said to be reverted to {}, and has {build:?}", update.spec.from_build))
}

fn not_updated(update: &NodeUpdate, truth: &dyn Truth) -> Option<String> {
    let (node, to) = (&update.spec.node_name, update.spec.to_build.parse::<Build>().ok());
    let build = truth.build(node)?;
    to.is_some_and(|to| build < to)
        .then(|| format!("{node} is said to be updated to {}, and has {build}", update.spec.to_build))
}

fn other_windows(update: &NodeUpdate, truth: &dyn Truth) -> Option<String> {
    let node = &update.spec.node_name;
    let from = update.spec.from_build.parse::<Build>().ok();
    let build = truth.build(node)?;
    from.is_some_and(|from| !from.same_os(build))
        .then(|| format!("{node} was {} and has {build} now", update.spec.from_build))
}
