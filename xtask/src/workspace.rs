//! Where things are: the checkout, the cache folder, the programs that cargo builds.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The checkout that this xtask was built from.
pub fn root() -> &'static Path {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().unwrap_or(member)
}

/// The folder for what is costly to make and outlives a checkout: `$WINDLASS_CACHE`, else `$XDG_CACHE_HOME/windlass`,
/// else `~/.cache/windlass`. It may not exist yet.
///
/// # Errors
/// None of the three variables (`HOME` for the last) is set.
pub fn cache_dir() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("WINDLASS_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("windlass")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/windlass")))
        .context("no cache folder: set WINDLASS_CACHE, XDG_CACHE_HOME or HOME")
}

/// How cargo builds the programs of the workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Quick to build; what tests use.
    #[default]
    Dev,
    /// Nearly as fast as what ships; for thousands of simulations.
    Quick,
    /// What ships; for measurements.
    Release,
}

/// The programs of this workspace that a cluster runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Programs {
    /// The operator.
    pub windlass: PathBuf,
    /// The simulated Windows machines.
    pub winfleet: PathBuf,
}

/// Builds the operator and winfleet, and returns where cargo put them.
///
/// # Errors
/// Cargo is missing, or the build fails (the compiler's messages went to stderr).
pub fn build_programs(profile: Profile) -> Result<Programs> {
    tracing::info!("building windlass and winfleet");
    let mut cargo = cargo();
    // No `--package`: with the features of all members, what `cargo test` and `cargo xtask` have built is used again.
    cargo.args(["build", "--quiet", "--bin", "windlass", "--bin", "winfleet"]);
    cargo.arg("--message-format=json-render-diagnostics");
    cargo.args(match profile {
        Profile::Dev => &[][..],
        Profile::Quick => &["--profile", "quick"],
        Profile::Release => &["--release"],
    });
    let output = cargo.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo build of windlass and winfleet failed ({})", output.status);
    let mut built = executables(&String::from_utf8_lossy(&output.stdout));
    let mut take = |name: &str| built.remove(name).with_context(|| format!("cargo built no program `{name}`"));
    Ok(Programs { windlass: take("windlass")?, winfleet: take("winfleet")? })
}

/// The cargo that runs this xtask, in the checkout's root.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// Program paths by target name, from cargo's JSON messages (one a line; other lines are skipped).
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| {
            let path = message["executable"].as_str()?;
            Some((message["target"]["name"].as_str()?.to_owned(), PathBuf::from(path)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_read_from_cargo_messages() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"windlass\"},\"executable\":\"/t/windlass\"}\n",
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"kube\"},\"executable\":null}\n",
            "warning: not JSON\n",
        );
        let found = executables(messages);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [("windlass".to_owned(), PathBuf::from("/t/windlass"))]);
    }
}
