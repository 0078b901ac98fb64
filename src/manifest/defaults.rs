//! What the API server writes into an object before it looks at it.

use super::schema::{entries, items};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde_json::Value;

fn nullable(schema: &JSONSchemaProps) -> bool {
    schema.nullable == Some(true)
}

/// Takes out nulls where the schema has neither null nor a default: they count as absent.
pub(super) fn prune_nulls(value: &mut Value, schema: &JSONSchemaProps) {
    each_part(value, schema, prune_nulls);
    if let (Value::Object(members), Some(properties)) = (value, &schema.properties) {
        members.retain(|name, value| {
            !value.is_null() || properties.get(name).is_none_or(|part| nullable(part) || part.default.is_some())
        });
    }
}

/// Fills in defaults, and then the defaults inside of those.
pub(super) fn fill(value: &mut Value, schema: &JSONSchemaProps) {
    if let (Value::Object(members), Some(properties)) = (&mut *value, &schema.properties) {
        for (name, part) in properties {
            let Some(default) = &part.default else { continue };
            if members.get(name).is_none_or(|value| value.is_null() && !nullable(part)) {
                members.insert(name.clone(), default.0.clone());
            }
        }
    }
    each_part(value, schema, fill);
}

/// Runs `act` on each part of a value, with the part's schema.
fn each_part(value: &mut Value, schema: &JSONSchemaProps, act: fn(&mut Value, &JSONSchemaProps)) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let property = schema.properties.as_ref().and_then(|properties| properties.get(name));
                if let Some(part) = property.or_else(|| entries(schema)) {
                    act(value, part);
                }
            }
        }
        Value::Array(list) => {
            for value in list {
                if let Some(part) = items(schema) {
                    act(value, part);
                }
            }
        }
        _ => {}
    }
}
