//! Each finding of the preflight: what it says, and whether it forbids the work. What forbids it leaves the machine as it
//! was; what is told only changes nothing either.

#![allow(clippy::expect_used, clippy::panic)] // Clippy does not know helpers of tests as tests.

mod common;

use common::{Answer, Machine, Offer, Operator, request};
use jiff::{SignedDuration, Timestamp};
use windlass_agent::host::{BitLocker, StoreHealth};
use windlass_protocol::{
    AutomaticUpdates, Command, ErrorClass, ServiceState, Source,
    Verdict::{self, Fail, Inconclusive, Pass},
};

type Change = fn(&mut Machine);

/// What is wrong with the machine; verdict and detail of the check; the error that forbids the work, if it does.
type Case = (Change, Verdict, &'static str, Option<(ErrorClass, &'static str)>);

const AS_IT_IS: Change = |_| {};

fn stage(change: Change, automatic: AutomaticUpdates) -> (Operator, Answer) {
    let mut op = Operator::new(Machine::new(vec![Offer::new("KB5040437")]), &["KB5040437"]);
    change(&mut op.machine);
    let mut command = op.stage_command("a-1");
    if let Command::Stage { automatic_updates, .. } = &mut command {
        *automatic_updates = automatic;
    }
    let answer = op.pod(&request("Stage", 1, 1, command)).expect("an answer");
    (op, answer)
}

#[track_caller]
fn table(name: &str, automatic: AutomaticUpdates, cases: &[Case]) {
    for (number, (change, verdict, detail, forbids)) in cases.iter().enumerate() {
        let mut before = Machine::new(vec![]);
        change(&mut before);
        let (op, answer) = stage(*change, automatic);
        let found: Vec<_> = answer.report.checks.iter().filter(|c| c.name == name).collect();
        let told: Vec<_> = found.iter().map(|c| (c.verdict, c.detail.as_str())).collect();
        assert_eq!(told, [(*verdict, *detail)], "{name}, case {number}");
        let error = answer.report.error.as_ref().map(|e| (e.class, e.message.as_str()));
        assert_eq!(error, *forbids, "{name}, case {number}");
        assert!(!answer.report.mutated && !answer.report.armed);
        if forbids.is_some() {
            assert_eq!(op.machine.disk.policy, before.disk.policy, "{name}, case {number}: nothing was taken");
            assert!(op.machine.disk.downloaded.is_empty(), "{name}, case {number}: nothing was downloaded");
        }
    }
}

