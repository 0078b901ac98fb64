//! What there is under the name of a node that we mean, and how long Node objects of machines in work have been missing.
//!
//! The latter lives in memory: after a restart the time begins anew, which only makes the belief come later.

use super::error::ReconcileError;
use crate::domain::{NodeRef, NodeSeen, NodeState};
use crate::observe::{self, Stores};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What there is under the node's name. What the watch does not show is read afresh: a watch may lag.
///
/// # Errors
/// [`ReconcileError::Api`].
pub(super) async fn look(stores: &Stores, client: Client, meant: &NodeRef) -> Result<NodeSeen, ReconcileError> {
    let shown = Stores::get(&stores.nodes, &meant.name).map(|node| observe::node::read(&node));
    let seen = observe::node::seen(meant, shown);
    if seen.here().is_some() {
        return Ok(seen);
    }
    Ok(observe::node::seen(meant, read(client, &meant.name).await?))
}

/// What there is under a node's name, as the API server has it now.
///
/// # Errors
/// [`ReconcileError::Api`].
pub(super) async fn read(client: Client, name: &str) -> Result<Option<NodeState>, ReconcileError> {
    let api: Api<Node> = Api::all(client);
    let node = api.get_opt(name).await.map_err(ReconcileError::api("reading the node"))?;
    Ok(node.as_ref().map(observe::node::read))
}

/// Nodes in work whose Node object is missing.
#[derive(Debug)]
pub(super) struct Missing {
    believed_after: Duration,
    /// Since when, by the node update's UID.
    since: Mutex<HashMap<String, Timestamp>>,
}

impl Missing {
    /// Nothing is missing yet; what is, is believed to be gone after this time.
    pub(super) fn new(believed_after: Duration) -> Self {
        Self { believed_after, since: Mutex::default() }
    }

    /// What to believe of the node of the node update `uid`, for which `found` was seen now.
    pub(super) fn judge(&self, uid: &str, found: NodeSeen, now: Timestamp) -> NodeSeen {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if found != NodeSeen::Gone {
            since.remove(uid);
            return found;
        }
        let first = *since.entry(uid.to_owned()).or_insert(now);
        let age = Duration::try_from(now.duration_since(first)).unwrap_or_default();
        match self.believed_after.checked_sub(age) {
            Some(left) if !left.is_zero() => NodeSeen::Missing { left },
            Some(_) | None => NodeSeen::Gone,
        }
    }

    /// Forgets a node update that has ended.
    pub(super) fn forget(&self, uid: &str) {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_gone_when_it_was_missing_for_the_whole_time() {
        let missing = Missing::new(Duration::from_mins(1));
        let at = |second| Timestamp::from_second(second).expect("a time");
        let left = |seconds| NodeSeen::Missing { left: Duration::from_secs(seconds) };
        assert_eq!(missing.judge("u", NodeSeen::Gone, at(0)), left(60));
        assert_eq!(missing.judge("u", NodeSeen::Gone, at(59)), left(1));
        assert_eq!(missing.judge("other", NodeSeen::Gone, at(59)), left(60), "each for itself");
        assert_eq!(missing.judge("u", NodeSeen::Gone, at(60)), NodeSeen::Gone);
        let here = NodeSeen::Here(Box::new(observe::node::read(&Node::default())));
        assert_eq!(missing.judge("u", here.clone(), at(61)), here);
        assert_eq!(missing.judge("u", NodeSeen::Gone, at(62)), left(60), "it was here in between");
        missing.forget("u");
        assert_eq!(missing.judge("u", NodeSeen::Gone, at(99)), left(60));
    }
}
