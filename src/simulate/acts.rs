//! What people do while a simulation goes on.

use super::cluster::{Answer, Cluster, Kept, Request};
use super::manifests;
use super::trace::Actor;
use crate::api::{
    Gate, NodeUpdate, UpdateApproval, UpdateApprovalSpec, UpdateHold, UpdatePolicy, UpdateRing, UpdateRollout,
};
use crate::manifest::{FieldError, Kinds, Manifest};
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
    /// Does what a person does. What can not be done is told, and not done: why, is given back.
    pub(super) fn act(&mut self, deed: &Deed, now: Timestamp) -> Option<String> {
        let refused = match deed {
            Deed::Create(object) => self.create_object(object, now),
            Deed::Patch { kind, name, patch } => {
                self.books.tell(now, || format!("user: changes {kind} {name}: {patch}"));
                self.patch_named(*kind, name, patch, now)
            }
            Deed::Delete { kind, name } => {
                self.books.tell(now, || format!("user: deletes {kind} {name}"));
                self.delete_of_kind(*kind, name, now)
            }
            Deed::Approve { rollout, gate, approver, comment, expires_after } => {
                let gate = match gate {
                    scenario::Gate::Resume => Gate::Resume,
                    scenario::Gate::Promote => Gate::Promote,
                };
                let comment = comment.as_deref();
                // Nobody refuses anything to somebody who has found nothing to approve.
                return self.approve(&Wish { rollout, gate, approver, comment, expires_after: *expires_after }, now);
            }
            Deed::Publish { kb } | Deed::Withdraw { kb } => {
                let published = matches!(deed, Deed::Publish { .. });
                self.books
                    .tell(now, || format!("catalogue: {kb} {}", if published { "published" } else { "withdrawn" }));
                self.world.publish(*kb, published);
                None
            }
        };
        refused.map(|why| {
            let words = format!("it is refused: {why}");
            self.books.tell(now, || format!("user: {words}"));
            words
        })
    }

    fn patch_named(&mut self, kind: Kind, name: &str, patch: &Value, now: Timestamp) -> Option<String> {
        match kind {
            Kind::UpdatePolicy => self.patch::<UpdatePolicy>(name, patch, now),
            Kind::UpdateRing => self.patch::<UpdateRing>(name, patch, now),
            Kind::UpdateRollout => self.patch::<UpdateRollout>(name, patch, now),
            Kind::UpdateHold => self.patch::<UpdateHold>(name, patch, now),
            Kind::NodeUpdate => self.patch::<NodeUpdate>(&self.node_update(name), patch, now),
            Kind::Node => self.patch::<Node>(name, patch, now),
            Kind::PodDisruptionBudget => self.patch::<PodDisruptionBudget>(name, patch, now),
        }
    }

    fn delete_of_kind(&mut self, kind: Kind, name: &str, now: Timestamp) -> Option<String> {
        match kind {
            Kind::UpdatePolicy => self.delete_there::<UpdatePolicy>(name, now),
            Kind::UpdateRing => self.delete_there::<UpdateRing>(name, now),
            Kind::UpdateRollout => self.delete_there::<UpdateRollout>(name, now),
            Kind::UpdateHold => self.delete_there::<UpdateHold>(name, now),
            Kind::NodeUpdate => self.delete_there::<NodeUpdate>(&self.node_update(name), now),
            Kind::Node => self.delete_there::<Node>(name, now),
            Kind::PodDisruptionBudget => self.delete_there::<PodDisruptionBudget>(name, now),
        }
    }

    fn create_object(&mut self, object: &Value, now: Timestamp) -> Option<String> {
        let manifest = Manifest { object: object.clone(), ..Manifest::default() };
        self.books.tell(now, || format!("user: makes {} {}", manifest.kind(), manifest.name()));
        manifests::create(self, &manifest, now).err().map(|error| error.to_string())
    }

    /// A person looks at the gate of a rollout, and approves what there is to see. Only a gate that is closed has a hash.
    fn approve(&mut self, wish: &Wish<'_>, now: Timestamp) -> Option<String> {
        let Wish { rollout: name, gate: wanted, approver, comment, expires_after } = *wish;
        let found = self.tables.rollouts.get(name);
        let gate = found.and_then(|rollout| rollout.status.as_ref()?.gate.as_ref());
        let Some((rollout, gate)) = found.zip(gate.filter(|gate| gate.name == wanted)) else {
            let words = format!("{approver} finds no closed gate {wanted:?} at {name}");
            self.books.tell(now, || format!("user: {words}"));
            return Some(words);
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
        None
    }

    /// The name of a node update: its own, or that of the latest of a node.
    fn node_update(&self, name: &str) -> String {
        let of_node = self.tables.updates.all().filter(|update| update.spec.node_name == name);
        let latest = of_node.max_by_key(|update| update.metadata.creation_timestamp.as_ref().map(|at| at.0));
        latest.map_or_else(|| name.to_owned(), |update| update.name_any())
    }

    /// Why nothing is deleted, if nothing is.
    fn delete_there<K: Kept>(&mut self, name: &str, now: Timestamp) -> Option<String> {
        if K::table(&self.tables).get(name).is_none() {
            return Some(format!("there is no {} {name}", K::kind(&())));
        }
        self.delete::<K>(Actor::User, name, now);
        None
    }

    /// Why the patch is refused, if it is.
    fn patch<K: Kept>(&mut self, name: &str, patch: &Value, now: Timestamp) -> Option<String> {
        let stored = K::table(&self.tables).get(name).and_then(|stored| serde_json::to_value(stored.as_ref()).ok());
        if let Some(Err(errors)) = stored.map(|stored| Kinds::served().patch(&stored, patch)) {
            let told = |error: &FieldError| match error.within("") {
                nowhere if nowhere.is_empty() => error.told(),
                field => format!("{field}: {}", error.told()),
            };
            return Some(errors.iter().map(told).collect::<Vec<_>>().join(", "));
        }
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
