//! The update service: what is published, and what it offers to a machine.

use crate::scenario::Update;
use std::collections::BTreeMap;
use windlass_protocol::{KbId, PinnedUpdate};

/// All updates that exist, published or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue(BTreeMap<KbId, Update>);

impl Catalogue {
    pub(super) fn new(updates: &[Update]) -> Self {
        Self(updates.iter().map(|update| (update.kb, update.clone())).collect())
    }

    /// The update of this KB, published or not.
    pub fn get(&self, kb: KbId) -> Option<&Update> {
        self.0.get(&kb)
    }

    /// The update that a pinned one means, if identity and revision are still the same.
    pub fn find(&self, pinned: &PinnedUpdate) -> Option<&Update> {
        self.get(pinned.kb).filter(|update| update.is(pinned))
    }

    /// All published updates, by KB.
    pub fn published(&self) -> impl Iterator<Item = &Update> {
        self.0.values().filter(|update| update.published)
    }

    /// Publishes an update, or takes it back; says whether the KB is known.
    pub fn publish(&mut self, kb: KbId, published: bool) -> bool {
        self.0.get_mut(&kb).map(|update| update.published = published).is_some()
    }
}
