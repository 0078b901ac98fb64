//! Maintenance windows: zones, daylight saving, denied days, and what still fits.

use super::*;
use crate::api::{Maintenance, RolloutState};
use crate::plan::stall::StallCode;
use crate::plan::window::{Need, check};
use std::time::Duration;

/// Saturday night 01:00 to 06:00 in Berlin, none in the year-end freeze.
fn berlin() -> Value {
    json!({
        "timeZone": "Europe/Berlin",
        "allow": [{"days": ["Sat"], "start": "01:00", "duration": "5h"}],
        "deny": [{"from": "2026-12-18", "to": "2027-01-03", "reason": "year-end freeze"}],
    })
}

fn maintenance(value: Value) -> Maintenance {
    serde_json::from_value(value).expect("a maintenance block")
}

fn measured(minutes: u64) -> Need {
    Need::Measured(Duration::from_secs(60 * minutes))
}

fn guess(minutes: u64) -> Need {
    Need::Guess(Duration::from_secs(60 * minutes))
}

/// When a node may start.
#[derive(Debug, PartialEq)]
enum Start {
    Now,
    At(Timestamp),
    Never,
}
use Start::{Never, Now};

fn then(text: &str) -> Start {
    Start::At(at(text))
}

/// When a node that needs so long may start, asked at this time.
fn start(value: Value, need: Need, now: &str) -> Start {
    match check(&maintenance(value), need, at(now)) {
        Ok(()) => Now,
        Err(closed) => closed.opens_at.map_or(Never, Start::At),
    }
}

type Case = (&'static str, Value, Need, &'static str, Start);

#[test]
fn when_a_node_may_start() {
    let always = |deny: Value| json!({"timeZone": "UTC", "allow": [], "deny": deny});
    let freeze = json!([{"from": "2026-11-25", "to": "2026-11-26", "reason": "fair"}]);
    let nightly = json!({"timeZone": "UTC", "allow": [{"days": ["Mon", "Tue"], "start": "22:00", "duration": "4h"}]});
    let touching = json!({"timeZone": "UTC", "allow": [
        {"days": ["Mon"], "start": "22:00", "duration": "2h"},
        {"days": ["Tue"], "start": "00:00", "duration": "2h"},
    ]});
    let week = json!({"timeZone": "UTC", "allow": [{"days": ["Mon"], "start": "00:00", "duration": "7d"}]});
    let cases: Vec<Case> = vec![
        ("no window at all", always(json!([])), measured(600), "2026-11-23T12:00:00Z", Now),
        ("inside", berlin(), measured(60), "2026-11-28T01:00:00Z", Now),
        ("the first minute", berlin(), measured(60), "2026-11-28T00:00:00Z", Now),
        ("before it", berlin(), measured(60), "2026-11-27T23:59:59Z", then("2026-11-28T00:00:00Z")),
        ("it just fits", berlin(), measured(60), "2026-11-28T04:00:00Z", Now),
        ("it does not any more", berlin(), measured(60), "2026-11-28T04:00:01Z", then("2026-12-05T00:00:00Z")),
        ("the end is not part of it", berlin(), measured(0), "2026-11-28T05:00:00Z", then("2026-12-05T00:00:00Z")),
        ("a guess is cut to half of the window", berlin(), guess(600), "2026-11-28T02:29:00Z", Now),
        ("and no further", berlin(), guess(600), "2026-11-28T02:31:00Z", then("2026-12-05T00:00:00Z")),
        ("a measured need that fits nowhere", berlin(), measured(301), "2026-11-28T00:00:00Z", Never),
        ("behind the freeze", berlin(), measured(60), "2026-12-13T00:00:00Z", then("2027-01-09T00:00:00Z")),
        (
            "two weekends are denied, and with them all windows of two weeks",
            json!({"timeZone": "UTC", "allow": [{"days": ["Sat", "Sun"], "start": "02:00", "duration": "5h"}], "deny": [
                {"from": "2026-11-28", "to": "2026-11-29", "reason": "x"},
                {"from": "2026-12-05", "to": "2026-12-06", "reason": "x"},
            ]}),
            guess(90),
            "2026-11-23T08:00:00Z",
            then("2026-12-12T02:00:00Z"),
        ),
        ("a denied day", berlin(), measured(1), "2026-12-19T01:00:00Z", then("2027-01-09T00:00:00Z")),
        ("always, but for a freeze", always(freeze.clone()), measured(60), "2026-11-24T12:00:00Z", Now),
        (
            "the freeze ends it",
            always(freeze.clone()),
            measured(60),
            "2026-11-24T23:30:00Z",
            then("2026-11-27T00:00:00Z"),
        ),
        (
            "a guess is not cut there",
            always(freeze.clone()),
            guess(90),
            "2026-11-24T23:30:00Z",
            then("2026-11-27T00:00:00Z"),
        ),
        (
            "its last day is included",
            always(freeze),
            measured(60),
            "2026-11-26T23:59:00Z",
            then("2026-11-27T00:00:00Z"),
        ),
        ("over midnight", nightly.clone(), measured(60), "2026-11-24T00:59:00Z", Now),
        ("over midnight, too late", nightly, measured(60), "2026-11-24T01:01:00Z", then("2026-11-24T22:00:00Z")),
        ("windows that touch are one", touching, measured(210), "2026-11-23T22:15:00Z", Now),
        ("a week long", week, measured(600), "2026-11-25T20:00:00Z", Now),
    ];
    for (name, value, need, now, expected) in cases {
        assert_eq!(start(value, need, now), expected, "{name}");
    }
}

