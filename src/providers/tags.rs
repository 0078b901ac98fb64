//! The marks that every snapshot of ours carries at its provider, whatever it is: names and values are the same for all.

use crate::ports::{Found, Handle, Order};
use jiff::{Timestamp, Unit};
use std::collections::BTreeMap;

/// Whose it is: the UID of this cluster's `kube-system` namespace. Several clusters may share an account.
pub const INSTALLATION: &str = "windlass.dev/installation";
/// The key of the piece of work, as text.
pub const KEY: &str = "windlass.dev/key";
/// Name of the node.
pub const NODE: &str = "windlass.dev/node";
/// UID of the NodeUpdate.
pub const NODE_UPDATE: &str = "windlass.dev/node-update";
/// From when on nobody wants it any more: RFC 3339, whole seconds, UTC. Without it, it is kept for ever.
pub const EXPIRES_AT: &str = "windlass.dev/expires-at";

/// The marks of the snapshot that is ordered.
pub fn of(order: &Order<'_>, installation: &str) -> BTreeMap<&'static str, String> {
    let mut tags = BTreeMap::from([
        (INSTALLATION, installation.to_owned()),
        (KEY, order.key.to_string()),
        (NODE, order.node.name.clone()),
        (NODE_UPDATE, order.key.node_update_uid.clone()),
    ]);
    if let Some(at) = order.expires_at {
        tags.insert(EXPIRES_AT, at.round(Unit::Second).unwrap_or(at).to_string());
    }
    tags
}

/// Reads the marks back.
pub fn found(handle: Handle, tags: &BTreeMap<String, String>, created_at: Timestamp, size_bytes: Option<u64>) -> Found {
    let text = |name: &str| tags.get(name).cloned().unwrap_or_default();
    Found {
        handle,
        node: text(NODE),
        node_update_uid: text(NODE_UPDATE),
        created_at,
        expires_at: tags.get(EXPIRES_AT).and_then(|at| at.parse().ok()),
        size_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Step;
    use crate::domain::{NodeRef, StepKey};

    #[test]
    fn what_is_marked_is_found_again() {
        let node = NodeRef {
            name: "win-7".into(),
            uid: "n".into(),
            provider_id: "x://win-7".into(),
            system_uuid: String::new(),
        };
        let key = StepKey { node_update_uid: "u".into(), step: Step::Snapshot, round: 1, attempt: 2 };
        let expires_at = Some("2026-12-01T00:00:00.4Z".parse().expect("a time"));
        let marks = of(&Order { node: &node, key: &key, expires_at }, "cluster-1");
        assert_eq!(marks[KEY], "u/Snapshot/1/2");
        assert_eq!(marks[EXPIRES_AT], "2026-12-01T00:00:00Z");
        let tags = marks.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let found = found(Handle::new("h"), &tags, Timestamp::UNIX_EPOCH, None);
        assert_eq!((found.node.as_str(), found.node_update_uid.as_str()), ("win-7", "u"));
        assert_eq!(found.expires_at, "2026-12-01T00:00:00Z".parse().ok());
    }
}
