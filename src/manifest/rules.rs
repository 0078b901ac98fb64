//! An object against the CEL rules of its schema. Rules about a change are not for a new object, nor for the items of a
//! list: nobody knows which one they were.

use super::cel;
use super::refusal::FieldError;
use super::schema::{entries, items};
use ::cel::Program;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, ValidationRule};
use serde_json::Value;

/// Looks at all rules of an object, which is new or in the place of an old one.
pub(super) fn check(schema: &JSONSchemaProps, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    walk(schema, (object, old), "", errors);
}

fn walk(schema: &JSONSchemaProps, (value, old): (&Value, Option<&Value>), path: &str, errors: &mut Vec<FieldError>) {
    if value.is_null() {
        return;
    }
    let rules = schema.x_kubernetes_validations.iter().flatten();
    errors.extend(rules.filter_map(|rule| broken(rule, schema, (value, old), path)));
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let value = (value, old.and_then(|old| old.get(name)).filter(|old| !old.is_null()));
                if let Some(part) = schema.properties.as_ref().and_then(|properties| properties.get(name)) {
                    walk(part, value, &format!("{path}.{name}"), errors);
                } else if let Some(part) = entries(schema) {
                    walk(part, value, &format!("{path}[{name}]"), errors);
                }
            }
        }
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                if let Some(part) = items(schema) {
                    walk(part, (value, None), &format!("{path}[{at}]"), errors);
                }
            }
        }
        _ => {}
    }
}

/// Evaluates a rule; false, an error, and a rule that does not compile all refuse the object.
fn broken(
    rule: &ValidationRule,
    schema: &JSONSchemaProps,
    (value, old): (&Value, Option<&Value>),
    path: &str,
) -> Option<FieldError> {
    let message = rule.message.as_deref().unwrap_or(&rule.rule).trim();
    let type_name = Value::from(schema.type_.as_deref().unwrap_or_default());
    let refuse = |why: String| Some(FieldError::invalid(path, Some(&type_name), &why));
    let program = match Program::compile(&rule.rule) {
        Ok(program) => program,
        Err(error) => return refuse(format!("rule compile error: {error}")),
    };
    let about_change = program.references().has_variable("oldSelf");
    if about_change && old.is_none() && rule.optional_old_self != Some(true) {
        return None;
    }
    match program.execute(&cel::context(schema, value, old)) {
        Ok(::cel::Value::Bool(true)) => None,
        Ok(_) => Some(refusal(rule, schema, value, path)),
        Err(::cel::ExecutionError::FunctionError { message: error, .. }) => {
            refuse(format!("{error} evaluating rule: {message}"))
        }
        Err(error) => refuse(format!("{error} evaluating rule: {message}")),
    }
}

fn refusal(rule: &ValidationRule, schema: &JSONSchemaProps, value: &Value, path: &str) -> FieldError {
    let failed = format!("failed rule: {}", rule.rule.trim());
    let detail = rule.message.as_deref().map_or(failed.as_str(), str::trim);
    let path = format!("{path}{}", rule.field_path.as_deref().unwrap_or_default());
    let shown = (!matches!(schema.type_.as_deref(), Some("object" | "array"))).then_some(value);
    match rule.reason.as_deref() {
        Some("FieldValueRequired") => FieldError::required(&path, detail),
        Some("FieldValueForbidden") => FieldError::forbidden(&path, detail),
        Some("FieldValueDuplicate") => FieldError::duplicate(&path, shown.unwrap_or(&Value::Null)),
        _ => FieldError::invalid(&path, shown, detail),
    }
}
