//! When a wait's sentence is worth a write. Pure.
//!
//! A write per changed number would cost more than the work itself. What a person may have to do something about is
//! written at once; the course of things only now and then; and what nearly always comes first is written together with
//! the step's beginning.

use crate::api::Step;
use crate::domain::{Intent, WaitingOn};
use jiff::{SignedDuration, Timestamp};
use std::mem::{Discriminant, discriminant};

/// How often the sentence about the course of things is written at most: a drain that nothing blocks is mostly over by
/// then, as pods have 30 s to end where they do not name another time (the API's default).
const COURSE: SignedDuration = SignedDuration::from_secs(45);
/// How often one that names a blocker is, while the kind of blocker stays the same.
const BLOCKER: SignedDuration = SignedDuration::from_secs(10);

/// What was written last about a wait.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Written {
    kind: Option<Discriminant<WaitingOn>>,
    at: Timestamp,
}

impl Written {
    /// Written now.
    pub(super) fn now(on: Option<&WaitingOn>, now: Timestamp) -> Self {
        Self { kind: on.map(discriminant), at: now }
    }
}

/// What a step that begins will nearly always wait for.
pub(super) fn expected(step: Step, intent: &Intent) -> Option<WaitingOn> {
    let kbs = || intent.updates.iter().map(|u| u.kb.to_string()).collect::<Vec<_>>().join(", ");
    match step {
        Step::Stage => Some(WaitingOn::Agent { doing: format!("downloading {}", kbs()) }),
        Step::Install => Some(WaitingOn::Agent { doing: format!("installing {}", kbs()) }),
        Step::Snapshot => Some(WaitingOn::Provider { doing: "snapshot".to_owned() }),
        Step::Restore => Some(WaitingOn::Provider { doing: "restore".to_owned() }),
        Step::Reboot | Step::VerifyRestored => Some(WaitingOn::Boot { node: intent.node.name.clone() }),
        Step::Verify => {
            let mut probes: Vec<_> = intent.policy.verify.probes.iter().map(|probe| probe.name.clone()).collect();
            probes.sort();
            Some(WaitingOn::Probes(probes))
        }
        Step::Preflight | Step::Cordon | Step::Drain | Step::Uncordon | Step::Hold => None,
    }
}

/// Whether the sentence `on` is worth a write now, where `shown` is what the status says.
pub(super) fn is_due(shown: Option<&str>, written: Option<&Written>, on: &WaitingOn, now: Timestamp) -> bool {
    if shown == Some(on.to_string().as_str()) {
        return false;
    }
    // After a restart nobody knows when the last write was.
    let Some(written) = written else { return true };
    let age = now.duration_since(written.at);
    if is_blocker(on) { written.kind != Some(discriminant(on)) || age >= BLOCKER } else { age >= COURSE }
}

/// Whether a person may have to do something about it.
fn is_blocker(on: &WaitingOn) -> bool {
    match on {
        WaitingOn::DisruptionBudget { .. }
        | WaitingOn::Volumes(_)
        | WaitingOn::ProviderRetry(_)
        | WaitingOn::Retry { .. }
        | WaitingOn::Claim { .. }
        | WaitingOn::Registration { .. }
        | WaitingOn::ApiServer(_) => true,
        WaitingOn::Agent { .. }
        | WaitingOn::PodsTerminating { .. }
        | WaitingOn::Provider { .. }
        | WaitingOn::Boot { .. }
        | WaitingOn::Settle
        | WaitingOn::Probes(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blockers_are_written_at_once_and_the_course_now_and_then() {
        let at = |seconds| Timestamp::from_second(seconds).expect("a time");
        let pods = |left| WaitingOn::PodsTerminating { left, first: "ns/a".into() };
        let budget = |pod: &str| WaitingOn::DisruptionBudget { budget: "shop/web".into(), pod: format!("shop/{pod}") };
        let begun = Written::now(None, at(0));
        let blocked = Written::now(Some(&budget("a")), at(0));
        let shown = pods(3).to_string();
        let cases = [
            (Some(shown.as_str()), None, pods(3), 100, false, "the same sentence"),
            (None, None, pods(3), 0, true, "unknown after a restart"),
            (None, Some(&begun), pods(3), 1, false, "the course, soon after the beginning"),
            (None, Some(&begun), pods(3), 45, true, "the course, later"),
            (None, Some(&begun), budget("a"), 1, true, "a blocker"),
            (None, Some(&blocked), budget("b"), 9, false, "the same kind of blocker"),
            (None, Some(&blocked), budget("b"), 10, true, "the same kind of blocker, later"),
            (None, Some(&blocked), WaitingOn::Volumes(vec![]), 1, true, "another kind of blocker"),
        ];
        for (shown, written, on, now, due, what) in cases {
            assert_eq!(is_due(shown, written, &on, at(now)), due, "{what}");
        }
    }
}
