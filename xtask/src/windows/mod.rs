//! Programs for Windows: built as they ship, linted, and run under Wine.
//!
//! Where the machine has no Wine and none can be installed by its ordinary package name, the tests are skipped, in words
//! that nobody overlooks.

pub mod build;
mod tools;
pub mod wine;

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{guardian, workspace};
use wine::Wine;

/// The platform that they are built for.
pub const TARGET: &str = "x86_64-pc-windows-gnu";

/// Lints a package for Windows, with all its features.
///
/// # Errors
/// A lint, or what it needs.
pub async fn clippy(package: &str) -> Result<()> {
    let mut clippy = workspace::cargo();
    clippy.args(["clippy", "--package", package, "--all-features", "--target", TARGET, "--all-targets", "--quiet"]);
    clippy.args(["--", "-D", "warnings"]);
    run(&format!("clippy of {package} for Windows"), clippy).await
}

/// `cargo test` of a package, with all its features, whose programs run under Wine.
pub fn tests(package: &str, wine: &Wine) -> Command {
    let mut tests = workspace::cargo();
    tests.args(["test", "--package", package, "--all-features", "--target", TARGET]);
    tests.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", wine.runner());
    tests
}

/// Whether the Windows programs can be built and run here; says so loudly where not.
///
/// # Errors
/// What it needs could be had, but not by this user.
pub async fn works_here() -> Result<bool> {
    tools::ensure().await
}

/// Runs a program with its output where ours goes.
pub(crate) async fn run(name: &str, command: Command) -> Result<()> {
    let status = guardian::run(command).await.context(name.to_owned())?;
    ensure!(status.success(), "{name}: failed ({status})");
    Ok(())
}
