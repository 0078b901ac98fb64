//! `Snapshot` (needs a client): the provider takes a snapshot; once it is restorable, it is put on record.
//!
//! Undo: none; the snapshot is kept for its time and deleted by its own controller.

use super::claim::{Claim, check};
use super::error::call;
use super::pods::Owner;
use super::{ActContext, ActError, provider, wait};
use crate::api::{
    DeletionPolicy, NodeSnapshot, NodeSnapshotSpec, NodeSnapshotStatus, SNAPSHOT_FINALIZER, SnapshotConsistency,
    SnapshotLimit, SnapshotPolicy,
};
use crate::domain::{Expiry, StepKey, StepResult, WaitingOn, child_name};
use crate::ports::{Capability, Consistency, Handle, Order, Progress, ProviderError, SnapshotFacts, SnapshotProvider};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use std::time::Duration;

/// Most remarks of a provider that are put on record: the schema's bound.
const MAX_INDICATIONS: usize = 16;
/// How soon to look again for volumes that are still attached.
const VOLUMES_AGAIN: Duration = Duration::from_secs(5);

pub(super) async fn run(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    if let Claim::NotOurs(result) = check(ctx, key).await? {
        return Ok(result);
    }
    if let Some(node) = ctx.node.here().filter(|node| !node.volumes_attached.is_empty()) {
        return Ok(wait(WaitingOn::Volumes(node.volumes_attached.clone()), VOLUMES_AGAIN));
    }
    let taken = match provider::of(ctx) {
        Ok(provider) => take(ctx, key, provider.as_ref()).await,
        Err(result) => return Ok(result),
    };
    match taken {
        Ok(Taken::Yes(handle, facts)) => {
            // On record even if it is not enough: so it is deleted in its time, too.
            let recorded = record(ctx, key, &handle, &facts).await?;
            Ok(objection(ctx, &handle, &facts).unwrap_or(recorded))
        }
        Ok(Taken::NotYet(doing)) => Ok(provider::working(ctx, &doing)),
        Err(error) => Ok(provider::refused(ctx, &error)),
    }
}

/// Where the snapshot stands.
enum Taken {
    Yes(Handle, SnapshotFacts),
    NotYet(String),
}

async fn take(ctx: &ActContext<'_>, key: &StepKey, provider: &dyn SnapshotProvider) -> Result<Taken, ProviderError> {
    let class = &ctx.intent.snapshot_class;
    // Looked at before the rollout began; the class may have been changed since.
    if let Some(lacking) = provider.capabilities().lacking(&[Capability::InPlace, Capability::KeepsIdentity]) {
        let text = format!("SnapshotClass {class}: its provider lacks {lacking}, which strategy InPlace needs");
        return Err(ProviderError::Permanent(text));
    }
    let order = Order { node: &ctx.intent.node, key, expires_at: expires_at(ctx) };
    let handle = match provider.ensure(&order).await? {
        Progress::Running { message } => return Ok(Taken::NotYet(message)),
        Progress::Done { handle } => handle,
    };
    let Some(handle) = handle else {
        return Err(ProviderError::Failed(format!("SnapshotClass {class}: a snapshot without a handle")));
    };
    let facts = provider.inspect(&handle).await?;
    if facts.restorable {
        return Ok(Taken::Yes(handle, facts));
    }
    Ok(Taken::NotYet(format!("snapshot {handle} to become restorable")))
}

/// Why a snapshot that is there is not enough for an update.
fn objection(ctx: &ActContext<'_>, handle: &Handle, facts: &SnapshotFacts) -> Option<StepResult> {
    if facts.consistency < least(ctx) {
        let (consistency, remarks) = (facts.consistency, facts.indications.join(", "));
        let text = format!("snapshot {handle} is only {consistency:?} consistent ({remarks}), the policy wants more");
        return Some(StepResult::retriable(text));
    }
    let why = expiry(ctx, facts)?.too_soon(ctx.now, ctx.intent.time_to_restore())?;
    Some(StepResult::failed(format!("snapshot {handle} does not count long enough: {why}")))
}

/// When a snapshot ends to count: at the provider, or with what is on it.
fn expiry(ctx: &ActContext<'_>, facts: &SnapshotFacts) -> Option<Expiry> {
    let at_provider = facts.restorable_until.map(|at| Expiry { at, by: SnapshotLimit::ProviderExpiry });
    at_provider.into_iter().chain(ctx.history.identity_expiry()).min()
}

/// From when on nobody wants a snapshot that nobody knows of: made of what is on record, so that it is the same in each
/// pass.
fn expires_at(ctx: &ActContext<'_>) -> Option<Timestamp> {
    match ctx.means.providers.deletion_policy(&ctx.intent.snapshot_class) {
        DeletionPolicy::Delete => ctx.begun().checked_add(SignedDuration::try_from(retain(ctx)).ok()?).ok(),
        DeletionPolicy::Retain => None,
    }
}

