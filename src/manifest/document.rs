//! YAML documents as JSON, with the line of each field.

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;
use std::collections::HashMap;
use std::fmt;

/// One document.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub value: Value,
    pub lines: Lines,
}

/// The line of each field, from 1.
#[derive(Clone, Debug, Default)]
pub struct Lines(HashMap<String, u64>);

impl Lines {
    /// The line of a field; of one that is not there, the line of what it would stand in; 0 when there is none.
    pub fn of(&self, field: &str) -> u64 {
        let mut path = field;
        loop {
            if let Some(line) = self.0.get(path) {
                return *line;
            }
            let Some(end) = path.rfind(['.', '[']) else { return self.0.get("").copied().unwrap_or_default() };
            path = &path[..end];
        }
    }
}

/// A text that is no YAML.
#[derive(Clone, Debug)]
pub(super) struct Unreadable {
    pub line: u64,
    pub message: String,
}

/// Reads the documents of a text; those without content are left out.
pub(super) fn read(text: &str) -> Result<Vec<Document>, Unreadable> {
    // `yes` and `on` are booleans, as they are to kubectl.
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: false };
    let trees: Vec<Spanned<Tree>> = serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(0, |at| at.line());
        let message = match error.without_snippet() {
            serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => format!("{key} is there twice"),
            other => other.to_string(),
        };
        let message = message.split(" at line ").next().unwrap_or(&message);
        let line = if message.contains("tab") { tab_from(text, line).unwrap_or(line) } else { line };
        let written = usize::try_from(line).ok().and_then(|line| text.lines().nth(line.checked_sub(1)?));
        Unreadable { line, message: plainly(message, written.unwrap_or_default()) }
    })?;
    let documents = trees.into_iter().map(|tree| {
        let mut lines = HashMap::from([(String::new(), tree.referenced.line())]);
        let value = tree.value.flatten("", &mut lines);
        Document { value, lines: Lines(lines) }
    });
    Ok(documents.filter(|document| !document.value.is_null()).collect())
}

/// The first line from this one on that a tab indents: the parser names the line at which what it reads began.
fn tab_from(text: &str, line: u64) -> Option<u64> {
    let indented = |line: &str| line.trim_start_matches(' ').starts_with('\t');
    let skipped = usize::try_from(line).ok()?.saturating_sub(1);
    let (at, _) = text.lines().enumerate().skip(skipped).find(|(_, line)| indented(line))?;
    u64::try_from(at + 1).ok()
}

/// What the parser says of a line, in words that need no parser.
fn plainly(message: &str, line: &str) -> String {
    match message {
        _ if line.contains("{{") => "a template is no manifest yet: render it first (helm template)".to_owned(),
        _ if line.trim_start_matches(' ').starts_with('\t') => "a tab: YAML is indented by spaces".to_owned(),
        "expected string scalar" => "the name of a field must be a text".to_owned(),
        other => other.to_owned(),
    }
}

/// YAML with its lines.
enum Tree {
    Scalar(Value),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Tree)>),
}

impl Tree {
    fn flatten(self, path: &str, lines: &mut HashMap<String, u64>) -> Value {
        match self {
            Self::Scalar(value) => value,
            Self::List(items) => {
                let item = |(at, item): (usize, Spanned<Self>)| {
                    let path = format!("{path}[{at}]");
                    lines.insert(path.clone(), item.referenced.line());
                    item.value.flatten(&path, lines)
                };
                Value::Array(items.into_iter().enumerate().map(item).collect())
            }
            Self::Map(entries) => {
                let entry = |(key, value): (Spanned<String>, Self)| {
                    let dot = if path.is_empty() { "" } else { "." };
                    let path = format!("{path}{dot}{}", key.value);
                    lines.insert(path.clone(), key.referenced.line());
                    let value = value.flatten(&path, lines);
                    (key.value, value)
                };
                Value::Object(entries.into_iter().map(entry).collect::<Map<_, _>>())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Tree, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number that JSON does not have"))?;
        Ok(Tree::Scalar(number.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Tree::Map(map))
    }
}
