//! `pods/eviction`, with the disruption budgets.

use super::{Answer, Cluster, Request};
use crate::simulate::trace::Actor;
use jiff::Timestamp;
use k8s_openapi::api::policy::v1::Eviction;
use kube::ResourceExt;
use serde_json::json;

impl Cluster {
    pub(super) fn evict(&mut self, actor: Actor, request: &Request, now: Timestamp) -> Answer {
        let key = request.key();
        let eviction: Eviction = match serde_json::from_slice(&request.body) {
            Ok(eviction) => eviction,
            Err(error) => return Answer::invalid(&error.to_string()),
        };
        let Some(pod) = self.tables.pods.get(&key) else { return Answer::not_found("pods", &key) };
        let options = eviction.delete_options.unwrap_or_default();
        let uid = options.preconditions.and_then(|p| p.uid);
        if uid.is_some_and(|uid| Some(uid) != pod.uid()) {
            return Answer::conflict("pods", &key);
        }
        if self.calls.evictions_refused(now) {
            return blocked("evictions are refused");
        }
        if let Some(words) = self.workloads.refuses(&key) {
            return blocked(&words);
        }
        self.delete_pod(actor, &key, options.grace_period_seconds, now);
        Answer::done()
    }
}

fn blocked(words: &str) -> Answer {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let details = json!({"causes": [{"reason": "DisruptionBudget", "message": words}]});
    Answer::refusal_with(429, "TooManyRequests", message, &details)
}
