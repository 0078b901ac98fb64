//! The patches of a scenario's acts, looked at before anything is played: what the API server would not take has no effect.

use super::SimulateError;
use super::files::refused;
use super::names::full_name;
use crate::api::{GROUP, VERSION};
use crate::manifest::{Complaint, FieldError, Kinds, Lines, Manifest};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use winfleet::scenario::{Act, Deed, Kind, Scenario};

/// Checks the patches in the order of their times, each on what people have made of the object by then. What only the run
/// makes of it is seen there.
///
/// # Errors
/// [`SimulateError::Input`] with a line for each thing that is refused; `lines` are those of the scenario.
pub fn check(scenario: &Scenario, manifests: &[Manifest], file: &Path, lines: &Lines) -> Result<(), SimulateError> {
    let mut there: BTreeMap<_, _> =
        manifests.iter().filter_map(|m| Some((key(&m.object)?, m.object.clone()))).collect();
    let mut acts: Vec<(usize, &Act)> = scenario.acts.iter().enumerate().collect();
    acts.sort_by_key(|(_, act)| act.when.time(scenario.start));
    let mut complaints = Vec::new();
    for (at, act) in acts {
        match &act.deed {
            Deed::Create(object) => there.extend(key(object).map(|key| (key, object.clone()))),
            Deed::Delete { kind, name } => drop(there.remove(&(kind.to_string(), name.clone()))),
            Deed::Patch { kind, name, patch } => {
                let known = there.get_mut(&(kind.to_string(), name.clone()));
                for error in objections(*kind, known, patch) {
                    let field = error.within(&format!("acts[{at}].act.patch.patch"));
                    let file = file.display().to_string();
                    complaints.push(Complaint { file, line: lines.of(&field), field, message: error.told() });
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
