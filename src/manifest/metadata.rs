//! The part of an object that is no kind's own.

use super::refusal::FieldError;
use serde_json::Value;

/// The fields of `metadata`.
const FIELDS: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// What the API server says of a name that is none.
const NOT_A_NAME: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Longest name of an object.
const NAME_LENGTH: usize = 253;

/// Adds the paths of unknown fields.
pub(super) fn unknown(object: &Value, paths: &mut Vec<String>) {
    let members = object["metadata"].as_object().into_iter().flatten();
    let strange = members.filter(|(name, _)| !FIELDS.contains(&name.as_str()));
    paths.extend(strange.map(|(name, _)| format!("metadata.{name}")));
}

/// Looks at the name: everything else of `metadata` that people write means nothing to us.
pub(super) fn check(object: &Value) -> Option<FieldError> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        return Some(FieldError::required("metadata.name", "name or generateName is required"));
    }
    if name.len() > NAME_LENGTH {
        let detail = format!("must be no more than {NAME_LENGTH} characters");
        return Some(FieldError::invalid("metadata.name", Some(&name.into()), &detail));
    }
    (!is_subdomain(name)).then(|| FieldError::invalid("metadata.name", Some(&name.into()), NOT_A_NAME))
}

fn is_subdomain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let label =
        |label: &str| label.starts_with(plain) && label.ends_with(plain) && label.chars().all(|c| plain(c) || c == '-');
    name.split('.').all(label)
}
