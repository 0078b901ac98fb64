//! Reading objects, in the plainest way.

use crate::api::{
    CLAIMED_BY, KEEP_CORDONED, NodeSelector, NodeUpdate, SelectorOperator, StepDetail, StepPhase, StepRecord,
};
use k8s_openapi::api::core::v1::Node;

/// The node's claim.
pub fn claim(node: &Node) -> Option<&str> {
    node.metadata.annotations.as_ref()?.get(CLAIMED_BY).map(String::as_str)
}

/// Whether a person wants the node to stay cordoned.
pub fn keeps_cordon(node: &Node) -> bool {
    node.metadata.annotations.as_ref().and_then(|all| all.get(KEEP_CORDONED)).is_some_and(|value| value != "false")
}

/// Whether the node is cordoned.
pub fn cordoned(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true)
}

/// Whether the node can take work.
pub fn available(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    !cordoned(node) && conditions.into_iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True")
}

/// Whether a Windows node has the labels that a ring wants.
pub fn selected(selector: &NodeSelector, node: &Node) -> bool {
    let label = |name: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(name));
    label("kubernetes.io/os").is_some_and(|os| os == "windows")
        && selector.match_labels.iter().all(|(name, value)| label(name) == Some(value))
        && selector.match_expressions.iter().all(|wanted| {
            let found = label(&wanted.key);
            match wanted.operator {
                SelectorOperator::Exists => found.is_some(),
                SelectorOperator::DoesNotExist => found.is_none(),
                SelectorOperator::In => found.is_some_and(|value| wanted.values.contains(value)),
                SelectorOperator::NotIn => !found.is_some_and(|value| wanted.values.contains(value)),
            }
        })
}

/// The object's UID.
pub fn uid(update: &NodeUpdate) -> &str {
    update.metadata.uid.as_deref().unwrap_or_default()
}

/// The object's name.
pub fn name(update: &NodeUpdate) -> &str {
    update.metadata.name.as_deref().unwrap_or_default()
}

/// The log.
pub fn steps(update: &NodeUpdate) -> &[StepRecord] {
    update.status.as_ref().map_or(&[], |status| &status.steps)
}

/// Whether it goes on.
pub fn in_work(update: &NodeUpdate) -> bool {
    update.status.as_ref().is_none_or(|status| status.outcome.is_none())
}

/// The step that is in work now and was not before.
pub fn began<'a>(old: &NodeUpdate, new: &'a NodeUpdate) -> Option<&'a StepRecord> {
    let same = |a: &StepRecord, b: &StepRecord| (a.step, a.round, a.attempt) == (b.step, b.round, b.attempt);
    let now = steps(new).last().filter(|record| record.phase == StepPhase::Started)?;
    let before = steps(old).last().filter(|record| record.phase == StepPhase::Started);
    (!before.is_some_and(|before| same(before, now))).then_some(now)
}

/// Whether an attempt ended before it had changed anything.
pub fn harmless(record: &StepRecord) -> bool {
    use StepDetail::{NotOffered, RebootFirst, Untouched};
    record.phase == StepPhase::Failed && matches!(record.detail, Some(Untouched | NotOffered | RebootFirst))
}
