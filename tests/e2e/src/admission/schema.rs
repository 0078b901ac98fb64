//! Every constraint of a schema is broken once, found in the schema itself: the message has to name the field and say what
//! is allowed.

use super::ask::{self, Mode};
use super::cases::Kind;
use super::offline;
use super::rules;
use crate::harness::{Scene, Story};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use windlass::manifest::Kinds;

/// The story of one kind's schema.
pub fn story(kind: Kind) -> Story {
    Story::new(format!("admission-schema-{}", kind.name.to_lowercase()), move |scene| break_all(scene, kind))
}

/// One way to break a schema.
struct Break {
    /// The constraint, by the schema's path: what several examples have is broken once.
    constraint: String,
    /// The field that the message has to name.
    field: String,
    /// What the message has to say.
    says: String,
    /// JSON pointer of what is changed.
    pointer: String,
    /// What is put there; nothing takes it out.
    value: Option<Value>,
}

async fn break_all(scene: Scene, kind: Kind) -> Result<()> {
    let schema = rules::schema(&scene, kind).await?;
    let (kinds, mut faults, mut broken) = (Kinds::default(), Vec::new(), BTreeSet::new());
    for spec in &kind.cases()?.accepted {
        let mut breaks = Vec::new();
        let place = Place { field: "spec".into(), schema: "spec".into(), pointer: "/spec".into() };
        find(&schema["properties"]["spec"], spec, &place, kind, &mut breaks);
        for each in breaks.into_iter().filter(|each| broken.insert(each.constraint.clone())) {
            let mut object = kind.object(&scene.own("broken"), spec);
            put(&mut object, &each.pointer, each.value.clone());
            let answer = ask::create(&scene.stage.client, kind, &object, Mode::DryRun).await?;
            faults
                .extend(offline::differs(&kinds, &object, &answer).map(|how| format!("{}\n  {how}", each.constraint)));
            match answer {
                Err(said) if said.contains(&each.field) && said.contains(&each.says) => {}
                Err(said) => faults
                    .push(format!("{}\n  wanted: {} {}\n  said:   {said}", each.constraint, each.field, each.says)),
                Ok(()) => faults.push(format!("accepted although broken: {}", each.constraint)),
            }
        }
    }
    let mut all = BTreeSet::new();
    fields(&schema["properties"]["spec"], "spec", kind, &mut all);
    let without: Vec<_> = all.iter().filter(|field| !broken.contains(&format!("{field}: type"))).collect();
    ensure!(without.is_empty(), "no accepted example has these fields: {without:?}");
    ensure!(faults.is_empty(), "of {} constraints:\n{}", broken.len(), faults.join("\n"));
    Ok(())
}

/// Where in a spec we are: as messages say it, as the schema has it, as JSON pointers do.
#[derive(Clone)]
struct Place {
    field: String,
    schema: String,
    pointer: String,
}

impl Place {
    fn member(&self, name: &str) -> Self {
        let pointer = name.replace('~', "~0").replace('/', "~1");
        Self {
            field: format!("{}.{name}", self.field),
            schema: format!("{}.{name}", self.schema),
            pointer: format!("{}/{pointer}", self.pointer),
        }
    }

    fn item(&self, at: usize) -> Self {
        Self {
            field: format!("{}[{at}]", self.field),
            schema: format!("{}[]", self.schema),
            pointer: format!("{}/{at}", self.pointer),
        }
    }

    fn entry(&self, key: &str) -> Self {
        Self { schema: format!("{}.*", self.schema), ..self.member(key) }
    }

    fn broken(&self, constraint: &str, value: Value, says: impl Into<String>) -> Break {
        Break {
            constraint: format!("{}: {constraint}", self.schema),
            field: self.field.clone(),
            says: says.into(),
            pointer: self.pointer.clone(),
            value: Some(value),
        }
    }
}

