//! The program of `http` probe pods as the Windows program that it is.

use anyhow::Result;

use crate::windows::{self, build::PROBE, run, wine::Wine};

/// Lints and tests it for Windows; the tests run under Wine.
///
/// # Errors
/// A lint, a test, or what they need: the message names it. A platform without Wine is none.
pub async fn test(filter: &[String]) -> Result<()> {
    let Some(wine) = Wine::start().await? else { return Ok(()) };
    windows::clippy(PROBE.name).await?;
    let mut tests = windows::tests(PROBE.name, &wine);
    tests.args(filter);
    let outcome = run("the probe's tests under Wine", tests).await;
    wine.end().await?;
    outcome
}
