//! Deletes agent and probe pods (needs a client): one request per namespace.

use super::ActError;
use super::error::call;
use super::means::{Means, Place};
use super::pods::label_value;
use crate::api::{NODE_LABEL, NODE_UPDATE_LABEL, ROLLOUT_LABEL};
use kube::api::{DeleteParams, ListParams};

/// Whose pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose<'a> {
    /// Those of the node update with this UID, at once: its machine is about to get another disk, and must not find
    /// any of them to run again.
    NodeUpdate(&'a str),
    /// All of the rollout with this UID; those still running are asked to end.
    Rollout(&'a str),
}

/// Deletes all agent and probe pods of somebody. Those that are gone already are a success.
///
/// # Errors
/// [`ActError::DeletePods`].
pub async fn clean_up(means: &Means, whose: Whose<'_>) -> Result<(), ActError> {
    let (label, uid, grace_period_seconds) = match whose {
        Whose::NodeUpdate(uid) => (NODE_UPDATE_LABEL, uid, Some(0)),
        Whose::Rollout(uid) => (ROLLOUT_LABEL, uid, None),
    };
    let params = DeleteParams { grace_period_seconds, ..DeleteParams::default() };
    let selector = format!("{label}={uid}");
    delete(means, Place::Agents, &params, &selector).await?;
    delete(means, Place::Probes, &params, &selector).await
}

/// Deletes the pods of a rollout's soak probes on one node.
pub(super) async fn forget_soak(means: &Means, rollout_uid: &str, node: &str) -> Result<(), ActError> {
    let node = label_value(node);
    let selector = format!("{ROLLOUT_LABEL}={rollout_uid},{NODE_LABEL}={node},!{NODE_UPDATE_LABEL}");
    delete(means, Place::Probes, &DeleteParams::default(), &selector).await
}

async fn delete(means: &Means, place: Place, params: &DeleteParams, selector: &str) -> Result<(), ActError> {
    let list = ListParams::default().labels(selector);
    let error = |source| ActError::DeletePods { namespace: means.namespace(place).to_owned(), source };
    call(means.writing(place).delete_collection(params, &list)).await.map(|_| ()).map_err(error)
}
