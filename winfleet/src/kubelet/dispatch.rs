//! Two watches for the whole fleet, all pods that are bound to a node and all Windows nodes, and what hands their news
//! to the nodes they concern.

use super::pod::PodView;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{Notify, watch};

/// Seconds after which the server ends a watch and it is made again: below the idle time of usual load balancers.
const WATCH_SECONDS: u32 = 200;

/// News about the pods of one node that its worker did not take yet; the latest of each pod, so that it stays small.
#[derive(Debug, Default)]
pub struct Inbox {
    pods: Mutex<BTreeMap<String, Option<PodView>>>,
    news: Notify,
}

impl Inbox {
    /// Puts the latest of a pod; `None`: its object is gone.
    pub fn put(&self, uid: String, pod: Option<PodView>) {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, pod);
        self.news.notify_one();
    }

    /// Takes all news, by UID.
    pub fn take(&self) -> BTreeMap<String, Option<PodView>> {
        std::mem::take(&mut *self.pods.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for news.
    pub async fn changed(&self) {
        self.news.notified().await;
    }
}

/// A Node object as its kubelet needs to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSeen {
    /// UID.
    pub uid: String,
    /// Since when the condition `Ready` is `True`, if it is.
    pub ready_since: Option<Timestamp>,
}

impl NodeSeen {
    /// Reads a Node object.
    pub fn from_node(node: &Node) -> Self {
        let conditions = node.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
        let ready = conditions.iter().find(|c| c.type_ == "Ready" && c.status == "True");
        Self {
            uid: node.metadata.uid.clone().unwrap_or_default(),
            ready_since: ready.map(|c| c.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0)),
        }
    }
}

/// Where the news about one node go.
#[derive(Clone, Debug)]
pub struct NodeMail {
    /// News about its pods.
    pub inbox: Arc<Inbox>,
    /// Its Node object, `None` while there is none.
    pub node: watch::Sender<Option<NodeSeen>>,
}

/// Watches pods and nodes and hands out the news, for ever; errors are logged and the watch is made again.
pub async fn dispatch(client: Client, mail: HashMap<String, NodeMail>) {
    let mail = Arc::new(mail);
    let config = || watcher::Config::default().timeout(WATCH_SECONDS);
    let pods = {
        let mail = mail.clone();
        follow(Api::<Pod>::all(client.clone()), config().fields("spec.nodeName!="), pod_node, move |node, uid, pod| {
            if let Some(mail) = mail.get(node) {
                mail.inbox.put(uid.to_owned(), pod.as_ref().and_then(PodView::from_pod));
            }
        })
    };
    let nodes = follow(
        Api::<Node>::all(client),
        config().labels("kubernetes.io/os=windows"),
        |node: &Node| node.metadata.name.as_deref(),
        move |name, uid, node| {
            if let Some(mail) = mail.get(name) {
                deliver_node(&mail.node, uid, node.as_ref());
            }
        },
    );
    tokio::join!(pods, nodes);
}

fn pod_node(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// A replaced node's deletion may be seen after its successor: only the deletion of the node that is known counts.
fn deliver_node(sender: &watch::Sender<Option<NodeSeen>>, uid: &str, node: Option<&Node>) {
    let seen = node.map(NodeSeen::from_node);
    sender.send_if_modified(|known| {
        let stale = seen.is_none() && known.as_ref().is_some_and(|k| k.uid != uid);
        let changed = !stale && *known != seen;
        if changed {
            known.clone_from(&seen);
        }
        changed
    });
}

/// Follows all objects of a kind and delivers `(node, uid, object)`, with `None` for an object that is gone.
async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    node_of: fn(&K) -> Option<&str>,
    mut deliver: impl FnMut(&str, &str, Option<K>),
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = watcher(api, config).default_backoff().boxed();
    let mut known = Known::default();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => known.handle(event, node_of, &mut deliver),
            Err(error) => tracing::warn!(%error, "watch interrupted"),
        }
    }
}

/// Which objects were delivered, to notice after a relist which are gone.
#[derive(Debug, Default)]
struct Known {
    node_by_uid: HashMap<String, String>,
    listed: HashSet<String>,
}

impl Known {
    fn handle<K: Resource>(
        &mut self,
        event: Event<K>,
        node_of: fn(&K) -> Option<&str>,
        deliver: &mut impl FnMut(&str, &str, Option<K>),
    ) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) | Event::Apply(object) => {
                let uid = object.meta().uid.clone().unwrap_or_default();
                let Some(node) = node_of(&object).map(str::to_owned) else { return };
                deliver(&node, &uid, Some(object));
                self.listed.insert(uid.clone());
                self.node_by_uid.insert(uid, node);
            }
            Event::Delete(object) => {
                let uid = object.meta().uid.as_deref().unwrap_or_default();
                self.listed.remove(uid);
                if let Some(node) = self.node_by_uid.remove(uid) {
                    deliver(&node, uid, None);
                }
            }
            Event::InitDone => {
                let listed = &self.listed;
                for (uid, node) in self.node_by_uid.extract_if(|uid, _| !listed.contains(uid)) {
                    deliver(&node, &uid, None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    fn node(uid: &str) -> Node {
        let metadata = ObjectMeta { name: Some("n".into()), uid: Some(uid.into()), ..ObjectMeta::default() };
        Node { metadata, ..Node::default() }
    }

    #[test]
    fn a_relist_tells_what_vanished_unseen() {
        let mut known = Known::default();
        let mut log = Vec::new();
        let mut deliver = |_: &str, uid: &str, node: Option<Node>| log.push((uid.to_owned(), node.is_some()));
        let name: fn(&Node) -> Option<&str> = |n| n.metadata.name.as_deref();
        let events = [
            Event::Apply(node("a")),
            Event::Apply(node("b")),
            Event::Init,
            Event::InitApply(node("b")),
            Event::InitDone,
        ];
        for event in events.into_iter().chain([Event::Delete(node("b")), Event::Delete(node("b"))]) {
            known.handle(event, name, &mut deliver);
        }
        let want = [("a", true), ("b", true), ("b", true), ("a", false), ("b", false)];
        assert_eq!(log, want.map(|(uid, there)| (uid.to_owned(), there)));
        assert!(known.node_by_uid.is_empty() && known.listed.is_empty());
    }

    #[test]
    fn the_late_deletion_of_a_replaced_node_does_not_hide_its_successor() {
        let (sender, receiver) = watch::channel(None);
        deliver_node(&sender, "old", Some(&node("old")));
        deliver_node(&sender, "new", Some(&node("new")));
        deliver_node(&sender, "old", None);
        assert_eq!(receiver.borrow().as_ref().map(|n| n.uid.clone()), Some("new".into()));
        deliver_node(&sender, "new", None);
        assert_eq!(*receiver.borrow(), None);
    }
}
