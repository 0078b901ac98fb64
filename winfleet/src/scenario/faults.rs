//! What goes wrong, where, when, for how long, and what heals it.

use super::{Effect, Period, moment::Moment, updates::optional_date_or_time};
use jiff::Timestamp;
use serde::Deserialize;
use std::{collections::BTreeMap, num::NonZeroU32};
use windlass_protocol::{Build, KbId};

/// One fault: effects that hold together on the chosen machines from a moment on.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Its name, unique in the scenario.
    pub name: String,
    /// The moment from which it holds.
    pub when: When,
    /// The machines it strikes; all, when left out.
    #[serde(default)]
    pub r#where: Where,
    /// What becomes false.
    pub effects: Vec<Effect>,
    /// How long it holds; until it is healed, when left out.
    #[serde(default)]
    pub lasts: Option<Period>,
    /// How long its effects that have a size take to grow to it; they have it at once, when left out.
    #[serde(default)]
    pub ramps: Option<Period>,
    /// When it comes and goes.
    #[serde(default)]
    pub intermittent: Option<Intermittent>,
    /// How many operations (searches, downloads, installations, boots, snapshots, restores) its effects strike in all;
    /// any number, when left out.
    #[serde(default)]
    pub times: Option<u32>,
    /// What ends it.
    #[serde(default)]
    pub heals: Heals,
}

/// The moment from which a fault holds on a machine: a phase of the machine, a time, or a phase not before a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct When {
    /// What the machine is doing then.
    pub phase: Option<Phase>,
    /// Only when it does so with this update, and only on operations of this update.
    pub kb: Option<KbId>,
    /// How long after the phase began.
    pub delay: Period,
    /// Phase `boot` only: at the n-th boot, from 1; with `kb`, the boot that applied the update is the first.
    pub nth_boot: Option<u32>,
    /// How long after the scenario's start; with a phase, not before that.
    pub after: Option<Period>,
    /// A date (midnight, UTC) or a time; with a phase, not before that.
    #[serde(deserialize_with = "optional_date_or_time")]
    pub at: Option<Timestamp>,
}

/// What a machine is doing when a fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// It downloads updates.
    Stage,
    /// It installs updates.
    Install,
    /// It goes down for a restart; with `kb`, one that applies the update.
    Reboot,
    /// It boots.
    Boot,
    /// Its services run; with `kb`, with the update installed.
    Running,
    /// A snapshot is taken of it.
    Snapshot,
    /// It is restored from a snapshot.
    Restore,
    /// A restore has worked: it starts from the older disk.
    Restored,
}

/// The machines that a fault strikes: all that fit everything given here.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Where {
    /// Labels that must be there with this value (the zone's label too).
    pub labels: BTreeMap<String, String>,
    /// Traits that must be there.
    pub traits: Vec<String>,
    /// Names of which one must be the machine's.
    pub nodes: Vec<String>,
    /// OS builds (`10.0.20348`) of which one must be the machine's at the start.
    pub os_builds: Vec<String>,
    /// Updates that must all be installed at the start.
    pub installed: Vec<KbId>,
    /// Of the fitting machines, the share that is struck, from 0 to 1, drawn from the scenario's seed.
    pub chance: Option<f64>,
}

/// A fault that comes and goes: of each `of` slices of time, as many as `bad` says are bad, drawn from the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Intermittent {
    /// How many slices are bad.
    pub bad: NonZeroU32,
    /// Of how many.
    pub of: NonZeroU32,
    /// Length of a slice.
    #[serde(default = "minute")]
    pub each: Period,
}

const fn minute() -> Period {
    Period::seconds(60)
}

/// What ends a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Heals {
    /// A disk from before it began.
    #[default]
    Restore,
    /// The next restart, for good.
    Restart,
    /// The second restart from its beginning, for good.
    SecondRestart,
    /// A later update, or a disk from before it began.
    Kb(KbId),
    /// Nothing.
    Never,
}

impl Fault {
    /// Whether it comes of updating: of one update, or of what an updater does to a machine. Else it is noise that would be
    /// there without.
    pub const fn comes_of_updating(&self) -> bool {
        self.when.kb.is_some()
            || matches!(
                self.when.phase,
                Some(Phase::Stage | Phase::Install | Phase::Snapshot | Phase::Restore | Phase::Restored)
            )
    }
}

impl When {
    /// The time from which it may hold, if one is given.
    pub const fn moment(&self) -> Option<Moment> {
        Moment::of(self.after, self.at)
    }
}

impl Where {
    /// Whether a machine is meant, chance aside: its name, labels and traits, its build and updates at the start.
    pub fn fits(&self, name: &str, labels: &BTreeMap<String, String>, group: &super::MachineGroup) -> bool {
        self.labels.iter().all(|(k, v)| labels.get(k) == Some(v))
            && self.traits.iter().all(|t| group.traits.contains(t))
            && (self.nodes.is_empty() || self.nodes.iter().any(|n| n == name))
            && (self.os_builds.is_empty() || self.os_builds.contains(&group.build.os_build()))
            && self.installed.iter().all(|kb| group.installed.contains(kb))
    }

    /// The OS build among `os_builds` that is none, if there is one.
    pub(super) fn bad_os_build(&self) -> Option<&str> {
        let is_one = |text: &str| format!("{text}.0").parse::<Build>().is_ok_and(|build| build.os_build() == text);
        self.os_builds.iter().map(String::as_str).find(|text| !is_one(text))
    }
}
