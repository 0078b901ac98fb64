//! What people do while a simulation goes on.

use super::cluster::{Cluster, Kept, Request};
use super::trace::Actor;
use crate::api::{NodeUpdate, UpdateRollout};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::Value;

/// Something that a person does.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: Deed,
}

/// What a person does.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Changes an object by a merge patch: `kind` is UpdateRollout, NodeUpdate or Node.
    Patch {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// The patch.
        patch: Value,
    },
    /// Deletes an object: `kind` as above.
    Delete {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// Offers an update of the catalogue from now on, or takes it back.
    Publish {
        /// The KB.
        kb: windlass_protocol::KbId,
        /// Whether it is offered.
        published: bool,
    },
}

impl Cluster {
    /// Does what a person does. What is not there is not done.
    pub(super) fn act(&mut self, deed: &Deed, now: Timestamp) {
        match deed {
            Deed::Patch { kind, name, patch } => {
                self.books.tell(now, || format!("user: changes {kind} {name}: {patch}"));
                match kind.as_str() {
                    "UpdateRollout" => self.patch::<UpdateRollout>(name, patch, now),
                    "NodeUpdate" => self.patch::<NodeUpdate>(name, patch, now),
                    _ => self.patch::<Node>(name, patch, now),
                }
            }
            Deed::Delete { kind, name } => {
                self.books.tell(now, || format!("user: deletes {kind} {name}"));
                match kind.as_str() {
                    "UpdateRollout" => self.delete::<UpdateRollout>(Actor::User, name, now),
                    "NodeUpdate" => self.delete::<NodeUpdate>(Actor::User, name, now),
                    _ => self.delete::<Node>(Actor::User, name, now),
                }
            }
            Deed::Publish { kb, published } => {
                self.books
                    .tell(now, || format!("catalogue: {kb} {}", if *published { "published" } else { "withdrawn" }));
                self.world.publish(*kb, *published);
            }
        }
    }

    fn patch<K: Kept>(&mut self, name: &str, patch: &Value, now: Timestamp) {
        let request = Request {
            method: http::Method::PATCH,
            api: K::api_version(&()).into_owned(),
            plural: K::plural(&()).into_owned(),
            namespace: None,
            name: Some(name.to_owned()),
            sub: None,
            query: String::new(),
            body: patch.to_string().into_bytes(),
        };
        self.merge::<K>(Actor::User, &request, now);
    }
}
