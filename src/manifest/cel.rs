//! What Kubernetes adds to CEL, as far as our rules use it: typed values, `format`, time zones, optional old values.

use super::schema::{entries, items};
use super::span;
use cel::extractors::{Arguments, This};
use cel::objects::Map;
use cel::{Context, ExecutionError, Value};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::sync::Arc;

/// Longest part of a qualified name, and longest value of a label.
const LABEL_LENGTH: usize = 63;
/// Longest prefix of a qualified name.
const PREFIX_LENGTH: usize = 253;

/// The variables and functions of a rule on `value`; one that is new has no old self.
pub(super) fn context(schema: &JSONSchemaProps, value: &Json, old: Option<&Json>) -> Context<'static> {
    let mut context = Context::default();
    context.add_variable_from_value("self", typed(schema, value));
    context.add_variable_from_value("oldSelf", old.map_or(Value::Null, |old| typed(schema, old)));
    // What is optional is null when it is not there.
    context.add_function("hasValue", |This(value): This<Value>| !matches!(value, Value::Null));
    context.add_function("type", |value: Value| value.type_of().to_string());
    for name in ["string", "int", "bool", "list", "map"] {
        context.add_variable_from_value(name, name);
    }
    context.add_function("split", |This(text): This<Arc<String>>, at: Arc<String>| split(&text, &at));
    context.add_function("getFullYear", full_year);
    context.add_variable_from_value("format", "format");
    for name in ["qualifiedName", "labelValue"] {
        context.add_function(name, move |This(_): This<Value>| name.to_owned());
    }
    context.add_function("validate", |This(format): This<Arc<String>>, text: Arc<String>| validate(&format, &text));
    context
}

/// A value of JSON as CEL sees it: durations and times by their format, whole numbers as `int`, nulls as absent.
fn typed(schema: &JSONSchemaProps, value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => number.as_i64().map_or_else(|| number.as_f64().unwrap_or_default().into(), Value::Int),
        Json::String(text) => formatted(schema.format.as_deref(), text),
        Json::Array(list) => {
            let any = JSONSchemaProps::default();
            let part = items(schema).unwrap_or(&any);
            Value::List(Arc::new(list.iter().map(|value| typed(part, value)).collect()))
        }
        Json::Object(members) => {
            let any = JSONSchemaProps::default();
            let part = |name: &str| {
                let property = schema.properties.as_ref().and_then(|properties| properties.get(name));
                property.or_else(|| entries(schema)).unwrap_or(&any)
            };
            let there = members.iter().filter(|(_, value)| !value.is_null());
            let map: HashMap<_, _> =
                there.map(|(name, value)| (name.as_str().into(), typed(part(name), value))).collect();
            Value::Map(Map { map: Arc::new(map) })
        }
    }
}

/// A text by its format; one that is not of its format has been refused before any rule is looked at.
fn formatted(format: Option<&str>, text: &str) -> Value {
    let value = match format {
        Some("duration") => span::parse(text).map(|span| format!("{}ns", span.as_nanos())),
        Some("date") => Some(format!("{text}T00:00:00Z")),
        Some("date-time") => Some(text.to_owned()),
        _ => None,
    };
    let parsed = value.map(Arc::new).and_then(|value| match format {
        Some("duration") => cel::functions::duration(value).ok(),
        _ => cel::functions::timestamp(value).ok(),
    });
    parsed.unwrap_or_else(|| text.into())
}

/// `text.split(separator)`.
fn split(text: &str, separator: &str) -> Result<Value, ExecutionError> {
    if separator.is_empty() {
        return Err(ExecutionError::function_error("split", "no separator"));
    }
    Ok(Value::List(Arc::new(text.split(separator).map(Value::from).collect())))
}

/// `timestamp.getFullYear(zone)`: it is how a rule asks whether a time zone exists. The server's own zone and offsets
/// exist, too; no pattern of ours takes them.
fn full_year(This(at): This<Value>, Arguments(arguments): Arguments) -> Result<i64, ExecutionError> {
    let fail = |message: String| ExecutionError::function_error("getFullYear", message);
    let Value::Timestamp(at) = at else { return Err(ExecutionError::NoSuchOverload) };
    let name = match arguments.first() {
        Some(Value::String(name)) => name.to_string(),
        _ => "UTC".to_owned(),
    };
    let is_offset = name.len() == 6 && name.starts_with(['+', '-']) && name.get(3..4) == Some(":");
    let known = if is_offset || name == "Local" { "UTC" } else { &name };
    let zone = jiff::tz::TimeZone::get(known).map_err(|_| fail(format!("unknown time zone {name}")))?;
    let at = jiff::Timestamp::from_second(at.timestamp()).map_err(|error| fail(error.to_string()))?;
    Ok(at.to_zoned(zone).year().into())
}

/// `format.<name>().validate(text)`: null when the text is of the format, and else what is wrong.
fn validate(format: &str, text: &str) -> Result<Value, ExecutionError> {
    let fits = match format {
        "qualifiedName" => is_qualified_name(text),
        "labelValue" => is_label_value(text),
        other => return Err(ExecutionError::function_error("validate", format!("unknown format {other}"))),
    };
    Ok(if fits { Value::Null } else { format!("not a {format}").into() })
}

fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = text.rsplit_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label =
        |label: &str| label.starts_with(plain) && label.ends_with(plain) && label.chars().all(|c| plain(c) || c == '-');
    let is_prefix = |prefix: &str| prefix.len() <= PREFIX_LENGTH && prefix.split('.').all(is_label);
    prefix.is_none_or(is_prefix) && !name.is_empty() && is_label_value(name)
}

fn is_label_value(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    let inner = |c: char| edge(c) || matches!(c, '-' | '_' | '.');
    text.len() <= LABEL_LENGTH
        && (text.is_empty() || text.starts_with(edge) && text.ends_with(edge) && text.chars().all(inner))
}
