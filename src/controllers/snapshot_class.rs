//! Tends SnapshotClasses: counts what they hold, keeps a class that snapshots need, and looks for orphans.
//!
//! An orphan is a snapshot with this installation's mark that no NodeSnapshot knows, that no node update in work waits for,
//! and whose time, by its own mark, is over. Orphans are told of, and deleted only where the class says so.

use super::context::Context;
use super::error::ReconcileError;
use crate::api::{CLASS_FINALIZER, DeletionPolicy, NodeSnapshot, Orphans, SnapshotClass};
use crate::observe::Stores;
use crate::ports::Found;
use crate::telemetry::SnapshotFigures;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// How often classes are looked at.
const LOOK: Duration = Duration::from_mins(1);
/// How many looks from one search for orphans to the next: an hour.
const SEARCH_EVERY: u32 = 60;
/// Most names that a line about orphans lists.
const NAMED: usize = 10;

/// Tends all classes until the process ends.
pub async fn run(ctx: Arc<Context>) {
    for look in 0_u32.. {
        for class in Stores::all(&ctx.stores.classes) {
            if let Err(error) = tend(&ctx, &class, look % SEARCH_EVERY == 0).await {
                tracing::warn!(class = class.name_any(), %error, "could not be tended, will be again");
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn tend(ctx: &Context, class: &SnapshotClass, search: bool) -> Result<(), ReconcileError> {
    let name = class.name_any();
    let all = Stores::all(&ctx.stores.snapshots);
    let of_class: Vec<_> = all.iter().filter(|snapshot| snapshot.spec.class_name == name).map(Arc::as_ref).collect();
    let figures = figures(&of_class);
    let price = class.spec.price.as_ref().and_then(|p| Some((p.per_gib_month.parse::<f64>().ok()?, &p.currency)));
    let cost = price.map(|(price, currency)| (price * gib(figures.bytes), currency.as_str()));
    ctx.metrics.snapshots_are(&name, figures, cost);
    keep(ctx, class, &of_class).await?;
    if search && class.metadata.deletion_timestamp.is_none() {
        sweep(ctx, class, &all).await?;
    }
    Ok(())
}

fn figures(snapshots: &[&NodeSnapshot]) -> SnapshotFigures {
    SnapshotFigures {
        count: i64::try_from(snapshots.len()).unwrap_or(i64::MAX),
        bytes: snapshots.iter().filter_map(|snapshot| snapshot.spec.captured.size_bytes).sum(),
        oldest: snapshots.iter().map(|snapshot| snapshot.spec.captured.at.0.as_second()).min().unwrap_or_default(),
    }
}

fn gib(bytes: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an estimate; 2^53 bytes are 8 PiB")]
    let bytes = bytes as f64;
    bytes / f64::from(1 << 30)
}

/// A class is kept, by a finalizer, while snapshots of it are to be deleted through it.
async fn keep(ctx: &Context, class: &SnapshotClass, snapshots: &[&NodeSnapshot]) -> Result<(), ReconcileError> {
    let needed = snapshots.iter().filter(|s| s.spec.deletion_policy == DeletionPolicy::Delete).count();
    let deleting = class.metadata.deletion_timestamp.is_some();
    let kept = class.finalizers().iter().any(|finalizer| finalizer == CLASS_FINALIZER);
    if deleting && needed > 0 {
        tracing::warn!(
            class = class.name_any(),
            snapshots = needed,
            "is not gone before the snapshots that need it are"
        );
    }
    // None may be added to what is being deleted.
    if kept == (needed > 0) || deleting && !kept {
        return Ok(());
    }
    let mut finalizers = class.finalizers().to_vec();
    finalizers.retain(|finalizer| finalizer != CLASS_FINALIZER);
    if needed > 0 {
        finalizers.push(CLASS_FINALIZER.to_owned());
    }
    let metadata = serde_json::json!({ "resourceVersion": class.resource_version(), "finalizers": finalizers });
    let patch = Patch::Merge(serde_json::json!({ "metadata": metadata }));
    let api: Api<SnapshotClass> = Api::all(ctx.means.clients.act.clone());
    match api.patch(&class.name_any(), &PatchParams::default(), &patch).await {
        Ok(_) => Ok(()),
        // Changed or gone meanwhile: the next look sees it.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(ReconcileError::api("finalizer of a SnapshotClass")(error)),
    }
}

async fn sweep(ctx: &Context, class: &SnapshotClass, all: &[Arc<NodeSnapshot>]) -> Result<(), ReconcileError> {
    let name = class.name_any();
    let provider = ctx.means.providers.of_class(&name)?;
    let found = provider.list().await?;
    let known = all.iter().map(|snapshot| snapshot.spec.handle.as_str()).collect();
    let updates = Stores::all(&ctx.stores.updates);
    let in_work = updates.iter().filter(|u| u.status.as_ref().is_none_or(|s| s.outcome.is_none()));
    let in_work: HashSet<_> = in_work.filter_map(|update| update.uid()).collect();
    let orphans = orphans(&found, &known, &in_work, ctx.clock.now());
    ctx.metrics.orphans_are(&name, orphans.len());
    if orphans.is_empty() {
        return Ok(());
    }
    let named: Vec<_> = orphans.iter().take(NAMED).map(|o| format!("{} (node {})", o.handle, o.node)).collect();
    let (named, count) = (named.join(", "), orphans.len());
    if class.spec.orphans == Orphans::Report {
        tracing::warn!(class = name, count, named, "orphans at the provider; spec.orphans: Delete would delete them");
        return Ok(());
    }
    for orphan in orphans {
        if let Err(error) = provider.delete(&orphan.handle).await {
            ctx.metrics.snapshot_not_deleted(&name);
            return Err(error.into());
        }
        tracing::warn!(class = name, handle = %orphan.handle, node = orphan.node, "orphan deleted at the provider");
    }
    Ok(())
}

/// What nobody knows, waits for, or wants to keep.
fn orphans<'a>(found: &'a [Found], known: &HashSet<&str>, in_work: &HashSet<String>, now: Timestamp) -> Vec<&'a Found> {
    let is_orphan = |found: &&Found| {
        !known.contains(found.handle.as_str())
            && !in_work.contains(&found.node_update_uid)
            && found.expires_at.is_some_and(|at| at < now)
    };
    found.iter().filter(is_orphan).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Handle;

    #[test]
    fn only_what_nobody_wants_is_an_orphan() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let found = |handle: &str, update: &str, expires: Option<&str>| Found {
            handle: Handle::new(handle),
            node: "win-1".into(),
            node_update_uid: update.into(),
            created_at: at("2026-11-01T00:00:00Z"),
            expires_at: expires.map(at),
            size_bytes: None,
        };
        let past = Some("2026-11-20T00:00:00Z");
        let all = [
            found("orphan", "ended", past),
            found("on-record", "ended", past),
            found("in-work", "working", past),
            found("not-yet", "ended", Some("2026-11-30T00:00:00Z")),
            found("for-ever", "ended", None),
        ];
        let in_work = HashSet::from(["working".to_owned()]);
        let named = orphans(&all, &HashSet::from(["on-record"]), &in_work, at("2026-11-22T00:00:00Z"));
        assert_eq!(named.iter().map(|o| o.handle.as_str()).collect::<Vec<_>>(), ["orphan"]);
    }
}
