//! Tends SnapshotClasses: says in their status whether their provider can work, keeps a class that snapshots need, looks
//! for orphans. How many snapshots there are is in the metrics: in the status, each would be a write.

mod look;
mod sweep;

use super::again::Again;
use super::context::Context;
use super::error::ReconcileError;
use super::invalid;
use crate::api::{
    CLASS_FINALIZER, DeletionPolicy, Guarded, NodeSnapshot, NodeUpdate, SnapshotClass, SnapshotClassStatus,
};
use crate::observe::Stores;
use crate::plan::conditions::{Needed, SnapshotClassFacts, snapshot_class};
use crate::telemetry::SnapshotFigures;
use kube::ResourceExt;
use look::Look;
use std::sync::Arc;

pub use look::Looks;

/// Name of this controller in logs and metrics.
pub const NAME: &str = "snapshot_class";

/// One pass over one class.
///
/// # Errors
/// [`ReconcileError`].
pub async fn reconcile(ctx: &Context, shown: &Guarded<SnapshotClass>) -> Result<Again, ReconcileError> {
    let class = match &shown.0 {
        Ok(class) => ctx.classes.latest(Arc::clone(class)),
        Err(error) => {
            invalid::tell::<SnapshotClass>(ctx, error, true).await;
            return Ok(Again::on_change());
        }
    };
    let name = class.name_any();
    let of_class = Stores::select(&ctx.stores.snapshots, |snapshot| snapshot.spec.class_name == name);
    let figures = figures(&of_class);
    let price = class.spec.price.as_ref().and_then(|p| Some((p.per_gib_month.parse::<f64>().ok()?, &p.currency)));
    let cost = price.map(|(price, currency)| (price * gib(figures.bytes), currency.as_str()));
    ctx.metrics.snapshots_are(&name, figures, cost);
    let needed = needed(ctx, &name, &of_class);
    let class = keep(ctx, class, needed).await?;
    // One that was let go has nothing left to say.
    if class.metadata.deletion_timestamp.is_some() && !needed.is_any() {
        ctx.looks.forget(&class);
        return Ok(Again::on_change());
    }
    let look = look::at(ctx, &class).await;
    say(ctx, &class, &look, needed).await?;
    Ok(Again::after(look.holds()))
}

/// What the class is needed for. A snapshot that can not be read may be of this class.
fn needed(ctx: &Context, name: &str, of_class: &[Arc<NodeSnapshot>]) -> Needed {
    let deletes = of_class.iter().filter(|snapshot| snapshot.spec.deletion_policy == DeletionPolicy::Delete).count();
    let works = |update: &NodeUpdate| update.in_work() && update.spec.snapshot_class == name;
    Needed {
        snapshots: deletes + Stores::unreadable(&ctx.stores.snapshots).len(),
        updates: Stores::select(&ctx.stores.updates, works).len(),
    }
}

fn figures(snapshots: &[Arc<NodeSnapshot>]) -> SnapshotFigures {
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

/// A class is kept, by a finalizer, while snapshots are to be deleted through it, or nodes may have to be restored through it.
async fn keep(ctx: &Context, class: Arc<SnapshotClass>, needed: Needed) -> Result<Arc<SnapshotClass>, ReconcileError> {
    let kept = class.finalizers().iter().any(|finalizer| finalizer == CLASS_FINALIZER);
    // None may be added to what is being deleted.
    if class.metadata.deletion_timestamp.is_some() && !kept {
        return Ok(class);
    }
    Ok(ctx.classes.set_finalizer(&class, CLASS_FINALIZER, needed.is_any()).await?.unwrap_or(class))
}

/// Writes the status, if it says something new.
async fn say(ctx: &Context, class: &SnapshotClass, look: &Look, needed: Needed) -> Result<(), ReconcileError> {
    let seen = class.status.clone().unwrap_or_default();
    let generation = class.metadata.generation;
    let facts = SnapshotClassFacts {
        trouble: look.trouble.as_ref(),
        needed: class.metadata.deletion_timestamp.as_ref().map(|_| needed),
        orphans: look.orphans.as_deref(),
    };
    let status = SnapshotClassStatus {
        observed_generation: generation,
        capabilities: look.capabilities.clone(),
        conditions: snapshot_class(&seen.conditions, facts, generation, ctx.clock.now()),
    };
    if class.status.as_ref() != Some(&status) {
        ctx.classes.replace_status(SnapshotClass { status: Some(status), ..class.clone() }).await?;
    }
    Ok(())
}