/// A call that the machine can not answer.
fn silent(call: &'static str) -> &'static str {
    format!("{call}: 0x80004001").leak()
}

#[test]
fn free_space() {
    let room = "free space: 8589934592 bytes, an update needs 8589934592";
    let less = "free space: 8589934591 bytes, an update needs 8589934592";
    table(
        "freeSpace",
        AutomaticUpdates::Take,
        &[
            (|m| m.free = 8 << 30, Pass, room, None),
            (|m| m.free = (8 << 30) - 1, Fail, less, Some((ErrorClass::DiskFull, less))),
            (
                |m| _ = m.condition.silent.insert("free_bytes"),
                Inconclusive,
                silent("free_bytes"),
                Some((ErrorClass::Permanent, silent("free_bytes"))),
            ),
        ],
    );
}

#[test]
fn servicing_in_progress() {
    table(
        "servicing",
        AutomaticUpdates::Take,
        &[
            (AS_IT_IS, Pass, "nothing is being installed", None),
            (
                |m| m.servicing = true,
                Fail,
                "something is installing on this machine",
                Some((ErrorClass::Retriable, "servicing: something else is installing on this machine")),
            ),
            (
                |m| _ = m.condition.silent.insert("servicing_busy"),
                Inconclusive,
                silent("servicing_busy"),
                Some((ErrorClass::Permanent, silent("servicing_busy"))),
            ),
        ],
    );
}

#[test]
fn a_pending_reboot() {
    table(
        "reboot",
        AutomaticUpdates::Take,
        &[
            (AS_IT_IS, Pass, "none is pending", None),
            (
                |m| m.signals.servicing_lingers = true,
                Pass,
                "none is pending; servicing's mark of the last one lingers, which means nothing",
                None,
            ),
            (
                |m| m.signals.update_agent = true,
                Fail,
                "one is pending, wanted by the update service",
                Some((ErrorClass::RebootFirst, "reboot: one is pending, wanted by the update service")),
            ),
            (
                |m| m.signals.packages_pending = true,
                Fail,
                "one is pending, wanted by packages that are pending",
                Some((ErrorClass::RebootFirst, "reboot: one is pending, wanted by packages that are pending")),
            ),
        ],
    );
}

#[test]
fn component_store_health() {
    let repairable = "it is damaged: run DISM /Online /Cleanup-Image /RestoreHealth";
    let corrupt = "it is damaged beyond repair: give the machine another image";
    table(
        "componentStore",
        AutomaticUpdates::Take,
        &[
            (AS_IT_IS, Pass, "nothing is noted against it", None),
            (
                |m| m.store = StoreHealth::Repairable,
                Fail,
                repairable,
                Some((ErrorClass::Permanent, format!("component store: {repairable}").leak())),
            ),
            (
                |m| m.store = StoreHealth::Corrupt,
                Fail,
                corrupt,
                Some((ErrorClass::Permanent, format!("component store: {corrupt}").leak())),
            ),
            // Not every machine has DISM: told, no reason to refuse.
            (|m| _ = m.condition.silent.insert("component_store"), Inconclusive, silent("component_store"), None),
        ],
    );
}

/// DISM starts servicing for its answer, which lives on for two minutes and more. Asked at each look of a wait for servicing,
/// it would be what is waited for.
#[test]
fn the_component_store_is_asked_once_and_when_servicing_is_idle() {
    let mut op = Operator::new(Machine::new(vec![Offer::new("KB5040437")]), &["KB5040437"]);
    op.machine.search_keeps_busy = SignedDuration::from_mins(3);
    op.machine.store_keeps_busy = SignedDuration::from_mins(2);
    op.pod(&request("Scan", 1, 1, Command::Scan { source: Source::WindowsUpdate })).expect("an answer");
    let begun = op.machine.now;
    let answer = op.stage().expect("an answer");
    assert_eq!((answer.error(), op.machine.store_asked.get()), ("", 1));
    let took = op.machine.now.duration_since(begun);
    assert!(took < SignedDuration::from_mins(5), "{took}");
    assert!(answer.report.checks.iter().any(|c| c.name == "componentStore" && c.verdict == Pass));
}

#[test]
fn a_store_that_nobody_could_ask_is_told_as_that() {
    let (op, answer) = stage(|m| m.servicing = true, AutomaticUpdates::Take);
    let store = answer.report.checks.iter().find(|c| c.name == "componentStore").expect("it is told");
    let why = "not asked: the question starts servicing, which is not idle";
    assert_eq!((store.verdict, store.detail.as_str(), op.machine.store_asked.get()), (Inconclusive, why, 0));
}

#[test]
fn automatic_updates_are_held_off_or_a_reason_to_refuse() {
    fn harmless(m: &mut Machine) {
        m.disk.policy.au_options = Some(3);
    }
    fn off(m: &mut Machine) {
        m.disk.policy.no_auto_update = Some(1);
    }
    fn deadline(m: &mut Machine) {
        (m.disk.policy.au_options, m.disk.policy.deadline_days) = (None, Some(2));
    }
    let (good, held) =
        ("they do not reboot the machine by themselves", "they would reboot the machine; held off until the end");
    let cases = [(harmless as Change, Pass, good, None), (off, Pass, good, None), (AS_IT_IS, Pass, held, None)];
    table("automaticUpdates", AutomaticUpdates::Take, &cases);
    table("automaticUpdates", AutomaticUpdates::Take, &[(deadline, Pass, held, None)]);
    let would = "they would reboot the machine";
    let scheduled = "automatic updates: they would install and reboot meanwhile (AUOptions=4)";
    let forced = "automatic updates: they would install and reboot meanwhile (ConfigureDeadlineForQualityUpdates=2)";
    table(
        "automaticUpdates",
        AutomaticUpdates::Report,
        &[
            (harmless, Pass, good, None),
            (off, Pass, good, None),
            (AS_IT_IS, Fail, would, Some((ErrorClass::Configuration, scheduled))),
            (deadline, Fail, would, Some((ErrorClass::Configuration, forced))),
        ],
    );
}

#[test]
fn the_policy_is_put_back_exactly_whatever_it_was() {
    for was in [None, Some(0), Some(7)] {
        for ends_by_reset in [false, true] {
            let mut op = Operator::new(Machine::new(vec![Offer::new("KB5040437")]), &["KB5040437"]);
            op.machine.disk.policy.no_auto_update = was;
            let policy = op.machine.disk.policy.clone();
            op.stage();
            assert_eq!(op.machine.disk.policy.no_auto_update, Some(1), "held off");
            if ends_by_reset {
                op.pod(&request("Clean", 1, 1, Command::Reset {})).expect("an answer");
            } else {
                op.run_to_end();
            }
            assert_eq!(op.machine.disk.policy, policy, "by reset: {ends_by_reset}");
        }
    }
}

#[test]
fn power() {
    table(
        "power",
        AutomaticUpdates::Take,
        &[
            (AS_IT_IS, Pass, "on mains", None),
            (
                |m| m.condition.on_battery = true,
                Fail,
                "on battery",
                Some((ErrorClass::Retriable, "power: the machine runs on its battery")),
            ),
            (|m| _ = m.condition.silent.insert("on_battery"), Inconclusive, silent("on_battery"), None),
        ],
    );
}

#[test]
fn bitlocker_is_told_and_left_alone() {
    let on = "on: a change of the boot chain may ask for the recovery key at the reboot; left as it is";
    table(
        "bitlocker",
        AutomaticUpdates::Take,
        &[
            (|m| m.bitlocker = BitLocker::Off, Pass, "the system disk is not protected", None),
            (|m| m.bitlocker = BitLocker::On, Pass, on, None),
            (|m| m.bitlocker = BitLocker::Suspended, Pass, "its protectors are suspended; left as it is", None),
            (|m| m.bitlocker = BitLocker::Unknown, Inconclusive, "it could not be told", None),
            (|m| _ = m.condition.silent.insert("bitlocker"), Inconclusive, silent("bitlocker"), None),
        ],
    );
}

#[test]
fn a_clock_that_is_off_is_told_and_left_alone() {
    table(
        "clock",
        AutomaticUpdates::Take,
        &[
            (AS_IT_IS, Pass, "0 s off its time server", None),
            (|m| m.clock_ahead = SignedDuration::from_secs(-900), Fail, "-900 s off its time server", None),
            (|m| m.condition.time_server = false, Pass, "the machine has no time server", None),
            (|m| _ = m.condition.silent.insert("clock_ahead"), Inconclusive, silent("clock_ahead"), None),
        ],
    );
}

#[test]
fn another_owner_of_updates_is_told_and_left_alone() {
    let rows = include_str!("../src/preflight/update-owners.csv").lines().filter(|l| !l.starts_with('#'));
    for (service, product) in rows.filter_map(|line| line.split_once("; ")) {
        for (state, told) in [(ServiceState::Running, true), (ServiceState::Stopped, false)] {
            let mut op = Operator::new(Machine::new(vec![Offer::new("KB5040437")]), &["KB5040437"]);
            op.machine.services.insert(service.into(), state);
            let answer = op.stage().expect("an answer");
            assert_eq!(answer.error(), "", "{service}");
            let found: Vec<_> = answer.report.checks.iter().filter(|c| c.name == "otherOwner").collect();
            assert_eq!(found.len(), usize::from(told), "{service}: {found:?}");
            let says = format!("{product} runs ({service}) and may install or reboot by itself; it is not touched");
            assert!(found.iter().all(|c| c.verdict == Inconclusive && c.detail == says), "{found:?}");
            assert_eq!(op.machine.services[service], state, "not touched");
        }
    }
}

#[test]
fn a_deadline_of_wsus_is_told() {
    let mut offer = Offer::new("KB5040437");
    offer.deadline = Some(Timestamp::UNIX_EPOCH);
    let answer = Operator::new(Machine::new(vec![offer]), &["KB5040437"]).stage().expect("an answer");
    let found: Vec<_> = answer.report.checks.iter().filter(|c| c.name == "otherOwner").collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].detail, "WSUS installs KB5040437 by force at 1970-01-01T00:00:00Z");
    assert_eq!((found[0].verdict, answer.error()), (Inconclusive, ""));
}

#[test]
fn everything_is_looked_at_and_the_first_that_forbids_is_the_error() {
    let (_, answer) = stage(
        |m| {
            (m.free, m.servicing, m.condition.on_battery) = (1, true, true);
            m.bitlocker = BitLocker::On;
        },
        AutomaticUpdates::Take,
    );
    let failed: Vec<_> = answer.report.checks.iter().filter(|c| c.verdict == Fail).map(|c| c.name.as_str()).collect();
    assert_eq!(failed, ["freeSpace", "servicing", "power"]);
    assert!(answer.error().starts_with("free space: 1 bytes"), "{}", answer.error());
    assert_eq!(answer.report.checks.len(), 8, "all findings of one look");
}
