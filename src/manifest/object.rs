//! One object on its way through the door.

use super::refusal::{Cause, FieldError};
use super::{builtin, defaults, list, lists, metadata, ours, rules, schema, within};
use crate::api::{GROUP, VERSION, crds};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What is said when the rules could not be looked at, as in the API server.
const RULES_NOT_CHECKED: &str = "some validation rules were not checked because the object was invalid; \
    correct the existing errors to complete validation";

/// The schema of an object, by who has made it.
pub(super) enum Schema<'a> {
    Ours(&'a JSONSchemaProps),
    BuiltIn(&'static JSONSchemaProps),
}

impl<'a> Schema<'a> {
    /// The schema, whoever has made it.
    pub(super) fn schema(&self) -> &'a JSONSchemaProps {
        match self {
            Self::Ours(schema) | Self::BuiltIn(schema) => schema,
        }
    }
}

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
    /// The kinds of this program, whose schemas are made once.
    pub fn served() -> &'static Self {
        static SERVED: LazyLock<Kinds> = LazyLock::new(Kinds::default);
        &SERVED
    }

    /// Takes an object as the API server would take a new one, and gives it back with its defaults. An object of a kind
    /// that a simulation does not read is given back as it is.
    ///
    /// # Errors
    /// All that the API server would say.
    pub fn admit(&self, object: Value) -> Result<Value, Vec<FieldError>> {
        self.admit_over(object, None)
    }

    /// The same of an object that takes the place of another state of it.
    pub(super) fn admit_over(&self, object: Value, old: Option<&Value>) -> Result<Value, Vec<FieldError>> {
        match self.schema_of(&object)? {
            None => Ok(object),
            Some(Schema::Ours(schema)) => admit_ours(object, old, schema),
            Some(Schema::BuiltIn(schema)) => admit_built_in(object, schema),
        }
    }

    /// Takes what stands at a place as whoever applies it would: the object, or each one that is in a List. Each with its
    /// place, or with the field that is refused and what is said of it.
    pub fn admit_each(&self, place: &str, object: Value) -> Vec<Result<(String, Value), (String, String)>> {
        let refused = |error: FieldError| Err((error.within(place), error.told()));
        if list::is_list(&object) {
            return match list::items(object) {
                Ok(items) => {
                    items.into_iter().flat_map(|(at, item)| self.admit_each(&within(place, &at), item)).collect()
                }
                Err(error) => vec![refused(error)],
            };
        }
        match self.admit(object) {
            Ok(object) => vec![Ok((place.to_owned(), object))],
            Err(errors) => errors.into_iter().map(refused).collect(),
        }
    }

    /// The schema of an object; none for one of a kind that is not read.
    pub(super) fn schema_of(&self, object: &Value) -> Result<Option<Schema<'_>>, Vec<FieldError>> {
        let text = |field: &str| object[field].as_str().filter(|text| !text.is_empty());
        let refuse = |field: &str, body: String, allowed| {
            vec![FieldError { allowed, ..FieldError::new(Cause::Decoding, field, body) }]
        };
        let missing = |field: &str| refuse(field, format!("{field} not set"), Vec::new());
        let api_version = text("apiVersion").ok_or_else(|| missing("apiVersion"))?;
        let kind = text("kind").ok_or_else(|| missing("kind"))?;
        let served = || vec![format!("{GROUP}/{VERSION}")];
        let no_match = match ours(api_version) {
            Some(true) if self.0.contains_key(kind) => return Ok(self.0.get(kind).map(Schema::Ours)),
            Some(true) => ("kind", self.0.keys().cloned().collect()),
            Some(false) => ("apiVersion", served()),
            None => match builtin::no_match(api_version, kind) {
                Some(no_match) => no_match,
                // Of another group it would be taken for ours.
                None if self.0.contains_key(kind) => ("apiVersion", served()),
                None => return Ok(builtin::schema(api_version, kind).map(Schema::BuiltIn)),
            },
        };
        let (field, allowed) = no_match;
        Err(refuse(field, format!("no matches for kind {kind:?} in version {api_version:?}"), allowed))
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

/// An object of ours, as a new one or in the place of an old one.
fn admit_ours(mut object: Value, old: Option<&Value>, schema: &JSONSchemaProps) -> Result<Value, Vec<FieldError>> {
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
        rules::check(schema, &object, old, &mut errors);
    }
    if errors.is_empty() { Ok(object) } else { Err(errors) }
}

/// One of Kubernetes' own objects as a new one. Its values are looked at as far as the types of its fields say.
fn admit_built_in(mut object: Value, schema: &JSONSchemaProps) -> Result<Value, Vec<FieldError>> {
    // Who wrote which field is noted by the API server, in a form of its own.
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    metadata.and_then(|metadata| metadata.remove("managedFields"));
    let mut errors = unknown(&object, schema);
    if !errors.is_empty() {
        return Err(errors);
    }
    builtin::quantities_as_texts(&mut object);
    defaults::prune_nulls(&mut object, schema);
    errors.extend(metadata::check(&object));
    schema::check(schema, &object, "", &mut errors);
    errors.extend(builtin::values(&object));
    if errors.is_empty() { Ok(object) } else { Err(errors) }
}

/// Fields that the schema does not have: a strict client's object is refused for them before anything else.
pub(super) fn unknown(object: &Value, schema: &JSONSchemaProps) -> Vec<FieldError> {
    let mut paths = Vec::new();
    // Kubernetes' own kinds have it in their schemas.
    if schema.properties.as_ref().is_none_or(|properties| !properties.contains_key("metadata")) {
        metadata::unknown(object, &mut paths);
    }
    schema::unknown(schema, object, "", &mut paths);
    let error = |path: String| FieldError {
        allowed: schema::beside(schema, &path),
        ..FieldError::new(Cause::Decoding, &path, format!("unknown field {path:?}"))
    };
    paths.into_iter().map(error).collect()
}
