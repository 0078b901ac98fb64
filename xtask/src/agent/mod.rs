//! The agent as the Windows program that it is: built, tested under Wine, fuzzed.
//!
//! Where the machine has no Wine and none can be installed by its ordinary package name, the tests are skipped, in words
//! that nobody overlooks. What Wine can not prove is listed in docs/agent.md.

mod bench;
pub mod build;
mod fuzz;
mod small_disk;
mod tools;
pub mod wine;

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{guardian, workspace};
pub use bench::bench;
pub use fuzz::fuzz;
use small_disk::SmallDisk;
use wine::Wine;

/// The platform that the agent is built for.
const TARGET: &str = "x86_64-pc-windows-gnu";

/// Lints and tests the agent for Windows; the tests run under Wine.
///
/// # Errors
/// A lint, a test, or what they need: the message names it. A platform without Wine is none.
pub async fn test(filter: &[String]) -> Result<()> {
    let Some(wine) = Wine::start().await? else { return Ok(()) };
    let windows = ["--package", "windlass-agent", "--all-features", "--target", TARGET];
    let mut clippy = workspace::cargo();
    clippy.arg("clippy").args(windows).args(["--all-targets", "--quiet", "--", "-D", "warnings"]);
    run("clippy of the agent for Windows", clippy).await?;
    let small_disk = SmallDisk::mount(wine.dir()).await?;
    let mut tests = workspace::cargo();
    // The core's other tests know no Windows, and run with all the others.
    tests.arg("test").args(windows).args(["--lib", "--test", "windows", "--test", "exe"]).args(filter);
    tests.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", wine.runner());
    if let Some(disk) = &small_disk {
        tests.env("WINDLASS_SMALL_DISK", disk.windows_path());
    }
    let outcome = run("the agent's tests under Wine", tests).await;
    wine.end().await?;
    outcome
}

/// Whether the Windows program can be built and run here; says so loudly where not.
///
/// # Errors
/// What it needs could be had, but not by this user.
pub async fn works_here() -> Result<bool> {
    tools::ensure().await
}

/// Runs a program with its output where ours goes.
async fn run(name: &str, command: Command) -> Result<()> {
    let status = guardian::run(command).await.context(name.to_owned())?;
    ensure!(status.success(), "{name}: failed ({status})");
    Ok(())
}
