//! `cargo xtask incidents`: what the default policy makes of published Windows incidents, and of months with only noise.
//!
//! Each scenario of `scenarios/incidents` and `scenarios/good` is played with the manifests of `examples/default`, the same
//! for all. The tables say what came, also where the policy saw nothing.

mod played;
mod table;

pub use played::Played;

use crate::{guardian, workspace};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use windlass::manifest::{self, Manifest};

/// The manifests that all scenarios are played with.
const DEFAULT: &str = "examples/default";

/// Published incidents.
pub const INCIDENTS: &str = "scenarios/incidents";

/// Months in which nothing may halt.
pub const GOOD: &str = "scenarios/good";

/// The document that the tables stand in, between these lines.
const DOCUMENT: &str = "docs/incidents.md";
const BEGIN: &str = "<!-- written by cargo xtask incidents --bless -->\n";
const END: &str = "<!-- end of what is written -->\n";

/// Plays all scenarios whose name contains `filter`, and prints the tables. Those of all scenarios are written to the
/// document with `bless`, and compared with it without. An xtask that was built for tests has one play them that was built
/// to be fast: there are dozens of fleets of 120 nodes.
///
/// # Errors
/// A file can not be read or played; or, at the end, an expectation was missed, an invariant broken, or the document has
/// other tables.
pub async fn run(filter: String, bless: bool) -> Result<()> {
    if !cfg!(debug_assertions) {
        return tokio::task::spawn_blocking(move || tell(&filter, bless)).await?;
    }
    tracing::info!("building an xtask that is fast");
    let mut command = workspace::cargo();
    command.args(["run", "--quiet", "--profile", "quick", "--bin", "xtask", "--", "incidents"]);
    command.args((!filter.is_empty()).then_some(filter)).args(bless.then_some("--bless"));
    let status = guardian::run(command).await.context("incidents")?;
    ensure!(status.success(), "incidents: failed ({status})");
    Ok(())
}

fn tell(filter: &str, bless: bool) -> Result<()> {
    let meant = |file: &Path| file.file_stem().is_some_and(|name| name.to_string_lossy().contains(filter));
    let incidents = play(INCIDENTS, &meant)?;
    let told = table::incidents(&incidents);
    println!("{told}");
    let good = play(GOOD, &meant)?;
    let told = format!("{told}\n{}", table::good(&good));
    print!("{}", table::good(&good));
    let wrong: Vec<String> = incidents.iter().chain(&good).flat_map(Played::wrong).collect();
    ensure!(wrong.is_empty(), "not as expected:\n{}", wrong.join("\n"));
    if filter.is_empty() { document(&told, bless) } else { Ok(()) }
}

fn document(told: &str, bless: bool) -> Result<()> {
    let path = workspace::root().join(DOCUMENT);
    let text = std::fs::read_to_string(&path).context(DOCUMENT)?;
    let between = || {
        let (before, rest) = text.split_once(BEGIN)?;
        let (tables, after) = rest.split_once(END)?;
        Some((before, tables, after))
    };
    let (before, tables, after) = between().with_context(|| format!("{DOCUMENT}: no lines between which tables go"))?;
    if bless {
        return std::fs::write(&path, format!("{before}{BEGIN}{told}{END}{after}")).context(DOCUMENT);
    }
    ensure!(tables == told, "{DOCUMENT} has other tables; `cargo xtask incidents --bless` writes them");
    Ok(())
}

/// Plays the scenarios of a folder that are meant, on all cores, in the order of their names.
///
/// # Errors
/// A file can not be read or played.
pub fn play(folder: &str, meant: &dyn Fn(&Path) -> bool) -> Result<Vec<Played>> {
    let files = scenarios(&workspace::root().join(folder), meant)?;
    let manifests = manifests()?;
    let next = AtomicUsize::new(0);
    let played = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let work = || {
            while let Some((at, file)) =
                Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, files.get(at)?)))
            {
                let one = Played::play(file, &manifests);
                if let Ok(mut played) = played.lock() {
                    played.push((at, one));
                }
            }
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    let mut played = played.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    played.sort_by_key(|(at, _)| *at);
    played.into_iter().map(|(_, one)| one).collect()
}

fn scenarios(folder: &Path, meant: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let files: std::io::Result<Vec<PathBuf>> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut files: Vec<PathBuf> = files?.into_iter().filter(|file| meant(file)).collect();
    files.sort();
    Ok(files)
}

fn manifests() -> Result<Vec<Manifest>> {
    let folder = workspace::root().join(DEFAULT);
    manifest::load(&folder).map_err(|complaints| {
        let lines: Vec<String> = complaints.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(lines.join("\n"))
    })
}
