//! The verbs, the same for every kind.

use super::{Answer, Cluster, Kept, Request, has_ended, key_of};
use crate::simulate::trace::Actor;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, Time};
use kube::ResourceExt;
use kube::core::ObjectMeta;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

impl Cluster {
    pub(super) fn get<K: Kept>(&self, request: &Request) -> Answer {
        match K::table(&self.tables).get(&request.key()) {
            Some(object) => Answer::json(200, object.as_ref()),
            None => Answer::not_found(&request.plural, &request.key()),
        }
    }

    pub(super) fn create<K: Kept>(&mut self, actor: Actor, request: &Request, now: Timestamp) -> Answer {
        let mut object: K = match serde_json::from_slice(&request.body) {
            Ok(object) => object,
            Err(error) => return Answer::invalid(&error.to_string()),
        };
        object.meta_mut().namespace.clone_from(&request.namespace);
        if K::table(&self.tables).get(&key_of(&object)).is_some() {
            return Answer::exists(&request.plural, &object.name_any());
        }
        Answer::json(201, self.make(actor, object, now).as_ref())
    }

    pub(super) fn replace_status<K: Kept>(&mut self, actor: Actor, request: &Request, now: Timestamp) -> Answer {
        // The rest of the object is not taken: it is not read either.
        let sent: Sent<K::Status> = match serde_json::from_slice(&request.body) {
            Ok(sent) => sent,
            Err(error) => return Answer::invalid(&error.to_string()),
        };
        let Some(stored) = K::table(&self.tables).get(&request.key()) else {
            return Answer::not_found(&request.plural, &request.key());
        };
        if !matches(&sent.metadata, stored.meta()) {
            return Answer::conflict(&request.plural, &request.key());
        }
        let mut next = stored.as_ref().clone();
        next.set_status(sent.status);
        Answer::json(200, self.put(actor, next, now).as_ref())
    }

    /// A merge patch of the object, or of its status alone.
    pub(in crate::simulate) fn merge<K: Kept>(&mut self, actor: Actor, request: &Request, now: Timestamp) -> Answer {
        let patch: Value = match serde_json::from_slice(&request.body) {
            Ok(patch) => patch,
            Err(error) => return Answer::invalid(&error.to_string()),
        };
        let Some(stored) = K::table(&self.tables).get(&request.key()).cloned() else {
            return Answer::not_found(&request.plural, &request.key());
        };
        let named = |field: &str| patch.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
        let named = ObjectMeta {
            uid: named("uid").map(str::to_owned),
            resource_version: named("resourceVersion").map(str::to_owned),
            ..ObjectMeta::default()
        };
        if !matches(&named, stored.meta()) {
            return Answer::conflict(&request.plural, &request.key());
        }
        match merged(stored.as_ref(), &patch, request.sub.as_deref() == Some("status")) {
            Ok(next) => Answer::json(200, self.update(actor, &stored, next, now).as_ref()),
            Err(error) => Answer::refusal(422, "Invalid", &error.to_string()),
        }
    }

    /// Writes a changed object; one that was to be deleted goes with its last finalizer.
    pub(super) fn update<K: Kept>(&mut self, actor: Actor, before: &Arc<K>, mut next: K, now: Timestamp) -> Arc<K> {
        if !next.same_spec(before) {
            let generation = before.meta().generation.unwrap_or(1);
            next.meta_mut().generation = Some(generation + 1);
        }
        let goes = next.meta().deletion_timestamp.is_some() && next.finalizers().is_empty();
        let written = self.put(actor, next, now);
        if goes {
            self.remove::<K>(actor, &key_of(written.as_ref()), now);
        }
        written
    }

    pub(super) fn delete_named<K: Kept>(&mut self, actor: Actor, request: &Request, now: Timestamp) -> Answer {
        match self.meant::<K>(request) {
            Ok(_) => self.delete::<K>(actor, &request.key(), now),
            Err(refused) => return refused,
        }
        Answer::done()
    }

