//! Deletes agent and probe pods (needs a client): one request per namespace.

use super::ActError;
use super::error::call;
use super::means::{Means, Place};
use crate::api::{NODE_UPDATE_LABEL, ROLLOUT_LABEL};
use kube::api::{DeleteParams, ListParams};

/// Whose pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose<'a> {
    /// Those of the node update with this UID, at once: its machine is about to get another disk, and must not find
    /// any of them to run again.
    NodeUpdate(&'a str),
    /// Those of the node updates with these UIDs, which have ended.
    NodeUpdates(&'a [String]),
    /// All of the rollout with this UID; those still running are asked to end.
    Rollout(&'a str),
    /// Those that probed nodes in service for the rollout with this UID.
    Soak(&'a str),
}

/// Deletes all agent and probe pods of somebody. Those that are gone already are a success.
///
/// # Errors
/// [`ActError::DeletePods`].
pub async fn clean_up(means: &Means, whose: Whose<'_>) -> Result<(), ActError> {
    let both = [Place::Agents, Place::Probes].as_slice();
    let (places, selector, grace_period_seconds) = match whose {
        Whose::NodeUpdate(uid) => (both, format!("{NODE_UPDATE_LABEL}={uid}"), Some(0)),
        Whose::NodeUpdates(uids) => (both, format!("{NODE_UPDATE_LABEL} in ({})", uids.join(",")), None),
        Whose::Rollout(uid) => (both, format!("{ROLLOUT_LABEL}={uid}"), None),
        Whose::Soak(uid) => ([Place::Probes].as_slice(), format!("{ROLLOUT_LABEL}={uid},!{NODE_UPDATE_LABEL}"), None),
    };
    let params = DeleteParams { grace_period_seconds, ..DeleteParams::default() };
    for place in places {
        delete(means, *place, &params, &selector).await?;
    }
    Ok(())
}

async fn delete(means: &Means, place: Place, params: &DeleteParams, selector: &str) -> Result<(), ActError> {
    let list = ListParams::default().labels(selector);
    let error = |source| ActError::DeletePods { namespace: means.namespace(place).to_owned(), source };
    call(means.writing(place).delete_collection(params, &list)).await.map(|_| ()).map_err(error)
}
