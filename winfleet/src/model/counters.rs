//! What really happened to a machine: no restore rewinds it.

use serde::Serialize;
use std::{collections::BTreeMap, ops::AddAssign};
use windlass_protocol::KbId;

/// Counts of what really happened, since the world began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Boots that were begun.
    pub boots: u64,
    /// Reboots that software on the machine asked for.
    pub reboots_requested: u64,
    /// Times it restarted by itself, or something else on it made it.
    pub restarts_by_itself: u64,
    /// Times it crashed.
    pub crashes: u64,
    /// Times the hypervisor cut the power.
    pub power_cuts: u64,
    /// Downloads begun, by KB.
    pub downloads_started: BTreeMap<KbId, u64>,
    /// Installations begun, by KB.
    pub installs_started: BTreeMap<KbId, u64>,
    /// Installations that ended well, by KB.
    pub installs_finished: BTreeMap<KbId, u64>,
    /// Installations by something else on the machine, by KB.
    pub installs_by_others: BTreeMap<KbId, u64>,
    /// Snapshots asked for.
    pub snapshots: u64,
    /// Restores that swapped the disk.
    pub restores: u64,
    /// Times the cloud replaced the machine.
    pub replaced: u64,
}

impl AddAssign<&Self> for Counters {
    fn add_assign(&mut self, other: &Self) {
        let Self {
            boots,
            reboots_requested,
            restarts_by_itself,
            crashes,
            power_cuts,
            downloads_started,
            installs_started,
            installs_finished,
            installs_by_others,
            snapshots,
            restores,
            replaced,
        } = other;
        self.boots += boots;
        self.reboots_requested += reboots_requested;
        self.restarts_by_itself += restarts_by_itself;
        self.crashes += crashes;
        self.power_cuts += power_cuts;
        self.snapshots += snapshots;
        self.restores += restores;
        self.replaced += replaced;
        for (mine, theirs) in [
            (&mut self.downloads_started, downloads_started),
            (&mut self.installs_started, installs_started),
            (&mut self.installs_finished, installs_finished),
            (&mut self.installs_by_others, installs_by_others),
        ] {
            for (kb, count) in theirs {
                *mine.entry(*kb).or_default() += count;
            }
        }
    }
}
