//! What people do while a simulation goes on.

use super::cluster::{Answer, Cluster, Kept, Request};
use super::manifests;
use super::trace::Actor;
use crate::api::{
    Gate, NodeUpdate, UpdateApproval, UpdateApprovalSpec, UpdateHold, UpdatePolicy, UpdateRing, UpdateRollout,
};
use crate::manifest::Manifest;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde_json::Value;
use winfleet::scenario::{self, Deed, Kind, Period};

/// Something that a person does.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: Deed,
}

/// An approval that a person is about to give.
struct Wish<'a> {
    rollout: &'a str,
    gate: Gate,
    approver: &'a str,
    comment: Option<&'a str>,
    expires_after: Period,
}

impl Cluster {
    /// Does what a person does. What can not be done is told, and not done.
    pub(super) fn act(&mut self, deed: &Deed, now: Timestamp) {
        match deed {
            Deed::Create(object) => self.create_object(object, now),
            Deed::Patch { kind, name, patch } => {
                self.books.tell(now, || format!("user: changes {kind} {name}: {patch}"));
                let refused = match kind {
                    Kind::UpdatePolicy => self.patch::<UpdatePolicy>(name, patch, now),
                    Kind::UpdateRing => self.patch::<UpdateRing>(name, patch, now),
                    Kind::UpdateRollout => self.patch::<UpdateRollout>(name, patch, now),
                    Kind::UpdateHold => self.patch::<UpdateHold>(name, patch, now),
                    Kind::NodeUpdate => self.patch::<NodeUpdate>(&self.node_update(name), patch, now),
                    Kind::Node => self.patch::<Node>(name, patch, now),
                    Kind::PodDisruptionBudget => self.patch::<PodDisruptionBudget>(name, patch, now),
                };
                if let Some(why) = refused {
                    self.books.tell(now, || format!("user: it is refused: {why}"));
                }
            }
            Deed::Delete { kind, name } => {
                self.books.tell(now, || format!("user: deletes {kind} {name}"));
                match kind {
                    Kind::UpdatePolicy => self.delete::<UpdatePolicy>(Actor::User, name, now),
                    Kind::UpdateRing => self.delete::<UpdateRing>(Actor::User, name, now),
                    Kind::UpdateRollout => self.delete::<UpdateRollout>(Actor::User, name, now),
                    Kind::UpdateHold => self.delete::<UpdateHold>(Actor::User, name, now),
                    Kind::NodeUpdate => self.delete::<NodeUpdate>(Actor::User, &self.node_update(name), now),
                    Kind::Node => self.delete::<Node>(Actor::User, name, now),
                    Kind::PodDisruptionBudget => self.delete::<PodDisruptionBudget>(Actor::User, name, now),
                }
            }
            Deed::Approve { rollout, gate, approver, comment, expires_after } => {
                let gate = match gate {
                    scenario::Gate::Resume => Gate::Resume,
                    scenario::Gate::Promote => Gate::Promote,
                };
                let comment = comment.as_deref();
                self.approve(&Wish { rollout, gate, approver, comment, expires_after: *expires_after }, now);
            }
            Deed::Publish { kb } | Deed::Withdraw { kb } => {
                let published = matches!(deed, Deed::Publish { .. });
                self.books
                    .tell(now, || format!("catalogue: {kb} {}", if published { "published" } else { "withdrawn" }));
                self.world.publish(*kb, published);
            }
        }
    }

    fn create_object(&mut self, object: &Value, now: Timestamp) {
        let manifest = Manifest { object: object.clone(), ..Manifest::default() };
        self.books.tell(now, || {
            let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
            format!("user: makes {} {}", text("/kind"), text("/metadata/name"))
        });
        if let Err(error) = manifests::create(self, &manifest, now) {
            self.books.tell(now, || format!("user: it is refused: {error}"));
        }
    }

    /// A person looks at the gate of a rollout, and approves what there is to see. Only a gate that is closed has a hash.
    fn approve(&mut self, wish: &Wish<'_>, now: Timestamp) {
        let Wish { rollout: name, gate: wanted, approver, comment, expires_after } = *wish;
        let found = self.tables.rollouts.get(name);
        let gate = found.and_then(|rollout| rollout.status.as_ref()?.gate.as_ref());
        let Some((rollout, gate)) = found.zip(gate.filter(|gate| gate.name == wanted)) else {
            self.books.tell(now, || format!("user: {approver} finds no closed gate {wanted:?} at {name}"));
            return;
        };
        let spec = UpdateApprovalSpec {
            rollout_name: name.to_owned(),
            rollout_uid: rollout.uid().unwrap_or_default(),
            gate: wanted,
            plan_hash: gate.plan_hash.clone(),
            approver: approver.to_owned(),
            expires_at: Time(expires_after.after(now)),
            comment: comment.map(str::to_owned),
        };
        let number = self.tables.approvals.all().count() + 1;
        self.books.tell(now, || {
            let why = comment.map(|comment| format!(": {comment}")).unwrap_or_default();
            format!("user: {approver} approves {wanted:?} of {name}{why}")
        });
        self.make(Actor::User, UpdateApproval::new(&format!("{name}-{number}"), spec), now);
    }

    /// The name of a node update: its own, or that of the latest of a node.
    fn node_update(&self, name: &str) -> String {
        let of_node = self.tables.updates.all().filter(|update| update.spec.node_name == name);
        let latest = of_node.max_by_key(|update| update.metadata.creation_timestamp.as_ref().map(|at| at.0));
        latest.map_or_else(|| name.to_owned(), |update| update.name_any())
    }

    /// Why the patch is refused, if it is.
    fn patch<K: Kept>(&mut self, name: &str, patch: &Value, now: Timestamp) -> Option<String> {
        let (namespace, name) =
            name.split_once('/').map_or((None, name), |(space, name)| (Some(space.to_owned()), name));
        let request = Request {
            method: http::Method::PATCH,
            api: K::api_version(&()).into_owned(),
            plural: K::plural(&()).into_owned(),
            namespace,
            name: Some(name.to_owned()),
            sub: None,
            query: String::new(),
            body: patch.to_string().into_bytes(),
        };
        let Answer { code, body } = self.merge::<K>(Actor::User, &request, now);
        (code >= 300).then(|| {
            let said = serde_json::from_slice::<Value>(&body).unwrap_or_default();
            said["message"].as_str().unwrap_or_default().to_owned()
        })
    }
}
