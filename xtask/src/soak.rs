//! `cargo xtask soak`: the operator is killed hundreds of times on a real control plane.

use anyhow::{Context, Result, ensure};

use crate::{control_plane, guardian, workspace};

/// Variable of the environment that says how often the operator is killed.
pub const KILLS: &str = "WINDLASS_SOAK_KILLS";
/// Variable of the environment that says which moments are drawn.
pub const SEED: &str = "WINDLASS_SOAK_SEED";

/// Tells the story of the operator that is killed at any time, with so many kills.
///
/// # Errors
/// The control plane can not be had, or the story did not end as it has to; it prints the seed.
pub async fn run(kills: u64, seed: u64) -> Result<()> {
    tokio::task::spawn_blocking(control_plane::ensure).await??;
    let mut command = workspace::cargo();
    command.args(["test", "--package=e2e", "--", "--nocapture", "killed-at-any-time"]);
    command.env(KILLS, kills.to_string()).env(SEED, seed.to_string());
    let status = guardian::run(command).await.context("the story")?;
    ensure!(status.success(), "{kills} kills with seed {seed}: failed ({status})");
    Ok(())
}
