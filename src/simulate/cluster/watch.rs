//! Watches of the pods of one node: the one watch that a request of the operator begins.

use super::Cluster;
use crate::simulate::agenda::Due;
use bytes::Bytes;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use std::collections::BTreeMap;

/// How long a watch lasts that does not say, in seconds.
const SECONDS: i64 = 290;

/// The watches that go on, by number.
#[derive(Debug, Default)]
pub struct Watches {
    open: BTreeMap<u64, Watch>,
    serial: u64,
}

#[derive(Debug)]
struct Watch {
    node: String,
    lines: UnboundedSender<Bytes>,
}

impl Watches {
    /// Tells the watches of its node about a pod. One that nobody reads any more ends.
    pub(super) fn pod(&mut self, pod: &Pod, gone: bool) {
        if self.open.is_empty() {
            return;
        }
        let node = pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or_default();
        self.open.retain(|_, watch| {
            if watch.node != node {
                return !watch.lines.is_closed();
            }
            let kind = if gone { "DELETED" } else { "MODIFIED" };
            let line = format!("{}\n", json!({"type": kind, "object": pod}));
            watch.lines.unbounded_send(Bytes::from(line)).is_ok()
        });
    }

    /// Ends a watch.
    pub fn end(&mut self, number: u64) {
        self.open.remove(&number);
    }
}

impl Cluster {
    /// Begins a watch of the pods of a node.
    pub(super) fn watch_pods(&mut self, node: &str, seconds: Option<i64>, now: Timestamp) -> UnboundedReceiver<Bytes> {
        let (lines, read) = unbounded();
        self.watches.serial += 1;
        let number = self.watches.serial;
        self.watches.open.insert(number, Watch { node: node.to_owned(), lines });
        let until = now + SignedDuration::from_secs(seconds.unwrap_or(SECONDS));
        self.agenda.set(Due::WatchEnds(number), Some(until));
        read
    }
}
