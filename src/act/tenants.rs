//! The pods of a node that is drained (needs a client): listed once, then watched, so that their end is seen at once and
//! at the cost of two requests. Only nodes in a drain are followed, and only as long as somebody looks.

use super::error::{ApiError, call};
use crate::observe::WATCH_SECONDS;
use futures::{Stream, StreamExt, future};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long pods are followed without a look at them, in minutes: the passes of a drain are seconds apart, those after
/// failures up to 75 s.
const UNLOOKED: Duration = Duration::from_mins(2);

/// How much longer than it was asked for a watch is believed. The API server ends it in time; one that lost its power says
/// nothing, for ever, and what was seen last would be taken for what there is.
const LATE: Duration = Duration::from_secs(5);

/// The pods of one node. When this is dropped, the watch ends.
#[derive(Debug)]
pub(super) struct Tenants {
    pods: Pods,
    refusal: Mutex<Option<Refusal>>,
    /// Sent to with each look. The watch holds the other end as long as it lasts.
    looks: watch::Sender<()>,
}

/// What stood in a pod's way.
#[derive(Debug)]
struct Refusal {
    pod_uid: Option<String>,
    /// The API server's words.
    words: String,
    budget: String,
}

/// Pods by UID.
type Pods = Arc<Mutex<HashMap<String, Arc<Pod>>>>;

impl Tenants {
    /// Lists the pods of a node and begins to watch them.
    ///
    /// # Errors
    /// The API server gave no list, or no watch.
    pub(super) async fn follow(client: Client, node: &str) -> Result<Self, ApiError> {
        let field = format!("spec.nodeName={node}");
        let api: Api<Pod> = Api::all(client);
        let list = call(api.list(&ListParams::default().fields(&field))).await?;
        let params = WatchParams::default().fields(&field).timeout(WATCH_SECONDS);
        let version = list.metadata.resource_version.unwrap_or_default();
        let events = call(api.watch(&params, &version)).await?.boxed();
        let pods = list.items.into_iter().map(|pod| (pod.uid().unwrap_or_default(), Arc::new(pod))).collect();
        let pods = Arc::new(Mutex::new(pods));
        let (looks, looked) = watch::channel(());
        tokio::spawn(keep(Arc::clone(&pods), events, looked));
        Ok(Self { pods, refusal: Mutex::default(), looks })
    }

    /// Whether the watch goes on. When it does not, what is known here is of the past.
    pub(super) fn is_followed(&self) -> bool {
        !self.looks.is_closed()
    }

    /// The pods as they are now, in no order.
    pub(super) fn look(&self) -> Vec<Arc<Pod>> {
        self.looks.send_replace(());
        lock(&self.pods).values().cloned().collect()
    }

    /// The budget that stood in this pod's way when the API server last said the same. It is asked again every few seconds,
    /// and would mostly be found by the same request.
    pub(super) fn budget(&self, pod: &Pod, words: &str) -> Option<String> {
        let refusal = lock(&self.refusal);
        let same = refusal.as_ref().filter(|r| r.pod_uid == pod.metadata.uid && r.words == words);
        same.map(|refusal| refusal.budget.clone())
    }

    /// Notes which budget it is that the API server speaks of.
    pub(super) fn note_budget(&self, pod: &Pod, words: &str, budget: &str) {
        let (words, budget) = (words.to_owned(), budget.to_owned());
        *lock(&self.refusal) = Some(Refusal { pod_uid: pod.uid(), words, budget });
    }

    /// Notes that a pod was told to end, until the watch says so.
    pub(super) fn note_leaving(&self, pod: &Pod, now: Timestamp) {
        if let Some(pod) = lock(&self.pods).get_mut(pod.uid().as_deref().unwrap_or_default()) {
            Arc::make_mut(pod).metadata.deletion_timestamp.get_or_insert(Time(now));
        }
    }
}

