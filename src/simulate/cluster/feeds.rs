//! How writes come to the stores of operators: in order, and as late as the caches lag.

use super::{AGENTS, Cluster, Kept, Object, PROBES, Table};
use crate::api::Guarded;
use crate::observe::{Feed, Feeds, Watched};
use crate::simulate::agenda::Due;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use kube::runtime::watcher::Event;
use std::collections::VecDeque;
use std::sync::Arc;

/// The stores of one operator.
pub struct Subscriber {
    feeds: Feeds,
    /// What it has not been shown yet: when it will be, what it is, and whether that is gone.
    queue: VecDeque<(Timestamp, Object, bool)>,
}

impl Cluster {
    /// Fills an operator's stores with what there is, and keeps them up to date from now on.
    pub fn subscribe(&mut self, instance: usize, feeds: Feeds) {
        let mut subscriber = Subscriber { feeds, queue: VecDeque::new() };
        subscriber.fill(&self.tables);
        self.agenda.set(Due::Deliver(instance), None);
        while self.subscribers.len() < instance {
            // Nobody listens to these: they are replaced when their operator starts.
            let (_, feeds) = crate::observe::Stores::fed(&futures::channel::mpsc::unbounded().0);
            self.subscribers.push(Subscriber { feeds, queue: VecDeque::new() });
        }
        if self.subscribers.len() == instance {
            self.subscribers.push(subscriber);
        } else {
            self.subscribers[instance] = subscriber;
        }
    }

    /// Ends what [`Cluster::subscribe`] began.
    pub fn unsubscribe(&mut self, instance: usize) {
        self.agenda.set(Due::Deliver(instance), None);
        if instance < self.subscribers.len() {
            let (_, feeds) = crate::observe::Stores::fed(&futures::channel::mpsc::unbounded().0);
            self.subscribers[instance] = Subscriber { feeds, queue: VecDeque::new() };
        }
    }

    /// Sends a write on its way to the stores, and into the watches.
    pub(super) fn publish(&mut self, object: &Object, gone: bool, now: Timestamp) {
        if let Object::Pod(pod) = object {
            self.watches.pod(pod, gone);
        }
        if !is_watched(object) {
            return;
        }
        let lag = self.calls.cache_lag(now);
        for (instance, subscriber) in self.subscribers.iter_mut().enumerate() {
            if lag.is_zero() && subscriber.queue.is_empty() {
                subscriber.show(object, gone);
                continue;
            }
            let at = now + SignedDuration::try_from(lag).unwrap_or_default();
            subscriber.queue.push_back((at, object.clone(), gone));
            self.agenda.not_after(Due::Deliver(instance), at);
        }
    }

    /// Shows an operator what is due.
    pub fn deliver(&mut self, instance: usize, now: Timestamp) {
        let Some(subscriber) = self.subscribers.get_mut(instance) else { return };
        while let Some((_, object, gone)) = subscriber.queue.pop_front_if(|(at, ..)| *at <= now) {
            subscriber.show(&object, gone);
        }
        let next = subscriber.queue.front().map(|(at, ..)| *at);
        self.agenda.set(Due::Deliver(instance), next);
    }
}

impl Subscriber {
    fn fill(&mut self, tables: &super::Tables) {
        let feeds = &mut self.feeds;
        let windows: Vec<_> = tables.nodes.all().filter(|node| is_windows(node)).map(guarded).collect();
        list(&mut feeds.nodes, windows);
        list(&mut feeds.policies, parsed(&tables.policies));
        list(&mut feeds.rings, parsed(&tables.rings));
        list(&mut feeds.rollouts, parsed(&tables.rollouts));
        list(&mut feeds.classes, parsed(&tables.classes));
        list(&mut feeds.approvals, parsed(&tables.approvals));
        list(&mut feeds.holds, parsed(&tables.holds));
        list(&mut feeds.updates, parsed(&tables.updates));
        list(&mut feeds.snapshots, parsed(&tables.snapshots));
        list(&mut feeds.agent_pods, tables.pods.within(AGENTS).map(guarded).collect());
        list(&mut feeds.probe_pods, tables.pods.within(PROBES).map(guarded).collect());
    }

    fn show(&mut self, object: &Object, gone: bool) {
        let feeds = &mut self.feeds;
        match object {
            Object::Node(node) if is_windows(node) => show(&mut feeds.nodes, guarded(node), gone),
            Object::Pod(pod) => match pod.metadata.namespace.as_deref() {
                Some(AGENTS) => show(&mut feeds.agent_pods, guarded(pod), gone),
                Some(PROBES) => show(&mut feeds.probe_pods, guarded(pod), gone),
                _ => {}
            },
            Object::Policy(policy) => show(&mut feeds.policies, guarded(policy), gone),
            Object::Ring(ring) => show(&mut feeds.rings, guarded(ring), gone),
            Object::Rollout(rollout) => show(&mut feeds.rollouts, guarded(rollout), gone),
            Object::Class(class) => show(&mut feeds.classes, guarded(class), gone),
            Object::Approval(approval) => show(&mut feeds.approvals, guarded(approval), gone),
            Object::Hold(hold) => show(&mut feeds.holds, guarded(hold), gone),
            Object::NodeUpdate(update) => show(&mut feeds.updates, guarded(update), gone),
            Object::Snapshot(snapshot) => show(&mut feeds.snapshots, guarded(snapshot), gone),
            Object::Node(_) | Object::Budget(_) => {}
        }
    }
}

/// Whether any store shows it: of pods, those in the namespaces of ours alone.
fn is_watched(object: &Object) -> bool {
    match object {
        Object::Node(node) => is_windows(node),
        Object::Pod(pod) => matches!(pod.metadata.namespace.as_deref(), Some(AGENTS | PROBES)),
        Object::Budget(_) => false,
        Object::Policy(_)
        | Object::Ring(_)
        | Object::Rollout(_)
        | Object::Class(_)
        | Object::Hold(_)
        | Object::NodeUpdate(_)
        | Object::Approval(_)
        | Object::Snapshot(_) => true,
    }
}

fn is_windows(node: &Node) -> bool {
    node.labels().get("kubernetes.io/os").is_some_and(|os| os == "windows")
}

fn guarded<K>(object: &Arc<K>) -> Guarded<K> {
    Guarded::of(Arc::clone(object))
}

fn parsed<K: Kept>(table: &Table<K>) -> Vec<Guarded<K>> {
    table.all().map(guarded).collect()
}

fn list<K: Watched>(feed: &mut Feed<K>, objects: Vec<K>) {
    feed.put(&Event::Init);
    for object in objects {
        feed.put(&Event::InitApply(object));
    }
    feed.put(&Event::InitDone);
}

fn show<K: Watched>(feed: &mut Feed<K>, object: K, gone: bool) {
    feed.put(&if gone { Event::Delete(object) } else { Event::Apply(object) });
}
