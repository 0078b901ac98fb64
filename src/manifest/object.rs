//! One object on its way through the door.

use super::refusal::{Cause, FieldError};
use super::{defaults, lists, metadata, ours, rules, schema};
use crate::api::crds;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde_json::Value;
use std::collections::BTreeMap;

/// What is said when the rules could not be looked at, as in the API server.
const RULES_NOT_CHECKED: &str = "some validation rules were not checked because the object was invalid; \
    correct the existing errors to complete validation";

/// Our kinds and their schemas.
#[derive(Clone, Debug)]
pub struct Kinds(BTreeMap<String, JSONSchemaProps>);

impl Default for Kinds {
    fn default() -> Self {
        let schema =
            |crd: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition| {
                let version = crd.spec.versions.into_iter().next()?;
                Some((crd.spec.names.kind, version.schema?.open_api_v3_schema?))
            };
        Self(crds().into_iter().filter_map(schema).collect())
    }
}

impl Kinds {
    /// Takes an object as the API server would take a new one, and gives it back with its defaults. An object of another
    /// group is given back as it is.
    ///
    /// # Errors
    /// All that the API server would say.
    pub fn admit(&self, mut object: Value) -> Result<Value, Vec<FieldError>> {
        let Some(schema) = self.schema_of(&object)? else { return Ok(object) };
        let mut errors = unknown(&object, schema);
        if !errors.is_empty() {
            return Err(errors);
        }
        // Whoever creates an object cannot say what became of it.
        object.as_object_mut().and_then(|members| members.remove("status"));
        defaults::prune_nulls(&mut object, schema);
        defaults::fill(&mut object, schema);
        errors.extend(metadata::check(&object));
        schema::check(schema, &object, "", &mut errors);
        lists::check(schema, &object, "", &mut errors);
        if errors.iter().any(FieldError::blocks_rules) {
            errors.push(FieldError::invalid("", Some(&Value::Null), RULES_NOT_CHECKED));
        } else {
            rules::check(schema, &object, &mut errors);
        }
        if errors.is_empty() { Ok(object) } else { Err(errors) }
    }

    /// The schema of an object of ours; none for an object of another group.
    fn schema_of(&self, object: &Value) -> Result<Option<&JSONSchemaProps>, Vec<FieldError>> {
        let text = |field: &str| object[field].as_str().filter(|text| !text.is_empty());
        let refuse = |field: &str, body: &str| vec![FieldError::new(Cause::Decoding, field, body.to_owned())];
        let api_version = text("apiVersion").ok_or_else(|| refuse("apiVersion", "apiVersion not set"))?;
        let kind = text("kind").ok_or_else(|| refuse("kind", "kind not set"))?;
        match ours(api_version) {
            None => Ok(None),
            Some(true) if self.0.contains_key(kind) => Ok(self.0.get(kind)),
            Some(_) => Err(refuse("kind", &format!("no matches for kind {kind:?} in version {api_version:?}"))),
        }
    }

    /// What the API server answers in one sentence, when it refuses an object for these errors.
    pub fn answer(&self, object: &Value, errors: &[FieldError]) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let kind = text(&object["kind"]);
        if errors.iter().any(|error| error.cause == Cause::Decoding) {
            let version = text(&object["apiVersion"]);
            let version = version.rsplit('/').next().unwrap_or_default();
            let all = all.join(", ");
            return format!(
                "{kind} in version {version:?} cannot be handled as a {kind}: strict decoding error: {all}"
            );
        }
        let all = if let [one] = &all[..] { one.clone() } else { format!("[{}]", all.join(", ")) };
        format!("{kind}.{} {:?} is invalid: {all}", crate::api::GROUP, text(&object["metadata"]["name"]))
    }
}

/// Fields that the schema does not have: a strict client's object is refused for them before anything else.
fn unknown(object: &Value, schema: &JSONSchemaProps) -> Vec<FieldError> {
    let mut paths = Vec::new();
    metadata::unknown(object, &mut paths);
    schema::unknown(schema, object, "", &mut paths);
    let error = |path: String| FieldError {
        allowed: schema::beside(schema, &path),
        ..FieldError::new(Cause::Decoding, &path, format!("unknown field {path:?}"))
    };
    paths.into_iter().map(error).collect()
}
