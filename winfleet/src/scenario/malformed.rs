//! What is said of a file whose form is wrong: in the words of the format, not in those of the parser.

use super::acts::Deed;
use super::{ApiServerEffect, Effect, HypervisorEffect, ScenarioError};
use serde::de::DeserializeOwned;
use serde_saphyr::Error;

/// What the parser says of a word that stands where a map is needed.
const NO_MAP: &str = "expected mapping start";
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
    let message = error.to_string();
    // Its own note of the place stands in front of ours.
    let message = message.split(" at line ").next().unwrap_or(&message);
    let message = match message {
        NO_MAP => fields(&field).unwrap_or_else(|| "must be a map".to_owned()),
        braces if braces.starts_with(BROKEN_BRACES) && field.contains(".effect") => format!(
            "{braces}; an effect with fields needs braces of its own: `effect: {{throttled: {{everyNth: 3, retryAfter: 30s}}}}`"
        ),
        other => other.to_owned(),
    };
    ScenarioError { line, field, message }
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
