//! Lists, as `kubectl get -o yaml` shows several objects: whoever applies one applies what is in it.

use super::refusal::{Cause, FieldError};
use serde_json::Value;

/// What a List has.
const FIELDS: [&str; 4] = ["apiVersion", "items", "kind", "metadata"];

/// Whether it is a List: the general one, or that of a kind (`UpdateRingList`).
pub(super) fn is_list(object: &Value) -> bool {
    let kind = object["kind"].as_str().unwrap_or_default();
    kind == "List" && object["apiVersion"] == "v1" || kind.ends_with("List") && object["items"].is_array()
}

/// The items of a List, each with its place in it. In the List of a kind they need not say which kind they are.
pub(super) fn items(list: Value) -> Result<Vec<(String, Value)>, FieldError> {
    let members = list.as_object().into_iter().flatten();
    if let Some((name, _)) = members.into_iter().find(|(name, _)| !FIELDS.contains(&name.as_str())) {
        let allowed = FIELDS.map(str::to_owned).to_vec();
        let body = format!("unknown field {name:?}");
        return Err(FieldError { allowed, ..FieldError::new(Cause::Decoding, name, body) });
    }
    let Value::Object(mut members) = list else { return Ok(Vec::new()) };
    let of_kind = members["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).unwrap_or_default().to_owned();
    let api_version = members["apiVersion"].clone();
    let items = match members.remove("items") {
        Some(Value::Array(items)) => items,
        None => return Err(FieldError::required("items", "")),
        Some(_) => return Err(FieldError::new(Cause::Type, "items", "must be a list of objects".to_owned())),
    };
    let placed = |(at, mut item): (usize, Value)| {
        if let Some(item) = item.as_object_mut().filter(|_| !of_kind.is_empty()) {
            item.entry("apiVersion").or_insert_with(|| api_version.clone());
            item.entry("kind").or_insert_with(|| of_kind.clone().into());
        }
        (format!("items[{at}]"), item)
    };
    Ok(items.into_iter().enumerate().map(placed).collect())
}
