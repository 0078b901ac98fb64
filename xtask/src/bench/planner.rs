//! The planner's own benchmark, run through cargo so that it has the release profile.

use crate::workspace;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::process::Stdio;

/// Runs `cargo bench --bench planner` and reads the JSON object that it prints last.
pub(super) fn measure() -> Result<BTreeMap<String, f64>> {
    // No `--package`: with the features of all members, what is built here is used again for the clusters.
    let output = workspace::cargo()
        .args(["bench", "--bench", "planner"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo bench")?;
    ensure!(output.status.success(), "the planner's benchmark failed");
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().rev().find(|l| l.starts_with('{')).context("the planner's benchmark printed no figures")?;
    serde_json::from_str(last).with_context(|| format!("the planner's benchmark printed {last:?}"))
}
