//! The user's YAML, read and refused as the API server would, without one.
//!
//! The rules are those of our own CRDs, and the words are the API server's: `windlass simulate` refuses a manifest with
//! the sentence that `kubectl apply` would show, and adds the file and the line. What only shows against a stored object
//! (a frozen field) is checked where it is changed by a patch. Of Kubernetes' own kinds those that a simulation reads are
//! looked at, too; objects of other groups are passed on as they are.

mod builtin;
mod cel;
mod defaults;
mod document;
mod list;
mod lists;
mod metadata;
mod object;
mod patch;
mod refusal;
mod rules;
mod schema;
mod span;
mod text;

pub use document::Lines;
pub use object::Kinds;
pub use patch::merge;
pub use refusal::FieldError;
pub use text::read as read_text;

use crate::api::{GROUP, VERSION};
use document::Document;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// One object, with the defaults that the API server would write into it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// The file it stands in.
    pub file: String,
    /// The line it begins at, from 1.
    pub line: u64,
    /// The field it stands at, `manifests[3]` in a scenario and `items[3]` in a List; empty for a document of its own.
    pub field: String,
    /// The object.
    pub object: Value,
}

impl Manifest {
    /// Its `apiVersion`.
    pub fn api_version(&self) -> &str {
        self.object["apiVersion"].as_str().unwrap_or_default()
    }

    /// Its `kind`.
    pub fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap_or_default()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Its namespace; empty for an object of the cluster.
    pub fn namespace(&self) -> &str {
        self.object["metadata"]["namespace"].as_str().unwrap_or_default()
    }

    /// The object as one of our types; none if it is of another kind.
    pub fn typed<K: kube::Resource<DynamicType = ()> + DeserializeOwned>(&self) -> Option<K> {
        let ours = self.kind() == K::kind(&()) && self.api_version() == K::api_version(&());
        ours.then(|| serde_json::from_value(self.object.clone()).ok()).flatten()
    }
}

/// One thing that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 when there is none.
    pub line: u64,
    /// The field's path; `.` for the whole object or file.
    pub field: String,
    /// What is wrong, in the API server's words where it has some.
    pub message: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // About the file, not about anything in it.
            Self { file, line: 0, field, message } if field == "." => write!(f, "{file}: {message}"),
            Self { file, line, field, message } => write!(f, "{file}: line {line}: {field}: {message}"),
        }
    }
}

/// Reads one file, or all `.yaml`, `.yml` and `.json` files of a folder and the folders in it, in the order of their names.
///
/// # Errors
/// Everything that is wrong, in the order of the files and lines.
pub fn load(path: &Path) -> Result<Vec<Manifest>, Vec<Complaint>> {
    let about =
        |path: &Path, message| Complaint { file: path.display().to_string(), line: 0, field: ".".into(), message };
    let unreadable = |path: &Path, error: &std::io::Error| match error.kind() {
        ErrorKind::NotFound => about(path, "no such file or folder".into()),
        _ => about(path, error.to_string()),
    };
    let files = files(path).map_err(|error| vec![unreadable(path, &error)])?;
    if files.is_empty() {
        return Err(vec![about(path, "there is no .yaml, .yml or .json file in it".into())]);
    }
    let (mut manifests, mut complaints) = (Vec::new(), Vec::new());
    for file in files {
        let text = match read_text(&file) {
            Ok(text) => text,
            Err(error) => {
                complaints.push(unreadable(&file, &error));
                continue;
            }
        };
        match parse(Kinds::served(), &file.display().to_string(), &text) {
            Ok(more) => manifests.extend(more),
            Err(more) => complaints.extend(more),
        }
    }
    complaints.extend(repeated(&manifests));
    if complaints.is_empty() { Ok(manifests) } else { Err(complaints) }
}

/// The files that [`load`] reads, in its order.
///
/// # Errors
/// The file or folder can not be looked at.
pub fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect(path, &mut files)?;
    Ok(files)
}

/// Reads the documents of one text.
///
/// # Errors
/// Everything that is wrong, in the order of the lines.
pub fn parse(kinds: &Kinds, file: &str, text: &str) -> Result<Vec<Manifest>, Vec<Complaint>> {
    let complain = |line, field: &str, message| Complaint { file: file.into(), line, field: field.into(), message };
    let documents = document::read(text).map_err(|error| vec![complain(error.line, ".", error.message)])?;
    let (mut manifests, mut complaints) = (Vec::new(), Vec::new());
    for Document { value, lines } in documents {
        for admitted in kinds.admit_each("", value) {
            match admitted {
                Ok((field, object)) => {
                    manifests.push(Manifest { file: file.into(), line: lines.of(&field), field, object });
                }
                Err((field, message)) => {
                    let shown = if field.is_empty() { "." } else { &field };
                    complaints.push(complain(lines.of(&field), shown, message));
                }
            }
        }
    }
    if complaints.is_empty() { Ok(manifests) } else { Err(complaints) }
}

/// The lines of the fields of a text's first document; of a text that is no YAML, none.
pub fn lines(text: &str) -> Lines {
    let documents = document::read(text).unwrap_or_default();
    documents.into_iter().next().map(|document| document.lines).unwrap_or_default()
}

/// The path of a field of what stands at another one.
pub fn within(place: &str, field: &str) -> String {
    if place.is_empty() { field.to_owned() } else { format!("{place}.{field}") }
}

/// Objects that stand there twice: the API server would keep the later one without a word.
pub fn repeated(manifests: &[Manifest]) -> Vec<Complaint> {
    let mut seen = HashMap::new();
    let mut complaints = Vec::new();
    for manifest in manifests {
        let key = (manifest.api_version(), manifest.kind(), manifest.namespace(), manifest.name());
        if let Some(first) = seen.insert(key, manifest) {
            complaints.push(Complaint {
                file: manifest.file.clone(),
                line: manifest.line,
                field: within(&manifest.field, "metadata.name"),
                message: format!(
                    "Duplicate value: {:?}: this {} stands in {} already, line {}",
                    manifest.name(),
                    manifest.kind(),
                    first.file,
                    first.line
                ),
            });
        }
    }
    complaints
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        // Somebody named this file: whatever it is called.
        std::fs::metadata(path)?;
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    for entry in entries {
        let is_manifest = entry.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
        if entry.is_dir() || is_manifest {
            collect(&entry, files)?;
        }
    }
    Ok(())
}

/// Whether an `apiVersion` is of our group, and of the version that is served.
fn ours(api_version: &str) -> Option<bool> {
    let (group, version) = api_version.split_once('/')?;
    (group == GROUP).then_some(version == VERSION)
}

#[cfg(test)]
mod tests;
