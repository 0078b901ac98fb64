//! Orphans: snapshots with this installation's mark that no NodeSnapshot knows, that no node update in work waits for, and
//! whose time, by their own mark, is over. They are told of, and deleted only where the class says so, and only while all records
//! can be read: one that can not may know them.

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
    let unread = unread(&ctx.stores);
    let deletes = deletes(class.spec.orphans, &unread);
    let trouble = if deletes { delete(ctx, class, provider, &mut left).await.err() } else { None };
    ctx.metrics.orphans_are(&name, left.len());
    let text = (!left.is_empty()).then(|| words(&left, class.spec.orphans, &unread));
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

/// The records that can not be read.
fn unread(stores: &Stores) -> Vec<String> {
    let named =
        |kind: &str, names: Vec<String>| names.into_iter().map(|name| format!("{kind} {name}")).collect::<Vec<_>>();
    [
        named("NodeSnapshot", Stores::unreadable(&stores.snapshots)),
        named("NodeUpdate", Stores::unreadable(&stores.updates)),
    ]
    .concat()
}

/// Whether orphans are deleted: what is in no record that can be read may be in another one.
fn deletes(policy: Orphans, unread: &[String]) -> bool {
    match policy {
        Orphans::Report => false,
        Orphans::Delete => unread.is_empty(),
    }
}

fn words(orphans: &[&Found], policy: Orphans, unread: &[String]) -> String {
    if !unread.is_empty() {
        let (orphans, unread) = (listed(orphans.iter().map(|o| named(o))), listed(unread.iter().cloned()));
        return format!(
            "at the provider, and no record that can be read knows them: {orphans}; none is deleted while these can not be read: {unread}"
        );
    }
    let deletes = match policy {
        Orphans::Report => "; spec.orphans: Delete deletes them",
        Orphans::Delete => "",
    };
    format!("at the provider, and nobody knows them: {}{deletes}", listed(orphans.iter().map(|o| named(o))))
}

fn named(orphan: &Found) -> String {
    format!("{} (node {})", orphan.handle, orphan.node)
}

/// The first of these names, and how many more there are.
fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let first = names.take(NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
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
    use crate::controllers::samples;
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
        let says = |unread: &[String]| words(&named, Orphans::Delete, unread);
        assert_eq!(says(&[]), "at the provider, and nobody knows them: orphan (node win-1)");
        let careful = says(&["NodeSnapshot s".to_owned()]);
        assert!(careful.ends_with("none is deleted while these can not be read: NodeSnapshot s"), "{careful}");
    }

    #[test]
    fn records_that_can_not_be_read_are_named() {
        let mut stores = samples::stores(vec![], vec![], vec![samples::snapshot("fine", "r")]);
        assert_eq!(unread(&stores), [""; 0]);
        assert!(deletes(Orphans::Delete, &unread(&stores)) && !deletes(Orphans::Report, &unread(&stores)));
        stores.updates = samples::unreadable(&["u"]);
        stores.snapshots = samples::unreadable(&["b", "a"]);
        assert_eq!(unread(&stores), ["NodeSnapshot a", "NodeSnapshot b", "NodeUpdate u"]);
        assert!(!deletes(Orphans::Delete, &unread(&stores)));
    }
}
