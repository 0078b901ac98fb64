//! A comparison with a number, as probes have it: `> 0.01`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Operator {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
}

/// The operators as they are written; the longer ones first, as the others are their beginnings.
const OPERATORS: [(&str, Operator); 6] = [
    (">=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    (">", Operator::Greater),
    ("<", Operator::Less),
];

/// A comparison with a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// How.
    pub operator: Operator,
    /// With what; never NaN.
    pub bound: f64,
}

impl FromStr for Comparison {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("{text:?} is no comparison such as \"> 0.01\"");
        let (sign, operator) = OPERATORS.into_iter().find(|(sign, _)| text.starts_with(sign)).ok_or_else(refuse)?;
        let number = text.strip_prefix(sign).unwrap_or_default().trim_start_matches(' ');
        let is_plain = number.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '.'));
        let bound = number.parse().ok().filter(|_| is_plain).ok_or_else(refuse)?;
        Ok(Self { operator, bound })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = OPERATORS.iter().find(|(_, operator)| *operator == self.operator).map_or("", |(sign, _)| sign);
        write!(f, "{sign} {}", self.bound)
    }
}

/// When a value is a failure: `> 0.01`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FailWhen {
    text: String,
    value: Comparison,
}

// Its number is never NaN.
impl Eq for FailWhen {}

impl FailWhen {
    /// The parsed value.
    pub fn get(&self) -> &Comparison {
        &self.value
    }
}

impl TryFrom<String> for FailWhen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let value = text.parse()?;
        Ok(Self { text, value })
    }
}

impl From<FailWhen> for String {
    fn from(value: FailWhen) -> Self {
        value.text
    }
}

impl JsonSchema for FailWhen {
    fn schema_name() -> Cow<'static, str> {
        "FailWhen".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 40,
            "pattern": "^(>|>=|<|<=|==|!=) ?-?[0-9]{1,15}([.][0-9]{1,15})?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_read_and_print() {
        for text in ["> 0.01", ">= 1", "< -2.5", "<= 0", "== 3", "!= 3"] {
            assert_eq!(text.parse::<Comparison>().map(|c| c.to_string()).as_deref(), Ok(text));
        }
        assert!(">0.5".parse::<Comparison>().is_ok());
        for text in ["", "0.01", "> ", "=> 1", "> NaN", "> inf", "> 1e3", ">> 1", "> 1 or vector(1)"] {
            assert!(text.parse::<Comparison>().is_err(), "{text}");
        }
    }
}