    /// A pod is told to end, and goes once it has.
    pub(super) fn delete_named_pod(&mut self, actor: Actor, request: &Request, now: Timestamp) -> Answer {
        match self.meant::<Pod>(request) {
            Ok(options) => self.delete_pod(actor, &request.key(), options.grace_period_seconds, now),
            Err(refused) => return refused,
        }
        Answer::done()
    }

    /// How an object is to be deleted, if it is the one, and in the state, that somebody means.
    fn meant<K: Kept>(&self, request: &Request) -> Result<DeleteOptions, Answer> {
        let options: DeleteOptions = serde_json::from_slice(&request.body).unwrap_or_default();
        let Some(stored) = K::table(&self.tables).get(&request.key()) else {
            return Err(Answer::not_found(&request.plural, &request.key()));
        };
        let wanted = options.preconditions.clone().unwrap_or_default();
        let named = ObjectMeta { uid: wanted.uid, resource_version: wanted.resource_version, ..ObjectMeta::default() };
        if matches(&named, stored.meta()) {
            Ok(options)
        } else {
            Err(Answer::conflict(&request.plural, &request.key()))
        }
    }

    /// Deletes an object: at once, or once its finalizers are gone.
    pub fn delete<K: Kept>(&mut self, actor: Actor, key: &str, now: Timestamp) {
        let Some(stored) = K::table(&self.tables).get(key) else { return };
        if stored.finalizers().is_empty() {
            self.remove::<K>(actor, key, now);
        } else if stored.meta().deletion_timestamp.is_none() {
            let mut next = stored.as_ref().clone();
            next.meta_mut().deletion_timestamp = Some(Time(now));
            self.put(actor, next, now);
        }
    }

    /// Tells a pod to end, with this grace in seconds or its own. Without any it goes at once, and so does one that is on
    /// no node or has ended (`CheckGracefulDelete` of the API server's pods).
    pub fn delete_pod(&mut self, actor: Actor, key: &str, grace: Option<i64>, now: Timestamp) {
        let Some(pod) = self.tables.pods.get(key) else { return };
        let own = pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds).unwrap_or(30);
        let grace = grace.unwrap_or(own);
        let bound = pod.spec.as_ref().is_some_and(|s| s.node_name.is_some());
        if grace == 0 || !bound || has_ended(pod) {
            self.remove::<Pod>(actor, key, now);
        } else if pod.metadata.deletion_timestamp.is_none() {
            let mut next = pod.as_ref().clone();
            next.metadata.deletion_timestamp = Some(Time(now));
            next.metadata.deletion_grace_period_seconds = Some(grace);
            self.put(actor, next, now);
        }
    }
}

/// What is read of an object whose status is sent.
#[derive(Deserialize)]
#[serde(bound = "S: DeserializeOwned")]
struct Sent<S> {
    metadata: ObjectMeta,
    status: Option<S>,
}

/// Whether an object is the one, and in the state, that somebody means.
fn matches(named: &ObjectMeta, stored: &ObjectMeta) -> bool {
    let same = |named: &Option<String>, stored: &Option<String>| named.is_none() || named == stored;
    same(&named.uid, &stored.uid) && same(&named.resource_version, &stored.resource_version)
}

fn merged<K: Kept>(stored: &K, patch: &Value, status_only: bool) -> serde_json::Result<K> {
    let mut value = serde_json::to_value(stored)?;
    let patch = if status_only { json!({"status": patch.get("status")}) } else { patch.clone() };
    crate::manifest::merge(&mut value, &patch);
    let mut next: K = serde_json::from_value(value)?;
    let (meta, kept) = (next.meta_mut(), stored.meta());
    meta.uid.clone_from(&kept.uid);
    meta.name.clone_from(&kept.name);
    meta.namespace.clone_from(&kept.namespace);
    meta.creation_timestamp.clone_from(&kept.creation_timestamp);
    meta.deletion_timestamp.clone_from(&kept.deletion_timestamp);
    Ok(next)
}
