//! Every CEL rule has a case, and every case is refused with the words it promises.

use super::ask::{self, Mode};
use super::cases::{Cases, Kind, Refused};
use super::offline;
use crate::harness::{Scene, Story};
use anyhow::{Context, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use serde_json::Value;
use windlass::manifest::Kinds;

/// The story of one kind's rules.
pub fn story(kind: Kind) -> Story {
    Story::new(format!("admission-rules-{}", kind.name.to_lowercase()), move |scene| rules(scene, kind))
}

async fn rules(scene: Scene, kind: Kind) -> Result<()> {
    let cases = kind.cases()?;
    let (kinds, mut faults) = (Kinds::default(), Vec::new());
    for spec in &cases.accepted {
        let object = kind.object(&scene.own("accepted"), spec);
        let answer = ask::create(&scene.stage.client, kind, &object, Mode::DryRun).await?;
        faults.extend(offline::differs(&kinds, &object, &answer));
        if let Err(said) = answer {
            faults.push(format!("not accepted: {said}"));
        }
    }
    let first = cases.accepted.first().context("nothing is accepted")?;
    for case in &cases.refused {
        let spec = crate::harness::merged(first.clone(), case.change.clone());
        let name = case.name.clone().unwrap_or_else(|| scene.own("refused"));
        let object = kind.object(&name, &spec);
        let answer = ask::create(&scene.stage.client, kind, &object, Mode::DryRun).await?;
        faults.extend(offline::differs(&kinds, &object, &answer));
        faults.extend(fault(case, &answer));
    }
    faults.extend(updates(&scene, kind, &cases, first).await?);
    faults.extend(uncovered(&schema(&scene, kind).await?, kind, &cases));
    ensure!(faults.is_empty(), "{}:\n{}", kind.name, faults.join("\n"));
    Ok(())
}

/// What a stored object refuses and allows.
async fn updates(scene: &Scene, kind: Kind, cases: &Cases, first: &Value) -> Result<Vec<String>> {
    let (client, name) = (&scene.stage.client, scene.own("stored"));
    let mut faults = Vec::new();
    if cases.frozen.is_empty() && cases.allowed.is_empty() {
        return Ok(faults);
    }
    // Its node is not there, so that the operator has nothing to do with it.
    let stored = ask::create(client, kind, &kind.object(&name, first), Mode::ForReal).await?;
    ensure!(stored.is_ok(), "the object of the update cases was not stored: {stored:?}");
    for case in &cases.frozen {
        faults.extend(fault(case, &ask::change(client, kind, &name, &case.change, Mode::DryRun).await?));
    }
    for change in &cases.allowed {
        if let Err(said) = ask::change(client, kind, &name, change, Mode::ForReal).await? {
            faults.push(format!("{change} is not allowed: {said}"));
        }
    }
    for case in &cases.frozen_then {
        faults.extend(fault(case, &ask::change(client, kind, &name, &case.change, Mode::DryRun).await?));
    }
    Ok(faults)
}

fn fault(case: &Refused, answer: &Result<(), String>) -> Option<String> {
    match answer {
        Ok(()) => Some(format!("accepted: {}", case.change)),
        Err(said) if said.contains(case.field()) && said.contains(case.allowed()) => None,
        Err(said) => Some(format!("for {}\n  wanted: {}\n  said:   {said}", case.change, case.says)),
    }
}

/// The schema that the API server has for this kind.
pub async fn schema(scene: &Scene, kind: Kind) -> Result<Value> {
    let crds: Api<CustomResourceDefinition> = Api::all(scene.stage.client.clone());
    let crd = crds.get(&format!("{}.windlass.dev", kind.plural)).await?;
    let version = crd.spec.versions.into_iter().next().context("no version")?;
    let schema = version.schema.and_then(|schema| schema.open_api_v3_schema).context("no schema")?;
    Ok(serde_json::to_value(schema)?)
}

/// The rules that no case is about.
fn uncovered(schema: &Value, kind: Kind, cases: &Cases) -> Vec<String> {
    let mut rules = Vec::new();
    collect(schema, String::new(), kind, &mut rules);
    let all = || cases.refused.iter().chain(&cases.frozen).chain(&cases.frozen_then);
    let covered = |(path, message): &(String, String)| {
        all().any(|case| without_places(case.field()) == *path && message.contains(case.allowed()))
    };
    let bare: Vec<_> = rules.into_iter().filter(|rule| !covered(rule)).collect();
    bare.into_iter().map(|(path, message)| format!("no case for the rule at {path}: {message}")).collect()
}

/// The rules of a schema: where the message points, and what it says. The status is the operator's own.
fn collect(schema: &Value, path: String, kind: Kind, rules: &mut Vec<(String, String)>) {
    if path == "status" || kind.elsewhere == Some(path.as_str()) {
        return;
    }
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let field = rule["fieldPath"].as_str().unwrap_or_default();
        rules.push((format!("{path}{field}"), rule["message"].as_str().unwrap_or_default().to_owned()));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let dot = if path.is_empty() { "" } else { "." };
        collect(property, format!("{path}{dot}{name}"), kind, rules);
    }
    if schema["items"].is_object() {
        collect(&schema["items"], path, kind, rules);
    }
}

/// A field's path without the places in lists: `spec.rings[1]` is `spec.rings`.
fn without_places(path: &str) -> String {
    let parts = path.split('[').enumerate();
    parts.map(|(at, part)| if at == 0 { part } else { part.split_once(']').map_or("", |(_, rest)| rest) }).collect()
}
