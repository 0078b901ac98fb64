//! Orphans: snapshots with this installation's mark that no NodeSnapshot knows, that no node update in work waits for, and
//! whose time, by their own mark, is over. They are told of, and deleted only where the class says so.

use crate::api::{NodeUpdate, Orphans, SnapshotClass};
use crate::controllers::context::Context;
use crate::observe::Stores;
use crate::ports::{Found, ProviderError, SnapshotProvider};
use crate::record::Tone;
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::HashSet;

/// Most names that a text about orphans lists.
const NAMED: usize = 10;

/// What came of a search.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// What there is to say about those that are still there.
    pub orphans: Option<String>,
    /// Why one could not be deleted.
    pub trouble: Option<ProviderError>,
}

/// Looks for the orphans of a class's provider, and does what the class says. An event tells of them when it is something
/// else than was `told` of them before.
///
/// # Errors
/// The provider does not list its snapshots.
pub(super) async fn sweep(
    ctx: &Context,
    class: &SnapshotClass,
    provider: &dyn SnapshotProvider,
    told: Option<&str>,
) -> Result<Swept, ProviderError> {
    let name = class.name_any();
    let found = provider.list().await?;
    let snapshots = Stores::select(&ctx.stores.snapshots, |_| true);
    let known = snapshots.iter().map(|snapshot| snapshot.spec.handle.as_str()).collect();
    let in_work = Stores::select(&ctx.stores.updates, NodeUpdate::in_work);
    let in_work: HashSet<_> = in_work.iter().filter_map(|update| update.uid()).collect();
    let mut left = orphans(&found, &known, &in_work, ctx.clock.now());
    let trouble = match class.spec.orphans {
        Orphans::Report => None,
        Orphans::Delete => delete(ctx, class, provider, &mut left).await.err(),
    };
    ctx.metrics.orphans_are(&name, left.len());
    let text = (!left.is_empty()).then(|| words(&left, class.spec.orphans));
    if let Some(text) = text.as_ref().filter(|text| told != Some(text.as_str())) {
        tracing::warn!(class = name, text, "orphans at the provider");
        ctx.events.snapshot_class(class, Tone::Warning, "OrphansFound", text).await;
    }
    Ok(Swept { orphans: text, trouble })
}

/// Deletes orphans, the first first, until the provider does not.
async fn delete(
    ctx: &Context,
    class: &SnapshotClass,
    provider: &dyn SnapshotProvider,
    orphans: &mut Vec<&Found>,
) -> Result<(), ProviderError> {
    let name = class.name_any();
    while let Some(Found { handle, node, .. }) = orphans.first() {
        if let Err(error) = provider.delete(handle).await {
            ctx.metrics.snapshot_not_deleted(&name);
            return Err(error);
        }
        tracing::warn!(class = name, %handle, node, "orphan deleted at the provider");
        let note = format!("snapshot {handle} of node {node} was an orphan, and is deleted at the provider");
        ctx.events.snapshot_class(class, Tone::Normal, "OrphanDeleted", &note).await;
        orphans.remove(0);
    }
    Ok(())
}

fn words(orphans: &[&Found], policy: Orphans) -> String {
    let named: Vec<_> = orphans.iter().take(NAMED).map(|o| format!("{} (node {})", o.handle, o.node)).collect();
    let more = if orphans.len() > NAMED { format!(" and {} more", orphans.len() - NAMED) } else { String::new() };
    let deletes = match policy {
        Orphans::Report => "; spec.orphans: Delete deletes them",
        Orphans::Delete => "",
    };
    format!("at the provider, and nobody knows them: {}{more}{deletes}", named.join(", "))
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
