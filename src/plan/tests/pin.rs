//! What is pinned of what is offered.

use super::*;
use crate::api::{PinnedSet, Updates};
use crate::domain::Build;
use crate::plan::pin::pin;
use std::collections::BTreeMap;
use windlass_protocol::OfferedUpdate;

const OS: &str = "10.0.20348";

/// An update, published three days before noon.
fn offered(kb: &str, class: &str, target: Option<&str>) -> OfferedUpdate {
    OfferedUpdate {
        update_id: format!("id-{kb}"),
        revision: 200,
        kb: kb.parse().expect(kb),
        title: format!("title of {kb}"),
        classification: class.into(),
        released: at("2026-11-20T12:00:00Z"),
        size_bytes: 1,
        target_build: target.map(|build| build.parse::<Build>().expect(build)),
    }
}

/// A catalogue as a Server 2022 might see it.
fn catalogue() -> Vec<OfferedUpdate> {
    vec![
        offered("KB1000001", "Security Updates", Some("10.0.20348.5000")),
        offered("KB1000002", "Security Updates", Some("10.0.20348.5256")),
        offered("KB1000003", "Critical Updates", None),
        offered("KB1000004", "Updates", Some("10.0.20348.5300")),
        offered("KB1000005", "Drivers", None),
        offered("KB1000006", "Upgrades", Some("10.0.26100.1")),
        offered("KB1000007", "Security Updates", Some("10.0.26100.32230")),
        offered("KB1000008", "Update Rollups", None),
        offered("KB1000009", "Upgrades", None),
    ]
}

fn pin_one(selection: Value, offers: Vec<OfferedUpdate>) -> PinnedSet {
    let selection: Updates = serde_json::from_value(selection).expect("a selection");
    pin(&selection, &BTreeMap::from([(OS.to_owned(), offers)]), noon()).pop().expect("one set")
}

#[test]
fn what_is_taken() {
    let cases: Vec<(&str, Value, &[&str], Option<&str>)> = vec![
        ("the newest of a class", json!({"classifications": ["Security"]}), &["KB1000002"], Some("5256")),
        (
            "with what has no target",
            json!({"classifications": ["Security", "Critical"]}),
            &["KB1000002", "KB1000003"],
            Some("5256"),
        ),
        ("of two classes", json!({"classifications": ["Security", "Update"]}), &["KB1000004"], Some("5300")),
        ("rollups", json!({"classifications": ["UpdateRollup"]}), &["KB1000008"], None),
        ("excluded", json!({"classifications": ["Security"], "exclude": ["KB1000002"]}), &["KB1000001"], Some("5000")),
        ("old enough", json!({"classifications": ["Security"], "deferral": "3d"}), &["KB1000002"], Some("5256")),
        ("too young", json!({"classifications": ["Security"], "deferral": "73h"}), &[], None),
        (
            "included though too young",
            json!({"classifications": ["Security"], "deferral": "73h", "include": ["KB1000001"]}),
            &["KB1000001"],
            Some("5000"),
        ),
        (
            "a driver only by name",
            json!({"classifications": ["Security"], "include": ["KB1000005"]}),
            &["KB1000002", "KB1000005"],
            Some("5256"),
        ),
        ("a feature upgrade never", json!({"include": ["KB1000006", "KB1000007", "KB1000009"]}), &[], None),
        ("a build", json!({"builds": {OS: "10.0.20348.5000"}}), &["KB1000001"], Some("5000")),
        ("a build too young", json!({"builds": {OS: "10.0.20348.5000"}, "deferral": "73h"}), &[], None),
        (
            "a build old enough",
            json!({"builds": {OS: "10.0.20348.5000"}, "deferral": "3d"}),
            &["KB1000001"],
            Some("5000"),
        ),
        ("a build nobody offers", json!({"builds": {OS: "10.0.20348.5001"}}), &[], None),
        ("a build of another Windows", json!({"builds": {"10.0.26100": "10.0.26100.32230"}}), &[], None),
        ("a build and an exclusion", json!({"builds": {OS: "10.0.20348.5000"}, "exclude": ["KB1000001"]}), &[], None),
    ];
    for (name, selection, kbs, ubr) in cases {
        let mut reversed = catalogue();
        reversed.reverse();
        let set = pin_one(selection.clone(), catalogue());
        assert_eq!(set.updates.iter().map(|update| update.kb.as_str()).collect::<Vec<_>>(), kbs, "{name}");
        assert_eq!(set.expected_build, ubr.map(|ubr| format!("{OS}.{ubr}")), "{name}");
        assert_eq!(set, pin_one(selection, reversed), "{name}: the catalogue's order does not matter");
    }
}

#[test]
fn of_two_updates_to_one_build_the_later_is_taken() {
    let mut again = offered("KB1000010", "Security Updates", Some("10.0.20348.5256"));
    again.released = at("2026-11-21T12:00:00Z");
    let set = pin_one(json!({"classifications": ["Security"]}), [catalogue(), vec![again]].concat());
    assert_eq!(set.updates.iter().map(|update| update.kb.as_str()).collect::<Vec<_>>(), ["KB1000010"]);
}

#[test]
fn builds_compare_as_numbers() {
    let offers = vec![
        offered("KB1000001", "Security Updates", Some("10.0.20348.7462")),
        offered("KB1000002", "Security Updates", Some("10.0.20348.32230")),
    ];
    let set = pin_one(json!({"classifications": ["Security"]}), offers);
    assert_eq!(set.expected_build.as_deref(), Some("10.0.20348.32230"));
}

#[test]
fn the_record_says_what_it_is() {
    let mut long = offered("KB1000001", "Security Updates", Some("10.0.20348.5000"));
    long.title = "t".repeat(600);
    let set = pin_one(json!({"classifications": ["Security"]}), vec![long]);
    let [update] = set.updates.as_slice() else { panic!("one update: {set:?}") };
    assert_eq!((update.update_id.as_str(), update.revision, update.title.len()), ("id-KB1000001", 200, 512));
    assert_eq!(update.released.to_string(), "2026-11-20");
}
