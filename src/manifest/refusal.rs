//! What the API server says of a field: its words, put together as it does.

use serde_json::Value;
use std::fmt::{self, Display};

/// The path of an error that is about no field.
const NO_FIELD: &str = "<nil>";

/// Why a field is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The text is not what a strict client may send: an unknown field, say.
    Decoding,
    Required,
    NotSupported,
    TooLong,
    TooMany,
    Type,
    Invalid,
    Duplicate,
    Forbidden,
}

/// One field that is refused, in the API server's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub(super) cause: Cause,
    /// The field's path, `spec.rings[1]`; `<nil>` when it is about no field.
    pub field: String,
    /// What is said of it, without the path.
    pub body: String,
    /// What may stand there instead: the API server does not name it.
    pub(super) allowed: Vec<String>,
}

impl Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Decoding => f.write_str(&self.body),
            _ => write!(f, "{}: {}", self.field, self.body),
        }
    }
}

impl FieldError {
    pub(super) fn new(cause: Cause, field: &str, body: String) -> Self {
        let field = if field.is_empty() { NO_FIELD } else { field.trim_start_matches('.') };
        Self { cause, field: field.to_owned(), body, allowed: Vec::new() }
    }

    /// The field of an object that stands at a place; the place itself when it is about no field.
    pub fn within(&self, place: &str) -> String {
        if self.field == NO_FIELD { place.to_owned() } else { super::within(place, &self.field) }
    }

    /// What is said of it, and what may stand there instead.
    pub fn told(&self) -> String {
        let Self { body, allowed, .. } = self;
        match &allowed[..] {
            [] => body.clone(),
            [one] => format!("{body}, expected {one}"),
            _ => format!("{body}, expected one of {}", allowed.join(", ")),
        }
    }

    pub(super) fn required(field: &str, detail: &str) -> Self {
        Self::new(Cause::Required, field, with("Required value", detail))
    }

    pub(super) fn forbidden(field: &str, detail: &str) -> Self {
        Self::new(Cause::Forbidden, field, with("Forbidden", detail))
    }

    pub(super) fn duplicate(field: &str, value: &Value) -> Self {
        Self::new(Cause::Duplicate, field, format!("Duplicate value: {value}"))
    }

    pub(super) fn not_supported(field: &str, value: &Value, allowed: &[&str]) -> Self {
        let quoted: Vec<_> = allowed.iter().map(|value| format!("{value:?}")).collect();
        let body = format!("Unsupported value: {value}: supported values: {}", quoted.join(", "));
        Self::new(Cause::NotSupported, field, body)
    }

    pub(super) fn too_long(field: &str, most: i64) -> Self {
        let bytes = if most == 1 { "byte" } else { "bytes" };
        Self::new(Cause::TooLong, field, format!("Too long: may not be more than {most} {bytes}"))
    }

    pub(super) fn too_many(field: &str, count: usize, most: i64) -> Self {
        let items = if most == 1 { "item" } else { "items" };
        Self::new(Cause::TooMany, field, format!("Too many: {count}: must have at most {most} {items}"))
    }

    /// A value of another type; `found` is the type's name, or the text that is not of the format.
    pub(super) fn wrong_type(field: &str, wanted: &str, found: &str) -> Self {
        let body = format!("Invalid value: {found:?}: {} in body must be of type {wanted}: {found:?}", path(field));
        Self::new(Cause::Type, field, body)
    }

    /// A value that breaks a constraint, of which `detail` is the end of the sentence.
    pub(super) fn constraint(field: &str, value: &impl Display, detail: &str) -> Self {
        Self::new(Cause::Invalid, field, format!("Invalid value: {value}: {} in body {detail}", path(field)))
    }

    /// A value that breaks a rule; objects and lists are not shown.
    pub(super) fn invalid(field: &str, value: Option<&Value>, detail: &str) -> Self {
        let shown = value.map_or_else(String::new, |value| format!(": {value}"));
        Self::new(Cause::Invalid, field, format!("Invalid value{shown}: {detail}"))
    }

    /// Whether the rules are not looked at because of it.
    pub(super) fn blocks_rules(&self) -> bool {
        use Cause::{NotSupported, Required, TooLong, TooMany, Type};
        matches!(self.cause, NotSupported | Required | TooLong | TooMany | Type)
    }
}

/// A path as sentences have it: the root has none.
fn path(field: &str) -> &str {
    field.trim_start_matches('.')
}

fn with(what: &str, detail: &str) -> String {
    if detail.is_empty() { what.to_owned() } else { format!("{what}: {detail}") }
}
