//! What a provider's snapshots can do, by the names that users read.

use std::fmt;

/// One thing that a provider's snapshots can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// A restore gives the same machine its disk back, and does not make another machine.
    InPlace,
    /// The machine keeps its identity (providerID, addresses, name) over a restore.
    KeepsIdentity,
    /// A snapshot is taken while the machine runs.
    Online,
    /// Only the system disk is in a snapshot, whatever else is attached.
    DataDisksExcluded,
    /// The guest's file systems are frozen for the moment of the snapshot. Without it, a snapshot is what a power cut
    /// would leave behind.
    FileSystemConsistent,
    /// The machine's memory is in a snapshot, too.
    MemoryIncluded,
    /// The provider itself may end a snapshot's life, and says when.
    Expiry,
}

impl Capability {
    /// All of them, in the order of the documents.
    pub const ALL: [Self; 7] = [
        Self::InPlace,
        Self::KeepsIdentity,
        Self::Online,
        Self::DataDisksExcluded,
        Self::FileSystemConsistent,
        Self::MemoryIncluded,
        Self::Expiry,
    ];

    /// Its CamelCase name, as conditions and documents have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InPlace => "InPlace",
            Self::KeepsIdentity => "KeepsIdentity",
            Self::Online => "Online",
            Self::DataDisksExcluded => "DataDisksExcluded",
            Self::FileSystemConsistent => "FileSystemConsistent",
            Self::MemoryIncluded => "MemoryIncluded",
            Self::Expiry => "Expiry",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a provider's snapshots can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(&'static [Capability]);

impl Capabilities {
    /// These, and no others.
    pub const fn of(capabilities: &'static [Capability]) -> Self {
        Self(capabilities)
    }

    /// Whether this is one of them.
    pub fn has(self, capability: Capability) -> bool {
        self.0.contains(&capability)
    }

    /// The first of `needs` that is not among them.
    pub fn lacking(self, needs: &[Capability]) -> Option<Capability> {
        needs.iter().copied().find(|need| !self.has(*need))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named_in_the_order_it_is_needed() {
        let can = Capabilities::of(&[Capability::InPlace, Capability::Online]);
        assert!(can.has(Capability::Online) && !can.has(Capability::Expiry));
        assert_eq!(can.lacking(&[Capability::Online, Capability::InPlace]), None);
        assert_eq!(
            can.lacking(&[Capability::InPlace, Capability::KeepsIdentity, Capability::Expiry]),
            Some(Capability::KeepsIdentity)
        );
    }
}
