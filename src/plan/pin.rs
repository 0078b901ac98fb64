//! What a rollout installs: the selection, applied once to what the catalogue offers.

use crate::api::{Classification, Date, PinnedSet, PinnedUpdate, Updates};
use crate::domain::Build;
use jiff::{Timestamp, tz::TimeZone};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use windlass_protocol::OfferedUpdate;

/// Longest title of a pinned update, in characters: the schema's bound.
const MAX_TITLE: usize = 512;

/// Pins what is installed, for each OS build (`10.0.20348`) that has nodes.
///
/// - Feature upgrades are never taken, named or not: not the class `Upgrades`, not what leads to another OS build.
/// - `include` takes regardless of class and age; drivers, and classes that the API has no word for, are taken only so.
/// - `builds` takes what leads to exactly that build, once it is old enough.
/// - Of several updates that lead to a build only the one with the highest is taken (cumulative updates contain each
///   other); updates that name no target build (servicing stacks, .NET) are all taken.
///
/// An OS build for which nothing with a target build was chosen has no expected build: its nodes are skipped.
pub fn pin(selection: &Updates, offered: &BTreeMap<String, Vec<OfferedUpdate>>, now: Timestamp) -> Vec<PinnedSet> {
    offered.iter().map(|(os_build, updates)| pin_one(selection, os_build, updates, now)).collect()
}

fn pin_one(selection: &Updates, os_build: &str, offered: &[OfferedUpdate], now: Timestamp) -> PinnedSet {
    let wanted = selection.builds.get(os_build).and_then(|build| build.parse::<Build>().ok());
    let mut chosen: Vec<&OfferedUpdate> = offered
        .iter()
        .filter(|update| !is_feature_upgrade(update, os_build))
        .filter(|update| is_selected(selection, wanted, update, now))
        .collect();
    chosen.sort_by_key(|update| preference(update));
    let expected = chosen.first().and_then(|update| update.target_build);
    let newest = chosen.first().filter(|_| expected.is_some()).copied();
    let mut updates: Vec<PinnedUpdate> = chosen
        .iter()
        .filter(|update| update.target_build.is_none())
        .copied()
        .chain(newest)
        .filter_map(pinned)
        .collect();
    updates.sort_by(|a, b| (&a.kb, &a.update_id).cmp(&(&b.kb, &b.update_id)));
    updates.dedup_by(|a, b| a.update_id == b.update_id);
    PinnedSet { os_build: os_build.to_owned(), expected_build: expected.map(|b| b.to_string()), updates }
}

/// The highest target build first; the rest only makes the order independent of the catalogue's.
fn preference(update: &OfferedUpdate) -> impl Ord + use<> {
    (Reverse((update.target_build, update.released, update.kb, update.revision)), update.update_id.clone())
}

/// Whether it would change the Windows version.
fn is_feature_upgrade(update: &OfferedUpdate, os_build: &str) -> bool {
    update.classification == "Upgrades" || update.target_build.is_some_and(|target| target.os_build() != os_build)
}

fn is_selected(selection: &Updates, wanted: Option<Build>, update: &OfferedUpdate, now: Timestamp) -> bool {
    let kb = update.kb.to_string();
    if selection.exclude.contains(&kb) {
        return false;
    }
    if selection.include.contains(&kb) {
        return true;
    }
    let is_wanted = match (classification(&update.classification), wanted) {
        (None, _) => false,
        (Some(_), Some(_)) => update.target_build == wanted,
        (Some(class), None) => selection.classifications.contains(&class),
    };
    is_wanted && is_old_enough(selection, update, now)
}

fn is_old_enough(selection: &Updates, update: &OfferedUpdate, now: Timestamp) -> bool {
    let age = now.duration_since(update.released);
    selection.deferral.is_none_or(|deferral| std::time::Duration::try_from(age).is_ok_and(|age| age >= deferral.get()))
}

/// The API's word for a class of the catalogue; `None` for drivers and all others, which only `include` takes.
///
/// The texts are Microsoft's: <https://learn.microsoft.com/en-us/windows/deployment/update/release-cycle> and the
/// Windows Update Agent's category names.
fn classification(text: &str) -> Option<Classification> {
    match text {
        "Critical Updates" => Some(Classification::Critical),
        "Security Updates" => Some(Classification::Security),
        "Update Rollups" => Some(Classification::UpdateRollup),
        "Updates" => Some(Classification::Update),
        _ => None,
    }
}

/// The update as it is recorded. `None` only for a day of publication that is no date of this era.
fn pinned(update: &OfferedUpdate) -> Option<PinnedUpdate> {
    let day = update.released.to_zoned(TimeZone::UTC).date();
    Some(PinnedUpdate {
        update_id: update.update_id.clone(),
        revision: i64::from(update.revision),
        kb: update.kb.to_string(),
        title: update.title.chars().take(MAX_TITLE).collect(),
        released: Date::try_from(day.to_string()).ok()?,
    })
}
