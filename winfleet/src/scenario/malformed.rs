//! What is said of a file whose form is wrong: in the words of the format, not in those of the parser.

use super::acts::Deed;
use super::{ApiServerEffect, Effect, HypervisorEffect, MOST_MACHINES, ScenarioError};
use serde::de::DeserializeOwned;
use serde_saphyr::Error;

/// How the parser begins its complaint about a map in braces that is not one.
const BROKEN_BRACES: &str = "while parsing a flow mapping";

/// The parser's complaint about this field, with its line.
pub(super) fn told(error: &Error, field: String) -> ScenarioError {
    let line = error.location().map_or(0, |at| at.line());
    if let Error::DuplicateMappingKey { key: Some(key), .. } = error.without_snippet() {
        // The parser does not get as far as the key's name.
        let field = if field.ends_with('?') { format!("{}{key}", field.trim_end_matches('?')) } else { field };
        return ScenarioError { line, field, message: format!("{key} is there twice") };
    }
    let message = in_our_words(error.without_snippet(), &field).unwrap_or_else(|| in_its_words(error, &field));
    ScenarioError { line, field, message }
}

/// What a value must be that is of another type; none when the parser says it well enough.
fn in_our_words(error: &Error, field: &str) -> Option<String> {
    let message = match error {
        Error::InvalidScalar { ty: "floating point", .. } if is_share(field) => {
            "must be a share from 0 to 1, like 0.4; not a percentage"
        }
        Error::InvalidScalar { ty: "floating point", .. } | Error::NonFiniteFloat { .. } => {
            "must be a number, like 0.4"
        }
        Error::InvalidScalar { ty: "u64", .. } => "must be a whole number, not negative",
        Error::InvalidScalar { ty: "u32", .. } if field.rsplit('.').next() == Some("count") => {
            return Some(format!("must be a whole number from 1 to {MOST_MACHINES}"));
        }
        Error::InvalidScalar { ty: "u32", .. } => "must be a whole number from 0 to 4294967295",
        Error::SerdeInvalidValue { expected, .. } if expected == "a nonzero u32" => "must be at least 1",
        Error::MultipleDocuments { .. } => "a second document begins here (`---`): a scenario is one document",
        Error::InvalidBooleanStrict { .. } => "must be true or false",
        Error::Unexpected { expected: "sequence start", .. } => "must be a list, like [a, b]",
        Error::Unexpected { expected: "mapping start", .. } => {
            return Some(fields(field).unwrap_or_else(|| "must be a map, like {a: 1}".to_owned()));
        }
        Error::Unexpected { expected: "string scalar" | "scalar", .. } => "must be one value, not a list or a map",
        Error::ExpectedStringKeyForExternallyTaggedEnum { .. }
        | Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. } => {
            "must be a name, or a map of one name with its fields"
        }
        Error::UnexpectedValueForUnitEnumVariant { .. } => "has no fields: its name is enough",
        Error::ExpectedMappingEndAfterEnumVariantValue { .. } => "has another one beside it: only one may stand here",
        Error::NullIntoString { .. } => "is empty: give it a value, or leave it out",
        _ => return None,
    };
    Some(message.to_owned())
}

/// Whether it is a part of a whole.
fn is_share(field: &str) -> bool {
    matches!(field.rsplit('.').next(), Some("chance" | "share"))
}

/// What the parser says, without its own note of the place.
fn in_its_words(error: &Error, field: &str) -> String {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or(&message);
    if message.starts_with(BROKEN_BRACES) && field.contains(".effect") {
        return format!(
            "{message}; an effect with fields needs braces of its own: `effect: {{throttled: {{everyNth: 3, retryAfter: 30s}}}}`"
        );
    }
    message.to_owned()
}

/// What an effect or an act that is only named needs beside its name.
fn fields(field: &str) -> Option<String> {
    let name = field.rsplit('.').next()?;
    let names = match field.split(['.', '[']).next()? {
        "faults" => fields_of::<Effect>(name),
        "hypervisor" => fields_of::<HypervisorEffect>(name),
        "apiServer" => fields_of::<ApiServerEffect>(name),
        "acts" => fields_of::<Deed>(name),
        _ => None,
    }?;
    let names: Vec<_> = names.iter().map(|name| format!("{name}: ...")).collect();
    Some(format!("needs its fields: `{name}: {{{}}}`", names.join(", ")))
}

/// The fields of a variant, by what is said where it has one that is none.
fn fields_of<T: DeserializeOwned>(variant: &str) -> Option<Vec<String>> {
    let with_another = serde_json::json!({variant: {"?": null}});
    let said = serde_json::from_value::<T>(with_another).err()?.to_string();
    let (_, names) = said.split_once("unknown field `?`, expected ")?;
    Some(names.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}
