//! Builds `windlass-agent.exe`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::{TARGET, run, tools};
use crate::workspace;

/// Largest program in bytes, stripped: it travels to every node with each version.
const MAX_BYTES: u64 = 3 << 20;

/// What only a program with the feature of tests has in it.
const FAKE: &[u8] = b"WINDLASS_MACHINE";

/// Builds the program that ships: release profile, the C runtime inside, no library beside it, with version and commit.
/// Gives back its path.
///
/// # Errors
/// The linker of mingw-w64 is missing, the build fails, or the program is not as it must be: too large, or with what is
/// for tests.
pub async fn release() -> Result<PathBuf> {
    ensure!(tools::ensure().await?, "windlass-agent.exe can not be built here");
    let exe = build(&["--release"], "release").await?;
    let bytes = fs::read(&exe).with_context(|| format!("cannot read {}", exe.display()))?;
    ensure!(bytes.len() as u64 <= MAX_BYTES, "{}: {} bytes, at most {MAX_BYTES}", exe.display(), bytes.len());
    ensure!(!bytes.windows(FAKE.len()).any(|w| w == FAKE), "{}: has what is for tests", exe.display());
    tracing::info!("{}: {} bytes", exe.display(), bytes.len());
    Ok(exe)
}

/// Builds the program with the feature of tests, quickly; gives back its path.
///
/// # Errors
/// The build fails.
pub async fn fake() -> Result<PathBuf> {
    build(&["--features", "fake-machine"], "debug").await
}

/// Builds the program with the feature of tests as it would ship; gives back its path, which is that of [`release`] too.
///
/// # Errors
/// The build fails.
pub async fn fake_release() -> Result<PathBuf> {
    ensure!(tools::ensure().await?, "windlass-agent.exe can not be built here");
    build(&["--release", "--features", "fake-machine"], "release").await
}

async fn build(arguments: &[&str], folder: &str) -> Result<PathBuf> {
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--quiet", "--package", "windlass-agent", "--bin", "windlass-agent", "--target", TARGET]);
    cargo.args(arguments).env("WINDLASS_COMMIT", commit());
    if folder == "release" {
        cargo.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS", "-Ctarget-feature=+crt-static");
    }
    run("build of windlass-agent.exe", cargo).await?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace::root().join("target"), PathBuf::from);
    let exe = target.join(TARGET).join(folder).join("windlass-agent.exe");
    if !exe.is_file() {
        bail!("cargo built no {}", exe.display());
    }
    Ok(exe)
}

/// The commit that is built, marked where the files differ from it.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(workspace::root()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown commit".to_owned() };
    let clean = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| changes.is_empty());
    if clean { format!("commit {commit}") } else { format!("commit {commit}, changed") }
}

/// Copies the program to where a person wants it.
///
/// # Errors
/// The file can not be written.
pub fn deliver(exe: &Path, to: &Path) -> Result<()> {
    if exe != to {
        fs::copy(exe, to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    println!("{}", to.display());
    Ok(())
}
