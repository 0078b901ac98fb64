//! The check without an API server says what the API server says, word for word.

use serde_json::Value;
use windlass::manifest::Kinds;

/// How the two differ on an object that would be new; nothing when they agree. The API server gives several errors in
/// any order, so that theirs is not compared.
pub fn differs(kinds: &Kinds, object: &Value, answer: &Result<(), String>) -> Option<String> {
    let errors = kinds.admit(object.clone()).err().unwrap_or_default();
    let said = (!errors.is_empty()).then(|| kinds.answer(object, &errors));
    let agree = match (answer, &said) {
        (Ok(()), None) => true,
        (Err(theirs), Some(ours)) => {
            theirs.len() == ours.len() && errors.iter().all(|error| theirs.contains(&error.to_string()))
        }
        _ => false,
    };
    let theirs = answer.as_ref().err().map_or("accepted", String::as_str);
    (!agree).then(|| format!("without an API server: {}\n  with one: {theirs}", said.as_deref().unwrap_or("accepted")))
}
