//! Which clusters run on this machine, whoever started them: one small file for each in the cache folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::process::Processes;
use crate::workspace;

/// A cluster with at least one living process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The cluster's folder.
    pub dir: PathBuf,
    /// Its living processes: name and pid, in the order in which they were started.
    pub processes: Vec<(String, i32)>,
}

/// Every running cluster, sorted by folder. What has ended is taken off the register.
///
/// # Errors
/// The cache folder cannot be read.
pub fn list() -> Result<Vec<Entry>> {
    let folder = folder()?;
    let Ok(files) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut entries = Vec::new();
    for file in files {
        let file = file?.path();
        let dir = PathBuf::from(fs::read_to_string(&file).unwrap_or_default());
        let processes = living(&dir);
        if processes.is_empty() {
            fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        } else {
            entries.push(Entry { dir, processes });
        }
    }
    entries.sort_by(|a, b| a.dir.cmp(&b.dir));
    Ok(entries)
}

/// Puts a cluster on the register, before its first process starts.
pub(super) fn add(dir: &Path) -> Result<()> {
    let file = file_of(dir)?;
    fs::create_dir_all(folder()?)?;
    fs::write(&file, dir.display().to_string()).with_context(|| format!("cannot write {}", file.display()))
}

/// Takes a cluster off the register.
pub(super) fn remove(dir: &Path) -> Result<()> {
    let file = file_of(dir)?;
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    Ok(())
}

fn folder() -> Result<PathBuf> {
    Ok(workspace::cache_dir()?.join("clusters"))
}

fn file_of(dir: &Path) -> Result<PathBuf> {
    Ok(folder()?.join(dir.display().to_string().replace('/', "%")))
}

fn living(dir: &Path) -> Vec<(String, i32)> {
    let Ok(processes) = Processes::attach(dir) else { return Vec::new() };
    processes.list().into_iter().filter_map(|(name, pid)| Some((name, pid?))).collect()
}