/// Keeps the pods up to date until the watch ends, or should have, or nobody looks any more.
async fn keep(
    pods: Pods,
    events: impl Stream<Item = kube::Result<WatchEvent<Pod>>> + Unpin,
    looked: watch::Receiver<()>,
) {
    let overdue = tokio::time::sleep(Duration::from_secs(u64::from(WATCH_SECONDS)) + LATE);
    let over = future::select(Box::pin(unlooked(looked, UNLOOKED)), Box::pin(overdue));
    let mut events = events.take_until(over);
    while let Some(event) = events.next().await {
        match event {
            Ok(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => {
                lock(&pods).insert(pod.uid().unwrap_or_default(), Arc::new(pod));
            }
            Ok(WatchEvent::Deleted(pod)) => drop(lock(&pods).remove(pod.uid().as_deref().unwrap_or_default())),
            Ok(WatchEvent::Bookmark(_)) => {}
            // The next look lists anew.
            Ok(WatchEvent::Error(_)) | Err(_) => break,
        }
    }
}

/// Ends when there was no look for a while, or there can be none any more.
async fn unlooked(mut looked: watch::Receiver<()>, patience: Duration) {
    while let Ok(Ok(())) = tokio::time::timeout(patience, looked.changed()).await {}
}

/// What is held is whole even if a thread panicked while holding it.
fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::channel::mpsc;
    use serde_json::json;

    fn pod(uid: &str) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": uid, "uid": uid}})).expect("a pod")
    }

    fn tenants(uids: &[&str]) -> (Tenants, mpsc::UnboundedSender<kube::Result<WatchEvent<Pod>>>) {
        let pods: Pods = Arc::new(Mutex::new(uids.iter().map(|uid| ((*uid).to_owned(), Arc::new(pod(uid)))).collect()));
        let (tell, events) = mpsc::unbounded();
        let (looks, looked) = watch::channel(());
        tokio::spawn(keep(Arc::clone(&pods), events, looked));
        (Tenants { pods, refusal: Mutex::default(), looks }, tell)
    }

    async fn settle() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_pods_coming_and_going_is_seen() {
        let (tenants, tell) = tenants(&["a"]);
        tell.unbounded_send(Ok(WatchEvent::Added(pod("b")))).expect("a watch");
        tell.unbounded_send(Ok(WatchEvent::Deleted(pod("a")))).expect("a watch");
        settle().await;
        let names: Vec<_> = tenants.look().iter().map(|pod| pod.name_any()).collect();
        assert_eq!(names, ["b"]);
        drop(tell);
        settle().await;
        assert!(!tenants.is_followed(), "the API server has ended the watch");
    }

    #[tokio::test]
    async fn one_that_was_told_to_end_is_leaving_and_one_that_is_gone_stays_gone() {
        let (tenants, _tell) = tenants(&["a"]);
        tenants.note_leaving(&pod("a"), Timestamp::UNIX_EPOCH);
        tenants.note_leaving(&pod("gone"), Timestamp::UNIX_EPOCH);
        let pods = tenants.look();
        assert_eq!(pods.len(), 1);
        assert!(pods[0].metadata.deletion_timestamp.is_some());
    }

    #[tokio::test]
    async fn a_budget_is_known_for_the_same_pod_and_the_same_words() {
        let (tenants, _tell) = tenants(&["a", "b"]);
        assert_eq!(tenants.budget(&pod("a"), "needs 2"), None);
        tenants.note_budget(&pod("a"), "needs 2", "shop/web");
        assert_eq!(tenants.budget(&pod("a"), "needs 2").as_deref(), Some("shop/web"));
        assert_eq!(tenants.budget(&pod("a"), "needs 3"), None);
        assert_eq!(tenants.budget(&pod("b"), "needs 2"), None);
    }

    #[tokio::test]
    async fn the_watch_ends_when_nobody_looks() {
        let (looks, looked) = watch::channel(());
        let patience = Duration::from_secs(1);
        let ended = tokio::spawn(unlooked(looked, patience));
        for _ in 0..30 {
            tokio::time::sleep(patience / 20).await;
            looks.send_replace(());
        }
        assert!(!ended.is_finished(), "somebody looked all the time");
        tokio::time::timeout(patience * 10, ended).await.expect("it ends").expect("without a panic");
    }

    /// The API server lost its power: no event comes, and no end of the connection.
    #[tokio::test(start_paused = true)]
    async fn a_watch_that_does_not_end_is_not_believed_for_ever() {
        let (tenants, _tell) = tenants(&["ghost"]);
        for _ in 0..WATCH_SECONDS {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(tenants.look().len(), 1);
        }
        assert!(tenants.is_followed(), "it may go on as long as it was asked for");
        tokio::time::sleep(LATE * 2).await;
        assert!(!tenants.is_followed(), "the next look lists anew");
    }

    #[tokio::test]
    async fn the_watch_ends_with_its_holder() {
        let (tenants, tell) = tenants(&["a"]);
        drop(tenants);
        settle().await;
        assert!(tell.is_closed());
    }
}
