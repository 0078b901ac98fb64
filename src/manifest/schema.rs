//! An object against its structural schema, with the sentences of the API server's validator.

use super::refusal::FieldError;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use regex::Regex;
use serde_json::Value;

/// The schema of a list's items.
pub(super) fn items(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match schema.items.as_ref()? {
        JSONSchemaPropsOrArray::Schema(items) => Some(items),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

/// The schema of a map's values.
pub(super) fn entries(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match schema.additional_properties.as_ref()? {
        JSONSchemaPropsOrBool::Schema(entries) => Some(entries),
        JSONSchemaPropsOrBool::Bool(_) => None,
    }
}

/// The fields that the schema has where this one stands.
pub(super) fn beside(schema: &JSONSchemaProps, field: &str) -> Vec<String> {
    let parent = field.rsplit_once('.').map_or("", |(parent, _)| parent);
    let mut part = schema;
    for name in parent.split(['.', '[']).filter(|name| !name.is_empty()) {
        let property = part.properties.as_ref().and_then(|properties| properties.get(name));
        let within = if name.ends_with(']') { items(part) } else { property.or_else(|| entries(part)) };
        let Some(within) = within else { return Vec::new() };
        part = within;
    }
    part.properties.iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// Adds the paths of fields that the schema does not have.
pub(super) fn unknown(schema: &JSONSchemaProps, value: &Value, path: &str, paths: &mut Vec<String>) {
    let dot = if path.is_empty() { "" } else { "." };
    match (value, &schema.properties, entries(schema), items(schema)) {
        (Value::Object(members), Some(properties), ..) => {
            for (name, value) in members {
                let path = format!("{path}{dot}{name}");
                let everywhere = dot.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name.as_str());
                match properties.get(name) {
                    Some(part) => unknown(part, value, &path, paths),
                    None if everywhere => {}
                    None => paths.push(path),
                }
            }
        }
        (Value::Object(members), None, Some(part), _) => {
            for (name, value) in members {
                unknown(part, value, &format!("{path}{dot}{name}"), paths);
            }
        }
        // A map without a schema has no fields at all.
        (Value::Object(members), None, None, _) if schema.x_kubernetes_preserve_unknown_fields != Some(true) => {
            paths.extend(members.keys().map(|name| format!("{path}{dot}{name}")));
        }
        (Value::Array(list), _, _, Some(part)) => {
            for (at, value) in list.iter().enumerate() {
                unknown(part, value, &format!("{path}[{at}]"), paths);
            }
        }
        _ => {}
    }
}

/// Looks at a value and all its parts.
pub(super) fn check(schema: &JSONSchemaProps, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    errors.extend(wrong_type(schema, value, path));
    match value {
        Value::String(text) => {
            errors.extend(string(schema, text, path));
            errors.extend(format(schema, text, path));
        }
        Value::Number(_) => errors.extend(number(schema, value, path)),
        Value::Array(list) => array(schema, list, path, errors),
        _ => {}
    }
    errors.extend(not_in_enum(schema, value, path));
    if let Value::Object(members) = value {
        object(schema, members, path, errors);
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn wrong_type(schema: &JSONSchemaProps, value: &Value, path: &str) -> Option<FieldError> {
    let int_or_string = schema.x_kubernetes_int_or_string == Some(true);
    let wanted = if int_or_string { "integer,string" } else { schema.type_.as_deref()? };
    let found = type_of(value);
    let whole = value.as_f64().is_some_and(|number| number.fract() == 0.0);
    let is = |name: &str| wanted.split(',').any(|wanted| wanted == name);
    let fits = is(found) || is("integer") && whole || is("number") && value.is_number();
    if fits || value.is_null() && schema.nullable == Some(true) {
        return None;
    }
    let Some(format) = schema.format.as_deref().filter(|_| !value.is_null()) else {
        return Some(FieldError::wrong_type(path, wanted, found));
    };
    // A value with a format is named by that, and a string is left to the format's own check.
    match value {
        Value::String(_) | Value::Array(_) if is("integer") || is("number") => {
            Some(FieldError::wrong_type(path, wanted, found))
        }
        Value::String(_) | Value::Array(_) => None,
        _ => {
            let found = match found {
                "integer" => "int64",
                "number" => "float64",
                _ => "",
            };
            Some(FieldError::wrong_type(path, format, found))
        }
    }
}

/// The first of a string's constraints that it breaks.
fn string(schema: &JSONSchemaProps, text: &str, path: &str) -> Option<FieldError> {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if let Some(most) = schema.max_length.filter(|most| length > *most) {
        return Some(FieldError::too_long(path, most));
    }
    if let Some(least) = schema.min_length.filter(|least| length < *least) {
        let detail = format!("should be at least {least} chars long");
        return Some(FieldError::constraint(path, &Value::from(text), &detail));
    }
    let pattern = schema.pattern.as_deref()?;
    let matches = Regex::new(pattern).is_ok_and(|regex| regex.is_match(text));
    (!matches).then(|| FieldError::constraint(path, &Value::from(text), &format!("should match '{pattern}'")))
}

fn format(schema: &JSONSchemaProps, text: &str, path: &str) -> Option<FieldError> {
    let format = schema.format.as_deref()?;
    let fits = match format {
        "date" => text.parse::<jiff::civil::Date>().is_ok() && text.len() == "2026-12-18".len(),
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "duration" => super::span::parse(text).is_some(),
        _ => true,
    };
    (!fits).then(|| FieldError::wrong_type(path, format, text))
}

fn number(schema: &JSONSchemaProps, value: &Value, path: &str) -> Vec<FieldError> {
    let number = value.as_f64().unwrap_or_default();
    let below = schema.minimum.filter(|least| number < *least);
    let above = schema.maximum.filter(|most| number > *most);
    let least =
        below.map(|least| FieldError::constraint(path, value, &format!("should be greater than or equal to {least}")));
    let most =
        above.map(|most| FieldError::constraint(path, value, &format!("should be less than or equal to {most}")));
    least.into_iter().chain(most).collect()
}

fn array(schema: &JSONSchemaProps, list: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    if let Some(part) = items(schema) {
        for (at, value) in list.iter().enumerate() {
            check(part, value, &format!("{path}[{at}]"), errors);
        }
    }
    let count = i64::try_from(list.len()).unwrap_or(i64::MAX);
    if let Some(least) = schema.min_items.filter(|least| count < *least) {
        errors.push(FieldError::constraint(path, &count, &format!("should have at least {least} items")));
    }
    if let Some(most) = schema.max_items.filter(|most| count > *most) {
        errors.push(FieldError::too_many(path, list.len(), most));
    }
}

fn not_in_enum(schema: &JSONSchemaProps, value: &Value, path: &str) -> Option<FieldError> {
    let allowed = schema.enum_.as_ref().filter(|allowed| allowed.iter().all(|one| one.0 != *value))?;
    let names: Vec<_> = allowed.iter().filter_map(|one| one.0.as_str()).collect();
    Some(FieldError::not_supported(path, value, &names))
}

fn object(
    schema: &JSONSchemaProps,
    members: &serde_json::Map<String, Value>,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let count = i64::try_from(members.len()).unwrap_or(i64::MAX);
    if let Some(least) = schema.min_properties.filter(|least| count < *least) {
        errors.push(FieldError::constraint(path, &count, &format!("should have at least {least} properties")));
    }
    if let Some(most) = schema.max_properties.filter(|most| count > *most) {
        errors.push(FieldError::too_many(path, members.len(), most));
    }
    for (name, value) in members {
        let property = schema.properties.as_ref().and_then(|properties| properties.get(name));
        if let Some(part) = property.or_else(|| entries(schema)) {
            let dot = if path.is_empty() { "" } else { "." };
            check(part, value, &format!("{path}{dot}{name}"), errors);
        }
    }
    for name in schema.required.iter().flatten().filter(|name| !members.contains_key(*name)) {
        errors.push(FieldError::required(&format!("{path}.{name}"), ""));
    }
}
