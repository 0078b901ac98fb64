//! The agent as the Windows program that it is: tested under Wine, fuzzed, measured. What Wine can not prove is listed in
//! docs/agent.md.

mod bench;
mod fuzz;
mod small_disk;

use anyhow::Result;

use crate::windows::{self, build::AGENT, run, wine::Wine};
pub use bench::bench;
pub use fuzz::fuzz;
use small_disk::SmallDisk;

/// Lints and tests the agent for Windows; the tests run under Wine.
///
/// # Errors
/// A lint, a test, or what they need: the message names it. A platform without Wine is none.
pub async fn test(filter: &[String]) -> Result<()> {
    let Some(wine) = Wine::start().await? else { return Ok(()) };
    windows::clippy(AGENT.name).await?;
    let small_disk = SmallDisk::mount(wine.dir()).await?;
    let mut tests = windows::tests(AGENT.name, &wine);
    // The core's other tests know no Windows, and run with all the others.
    tests.args(["--lib", "--test", "windows", "--test", "exe"]).args(filter);
    if let Some(disk) = &small_disk {
        tests.env("WINDLASS_SMALL_DISK", disk.windows_path());
    }
    let outcome = run("the agent's tests under Wine", tests).await;
    wine.end().await?;
    outcome
}
