//! Lists whose items must differ: sets, and lists that are maps by a key.

use super::refusal::FieldError;
use super::schema::{entries, items};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde_json::{Map, Value};

/// Looks at all lists of a value.
pub(super) fn check(schema: &JSONSchemaProps, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if let Some(part) = schema.properties.as_ref().and_then(|properties| properties.get(name)) {
                    check(part, value, &format!("{path}.{name}"), errors);
                } else if let Some(part) = entries(schema) {
                    check(part, value, &format!("{path}[{name}]"), errors);
                }
            }
        }
        Value::Array(list) => {
            errors.extend(repeated(schema, list, path));
            for (at, value) in list.iter().enumerate() {
                if let Some(part) = items(schema) {
                    check(part, value, &format!("{path}[{at}]"), errors);
                }
            }
        }
        _ => {}
    }
}

/// The second appearance of each item that is there more than once.
fn repeated(schema: &JSONSchemaProps, list: &[Value], path: &str) -> Vec<FieldError> {
    let keys: Vec<Value> = match schema.x_kubernetes_list_type.as_deref() {
        Some("set") => list.to_vec(),
        Some("map") => {
            if let Some(at) = list.iter().position(|item| !item.is_object() && !item.is_null()) {
                let detail = "must be an object for an array of list-type map";
                return vec![FieldError::invalid(&format!("{path}[{at}]"), list.get(at), detail)];
            }
            let names = schema.x_kubernetes_list_map_keys.as_deref().unwrap_or_default();
            let key = |item: &Value| {
                let part = |name: &String| Some((name.clone(), item.get(name)?.clone()));
                Value::Object(names.iter().filter_map(part).collect::<Map<_, _>>())
            };
            list.iter().map(key).collect()
        }
        _ => return Vec::new(),
    };
    let second = |(at, key): &(usize, &Value)| keys[..*at].iter().filter(|other| other == key).count() == 1;
    let error = |(at, key)| FieldError::duplicate(&format!("{path}[{at}]"), key);
    keys.iter().enumerate().filter(second).map(error).collect()
}