fn settings<'a>(ctx: &ActContext<'a>) -> Option<&'a SnapshotPolicy> {
    ctx.intent.policy.strategy.in_place.as_ref().map(|in_place| &in_place.snapshot)
}

/// The least that the policy accepts.
fn least(ctx: &ActContext<'_>) -> Consistency {
    match settings(ctx).map(|snapshot| snapshot.consistency).unwrap_or_default() {
        SnapshotConsistency::Crash => Consistency::Crash,
        SnapshotConsistency::FileSystem => Consistency::FileSystem,
    }
}

fn retain(ctx: &ActContext<'_>) -> Duration {
    settings(ctx).map(|snapshot| snapshot.retain.get()).unwrap_or_default()
}

/// Puts the snapshot on record. Its name is made of the key: a second write of it is refused, and was not needed.
async fn record(
    ctx: &ActContext<'_>,
    key: &StepKey,
    handle: &Handle,
    facts: &SnapshotFacts,
) -> Result<StepResult, ActError> {
    let snapshot = object(ctx, key, handle, facts);
    let name = snapshot.metadata.name.clone().unwrap_or_default();
    let api: Api<NodeSnapshot> = Api::all(ctx.means.clients.act.clone());
    match call(api.create(&PostParams::default(), &snapshot)).await {
        // A conflict alone is no record: another write came first, of a quota for one.
        Err(e) if !e.is_there_already() => Err(ActError::CreateSnapshot { name, source: e }),
        _ => Ok(StepResult::Done {
            handle: Some(handle.as_str().to_owned()),
            message: format!("snapshot {handle} is restorable"),
            more: false,
        }),
    }
}

fn object(ctx: &ActContext<'_>, key: &StepKey, handle: &Handle, facts: &SnapshotFacts) -> NodeSnapshot {
    let intent = ctx.intent;
    NodeSnapshot {
        metadata: ObjectMeta {
            name: Some(child_name(&[&intent.rollout, &intent.node.name], &key.digest())),
            labels: Some(Owner::of(intent).labels(&intent.node.name)),
            finalizers: Some(vec![SNAPSHOT_FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: NodeSnapshotSpec {
            node_name: intent.node.name.clone(),
            node_uid: intent.node.uid.clone(),
            provider_id: intent.node.provider_id.clone(),
            class_name: intent.snapshot_class.clone(),
            rollout_name: intent.rollout.clone(),
            rollout_uid: intent.rollout_uid.clone(),
            node_update: intent.name.clone(),
            handle: handle.as_str().to_owned(),
            build: intent.from.to_string(),
            retain_seconds: i64::try_from(retain(ctx).as_secs()).unwrap_or(i64::MAX),
            keep_at_most: settings(ctx).and_then(|snapshot| snapshot.keep_at_most),
            deletion_policy: ctx.means.providers.deletion_policy(&intent.snapshot_class),
            place: ctx.means.providers.place(&intent.snapshot_class),
            captured: captured(facts, expiry(ctx, facts), retain(ctx)),
        },
    }
}

/// What is known of it, as it is put on record.
fn captured(facts: &SnapshotFacts, end: Option<Expiry>, retain: Duration) -> NodeSnapshotStatus {
    NodeSnapshotStatus {
        at: Time(facts.captured_at),
        restorable: facts.restorable,
        restorable_until: end.map(|end| Time(end.at)),
        restorable_until_by: end.map(|end| end.by),
        size_bytes: facts.size_bytes.and_then(|bytes| i64::try_from(bytes).ok()),
        gib_months: facts.size_bytes.map(|bytes| gib_months(bytes, retain)),
        consistency: match facts.consistency {
            Consistency::Crash => SnapshotConsistency::Crash,
            Consistency::FileSystem => SnapshotConsistency::FileSystem,
        },
        indications: facts.indications.iter().take(MAX_INDICATIONS).cloned().collect(),
    }
}

/// What keeping so many bytes for this time amounts to, in GiB-months of 30 days, to a thousandth.
fn gib_months(bytes: u64, kept: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an estimate; 2^53 bytes are 8 PiB")]
    let gib = bytes as f64 / f64::from(1 << 30);
    let months = kept.as_secs_f64() / Duration::from_hours(30 * 24).as_secs_f64();
    (gib * months * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gib_month_is_a_gib_for_thirty_days() {
        let days = |n: u64| Duration::from_hours(24 * n);
        let check = |bytes, kept, expected: f64| assert!((gib_months(bytes, kept) - expected).abs() < 1e-9);
        check(1 << 30, days(30), 1.0);
        check(128 << 30, days(15), 64.0);
        check(60 << 30, days(7), 14.0);
        check(0, days(7), 0.0);
    }
}
