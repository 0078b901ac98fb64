//! A source that does not answer after the boot of an installation: where the build shows that the update is in, that is no
//! failure of the update; where it does not, it is waited for, or the end.

#![allow(clippy::expect_used, clippy::panic)] // Clippy does not know helpers of tests as tests.

mod common;

use common::{Answer, Machine, NEW, Offer, Operator};
use jiff::SignedDuration;
use std::time::Duration;
use windlass_protocol::{AgentPhase, ErrorClass, UpdateState, Verdict, exit};

const KB: &str = "KB5040437";

/// `WU_E_PT_HTTP_STATUS_NOT_FOUND`: permanent.
const NOT_FOUND: u32 = 0x8024_4019;

/// `WU_E_PT_WINHTTP_NAME_NOT_RESOLVED`: may pass.
const NO_NAME: u32 = 0x8024_402C;

/// A machine that has just booted after the installation.
fn booted(offers: Vec<Offer>) -> Operator {
    let set: Vec<&'static str> = offers.iter().map(|o| &*o.kb.to_string().leak()).collect();
    let mut op = Operator::new(Machine::new(offers), &set);
    assert_eq!(op.stage().expect("an answer").phase(), AgentPhase::Staged);
    assert!(op.arm(1, 1).is_none(), "the reboot takes the pod with it");
    op
}

fn without_build() -> Offer {
    Offer { target: None, ..Offer::new("KB5039227") }
}

/// The note on a search that was not heard, if there is one.
fn note(answer: &Answer) -> Option<&str> {
    let note = answer.report.checks.iter().find(|c| c.name == "rescan")?;
    assert_eq!(note.verdict, Verdict::Inconclusive);
    Some(&note.detail)
}

#[test]
fn a_source_that_is_gone_takes_no_update_back_that_the_build_shows() {
    for (code, least, most) in [(NOT_FOUND, 0, 1), (NO_NAME, 5, 7)] {
        let mut op = booted(vec![Offer::new(KB), without_build()]);
        op.machine.search_fails = vec![code; 1000];
        let begun = op.machine.now;
        let done = op.collect(true);
        assert_eq!(
            (done.code, done.phase(), done.report.build),
            (exit::DONE, AgentPhase::Done, NEW),
            "{}",
            done.error()
        );
        assert_eq!(done.report.error, None, "it is no failure");
        let note = note(&done).expect("and is told");
        assert!(note.starts_with("the build shows") && note.contains(&format!("{code:#010X}")), "{note}");
        let states: Vec<_> = done.report.updates.iter().map(|u| u.state).collect();
        assert_eq!(
            states,
            [UpdateState::Installed, UpdateState::PendingReboot],
            "nobody looked at the one without a build"
        );
        let took = op.machine.now.duration_since(begun).as_mins();
        assert!((least..=most).contains(&took), "{code:#X}: {took} minutes");
        assert!(!op.machine.disk.task && op.machine.disk.policy.no_auto_update.is_none(), "all is taken off");
    }
}

/// June 2024: an update after which nobody could search any more. It shows in the build like a good one.
#[test]
fn a_machine_that_can_not_search_any_more_has_failed_whatever_its_build() {
    for code in [0xA057_0001, 0xDEAD_BEEF] {
        let mut op = booted(vec![Offer::new(KB)]);
        op.machine.search_fails = vec![code];
        let end = op.collect(true);
        assert_eq!((end.code, end.phase()), (exit::PERMANENT, AgentPhase::Failed), "{code:#X}: {}", end.error());
    }
}

#[test]
fn a_search_that_does_not_end_takes_no_update_back_either() {
    let mut op = booted(vec![Offer::new(KB)]);
    op.machine.search_hangs = true;
    let begun = op.machine.now;
    let done = op.collect(true);
    assert_eq!(done.phase(), AgentPhase::Done, "{}", done.error());
    assert!(note(&done).is_some_and(|note| note.ends_with("search: it does not end")), "{:?}", note(&done));
    let took = op.machine.now.duration_since(begun);
    assert!(took >= SignedDuration::from_mins(5) && took < SignedDuration::from_mins(7), "{took}");
}

#[test]
fn a_source_that_is_late_is_heard() {
    let mut op = booted(vec![Offer::new(KB), without_build()]);
    op.machine.search_fails = vec![NO_NAME; 5];
    let done = op.collect(true);
    assert_eq!((done.phase(), note(&done)), (AgentPhase::Done, None), "{}", done.error());
    assert!(done.report.updates.iter().all(|u| u.state == UpdateState::Installed));
}

#[test]
fn where_the_build_shows_nothing_the_source_is_waited_for() {
    let mut op = booted(vec![without_build()]);
    // A try each half minute for three hours: more than any patience of the agent's own was.
    op.machine.search_fails = vec![NO_NAME; 360];
    op.pass(Duration::from_hours(3));
    assert_eq!(op.collect(false).phase(), AgentPhase::Rescan);
    let done = op.collect(true);
    assert_eq!((done.phase(), note(&done)), (AgentPhase::Done, None), "{}", done.error());
}

#[test]
fn where_the_build_shows_nothing_a_source_that_says_never_is_the_end() {
    type Change = fn(&mut Operator);
    let pending: Change = |op| op.machine.signals.packages_pending = true;
    let exclusive = Offer { exclusive: true, ..Offer::new(KB) };
    let cases: [(Vec<Offer>, Change); 3] = [
        (vec![without_build()], |_| ()),
        // A reboot is due: something is not in yet.
        (vec![Offer::new(KB)], pending),
        (vec![exclusive, without_build()], |op| op.machine.condition.silent.extend(["build"])),
    ];
    for (number, (offers, change)) in cases.into_iter().enumerate() {
        let mut op = booted(offers);
        change(&mut op);
        op.machine.search_fails = vec![NOT_FOUND];
        let end = op.collect(true);
        assert_eq!((end.code, end.phase()), (exit::PERMANENT, AgentPhase::Failed), "case {number}");
        assert!(end.error().contains("0x80244019"), "case {number}: {}", end.error());
    }
}

#[test]
fn a_source_that_stays_away_for_a_day_is_given_up() {
    let mut op = booted(vec![without_build()]);
    op.machine.search_fails = vec![NO_NAME; 10_000];
    op.pass(Duration::from_hours(23));
    assert_eq!(op.collect(false).phase(), AgentPhase::Rescan);
    op.pass(Duration::from_hours(2));
    let end = op.collect(false);
    assert_eq!((end.phase(), end.report.error.map(|e| e.class)), (AgentPhase::Failed, Some(ErrorClass::Retriable)));
}

/// Whether servicing is at work can not be asked while its services start: it is waited for as if it were.
#[test]
fn servicing_that_can_not_be_asked_after_a_boot_is_waited_for() {
    let mut op = booted(vec![Offer::new(KB)]);
    op.machine.condition.silent.insert("servicing_busy");
    let begun = op.machine.now;
    let done = op.collect(true);
    assert_eq!((done.phase(), note(&done)), (AgentPhase::Done, None), "{}", done.error());
    assert!(op.machine.now.duration_since(begun) >= SignedDuration::from_mins(10));
}
