//! Label selectors of requests: what the operator asks with, and nothing else.

use std::collections::BTreeMap;

/// A selector: all its parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Is(String, String),
    IsNot(String, String),
    In(String, Vec<String>),
    Has(String),
    HasNot(String),
}

impl Labels {
    /// Reads `a=b,c!=d,e,!f`, or `a in (b,c)` by itself.
    pub fn parse(text: &str) -> Self {
        if let Some((key, values)) = text.split_once(" in (") {
            let values = values.trim_end_matches(')').split(',').map(str::to_owned).collect();
            return Self(vec![Part::In(key.to_owned(), values)]);
        }
        let part = |text: &str| {
            if let Some((key, value)) = text.split_once("!=") {
                Part::IsNot(key.to_owned(), value.to_owned())
            } else if let Some((key, value)) = text.split_once('=') {
                Part::Is(key.to_owned(), value.trim_start_matches('=').to_owned())
            } else if let Some(key) = text.strip_prefix('!') {
                Part::HasNot(key.to_owned())
            } else {
                Part::Has(text.to_owned())
            }
        };
        Self(text.split(',').filter(|part| !part.is_empty()).map(part).collect())
    }

    /// Whether these labels are selected.
    pub fn select(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|part| match part {
            Part::Is(key, value) => labels.get(key) == Some(value),
            Part::IsNot(key, value) => labels.get(key) != Some(value),
            Part::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Part::Has(key) => labels.contains_key(key),
            Part::HasNot(key) => !labels.contains_key(key),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_must_hold() {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned()), ("c".to_owned(), String::new())]);
        for (text, holds) in [
            ("a=b", true),
            ("a==b", true),
            ("a!=b", false),
            ("c", true),
            ("!c", false),
            ("a=b,!d", true),
            ("", true),
            ("a in (x,b)", true),
            ("a in (x)", false),
            ("d in (b)", false),
        ] {
            assert_eq!(Labels::parse(text).select(&labels), holds, "{text}");
        }
    }
}
