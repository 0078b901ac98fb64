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
