//! Builds the programs that run on Windows nodes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::{TARGET, run, tools};
use crate::workspace;

/// Largest program in bytes, stripped: it travels to every node with each version.
const MAX_BYTES: u64 = 3 << 20;

/// A program that ships.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name, and its package's.
    pub name: &'static str,
    /// What must not be in it, and why.
    never: &'static [(&'static str, &'static str)],
}

/// The agent.
pub const AGENT: Program = Program { name: "windlass-agent", never: &[("WINDLASS_MACHINE", "which is for tests")] };

/// The program of `http` probe pods.
pub const PROBE: Program = Program {
    name: "windlass-probe",
    never: &[
        ("GetStartupInfoA", NOT_ON_NANO),
        ("CreateFileMappingA", NOT_ON_NANO),
        ("CreateToolhelp32Snapshot", NOT_ON_NANO),
    ],
};

/// `probe/windows/nano.c` stands in for it.
const NOT_ON_NANO: &str = "which a Nano Server may not have";

/// Builds a program as it ships: release profile, the C runtime inside, no library beside it, with version and commit.
/// Gives back its path.
///
/// # Errors
/// The linker of mingw-w64 is missing, the build fails, or the program is not as it must be: too large, or with what must
/// not be in it.
pub async fn release(program: &Program) -> Result<PathBuf> {
    ensure!(tools::ensure().await?, "{}.exe can not be built here", program.name);
    let exe = build(program, &["--release"], "release").await?;
    let bytes = fs::read(&exe).with_context(|| format!("cannot read {}", exe.display()))?;
    ensure!(bytes.len() as u64 <= MAX_BYTES, "{}: {} bytes, at most {MAX_BYTES}", exe.display(), bytes.len());
    for (text, why) in program.never {
        ensure!(!bytes.windows(text.len()).any(|w| w == text.as_bytes()), "{}: has {text}, {why}", exe.display());
    }
    tracing::info!("{}: {} bytes", exe.display(), bytes.len());
    Ok(exe)
}

/// Builds the agent with the feature of tests, quickly; gives back its path.
///
/// # Errors
/// The build fails.
pub async fn fake() -> Result<PathBuf> {
    build(&AGENT, &["--features", "fake-machine"], "debug").await
}

/// Builds the agent with the feature of tests as it would ship; gives back its path, which is that of [`release`] too.
///
/// # Errors
/// The build fails.
pub async fn fake_release() -> Result<PathBuf> {
    ensure!(tools::ensure().await?, "windlass-agent.exe can not be built here");
    build(&AGENT, &["--release", "--features", "fake-machine"], "release").await
}

async fn build(program: &Program, arguments: &[&str], folder: &str) -> Result<PathBuf> {
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--quiet", "--package", program.name, "--bin", program.name, "--target", TARGET]);
    cargo.args(arguments).env("WINDLASS_COMMIT", commit());
    if folder == "release" {
        cargo.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS", "-Ctarget-feature=+crt-static");
    }
    run(&format!("build of {}.exe", program.name), cargo).await?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace::root().join("target"), PathBuf::from);
    let exe = target.join(TARGET).join(folder).join(format!("{}.exe", program.name));
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

/// Builds a program as it ships, copies it to where a person wants it, and prints where it is.
///
/// # Errors
/// Those of [`release`], or the file can not be written.
pub async fn deliver(program: &Program, to: Option<PathBuf>) -> Result<()> {
    let exe = release(program).await?;
    let to = to.unwrap_or_else(|| exe.clone());
    if exe != to {
        fs::copy(&exe, &to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    println!("{}", to.display());
    Ok(())
}
