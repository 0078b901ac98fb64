//! The cases, from their files.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

/// A kind, and its cases.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// Its name in URLs.
    pub plural: &'static str,
    /// A part of its spec that is another kind's, and tested there.
    pub elsewhere: Option<&'static str>,
    yaml: &'static str,
}

/// All kinds.
pub const KINDS: [Kind; 8] = [
    kind("UpdatePolicy", "updatepolicies", include_str!("cases/updatepolicy.yaml")),
    kind("UpdateRing", "updaterings", include_str!("cases/updatering.yaml")),
    kind("UpdateRollout", "updaterollouts", include_str!("cases/updaterollout.yaml")),
    kind("SnapshotClass", "snapshotclasses", include_str!("cases/snapshotclass.yaml")),
    kind("UpdateHold", "updateholds", include_str!("cases/updatehold.yaml")),
    kind("UpdateApproval", "updateapprovals", include_str!("cases/updateapproval.yaml")),
    Kind { elsewhere: Some("spec.policy"), ..kind("NodeUpdate", "nodeupdates", include_str!("cases/nodeupdate.yaml")) },
    kind("NodeSnapshot", "nodesnapshots", include_str!("cases/nodesnapshot.yaml")),
];

const fn kind(name: &'static str, plural: &'static str, yaml: &'static str) -> Kind {
    Kind { name, plural, elsewhere: None, yaml }
}

/// The cases of one kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// Specs that are accepted. Together they have every field of the schema.
    pub accepted: Vec<Value>,
    /// Changes to the first of them that are refused.
    #[serde(default)]
    pub refused: Vec<Refused>,
    /// Changes to the stored first of them that are refused, though they would be accepted in a new object.
    #[serde(default)]
    pub frozen: Vec<Refused>,
    /// Changes to the stored first of them that are accepted, one after the other.
    #[serde(default)]
    pub allowed: Vec<Value>,
    /// Changes that are refused after those.
    #[serde(default)]
    pub frozen_then: Vec<Refused>,
}

/// A change that is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// Merged into the spec.
    #[serde(default = "nothing")]
    pub change: Value,
    /// Another name for the object.
    #[serde(default)]
    pub name: Option<String>,
    /// What the API server says: the field, and after `...` what is allowed there.
    pub says: String,
}

fn nothing() -> Value {
    json!({})
}

impl Refused {
    /// The field that the message has to name.
    pub fn field(&self) -> &str {
        self.says.split(" ... ").next().unwrap_or_default()
    }

    /// What the message has to say of it.
    pub fn allowed(&self) -> &str {
        self.says.split(" ... ").nth(1).unwrap_or_default()
    }
}

impl Kind {
    /// Its cases.
    pub fn cases(self) -> Result<Cases> {
        serde_saphyr::from_str(self.yaml).with_context(|| format!("the cases of {}", self.name))
    }

    /// An object of this kind.
    pub fn object(self, name: &str, spec: &Value) -> Value {
        json!({"apiVersion": "windlass.dev/v1alpha1", "kind": self.name, "metadata": {"name": name}, "spec": spec})
    }
}
