//! The pods that have ended, and what kube-controller-manager does when they are too many.

use super::{Cluster, key_of};
use crate::simulate::agenda::Due;
use crate::simulate::trace::Actor;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeSet;
use winfleet::kubelet::pod::{Phase, phase};

/// How many pods that have ended may stay (kube-controller-manager, `--terminated-pod-gc-threshold`).
const THRESHOLD: usize = 12_500;
/// How often they are counted (kube-controller-manager, `gcCheckPeriod` of its pod garbage collector).
const EVERY: SignedDuration = SignedDuration::from_secs(20);

/// The pods that have ended and are still there: the oldest first, by the time they were made.
#[derive(Debug, Default)]
pub struct Terminated(BTreeSet<(Timestamp, String)>);

impl Terminated {
    /// A pod was written, or is gone.
    fn note(&mut self, pod: &Pod, gone: bool) {
        if !has_ended(pod) {
            return;
        }
        let made = pod.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |time| time.0);
        let entry = (made, key_of(pod));
        if gone {
            self.0.remove(&entry);
        } else {
            self.0.insert(entry);
        }
    }

    /// The keys of those that are too many.
    fn surplus(&self, threshold: usize) -> Vec<String> {
        let surplus = self.0.len().saturating_sub(threshold);
        self.0.iter().take(surplus).map(|(_, key)| key.clone()).collect()
    }
}

/// Whether all containers of a pod have ended for good.
pub fn has_ended(pod: &Pod) -> bool {
    pod.status.as_ref().is_some_and(|status| phase(status) == Phase::Terminal)
}

impl Cluster {
    /// A pod was written, or is gone: there may be too many that have ended.
    pub(super) fn count_terminated(&mut self, pod: &Pod, gone: bool, now: Timestamp) {
        self.terminated.note(pod, gone);
        if self.terminated.0.len() > THRESHOLD {
            self.agenda.not_after(Due::Terminated, now + EVERY);
        }
    }

    /// Deletes the oldest of the pods that have ended, if they are too many.
    pub fn collect_terminated(&mut self, now: Timestamp) {
        for key in self.terminated.surplus(THRESHOLD) {
            self.remove::<Pod>(Actor::Kubernetes, &key, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, second: i64, phase: &str) -> Pod {
        let made = Timestamp::from_second(second).expect("a time");
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": name, "namespace": "n", "creationTimestamp": made}, "status": {"phase": phase},
        }))
        .expect("a Pod")
    }

    #[test]
    fn the_oldest_that_have_ended_are_too_many() {
        let mut terminated = Terminated::default();
        for (name, second, phase) in
            [("a", 3, "Failed"), ("b", 1, "Succeeded"), ("c", 0, "Running"), ("d", 2, "Failed")]
        {
            terminated.note(&pod(name, second, phase), false);
        }
        assert_eq!(terminated.surplus(1), ["n/b", "n/d"]);
        terminated.note(&pod("b", 1, "Succeeded"), true);
        assert_eq!(terminated.surplus(1), ["n/d"]);
        assert_eq!(terminated.surplus(2), [""; 0]);
    }
}
