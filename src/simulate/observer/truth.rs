//! The machines as they really are.

use jiff::Timestamp;
use windlass_protocol::Build;
use winfleet::model::World;

/// The mark of a snapshot at the provider that says until when it is wanted.
const EXPIRES_AT: &str = "windlass.dev/expires-at";

/// What is true, whatever the API server shows.
pub trait Truth {
    /// The machine that a snapshot at the provider is of; none when there is no such snapshot.
    fn snapshot_of(&self, handle: &str) -> Option<String>;

    /// From when on nobody wants a snapshot that is on no record, by its own mark; none when it is kept for ever.
    fn unwanted_from(&self, handle: &str) -> Option<Timestamp>;

    /// Whether a machine can be restored from a snapshot at this time.
    fn restorable(&self, handle: &str, at: Timestamp) -> bool;

    /// All snapshots at the provider, by their handles.
    fn snapshots(&self) -> Vec<String>;

    /// The build that is on a machine's disk.
    fn build(&self, machine: &str) -> Option<Build>;

    /// How often a machine was restored.
    fn restores(&self, machine: &str) -> u64;
}

impl Truth for World {
    fn snapshot_of(&self, handle: &str) -> Option<String> {
        self.find_snapshot(handle).map(|snapshot| snapshot.machine.clone())
    }

    fn unwanted_from(&self, handle: &str) -> Option<Timestamp> {
        self.find_snapshot(handle)?.tags.get(EXPIRES_AT)?.parse().ok()
    }

    fn restorable(&self, handle: &str, at: Timestamp) -> bool {
        self.find_snapshot(handle).is_some_and(|snapshot| snapshot.restorable(at))
    }

    fn snapshots(&self) -> Vec<String> {
        World::snapshots(self).map(|snapshot| snapshot.id.clone()).collect()
    }

    fn build(&self, machine: &str) -> Option<Build> {
        self.machine(machine).map(|machine| machine.disk.build)
    }

    fn restores(&self, machine: &str) -> u64 {
        self.machine(machine).map_or(0, |machine| machine.counters().restores)
    }
}
