//! Validated values: what the API's texts mean, once they are parsed. Nothing here fetches anything.

mod capability;
mod expiry;
mod facts;
mod history;
mod intent;
mod key;
mod labels;
mod result;

pub use capability::{Capabilities, Capability};
pub use expiry::{Expiry, ParseExpiryError};
pub use facts::{NodeSeen, NodeState, Readiness, Wish};
pub use history::{History, HistoryError, MAX_RECORDS, NO_REBOOT, key_of};
pub use intent::{Intent, IntentError};
pub use key::{StepKey, child_name, digest};
pub use labels::Labels;
pub use result::{StepResult, WaitingOn};
pub use windlass_protocol::{Build, KbId};

use serde::{Deserialize, Serialize};

/// Names one machine: the Node object by name and UID, and the machine behind it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NodeRef {
    /// Name of the Node object.
    pub name: String,
    /// UID of the Node object.
    pub uid: String,
    /// The machine, as the provider names it: `spec.providerID`, or what a person wrote in its place.
    pub provider_id: String,
    /// The machine's own identity, `nodeInfo.systemUUID`; empty when the node does not tell it.
    pub system_uuid: String,
}

impl NodeRef {
    /// Whether both Node objects are of one machine; `None` while nobody can tell.
    ///
    /// The systemUUID counts first: a kubelet writes it with the object it makes, while the providerID comes later where a
    /// cloud controller sets it, and what a person has written in its place is gone with the object that had it.
    pub fn same_machine(&self, other: &Self) -> Option<bool> {
        let known = |a: &str, b: &str| !a.is_empty() && !b.is_empty();
        if known(&self.system_uuid, &other.system_uuid) {
            return Some(self.system_uuid == other.system_uuid);
        }
        let (then, now) = (self.provider_id.as_str(), other.provider_id.as_str());
        (known(then, now) && scheme(then) == scheme(now)).then_some(then == now)
    }
}

/// Which kind of provider an ID is of: `aws` of `aws:///eu-central-1a/i-1`.
pub fn scheme(provider_id: &str) -> Option<&str> {
    provider_id.split_once("://").map(|(scheme, _)| scheme)
}
