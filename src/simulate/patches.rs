//! What a scenario's acts make and change, looked at before anything is played: what the API server or the operator would
//! not take has no effect.

use super::SimulateError;
use super::files::refused;
use super::names::full_name;
use crate::api::{GROUP, RELEASE, REQUEST, RETRY, VERSION};
use crate::manifest::{Complaint, FieldError, Kinds, Lines, Manifest};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use winfleet::scenario::{Act, Deed, Kind, Scenario};

/// Checks what is made and the patches in the order of their times, each on what people have made of the object by then. What
/// only the run makes of it is seen there.
///
/// # Errors
/// [`SimulateError::Input`] with a line for each thing that is refused; `lines` are those of the scenario.
pub fn check(scenario: &Scenario, manifests: &[Manifest], file: &Path, lines: &Lines) -> Result<(), SimulateError> {
    let mut there: BTreeMap<_, _> =
        manifests.iter().filter_map(|m| Some((key(&m.object)?, m.object.clone()))).collect();
    let mut acts: Vec<(usize, &Act)> = scenario.acts.iter().enumerate().collect();
    acts.sort_by_key(|(_, act)| act.when.time(scenario.start));
    let mut complaints = Vec::new();
    let mut complain = |field: String, message| {
        let file = file.display().to_string();
        complaints.push(Complaint { file, line: lines.of(&field), field, message });
    };
    for (at, act) in acts {
        match &act.deed {
            Deed::Create(object) => {
                let Some(key) = key(object) else { continue };
                if there.contains_key(&key) {
                    let message = format!("{} {} is there already when this act comes", key.0, key.1);
                    complain(format!("acts[{at}].act.create.metadata.name"), message);
                }
                there.insert(key, object.clone());
            }
            Deed::Delete { kind, name } => drop(there.remove(&(kind.to_string(), name.clone()))),
            Deed::Patch { kind, name, patch } => {
                let known = there.get_mut(&(kind.to_string(), name.clone()));
                for error in objections(*kind, known, patch) {
                    complain(error.within(&format!("acts[{at}].act.patch.patch")), error.told());
                }
                if let Some(request) = unknown_request(*kind, patch) {
                    let field = format!("acts[{at}].act.patch.patch.metadata.annotations.{REQUEST}");
                    complain(field, format!("unknown request {request}, expected one of {RELEASE}, {RETRY}"));
                }
            }
            Deed::Approve { .. } | Deed::Publish { .. } | Deed::Withdraw { .. } => {}
        }
    }
    if complaints.is_empty() {
        return Ok(());
    }
    complaints.sort_by_key(|complaint| complaint.line);
    Err(refused(&complaints))
}

/// A request at a node update that the operator would only answer with a refusal; null takes one back.
fn unknown_request(kind: Kind, patch: &Value) -> Option<&Value> {
    let request = patch["metadata"]["annotations"].get(REQUEST).filter(|request| !request.is_null())?;
    (kind == Kind::NodeUpdate && request != RELEASE && request != RETRY).then_some(request)
}

/// What is said against a patch; one that is taken changes the object.
fn objections(kind: Kind, known: Option<&mut Value>, patch: &Value) -> Vec<FieldError> {
    let kinds = Kinds::served();
    let Some(object) = known else {
        return kinds.patch_of(&api_version(kind), &kind.to_string(), patch).err().unwrap_or_default();
    };
    match kinds.patch(object, patch) {
        Ok(next) => {
            *object = next;
            Vec::new()
        }
        Err(errors) => errors,
    }
}

fn key(object: &Value) -> Option<(String, String)> {
    Some((object["kind"].as_str()?.to_owned(), full_name(object)?))
}

fn api_version(kind: Kind) -> String {
    match kind {
        Kind::Node => "v1".to_owned(),
        Kind::PodDisruptionBudget => "policy/v1".to_owned(),
        Kind::UpdatePolicy | Kind::UpdateRing | Kind::UpdateRollout | Kind::UpdateHold | Kind::NodeUpdate => {
            format!("{GROUP}/{VERSION}")
        }
    }
}
