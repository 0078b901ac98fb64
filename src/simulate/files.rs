//! Manifests from files.

use super::SimulateError;
use super::manifests::Manifest;
use serde_json::Value;
use std::path::Path;

/// Reads all objects of a file, or of all `.yaml` and `.yml` files of a folder, in the order of their names.
///
/// # Errors
/// [`SimulateError::Input`], naming the file.
pub fn read(path: &Path) -> Result<Vec<Manifest>, SimulateError> {
    let bad = |path: &Path, why: &dyn std::fmt::Display| SimulateError::Input(format!("{}: {why}", path.display()));
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|e| bad(path, &e))?;
        files =
            entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| is_yaml(path.as_path())).collect();
        files.sort();
    }
    let mut manifests = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|e| bad(&file, &e))?;
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|e| bad(&file, &e))?;
        let file = file.display().to_string();
        manifests.extend(objects.into_iter().map(|object| Manifest { file: file.clone(), line: 1, object }));
    }
    Ok(manifests)
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}
