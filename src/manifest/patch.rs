//! Changes of objects: merge patches, as the API server would take them.

use super::object::{Kinds, Schema, unknown};
use super::refusal::{Cause, FieldError};
use super::{builtin, schema};
use serde_json::{Value, json};

impl Kinds {
    /// Takes a patch of an object as the API server would, and gives back what it makes of it.
    ///
    /// # Errors
    /// All that the API server would say.
    pub fn patch(&self, stored: &Value, patch: &Value) -> Result<Value, Vec<FieldError>> {
        self.known_fields(stored, patch)?;
        let mut next = stored.clone();
        merge(&mut next, patch);
        self.admit_over(next, Some(stored))
    }

    /// Looks at the parts of a patch of an object that nobody has seen yet.
    ///
    /// # Errors
    /// What the API server would say whatever the object is.
    pub fn patch_of(&self, api_version: &str, kind: &str, patch: &Value) -> Result<(), Vec<FieldError>> {
        let object = json!({"apiVersion": api_version, "kind": kind});
        self.known_fields(&object, patch)?;
        let Some(found) = self.schema_of(&object)? else { return Ok(()) };
        let (mut patch, mut errors) = (patch.clone(), Vec::new());
        without_nulls(&mut patch);
        if let Schema::BuiltIn(_) = found {
            builtin::quantities_as_texts(&mut patch);
            errors.extend(builtin::values(&patch));
        }
        schema::check(found.schema(), &patch, "", &mut errors);
        errors.retain(|error| error.cause != Cause::Required);
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// A field that is not there is looked at in the patch itself: one that is to be removed is gone afterwards.
    fn known_fields(&self, object: &Value, patch: &Value) -> Result<(), Vec<FieldError>> {
        let Some(found) = self.schema_of(object)? else { return Ok(()) };
        let errors = unknown(patch, found.schema());
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

fn without_nulls(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, value| !value.is_null());
        members.values_mut().for_each(without_nulls);
    }
}

/// Changes a value by a merge patch (RFC 7386).
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Value {
        serde_saphyr::from_str(text).unwrap()
    }

    fn told(refused: Result<Value, Vec<FieldError>>) -> Vec<String> {
        refused.err().into_iter().flatten().map(|error| format!("{}: {}", error.field, error.told())).collect()
    }

    #[test]
    fn a_change_is_taken_or_refused_as_the_api_server_does() {
        let kinds = Kinds::default();
        let rollout = "{apiVersion: windlass.dev/v1alpha1, kind: UpdateRollout, metadata: {name: june}, \
            spec: {rings: [web], updates: {classifications: [Security]}}}";
        let stored = kinds.admit(yaml(rollout)).unwrap();
        let cases = [
            ("{spec: {state: Paused}}", ""),
            // What can not be made so may well become so.
            ("{spec: {state: Aborted}}", ""),
            ("{metadata: {annotations: {a: null}}}", ""),
            ("{spec: {state: paused}}", "spec.state: Unsupported value: \"paused\": supported values: "),
            ("{spec: {stat: Paused}}", "spec.stat: unknown field \"spec.stat\", expected one of "),
            ("{spec: {stat: null}}", "spec.stat: unknown field \"spec.stat\""),
            ("{spec: {rings: null}}", "spec.rings: Required value"),
            ("{spec: {rings: [web, edge]}}", "spec.rings: Invalid value: rings are frozen: make a new rollout"),
        ];
        for (patch, expected) in cases {
            let found = told(kinds.patch(&stored, &yaml(patch)));
            match (&found[..], expected) {
                ([], "") => {}
                ([first, ..], words) if !words.is_empty() && first.starts_with(words) => {}
                _ => panic!("{patch}: {found:#?}"),
            }
        }
        let aborted = kinds.patch(&stored, &yaml("{spec: {state: Aborted}}")).unwrap();
        assert_eq!(
            told(kinds.patch(&aborted, &yaml("{spec: {state: Running}}"))),
            ["spec.state: Invalid value: \"Running\": Aborted is final: make a new rollout"]
        );
    }

    #[test]
    fn of_an_object_that_is_not_there_yet_the_parts_of_a_patch_are_looked_at() {
        let kinds = Kinds::default();
        let ours = "windlass.dev/v1alpha1";
        let cases = [
            (ours, "NodeUpdate", "{metadata: {annotations: {windlass.dev/request: retry}}}", ""),
            (ours, "NodeUpdate", "{metadata: {anotations: {a: b}}}", "metadata.anotations: unknown field"),
            ("v1", "Node", "{metadata: {labels: {pool: web, old: null}}, spec: {unschedulable: true}}", ""),
            ("v1", "Node", "{spec: {taints: [{key: a, effect: NoSchedule}]}}", ""),
            ("v1", "Node", "{spec: {unschedulabel: true}}", "spec.unschedulabel: unknown field"),
            ("v1", "Node", "{spec: {unschedulable: sure}}", "spec.unschedulable: Invalid value: \"string\""),
            ("v1", "Node", "{metadata: {labels: {pool: 1}}}", "metadata.labels.pool: Invalid value: \"integer\""),
            ("policy/v1", "PodDisruptionBudget", "{spec: {minAvailable: null, maxUnavailable: 50%}}", ""),
            ("policy/v1", "PodDisruptionBudget", "{spec: {minAvailble: 0}}", "spec.minAvailble: unknown field"),
        ];
        for (version, kind, patch, expected) in cases {
            let found = told(kinds.patch_of(version, kind, &yaml(patch)).map(|()| Value::Null));
            match (&found[..], expected) {
                ([], "") => {}
                ([first, ..], words) if !words.is_empty() && first.starts_with(words) => {}
                _ => panic!("{patch}: {found:#?}"),
            }
        }
    }
}
