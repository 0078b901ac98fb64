//! Manifests from files, refused as the API server would.

use super::SimulateError;
use super::manifests::Manifest;
use crate::manifest::{self, Complaint, Kinds};
use std::path::Path;
use winfleet::scenario::Scenario;

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
/// As [`read`]; the line is that of the object.
pub fn admit(scenario: &mut Scenario, file: &Path) -> Result<(), SimulateError> {
    let (kinds, mut complaints) = (Kinds::default(), Vec::new());
    for (at, manifest) in scenario.manifests.iter_mut().enumerate() {
        match kinds.admit(manifest.object.clone()) {
            Ok(object) => manifest.object = object,
            Err(errors) => complaints.extend(errors.into_iter().map(|error| Complaint {
                file: file.display().to_string(),
                line: manifest.line,
                field: format!("manifests[{at}].{}", error.field),
                message: error.body,
            })),
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(refused(&complaints)) }
}

fn refused(complaints: &[Complaint]) -> SimulateError {
    SimulateError::Input(complaints.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}
