//! Which request is which verb on which kind. What the operator never asks is refused loudly: a simulation that answers
//! something else than an API server would is worth nothing.

use super::{Answer, Cluster, Kept, Labels, Request, key_of};
use crate::api::{NodeSnapshot, NodeUpdate, SnapshotClass, UpdateApproval, UpdateRollout};
use crate::simulate::manifests::NO_NAMESPACE;
use crate::simulate::trace::Actor;
use bytes::Bytes;
use futures::channel::mpsc::UnboundedReceiver;
use http::Method;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

/// What a request comes to.
pub enum Served {
    /// An answer.
    Answer(Answer),
    /// A watch: lines, as they come.
    Watch(UnboundedReceiver<Bytes>),
}

impl Cluster {
    /// Answers a request.
    pub fn serve(&mut self, actor: Actor, request: &Request, now: Timestamp) -> Served {
        if request.plural == "pods" && request.parameter("watch").is_some() {
            return self.watch(request, now);
        }
        Served::Answer(match request.plural.as_str() {
            "nodeupdates" => self.verb::<NodeUpdate>(actor, request, now),
            "updaterollouts" => self.verb::<UpdateRollout>(actor, request, now),
            "updateapprovals" => self.verb::<UpdateApproval>(actor, request, now),
            "nodesnapshots" => self.verb::<NodeSnapshot>(actor, request, now),
            "snapshotclasses" => self.verb::<SnapshotClass>(actor, request, now),
            "pods" => self.pods(actor, request, now),
            "nodes" => self.nodes(actor, request, now),
            "poddisruptionbudgets" if request.method == Method::GET && request.name.is_none() => {
                let namespace = request.namespace.clone().unwrap_or_default();
                self.list_of(self.tables.budgets.within(&namespace).map(std::convert::AsRef::as_ref))
            }
            "events" => self.event(request, now),
            _ => self.other(request),
        })
    }

    fn verb<K: Kept>(&mut self, actor: Actor, request: &Request, now: Timestamp) -> Answer {
        let named = request.name.is_some();
        match (request.method.as_str(), named, request.sub.as_deref()) {
            ("GET", true, None) => self.get::<K>(request),
            ("POST", false, None) => self.create::<K>(actor, request, now),
            ("PUT", true, Some("status")) => self.replace_status::<K>(actor, request, now),
            ("PATCH", true, None | Some("status")) => self.merge::<K>(actor, request, now),
            ("DELETE", true, None) => self.delete_named::<K>(actor, request, now),
            _ => self.unknown(request),
        }
    }

    fn nodes(&mut self, actor: Actor, request: &Request, now: Timestamp) -> Answer {
        if request.method != Method::GET || request.name.is_some() {
            return self.verb::<Node>(actor, request, now);
        }
        let labels = Labels::parse(&request.parameter("labelSelector").unwrap_or_default());
        self.list_of(
            self.tables.nodes.all().map(std::convert::AsRef::as_ref).filter(|n: &&Node| labels.select(n.labels())),
        )
    }

    fn pods(&mut self, actor: Actor, request: &Request, now: Timestamp) -> Answer {
        match (request.method.as_str(), request.name.is_some(), request.sub.as_deref()) {
            ("GET", true, Some("log")) => self.log(request),
            ("POST", true, Some("eviction")) => self.evict(actor, request, now),
            ("GET", false, None) => {
                let Some(node) = node_field(request) else { return self.unknown(request) };
                let keys = self.fleet.pods_on(&node);
                self.list_of(keys.iter().filter_map(|key| self.tables.pods.get(key)).map(std::convert::AsRef::as_ref))
            }
            ("DELETE", false, None) => self.delete_pods(actor, request, now),
            ("DELETE", true, None) => self.delete_named_pod(actor, request, now),
            _ => self.verb::<Pod>(actor, request, now),
        }
    }

    fn delete_pods(&mut self, actor: Actor, request: &Request, now: Timestamp) -> Answer {
        let options: k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions =
            serde_json::from_slice(&request.body).unwrap_or_default();
        let labels = Labels::parse(&request.parameter("labelSelector").unwrap_or_default());
        let grace = options.grace_period_seconds;
        let namespace = request.namespace.clone().unwrap_or_default();
        let selected = self.tables.pods.within(&namespace).filter(|pod| labels.select(pod.labels()));
        let keys: Vec<_> = selected.map(|pod| key_of(pod.as_ref())).collect();
        for key in keys {
            self.delete_pod(actor, &key, grace, now);
        }
        Answer::done()
    }

    fn log(&self, request: &Request) -> Answer {
        let limit = request.parameter("limitBytes").and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
        match self.tables.pods.get(&request.key()) {
            None => Answer::not_found("pods", &request.key()),
            Some(pod) => match self.fleet.last_line(&self.world, pod) {
                Ok(line) => Answer::text(&line[..line.floor_char_boundary(limit)]),
                Err(why) => Answer::refusal(500, "InternalError", &why),
            },
        }
    }

    fn watch(&mut self, request: &Request, now: Timestamp) -> Served {
        match node_field(request) {
            Some(node) => {
                let seconds = request.parameter("timeoutSeconds").and_then(|text| text.parse().ok());
                Served::Watch(self.watch_pods(&node, seconds, now))
            }
            None => Served::Answer(self.unknown(request)),
        }
    }

    fn list_of<'a, K>(&self, items: impl Iterator<Item = &'a K>) -> Answer
    where
        K: Resource<DynamicType = ()> + serde::Serialize + 'a,
    {
        let items: Vec<_> = items.collect();
        let kind = format!("{}List", K::kind(&()));
        Answer::json(
            200,
            &json!({
                "kind": kind, "apiVersion": K::api_version(&()),
                "metadata": {"resourceVersion": self.version().to_string()}, "items": items,
            }),
        )
    }

    /// An event: told in the story, and shown back.
    fn event(&mut self, request: &Request, now: Timestamp) -> Answer {
        self.books.event(now, &request.body);
        Answer { code: 201, body: request.body.clone() }
    }

    /// An object of the manifests of a kind that nothing here works with, or a Deployment.
    fn other(&mut self, request: &Request) -> Answer {
        if request.method != Method::GET || request.name.is_none() || request.sub.is_some() {
            return self.unknown(request);
        }
        if let Some(answer) = self.deployment(request) {
            return answer;
        }
        match self.kept(request) {
            Some(object) => Answer::json(200, object),
            None => Answer::not_found(&request.plural, &request.key()),
        }
    }

    /// An object of the manifests, as it is kept. One that was written without a namespace is in the default one.
    pub(super) fn kept(&self, request: &Request) -> Option<&Value> {
        let of = |key: &str| self.tables.others.get(&format!("{}/{}/{key}", request.api, request.plural));
        let unnamed = request.name.as_deref().filter(|_| request.namespace.as_deref() == Some(NO_NAMESPACE));
        of(&request.key()).or_else(|| of(unnamed?))
    }

    fn unknown(&mut self, request: &Request) -> Answer {
        self.unknown.push(request.words());
        Answer::refusal(501, "NotImplemented", &format!("the simulated API server does not know {}", request.words()))
    }
}

/// The node of `fieldSelector=spec.nodeName=X`.
fn node_field(request: &Request) -> Option<String> {
    request.parameter("fieldSelector")?.strip_prefix("spec.nodeName=").map(str::to_owned)
}