/// Finds all ways to break the parts of a schema that the example has.
fn find(schema: &Value, example: &Value, place: &Place, kind: Kind, breaks: &mut Vec<Break>) {
    if kind.elsewhere == Some(place.schema.as_str()) {
        breaks.push(place.broken("type", json!(true), "must be of type"));
        return;
    }
    breaks.extend(scalar(schema, place));
    breaks.extend(sizes(schema, example, place));
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let missing = place.member(required);
        breaks.push(Break { value: None, ..missing.broken("required", Value::Null, "Required value") });
    }
    if schema["properties"].is_object() {
        breaks.push(place.member("bogus").broken("unknown", json!("x"), "unknown field"));
    }
    let parts = |value: &Value| value.as_object().cloned().unwrap_or_default();
    for (name, value) in parts(example) {
        let (property, entry) = (&schema["properties"][&name], &schema["additionalProperties"]);
        if property.is_object() {
            find(property, &value, &place.member(&name), kind, breaks);
        } else if entry.is_object() {
            find(entry, &value, &place.entry(&name), kind, breaks);
        }
    }
    for (at, value) in example.as_array().into_iter().flatten().enumerate() {
        find(&schema["items"], value, &place.item(at), kind, breaks);
    }
}

/// Ways to break a single value.
fn scalar(schema: &Value, place: &Place) -> Vec<Break> {
    let mut breaks = vec![place.broken("type", json!(true), "must be of type")];
    if schema["type"] == "boolean" {
        breaks = vec![place.broken("type", json!("x"), "must be of type boolean")];
    }
    if let Some(allowed) = schema["enum"][0].as_str() {
        breaks.push(place.broken("enum", json!("Nonsense"), allowed));
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        breaks.push(place.broken("pattern", json!("!!"), format!("should match '{pattern}'")));
    }
    if let Some(least) = whole(&schema["minimum"]) {
        breaks.push(place.broken("minimum", json!(least - 1), format!("greater than or equal to {least}")));
    }
    if let Some(most) = whole(&schema["maximum"]) {
        breaks.push(place.broken("maximum", json!(most + 1), format!("less than or equal to {most}")));
    }
    breaks
}

/// A bound of a number; the API server gives it back as `1.0`.
fn whole(bound: &Value) -> Option<i64> {
    bound.to_string().trim_end_matches(".0").parse().ok()
}

/// Ways to break the bounds of a size.
fn sizes(schema: &Value, example: &Value, place: &Place) -> Vec<Break> {
    let bound = |name: &str| schema[name].as_u64().and_then(|bound| usize::try_from(bound).ok());
    let mut breaks = Vec::new();
    if let Some(most) = bound("maxLength") {
        breaks.push(place.broken("maxLength", json!("x".repeat(most + 1)), format!("may not be more than {most} ")));
    }
    if let Some(least) = bound("minLength") {
        breaks.push(place.broken("minLength", json!(""), format!("at least {least} chars")));
    }
    if let (Some(most), Some(item)) = (bound("maxItems"), example.get(0)) {
        breaks.push(place.broken("maxItems", json!(vec![item; most + 1]), format!("at most {most} items")));
    }
    if let Some(least) = bound("minItems") {
        breaks.push(place.broken("minItems", json!([]), format!("at least {least} items")));
    }
    if let Some(most) = bound("maxProperties") {
        let entries: serde_json::Map<_, _> = (0..=most).map(|n| (format!("x{n}"), json!("x"))).collect();
        breaks.push(place.broken("maxProperties", Value::Object(entries), format!("at most {most} items")));
    }
    if let Some(least) = bound("minProperties") {
        breaks.push(place.broken("minProperties", json!({}), format!("at least {least} propert")));
    }
    breaks
}

/// All fields of a schema, by the schema's path.
fn fields(schema: &Value, path: &str, kind: Kind, all: &mut BTreeSet<String>) {
    all.insert(path.to_owned());
    if kind.elsewhere == Some(path) {
        return;
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        fields(property, &format!("{path}.{name}"), kind, all);
    }
    for (part, path) in [("items", format!("{path}[]")), ("additionalProperties", format!("{path}.*"))] {
        if schema[part].is_object() {
            fields(&schema[part], &path, kind, all);
        }
    }
}

/// Puts a value at a JSON pointer, or takes out what is there.
fn put(object: &mut Value, pointer: &str, value: Option<Value>) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    let last = last.replace("~1", "/").replace("~0", "~");
    match (object.pointer_mut(parent), value) {
        (Some(Value::Object(members)), Some(value)) => _ = members.insert(last, value),
        (Some(Value::Object(members)), None) => _ = members.remove(&last),
        (Some(Value::Array(items)), Some(value)) => {
            if let Some(item) = last.parse().ok().and_then(|at: usize| items.get_mut(at)) {
                *item = value;
            }
        }
        _ => {}
    }
}