/// 2026-03-29: 02:00 becomes 03:00 in Berlin. 2026-10-25: 03:00 becomes 02:00.
#[test]
fn daylight_saving_is_honoured() {
    let sunday = |start: &str| json!({"timeZone": "Europe/Berlin", "allow": [{"days": ["Sun"], "start": start, "duration": "1h"}]});
    for (opens, now, opening) in [
        ("01:00", "2026-03-28T00:00:00Z", "2026-03-29T00:00:00Z"),
        ("02:30", "2026-03-28T00:00:00Z", "2026-03-29T01:30:00Z"),
        ("04:00", "2026-03-28T00:00:00Z", "2026-03-29T02:00:00Z"),
        ("04:00", "2026-03-22T12:00:00Z", "2026-03-29T02:00:00Z"),
        ("04:00", "2026-03-21T12:00:00Z", "2026-03-22T03:00:00Z"),
        ("02:30", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
        ("04:00", "2026-10-24T12:00:00Z", "2026-10-25T03:00:00Z"),
    ] {
        assert_eq!(start(sunday(opens), measured(30), now), then(opening), "{opens} after {now}");
    }
    let long = json!({"timeZone": "Europe/Berlin", "allow": [{"days": ["Sun"], "start": "01:00", "duration": "5h"}]});
    assert_eq!(start(long.clone(), measured(1), "2026-03-29T04:58:00Z"), Now, "five hours are five hours");
    assert_ne!(start(long, measured(1), "2026-03-29T05:00:00Z"), Now);
}

#[test]
fn the_sentence_says_why_and_when() {
    let say = |need, now| check(&maintenance(berlin()), need, at(now)).expect_err("closed").to_string();
    assert_eq!(
        say(measured(60), "2026-12-19T01:00:00Z"),
        "no maintenance until 2027-01-03 (year-end freeze); the next node may start Sat 2027-01-09 01:00 Europe/Berlin"
    );
    assert_eq!(
        say(measured(60), "2026-11-28T04:30:00Z"),
        "too little is left of the maintenance window, which ends Sat 2026-11-28 06:00 Europe/Berlin; the next node may start Sat 2026-12-05 01:00 Europe/Berlin"
    );
    assert_eq!(
        say(measured(400), "2026-11-23T12:00:00Z"),
        "outside of the maintenance windows; no window is long enough for a node and its revert (400m)"
    );
}

/// The schema's bounds, all used: it must not take as long as a pass.
#[test]
fn the_largest_calendar_is_searched_fast() {
    let window = |i: u32| json!({"days": ["Mon", "Tue", "Wed", "Thu", "Fri"], "start": format!("{:02}:{:02}", i % 24, i), "duration": "7d"});
    let deny = |i: u32| json!({"from": format!("2026-{:02}-{:02}", 1 + i / 28, 1 + i % 28), "to": "2027-11-01", "reason": "x"});
    let value = json!({
        "timeZone": "UTC",
        "allow": (0..32).map(window).collect::<Vec<_>>(),
        "deny": (0..64).map(deny).collect::<Vec<_>>(),
    });
    assert_eq!(start(value.clone(), measured(60), "2026-11-23T12:00:00Z"), then("2027-11-02T00:00:00Z"));
    assert_eq!(start(value, measured(60 * 24 * 1000), "2026-11-23T12:00:00Z"), Never);
}

/// A canary's policy lets nodes settle for hours. Twice that is no window of the rings behind it, and their nodes take none.
#[test]
fn a_node_is_taken_to_need_what_nodes_of_the_same_policy_need() {
    let window = json!({"timeZone": "UTC", "allow": [{"days": ["Mon"], "start": "12:00", "duration": "4h"}]});
    for (slow, expected) in [
        (json!({"verify": {"settle": "3h", "timeout": "4h", "probes": [{"name": "x", "node": {}}]}}), &["early-0"][..]),
        (json!({}), &[]),
    ] {
        let early = json!({"maintenance": window});
        let canary = if slow == json!({}) { early.clone() } else { slow };
        let mut world = World::with(&[("canary", 1, json!({}), canary), ("early", 1, json!({}), early)]);
        world.update("canary-0", UPDATED, "").ring("canary").state = RingState::Promoted;
        world.sample.updates[0].started_at = Some(at("2026-11-23T08:00:00Z"));
        assert_eq!(starts(&world.plan(noon())), expected);
    }
}

#[test]
fn a_ring_whose_windows_are_all_too_short_stalls_once_none_of_its_nodes_is_in_work() {
    let window = json!({"timeZone": "UTC", "allow": [{"days": ["Mon"], "start": "12:00", "duration": "30m"}]});
    let mut world = World::with(&[("a", 3, json!({"batch": {"maxUnavailable": 2}}), json!({}))]);
    world.ring("a").revision.policy.maintenance = serde_json::from_value(window).expect("a window");
    // It took 20 minutes, and a revert is taken to need as long.
    world.update("a-0", UPDATED, "").update("a-1", IN_WORK, "");
    assert_eq!(world.plan(noon()).state, RolloutState::Running, "the node in work may be faster");
    world.sample.updates.pop();
    let plan = world.plan(noon());
    let stalled = plan.stalled.as_ref().expect("it does not go on");
    assert_eq!((plan.state, stalled.code), (RolloutState::Stalled, StallCode::WindowTooShort));
    assert_eq!(
        reason(&plan),
        "ring a: too little is left of the maintenance window, which ends Mon 2026-11-23 12:30 UTC; no window is long \
         enough for a node and its revert (40m); a new rollout takes an edited policy"
    );
}
