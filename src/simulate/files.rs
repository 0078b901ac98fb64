//! Manifests from files, refused as the API server would.

use super::SimulateError;
use super::manifests::Manifest;
use crate::manifest::{self, Complaint, Kinds, NO_FIELD};
use std::path::Path;
use winfleet::scenario::{Deed, Scenario};

/// Reads all objects of a file or a folder.
///
/// # Errors
/// [`SimulateError::Input`] with a line for everything that is wrong: file, line, field, and what the API server says.
pub fn read(path: &Path) -> Result<Vec<Manifest>, SimulateError> {
    let manifests = manifest::load(path).map_err(|complaints| refused(&complaints))?;
    Ok(manifests.into_iter().map(|m| Manifest { file: m.file, line: m.line, object: m.object }).collect())
}

/// Admits the objects that a scenario has in it, in place.
///
/// # Errors
/// As [`read`]; the lines are those of the scenario's `text`.
pub fn admit(scenario: &mut Scenario, file: &Path, text: &str) -> Result<(), SimulateError> {
    let (kinds, mut complaints) = (Kinds::default(), Vec::new());
    let mut lines = None;
    let mut admit = |object: &mut serde_json::Value, line, place: String| match kinds.admit(object.clone()) {
        Ok(admitted) => *object = admitted,
        Err(errors) => complaints.extend(errors.into_iter().map(|error| {
            let field = if error.field == NO_FIELD { place.clone() } else { format!("{place}.{}", error.field) };
            let line = match lines.get_or_insert_with(|| manifest::lines(text)).of(&field) {
                0 => line,
                known => known,
            };
            Complaint { file: file.display().to_string(), line, field, message: error.told() }
        })),
    };
    for (at, manifest) in scenario.manifests.iter_mut().enumerate() {
        admit(&mut manifest.object, manifest.line, format!("manifests[{at}]"));
    }
    for (at, act) in scenario.acts.iter_mut().enumerate() {
        if let Deed::Create(object) = &mut act.deed {
            admit(object, act.line, format!("acts[{at}].act.create"));
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(refused(&complaints)) }
}

fn refused(complaints: &[Complaint]) -> SimulateError {
    SimulateError::Input(complaints.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}
