//! Deletes snapshots that nobody needs any more: after their rollout's end and the policy's retain time, or when a
//! person deletes the NodeSnapshot; never before the rollout has ended.

use super::again::Again;
use super::context::Context;
use super::elsewhere;
use super::error::ReconcileError;
use super::invalid;
use crate::api::{DeletionPolicy, Guarded, NodeSnapshot, SNAPSHOT_FINALIZER, UpdateRollout};
use crate::observe::{Parsed, Stores};
use crate::ports::Handle;
use jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt};
use std::sync::Arc;
use std::time::Duration;

/// Name of this controller in logs and metrics.
pub const NAME: &str = "snapshot";

/// Annotation on a NodeSnapshot whose rollout is gone: when it is deleted.
const DELETE_AFTER: &str = "windlass.dev/delete-after";
/// How often a snapshot that waits is looked at; the end of its rollout is told by its own event.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// One pass over one snapshot.
///
/// # Errors
/// [`ReconcileError`]; the provider is asked again then.
pub async fn reconcile(ctx: &Context, shown: &Guarded<NodeSnapshot>) -> Result<Again, ReconcileError> {
    let snapshot = match &shown.0 {
        Ok(snapshot) => ctx.snapshots.latest(Arc::clone(snapshot)),
        Err(error) => {
            invalid::tell::<NodeSnapshot>(ctx, error, false).await;
            return Ok(Again::on_change());
        }
    };
    let rollout = Stores::get(&ctx.stores.rollouts, &snapshot.spec.rollout_name)
        .filter(|rollout| rollout.uid().as_deref() == Some(snapshot.spec.rollout_uid.as_str()));
    if must_stay(&ctx.stores, &snapshot, rollout.as_deref()) {
        return Ok(Again::after(LOOK_AGAIN));
    }
    if snapshot.metadata.deletion_timestamp.is_some() {
        delete_at_provider(ctx, &snapshot).await?;
        return Ok(Again::on_change());
    }
    let api: Api<NodeSnapshot> = Api::all(ctx.means.clients.act.clone());
    let now = ctx.clock.now();
    let Some(due) = due(&snapshot, rollout.as_deref()) else {
        let after = now + retain(&snapshot);
        let after = after.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let patch = Patch::Merge(serde_json::json!({ "metadata": { "annotations": { DELETE_AFTER: after } } }));
        let patched = api.patch(&snapshot.name_any(), &PatchParams::default(), &patch).await;
        patched.map_err(ReconcileError::api("annotating a NodeSnapshot"))?;
        return Ok(Again::after(LOOK_AGAIN));
    };
    if let Ok(left) = Duration::try_from(due.duration_since(now))
        && !left.is_zero()
        && !is_one_too_many(&snapshot, &ctx.stores.snapshots)
    {
        return Ok(Again::after(left.min(LOOK_AGAIN)));
    }
    let preconditions = Preconditions { uid: snapshot.uid(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match api.delete(&snapshot.name_any(), &params).await {
        Ok(_) => tracing::info!(name = snapshot.name_any(), "retain time is over, snapshot deleted"),
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(ReconcileError::api("deleting a NodeSnapshot")(error)),
    }
    Ok(Again::after(LOOK_AGAIN))
}

/// Whether a snapshot stays whatever its time is: its rollout has not ended, or can not be read, and then nobody knows. That
/// one is told of by its own controller, and the end of it is an event.
fn must_stay(stores: &Stores, snapshot: &NodeSnapshot, rollout: Option<&UpdateRollout>) -> bool {
    let Some(rollout) = rollout else {
        let unreadable = Stores::invalid(&stores.rollouts, &snapshot.spec.rollout_name);
        return unreadable.is_some_and(|r| r.metadata.uid.as_deref() == Some(snapshot.spec.rollout_uid.as_str()));
    };
    rollout.status.as_ref().is_none_or(|status| status.ended_at.is_none())
}

async fn delete_at_provider(ctx: &Context, snapshot: &NodeSnapshot) -> Result<(), ReconcileError> {
    if !snapshot.finalizers().iter().any(|f| f == SNAPSHOT_FINALIZER) {
        return Ok(());
    }
    let (name, handle) = (snapshot.name_any(), &snapshot.spec.handle);
    match snapshot.spec.deletion_policy {
        DeletionPolicy::Delete => {
            let provider = ctx.means.providers.of_class(&snapshot.spec.class_name)?;
            let handle = Handle::new(handle.clone());
            let deleted = async {
                elsewhere::refuse(ctx, provider.as_ref(), snapshot).await?;
                provider.delete(&handle).await
            };
            if let Err(error) = deleted.await {
                ctx.metrics.snapshot_not_deleted(&snapshot.spec.class_name);
                return Err(error.into());
            }
            tracing::info!(name, %handle, "deleted at the provider");
        }
        DeletionPolicy::Retain => {
            tracing::info!(name, handle, "its record goes, the snapshot is retained at the provider");
        }
    }
    ctx.snapshots.set_finalizer(snapshot, SNAPSHOT_FINALIZER, false).await?;
    ctx.snapshots.forget(&snapshot.name_any());
    Ok(())
}

/// When a snapshot is to be deleted; `None` when its rollout is gone and the time was not noted yet.
fn due(snapshot: &NodeSnapshot, rollout: Option<&UpdateRollout>) -> Option<Timestamp> {
    let ended = rollout.and_then(|r| r.status.as_ref()?.ended_at.as_ref()).map(|at| at.0);
    match ended {
        Some(ended) => Some(ended + retain(snapshot)),
        None => snapshot.annotations().get(DELETE_AFTER).and_then(|at| at.parse().ok()),
    }
}

/// Whether as many newer snapshots of the node as are to be kept at most are there.
fn is_one_too_many(snapshot: &NodeSnapshot, all: &Parsed<NodeSnapshot>) -> bool {
    let Some(most) = snapshot.spec.keep_at_most.and_then(|most| usize::try_from(most).ok()) else { return false };
    let newer = |other: &NodeSnapshot| {
        other.spec.node_name == snapshot.spec.node_name
            && other.spec.captured.at.0 > snapshot.spec.captured.at.0
            && other.metadata.deletion_timestamp.is_none()
    };
    Stores::select(all, newer).len() >= most
}

fn retain(snapshot: &NodeSnapshot) -> SignedDuration {
    SignedDuration::from_secs(snapshot.spec.retain_seconds.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::samples;

    #[test]
    fn more_than_are_to_be_kept_are_too_many() {
        let taken = |hour: u8, node: &str, most: Option<i32>| {
            let mut snapshot = samples::snapshot(&format!("s-{hour}-{node}"), "r");
            let at: Timestamp = format!("2026-11-22T{hour:02}:00:00Z").parse().expect("a time");
            snapshot.spec.captured.at = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at);
            (snapshot.spec.node_name, snapshot.spec.keep_at_most) = (node.to_owned(), most);
            snapshot
        };
        let all = [taken(1, "a", Some(2)), taken(2, "a", Some(2)), taken(3, "a", Some(2)), taken(4, "b", Some(2))];
        let there = samples::stores(vec![], vec![], all.to_vec()).snapshots;
        let too_many: Vec<_> = all.iter().map(|snapshot| is_one_too_many(snapshot, &there)).collect();
        assert_eq!(too_many, [true, false, false, false]);
        assert!(!is_one_too_many(&taken(0, "a", None), &there), "nobody has set a bound");
    }

    #[test]
    fn a_snapshot_stays_while_its_rollout_has_not_ended_or_can_not_be_read() {
        let snapshot = samples::snapshot("s", "r");
        let (running, ended) = (samples::rollout("r", None), samples::rollout("r", Some("2026-11-22T10:00:00Z")));
        let mut stores = samples::stores(vec![], vec![], vec![]);
        assert!(must_stay(&stores, &snapshot, Some(&running)));
        assert!(!must_stay(&stores, &snapshot, Some(&ended)));
        assert!(!must_stay(&stores, &snapshot, None), "its rollout is gone");
        stores.rollouts = samples::unreadable(&["r"]);
        assert!(must_stay(&stores, &snapshot, None), "its rollout is there, and may be at work");
        let of_an_older_one = NodeSnapshot {
            spec: crate::api::NodeSnapshotSpec { rollout_uid: "older".into(), ..snapshot.spec },
            ..snapshot
        };
        assert!(!must_stay(&stores, &of_an_older_one, None), "another rollout of that name can not be read");
    }

    #[test]
    fn a_snapshot_is_due_its_retain_time_after_its_rollouts_end() {
        let mut snapshot = samples::snapshot("s", "r");
        let ended = samples::rollout("r", Some("2026-11-22T10:00:00Z"));
        let at = |text: &str| Some(text.parse::<Timestamp>().expect("a time"));
        assert_eq!(due(&snapshot, Some(&ended)), at("2026-11-22T11:00:00Z"));
        assert_eq!(due(&snapshot, None), None, "its rollout is gone, and nothing was noted yet");
        snapshot.annotations_mut().insert(DELETE_AFTER.to_owned(), "2026-11-23T10:00:00Z".to_owned());
        assert_eq!(due(&snapshot, None), at("2026-11-23T10:00:00Z"));
        assert_eq!(due(&snapshot, Some(&ended)), at("2026-11-22T11:00:00Z"), "the rollout's own end counts first");
    }
}
