//! The update catalogue as a scenario writes it.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Deserializer, de::Error};
use std::collections::{BTreeMap, BTreeSet};
use windlass_protocol::{Build, KbId, OfferedUpdate, PinnedUpdate};

/// One update of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Update {
    /// The KB it is known by; unique in the scenario.
    pub kb: KbId,
    /// Its identity in the catalogue; made from the KB when left out.
    #[serde(default)]
    pub update_id: Option<String>,
    /// Revision of that identity.
    #[serde(default = "first_revision")]
    pub revision: u32,
    /// Title; made from the KB when left out.
    #[serde(default)]
    pub title: Option<String>,
    /// Classification, by the catalogue's own words.
    #[serde(default = "security")]
    pub classification: String,
    /// When it was published: a date (midnight, UTC) or a time; not after the start, where it is offered from then on.
    #[serde(deserialize_with = "date_or_time")]
    pub released: Timestamp,
    /// Size of the download in bytes.
    #[serde(default = "usual_size")]
    pub size_bytes: u64,
    /// The build after it, by the OS build it is for (`"10.0.20348": "10.0.20348.2582"`). Empty: it fits every machine
    /// and leaves the build as it is.
    #[serde(default)]
    pub target_builds: BTreeMap<String, Build>,
    /// How often it must be installed, with a reboot each time, before it is in.
    #[serde(default = "one_round")]
    pub rounds: u32,
    /// Whether machines are offered it from the start; it can be published later.
    #[serde(default = "yes")]
    pub published: bool,
    /// Whether it takes effect at a reboot only.
    #[serde(default = "yes")]
    pub reboot_required: bool,
    /// Updates that are no longer offered where this one is.
    #[serde(default)]
    pub supersedes: BTreeSet<KbId>,
    /// A feature upgrade: the build of another Windows version that any other machine has after it.
    #[serde(default)]
    pub feature_upgrade_to: Option<Build>,
}

const fn first_revision() -> u32 {
    200
}

fn security() -> String {
    "Security Updates".into()
}

/// A cumulative update of Windows Server 2022 is 0.3 to 0.9 GB.
const fn usual_size() -> u64 {
    600 * 1024 * 1024
}

const fn one_round() -> u32 {
    1
}

const fn yes() -> bool {
    true
}

pub(super) fn date_or_time<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(from)?;
    // A parser of dates passes over a time of day that stands behind one, and with it over the missing zone.
    let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
    let midnight = || date?.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp());
    text.parse().ok().or_else(midnight).ok_or_else(|| {
        D::Error::custom(format!(
            "{text:?} is neither a date like 2024-07-09 (midnight UTC) nor a time with its zone like 2024-07-09T17:00:00Z"
        ))
    })
}

/// The same for a field that may be left out.
pub(super) fn optional_date_or_time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    date_or_time(from).map(Some)
}

impl Update {
    /// Its identity in the catalogue, of a GUID's form.
    pub fn identity(&self) -> String {
        let digits = self.kb.to_string();
        self.update_id.clone().unwrap_or_else(|| format!("5eed0000-0000-4000-8000-{:0>12}", &digits[2..]))
    }

    /// The build that a machine of `build` has after it: none when the update is not for this machine's Windows
    /// version; the same build when it leaves that alone.
    pub fn target_for(&self, build: Build) -> Option<Build> {
        if let Some(upgraded) = self.feature_upgrade_to {
            return (!upgraded.same_os(build)).then_some(upgraded);
        }
        if self.target_builds.is_empty() {
            return Some(build);
        }
        self.target_builds.get(&build.os_build()).copied()
    }

    /// The offer of it to a machine of `build`.
    pub fn offer(&self, build: Build) -> OfferedUpdate {
        OfferedUpdate {
            update_id: self.identity(),
            revision: self.revision,
            kb: self.kb,
            title: self.title.clone().unwrap_or_else(|| format!("Update for Windows Server ({})", self.kb)),
            classification: self.classification.clone(),
            released: self.released,
            size_bytes: self.size_bytes,
            target_build: self.target_for(build).filter(|target| *target != build),
        }
    }

    /// Whether this is the pinned one: same identity, revision and KB.
    pub fn is(&self, pinned: &PinnedUpdate) -> bool {
        self.kb == pinned.kb && self.revision == pinned.revision && self.identity() == pinned.update_id
    }
}
