//! Starts one node: its NodeUpdate is made, with everything that is to be done frozen in it.

use super::memory::uid_of;
use crate::api::{FINALIZER, NODE_LABEL, NodeUpdate, NodeUpdateSpec, Operation, ROLLOUT_LABEL, UpdateRollout};
use crate::controllers::context::Context;
use crate::controllers::error::ReconcileError;
use crate::domain::child_name;
use crate::plan::rollout::Start;
use kube::api::PostParams;
use kube::{Api, Resource, ResourceExt};
use std::time::Duration;

/// Longest value of a label.
const MAX_LABEL: usize = 63;
/// How long a write may take: the client itself sets no bound.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes the NodeUpdate of a node that starts; one that is there already is the same.
///
/// # Errors
/// [`ReconcileError`].
pub async fn make(ctx: &Context, rollout: &UpdateRollout, start: &Start<'_>) -> Result<NodeUpdate, ReconcileError> {
    let wanted = node_update(rollout, start);
    let api: Api<NodeUpdate> = Api::all(ctx.means.clients.act.clone());
    let params = PostParams::default();
    match tokio::time::timeout(WRITE_TIMEOUT, api.create(&params, &wanted)).await {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
            api.get(&wanted.name_any()).await.map_err(ReconcileError::api("reading a NodeUpdate"))
        }
        Ok(Err(error)) => Err(ReconcileError::api("making a NodeUpdate")(error)),
        Err(_) => Err(ReconcileError::TimedOut),
    }
}

/// The NodeUpdate of a node that starts. Its name is made of the UIDs, that of the update before included: made twice, it
/// is a conflict and no second one.
fn node_update(rollout: &UpdateRollout, start: &Start<'_>) -> NodeUpdate {
    let (node, uid, rollout_name) = (&start.node.node, uid_of(rollout), rollout.name_any());
    let again = start.previous.map(|before| format!("/{before}")).unwrap_or_default();
    let name = child_name(&[&rollout_name, &node.name], &format!("{uid}/{}{again}", node.uid));
    let in_place = start.revision.policy.strategy.in_place.as_ref();
    let mut update = NodeUpdate::new(
        &name,
        NodeUpdateSpec {
            rollout_name,
            rollout_uid: uid.clone(),
            ring: start.ring.to_owned(),
            node_name: node.name.clone(),
            node_uid: node.uid.clone(),
            provider_id: node.provider_id.clone(),
            system_uuid: node.system_uuid.clone(),
            operation: Operation::Update,
            from_build: start.from.to_string(),
            to_build: start.to.to_string(),
            updates: start.pinned.updates.clone(),
            snapshot_class: in_place.map(|p| p.snapshot.class_name.clone()).unwrap_or_default(),
            policy: start.revision.policy.clone(),
        },
    );
    update.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
    update.metadata.owner_references = rollout.controller_owner_ref(&()).map(|owner| vec![owner]);
    update.labels_mut().insert(ROLLOUT_LABEL.to_owned(), uid);
    update.labels_mut().insert(NODE_LABEL.to_owned(), label_value(&node.name));
    update
}

/// A name as a label's value, which may be shorter than a name and ends with a letter or digit.
fn label_value(name: &str) -> String {
    let cut: String = name.chars().take(MAX_LABEL).collect();
    cut.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{FrozenRing, PinnedSet};
    use crate::controllers::samples;
    use crate::observe;
    use serde_json::json;

    #[test]
    fn what_is_made_carries_all_that_is_to_be_done_and_can_not_be_made_twice() {
        let revision: FrozenRing = serde_json::from_value(json!({
            "ringGeneration": 1, "policyGeneration": 2, "policy": samples::policy(),
            "ring": {"policyName": "standard", "nodeSelector": {"matchLabels": {"a": "b"}}},
        }))
        .expect("a frozen ring");
        let pinned = PinnedSet { os_build: "10.0.20348".into(), expected_build: None, updates: vec![] };
        let node = observe::node::read(
            &serde_json::from_value(json!({
                "metadata": {"name": "win-1", "uid": "n-1"}, "spec": {"providerID": "simulated://win-1"},
            }))
            .expect("a Node"),
        );
        let (from, to) = ("10.0.20348.1".parse().expect("a build"), "10.0.20348.2".parse().expect("a build"));
        let start =
            Start { node: &node, ring: "early", revision: &revision, from, to, pinned: &pinned, previous: None };
        let rollout = samples::rollout("july", None);
        let made = node_update(&rollout, &start);
        assert_eq!(made.name_any(), node_update(&rollout, &start).name_any());
        assert!(made.name_any().starts_with("july-win-1-"));
        assert_eq!(made.finalizers(), [FINALIZER]);
        assert_eq!(made.owner_references().first().map(|o| o.uid.as_str()), Some("july"));
        assert_eq!(made.labels()[ROLLOUT_LABEL], "july");
        assert_eq!((made.spec.snapshot_class.as_str(), made.spec.to_build.as_str()), ("sim", "10.0.20348.2"));
        assert_eq!(made.spec.policy, revision.policy);
        let other = samples::rollout("august", None);
        assert_ne!(node_update(&other, &start).name_any(), made.name_any());
        let again = Start { previous: Some("the one before"), ..start };
        assert_ne!(node_update(&rollout, &again).name_any(), made.name_any());
    }
}
