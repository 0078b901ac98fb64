//! What the agent's reports mean for a step. Pure.

use crate::api::{Step, StepDetail};
use crate::domain::{Expiry, Intent, NO_REBOOT, StepKey, StepResult};
use jiff::Timestamp;
use windlass_protocol::{AgentPhase, AutomaticUpdates, Command, DiskIdentity, ErrorClass, Progress, Report, Source};

/// The two values that prove a restore: A is on the disk before the snapshot, B only after it. They are made of the
/// node update alone, so that every attempt of every step knows them.
pub(super) fn nonces(uid: &str) -> (String, String) {
    // Attempt 0 is no step's: these are nobody's challenges.
    let nonce = |step| StepKey { node_update_uid: uid.to_owned(), step, round: 0, attempt: 0 }.digest();
    (nonce(Step::Stage), nonce(Step::Install))
}

/// The command that downloads the pinned set.
pub(super) fn stage(intent: &Intent) -> Command {
    let (nonce_a, _) = nonces(&intent.uid);
    let automatic_updates = AutomaticUpdates::Take;
    Command::Stage { source: Source::WindowsUpdate, updates: intent.updates.clone(), nonce_a, automatic_updates }
}

/// The KBs of the pinned set, in words.
pub(super) fn kbs(intent: &Intent) -> String {
    let mut kbs: Vec<_> = intent.updates.iter().map(|u| u.kb).collect();
    kbs.sort_unstable();
    kbs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What the answer to `stage` means.
pub(super) fn staged(report: &Report, intent: &Intent, now: Timestamp) -> StepResult {
    match report.progress {
        Progress::Done => {
            let end = report.identity.and_then(Expiry::of);
            if let Some(why) = end.and_then(|end| end.too_soon(now, intent.time_to_drain_and_restore())) {
                // What ends is renewed by the machine itself, sooner or later.
                return StepResult::retriable(format!("a snapshot would not count long enough: {why}"));
            }
            let untold = report.checks.iter().filter(|check| check.name == DiskIdentity::CHECK);
            let message = untold.fold(format!("downloaded {}", kbs(intent)), |m, c| format!("{m}; {}", c.detail));
            StepResult::Done { handle: end.map(|end| end.to_string()), message, more: false }
        }
        Progress::InProgress | Progress::RebootNeeded => {
            StepResult::retriable(format!("the agent stopped at {:?} before the download was complete", report.phase))
        }
        Progress::Failed => failed(report, false),
    }
}

/// What the answer to `arm` or `collect` means for an installation. `last` says that no attempt follows this one.
///
/// Whether the machine rebooted is told by the agent's own count of boots since it was armed: the Node object may still
/// show the boot before, when the API server was away meanwhile.
pub(super) fn installed(report: &Report, last: bool) -> StepResult {
    use AgentPhase as P;
    match (report.progress, report.phase) {
        (Progress::Failed, _) | (_, P::Failed | P::Unknown) => failed(report, last),
        (Progress::RebootNeeded, _) => StepResult::retriable(
            "installed up to a reboot, but the leave to reboot ran out before the machine was idle",
        ),
        (_, P::Done | P::MoreToInstall) => {
            let handle = (report.boots == 0).then(|| NO_REBOOT.to_owned());
            StepResult::Done { handle, message: "installed".to_owned(), more: false }
        }
        (_, P::RebootRequested | P::PostBoot | P::Rescan) => StepResult::done("installed up to a reboot"),
        (_, P::Idle | P::Preflight | P::Scan | P::Download | P::Staged) => {
            StepResult::retriable("the agent did not begin to install")
        }
        (_, P::Install) => StepResult::retriable("the agent stopped following its installation"),
    }
}

/// What the answer to `collect` means after a reboot; nothing yet where the machine goes down once more.
pub(super) fn rebooted(report: &Report) -> Option<StepResult> {
    use AgentPhase as P;
    Some(match (report.progress, report.phase) {
        (Progress::Failed, _) | (_, P::Failed | P::Unknown) => failed(report, false),
        (Progress::RebootNeeded, _) => {
            StepResult::failed("another reboot is wanted, and the leave for it ran out before the machine was idle")
        }
        (Progress::InProgress, P::RebootRequested) => return None,
        (_, P::MoreToInstall) => {
            let message = "more of the pinned set wants installing".to_owned();
            StepResult::Done { handle: None, message, more: true }
        }
        _ => StepResult::done(format!("booted, build {}", report.build)),
    })
}

/// What a failure that the agent reports means. Of a machine that was changed, only what may pass is tried again; one
/// that was not changed needs no revert, and is said to be untouched when nothing more is tried.
fn failed(report: &Report, last: bool) -> StepResult {
    let class = report.error.as_ref().map(|e| e.class);
    let detail = match class {
        Some(ErrorClass::RebootFirst) if !report.mutated => Some(StepDetail::RebootFirst),
        Some(ErrorClass::NotOffered) if !report.mutated => Some(StepDetail::NotOffered),
        Some(ErrorClass::Retriable) if !last || report.mutated => Some(StepDetail::Retriable),
        _ if !report.mutated => Some(StepDetail::Untouched),
        _ => None,
    };
    StepResult::Failed { detail, message: reason(report) }
}

/// Why the agent failed, in its own words.
pub(super) fn reason(report: &Report) -> String {
    match &report.error {
        Some(error) => match error.hresult {
            Some(code) => format!("{} (0x{code:08X})", error.message),
            None => error.message.clone(),
        },
        None => format!("the agent failed at {:?} and does not say why", report.phase),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::api::SnapshotLimit;
    use std::time::Duration;
    use windlass_protocol::{AgentError, Build, HostCheck, Nonces, RebootSignals, Ticket, VERSION, Verdict};

    pub(crate) fn report(progress: Progress, phase: AgentPhase) -> Report {
        let ticket =
            Ticket { node_update_uid: "u".into(), step: "Install".into(), round: 1, attempt: 1, challenge: "c".into() };
        Report {
            version: VERSION,
            agent_version: "0".into(),
            ticket,
            node: "win-7".into(),
            phase,
            progress,
            mutated: false,
            build: Build::new(10, 0, 20348, 2527),
            boots: 0,
            nonces: Nonces::default(),
            armed: false,
            reboot: RebootSignals::default(),
            updates: vec![],
            offered: vec![],
            checks: vec![],
            identity: None,
            error: None,
            at: jiff::Timestamp::UNIX_EPOCH,
            omitted: 0,
        }
    }

    fn failure(class: ErrorClass, mutated: bool) -> Report {
        let error = AgentError { class, message: "because".into(), hresult: Some(0x8024_2006) };
        Report { mutated, error: Some(error), ..report(Progress::Failed, AgentPhase::Failed) }
    }

    #[test]
    fn what_is_staged_keeps_when_its_snapshot_ends_to_count_or_fails_by_it() {
        let intent = crate::plan::node::tests::intent();
        let now = Timestamp::from_second(1_800_000_000).expect("a time");
        let needed = intent.time_to_drain_and_restore();
        let staged_with = |until: Option<Timestamp>| {
            let identity = Some(DiskIdentity { kubelet_certificate: until, machine_password: None });
            staged(&Report { identity, ..report(Progress::Done, AgentPhase::Staged) }, &intent, now)
        };
        let StepResult::Done { handle, .. } = staged_with(Some(now + needed)) else { panic!("it fits") };
        let kept: Expiry = handle.expect("kept").parse().expect("an end");
        assert_eq!((kept.at, kept.by), (now + needed, SnapshotLimit::KubeletCertificate));
        assert!(matches!(staged_with(None), StepResult::Done { handle: None, .. }), "nothing ends");
        let unread = HostCheck {
            name: DiskIdentity::CHECK.into(),
            verdict: Verdict::Inconclusive,
            value: String::new(),
            threshold: String::new(),
            detail: "the certificate is not known".into(),
        };
        let untold = Report { checks: vec![unread], ..report(Progress::Done, AgentPhase::Staged) };
        let StepResult::Done { message, .. } = staged(&untold, &intent, now) else { panic!("nothing ends") };
        assert!(message.ends_with("; the certificate is not known"), "{message}");
        let StepResult::Failed { detail, message } = staged_with(Some(now + needed - Duration::from_secs(1))) else {
            panic!("a second too short")
        };
        assert_eq!(detail, Some(StepDetail::Retriable));
        assert!(message.contains("client certificate") && message.contains("may take"), "{message}");
    }

    #[test]
    fn a_failure_is_told_by_class_and_by_what_was_changed() {
        use ErrorClass::{Configuration, DiskFull, NotOffered, Permanent, RebootFirst, Retriable};
        for (class, mutated, last, want) in [
            (Retriable, false, false, Some(StepDetail::Retriable)),
            (Retriable, false, true, Some(StepDetail::Untouched)),
            (Retriable, true, false, Some(StepDetail::Retriable)),
            (Retriable, true, true, Some(StepDetail::Retriable)),
            (RebootFirst, false, false, Some(StepDetail::RebootFirst)),
            (NotOffered, false, true, Some(StepDetail::NotOffered)),
            // The planner gives such a node back at once: never one that was changed.
            (NotOffered, true, true, None),
            (RebootFirst, true, false, None),
            (Permanent, false, false, Some(StepDetail::Untouched)),
            (Permanent, true, false, None),
            (DiskFull, true, false, None),
            (Configuration, false, false, Some(StepDetail::Untouched)),
        ] {
            let StepResult::Failed { detail, message } = installed(&failure(class, mutated), last) else {
                panic!("{class:?} is a failure");
            };
            assert_eq!(detail, want, "{class:?}, mutated {mutated}, last {last}");
            assert_eq!(message, "because (0x80242006)");
        }
    }

    #[test]
    fn an_installation_says_whether_a_boot_follows() {
        let handle = |progress, phase, boots| match installed(&Report { boots, ..report(progress, phase) }, false) {
            StepResult::Done { handle, .. } => handle,
            other => panic!("{other:?}"),
        };
        assert_eq!(handle(Progress::InProgress, AgentPhase::RebootRequested, 0), None);
        assert_eq!(handle(Progress::Done, AgentPhase::Done, 0).as_deref(), Some(NO_REBOOT));
        // The pod that asks may see the boot before the Node object shows it: that one is still waited for.
        assert_eq!(handle(Progress::Done, AgentPhase::Done, 1), None);
        assert_eq!(handle(Progress::Done, AgentPhase::MoreToInstall, 1), None);
    }

    #[test]
    fn an_installation_that_stopped_half_way_is_tried_again() {
        for (progress, phase) in [
            (Progress::RebootNeeded, AgentPhase::RebootRequested),
            (Progress::Done, AgentPhase::Staged),
            (Progress::Done, AgentPhase::Idle),
            (Progress::InProgress, AgentPhase::Install),
        ] {
            let result = installed(&report(progress, phase), false);
            assert!(matches!(result, StepResult::Failed { detail: Some(StepDetail::Retriable), .. }), "{phase:?}");
        }
    }

    #[test]
    fn after_a_reboot_more_may_want_installing() {
        use AgentPhase::{Done, MoreToInstall, RebootRequested};
        let more = |phase| match rebooted(&report(Progress::Done, phase)) {
            Some(StepResult::Done { more, .. }) => more,
            other => panic!("{other:?}"),
        };
        assert!(more(MoreToInstall));
        assert!(!more(Done));
        assert!(matches!(rebooted(&failure(ErrorClass::Permanent, true)), Some(StepResult::Failed { .. })));
        assert_eq!(rebooted(&report(Progress::InProgress, RebootRequested)), None, "it goes down once more");
        let no_leave = rebooted(&report(Progress::RebootNeeded, RebootRequested));
        assert!(matches!(no_leave, Some(StepResult::Failed { .. })), "{no_leave:?}");
    }

    #[test]
    fn the_two_proofs_differ_by_node_update_and_from_each_other() {
        let ((a, b), (other, _)) = (nonces("u"), nonces("v"));
        assert!(a != b && a != other);
    }
}
