//! Manifests from files, refused as the API server would.

use super::SimulateError;
use crate::manifest::{self, Complaint, Kinds, Lines, Manifest};
use std::path::Path;
use winfleet::scenario::{Deed, Scenario};

/// Reads all objects of a file or a folder.
///
/// # Errors
/// [`SimulateError::Input`] with a line for everything that is wrong: file, line, field, and what the API server says.
pub fn read(path: &Path) -> Result<Vec<Manifest>, SimulateError> {
    manifest::load(path).map_err(|complaints| refused(&complaints))
}

/// Admits the objects that a scenario has in it: those that an act makes in place, and the others are taken out of it.
///
/// # Errors
/// As [`read`]; `lines` are those of the scenario.
pub fn admit(scenario: &mut Scenario, file: &Path, lines: &Lines) -> Result<Vec<Manifest>, SimulateError> {
    let (kinds, file) = (Kinds::served(), file.display().to_string());
    let (mut manifests, mut complaints) = (Vec::new(), Vec::new());
    let mut complain = |(field, message): (String, String)| {
        complaints.push(Complaint { file: file.clone(), line: lines.of(&field), field, message });
    };
    for (at, embedded) in std::mem::take(&mut scenario.manifests).into_iter().enumerate() {
        for admitted in kinds.admit_each(&format!("manifests[{at}]"), embedded.object) {
            match admitted {
                Ok((field, object)) => {
                    manifests.push(Manifest { file: file.clone(), line: lines.of(&field), field, object });
                }
                Err(refused) => complain(refused),
            }
        }
    }
    for (at, act) in scenario.acts.iter_mut().enumerate() {
        let Deed::Create(object) = &mut act.deed else { continue };
        let place = format!("acts[{at}].act.create");
        let mut admitted = kinds.admit_each(&place, object.take());
        match (admitted.pop(), admitted.is_empty()) {
            (Some(Ok((at, one))), true) if at == place => *object = one,
            (Some(Err(error)), _) => {
                admitted.into_iter().filter_map(Result::err).chain([error]).for_each(&mut complain);
            }
            _ => complain((manifest::within(&place, "kind"), "an act makes one object, not a List of them".to_owned())),
        }
    }
    if complaints.is_empty() { Ok(manifests) } else { Err(refused(&complaints)) }
}

/// All of them, if none is there twice.
///
/// # Errors
/// As [`read`].
pub fn together(mut applied: Vec<Manifest>, embedded: Vec<Manifest>) -> Result<Vec<Manifest>, SimulateError> {
    applied.extend(embedded);
    let complaints = manifest::repeated(&applied);
    if complaints.is_empty() { Ok(applied) } else { Err(refused(&complaints)) }
}

/// A line for each complaint.
pub(super) fn refused(complaints: &[Complaint]) -> SimulateError {
    SimulateError::Input(complaints.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}
