//! Answers, and refusals in the words of an API server.

use serde::Serialize;
use serde_json::{Value, json};

/// What the API server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub code: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An object, or a list of them.
    pub fn json(code: u16, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self { code, body },
            Err(error) => Self::refusal(500, "InternalError", &error.to_string()),
        }
    }

    /// Plain text: a log.
    pub fn text(text: &str) -> Self {
        Self { code: 200, body: text.as_bytes().to_vec() }
    }

    /// It was done, and there is nothing to show.
    pub fn done() -> Self {
        Self::json(
            200,
            &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 200}),
        )
    }

    /// It was not done.
    pub fn refusal(code: u16, reason: &str, message: &str) -> Self {
        Self::refusal_with(code, reason, message, &json!({}))
    }

    /// It was not done, for this cause.
    pub fn refusal_with(code: u16, reason: &str, message: &str, details: &Value) -> Self {
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "details": details, "code": code,
        });
        Self { code, body: body.to_string().into_bytes() }
    }

    /// There is no such object.
    pub fn not_found(plural: &str, name: &str) -> Self {
        Self::refusal(404, "NotFound", &format!("{plural} {name:?} not found"))
    }

    /// Another write came first.
    pub fn conflict(plural: &str, name: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {plural} {name:?}: the object has been modified; please apply your \
             changes to the latest version and try again"
        );
        Self::refusal(409, "Conflict", &message)
    }

    /// The name is taken.
    pub fn exists(plural: &str, name: &str) -> Self {
        Self::refusal(409, "AlreadyExists", &format!("{plural} {name:?} already exists"))
    }

    /// The body is not one of that kind.
    pub fn invalid(why: &str) -> Self {
        Self::refusal(400, "BadRequest", why)
    }
}
