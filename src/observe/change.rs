//! Changes: what the watches tell the controllers.

use crate::api::{Guarded, NodeSnapshot, NodeUpdate, UpdateRollout};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Resource, ResourceExt};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Something has changed that a decision may read. Names only: what it is now is in the stores.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A ring or policy.
    Catalogue,
    /// A snapshot class.
    SnapshotClass(String),
    /// An update hold.
    Hold,
    /// An update approval.
    Approval {
        /// Its name.
        name: String,
        /// Name of its rollout; empty when it does not parse.
        rollout: String,
    },
    /// A rollout.
    Rollout(String),
    /// A node update.
    NodeUpdate {
        /// Its name.
        name: String,
        /// Name of its rollout; empty when it does not parse.
        rollout: String,
    },
    /// A node snapshot.
    NodeSnapshot {
        /// Its name.
        name: String,
        /// Name of its class; empty when it does not parse.
        class: String,
    },
    /// A node.
    Node(String),
    /// A pod of ours.
    Pod {
        /// Kind of the object it was made for.
        owner_kind: String,
        /// Name of that object.
        owner: String,
    },
}

/// How a kind's objects are told apart by what a decision reads of them.
pub trait Watched: Resource<DynamicType = ()> + Clone {
    /// A number that changes when something changes that a decision may read.
    fn fingerprint(&self) -> u64;

    /// The change that this object's change is.
    fn change(&self) -> Change;

    /// The object, if it is a pod.
    fn pod(&self) -> Option<&Pod> {
        None
    }
}

impl Watched for Guarded<Node> {
    fn fingerprint(&self) -> u64 {
        let meta = self.meta();
        self.parsed().map_or_else(|| hash(&(&meta.uid, &meta.resource_version)), |node| super::node::fingerprint(node))
    }

    fn change(&self) -> Change {
        Change::Node(self.name_any())
    }
}

impl Watched for Guarded<Pod> {
    fn fingerprint(&self) -> u64 {
        let phase = self.parsed().and_then(|pod| pod.status.as_ref()?.phase.as_ref());
        hash(&(&self.meta().uid, phase, self.meta().deletion_timestamp.is_some()))
    }

    fn change(&self) -> Change {
        let owner = self.owner_references().first();
        Change::Pod {
            owner_kind: owner.map(|o| o.kind.clone()).unwrap_or_default(),
            owner: owner.map(|o| o.name.clone()).unwrap_or_default(),
        }
    }

    fn pod(&self) -> Option<&Pod> {
        self.parsed().map(std::convert::AsRef::as_ref)
    }
}

/// Our own kinds: any write is a change.
macro_rules! watched {
    ($kind:ty, $change:expr) => {
        impl Watched for Guarded<$kind> {
            fn fingerprint(&self) -> u64 {
                hash(&(&self.meta().uid, &self.meta().resource_version))
            }

            fn change(&self) -> Change {
                let change: fn(&Self) -> Change = $change;
                change(self)
            }
        }
    };
}

watched!(crate::api::UpdatePolicy, |_| Change::Catalogue);
watched!(crate::api::UpdateRing, |_| Change::Catalogue);
watched!(crate::api::SnapshotClass, |class| Change::SnapshotClass(class.name_any()));
watched!(crate::api::UpdateHold, |_| Change::Hold);
watched!(crate::api::UpdateApproval, |approval| Change::Approval {
    name: approval.name_any(),
    rollout: approval.0.as_ref().map(|a| a.spec.rollout_name.clone()).unwrap_or_default(),
});
watched!(UpdateRollout, |rollout| Change::Rollout(rollout.name_any()));
watched!(NodeSnapshot, |snapshot| Change::NodeSnapshot {
    name: snapshot.name_any(),
    class: snapshot.0.as_ref().map(|s| s.spec.class_name.clone()).unwrap_or_default(),
});
watched!(NodeUpdate, |update| Change::NodeUpdate {
    name: update.name_any(),
    rollout: update.0.as_ref().map(|u| u.spec.rollout_name.clone()).unwrap_or_default(),
});

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
