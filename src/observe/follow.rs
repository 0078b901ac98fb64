//! Follows one kind: a watch that fills a store and tells what changed.
//!
//! A watch that was cut and listed again never says what was deleted meanwhile; what was known and is not in the list
//! any more is told here.

use super::change::{Change, Watched};
use super::phases::Phases;
use futures::{StreamExt, channel::mpsc::UnboundedSender};
use kube::runtime::{
    WatchStreamExt,
    reflector::{self, Store, store::Writer},
    watcher::{self, Event, watcher},
};
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

/// Seconds until the API server is asked to end a watch, so that a dead connection is noticed. Load balancers drop idle
/// connections at 240 s (Azure), API servers end watches at 290 s.
pub const WATCH_SECONDS: u32 = 200;

/// Is told how the watches fare.
pub trait Witness: Send + Sync {
    /// The API server has said something about this kind: the store is as fresh as it can be.
    fn synced(&self, kind: &str);

    /// A watch of this kind failed; it is tried again.
    fn failed(&self, kind: &str);
}

/// What fills the store of one kind, and tells what changed.
pub struct Feed<K: Watched + 'static> {
    store: Store<K>,
    writer: Writer<K>,
    changes: UnboundedSender<Change>,
    known: HashMap<(String, String), Known>,
    phases: Phases,
}

impl<K: Watched + 'static> Feed<K> {
    /// An empty store, its feed, and where its changes are told.
    pub(super) fn new(changes: UnboundedSender<Change>) -> (Store<K>, Self) {
        let (store, writer) = reflector::store();
        (store.clone(), Self { store, writer, changes, known: HashMap::new(), phases: Phases::default() })
    }

    /// Puts what a watch said into the store, and tells what changed for whoever decides.
    pub fn put(&mut self, event: &Event<K>) {
        self.writer.apply_watcher_event(event);
        self.note_phases(event);
        for change in changed(&mut self.known, &self.store, event) {
            // The receiver is gone only when the process is about to end.
            let _ = self.changes.unbounded_send(change);
        }
    }

    /// The phases of the pods in the store; none, where it is one of another kind.
    pub fn phases(&self) -> Phases {
        self.phases.clone()
    }

    fn note_phases(&self, event: &Event<K>) {
        match event {
            Event::Init | Event::InitApply(_) => {}
            Event::InitDone => self.phases.renew(self.store.state().iter().filter_map(|object| object.pod())),
            Event::Apply(object) => object.pod().into_iter().for_each(|pod| self.phases.note(pod, false)),
            Event::Delete(object) => object.pod().into_iter().for_each(|pod| self.phases.note(pod, true)),
        }
    }
}

/// What was last told of an object.
struct Known {
    fingerprint: u64,
    change: Change,
}

/// Follows a kind until the process ends. Failures are logged and tried again, at last every 30 s.
pub(super) async fn follow<K>(
    mut feed: Feed<K>,
    api: Api<K>,
    config: watcher::Config,
    trim: fn(&mut K),
    witness: Arc<dyn Witness>,
) where
    K: Watched + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let kind = K::kind(&()).into_owned();
    let events = watcher(api, config.timeout(WATCH_SECONDS)).modify(trim).default_backoff();
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                witness.synced(&kind);
                feed.put(&event);
            }
            Err(error) => {
                witness.failed(&kind);
                tracing::warn!(kind, %error, "watch failed, trying again");
            }
        }
    }
}

/// What is to be told after an event that is in the store already.
fn changed<K: Watched>(
    known: &mut HashMap<(String, String), Known>,
    store: &Store<K>,
    event: &Event<K>,
) -> Vec<Change> {
    match event {
        // The store shows what is listed only when the list is complete.
        Event::Init | Event::InitApply(_) => Vec::new(),
        Event::Apply(object) => note(known, object).into_iter().collect(),
        Event::Delete(object) => {
            known.remove(&key(object));
            vec![object.change()]
        }
        Event::InitDone => {
            let listed = store.state();
            let mut before = std::mem::take(known);
            let mut changes = Vec::new();
            for object in &listed {
                known.extend(before.remove_entry(&key(object.as_ref())));
                changes.extend(note(known, object.as_ref()));
            }
            changes.extend(before.into_values().map(|gone| gone.change));
            changes
        }
    }
}

fn note<K: Watched>(known: &mut HashMap<(String, String), Known>, object: &K) -> Option<Change> {
    let fingerprint = object.fingerprint();
    let change = object.change();
    let before = known.insert(key(object), Known { fingerprint, change: change.clone() });
    (before.is_none_or(|k| k.fingerprint != fingerprint)).then_some(change)
}

fn key<K: Watched>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Guarded;
    use k8s_openapi::api::core::v1::Node;
    use kube::runtime::reflector;

    fn node(name: &str, version: &str, unschedulable: bool) -> Guarded<Node> {
        let node: Node = serde_json::from_value(serde_json::json!({
            "metadata": {"name": name, "uid": name, "resourceVersion": version},
            "spec": {"unschedulable": unschedulable},
        }))
        .expect("a Node");
        Guarded::of(node)
    }

    fn names(changes: Vec<Change>) -> Vec<String> {
        let mut names: Vec<_> = changes.into_iter().map(|c| format!("{c:?}")).collect();
        names.sort();
        names
    }

    #[test]
    fn a_list_tells_what_is_new_changed_and_gone_and_nothing_else() {
        let (store, mut writer) = reflector::store::<Guarded<Node>>();
        let mut known = HashMap::new();
        let mut tell = |event: Event<Guarded<Node>>| {
            writer.apply_watcher_event(&event);
            names(changed(&mut known, &store, &event))
        };
        assert!(tell(Event::Init).is_empty());
        for name in ["a", "b", "c"] {
            assert!(tell(Event::InitApply(node(name, "1", false))).is_empty());
        }
        assert_eq!(tell(Event::InitDone).len(), 3);
        assert!(tell(Event::Apply(node("a", "2", false))).is_empty(), "a heartbeat");
        assert_eq!(tell(Event::Apply(node("a", "3", true))), ["Node(\"a\")"]);
        assert_eq!(tell(Event::Delete(node("a", "4", true))), ["Node(\"a\")"]);
        tell(Event::Init);
        tell(Event::InitApply(node("b", "9", true)));
        tell(Event::InitApply(node("d", "9", false)));
        assert_eq!(tell(Event::InitDone), ["Node(\"b\")", "Node(\"c\")", "Node(\"d\")"]);
    }
}
