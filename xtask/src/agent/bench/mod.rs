//! The agent's own figures, under Wine: printed, never asserted. What each means is said in docs/agent-program.md.

mod processes;
mod starts;
mod waiting;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::windows::wine::Wine;
use crate::windows::{build, run};

/// A C program that ends at once, and with an argument waits for ever: what Wine itself takes.
const EMPTY: &str = "#include <windows.h>\nint main(int n, char **v) { if (n > 1) Sleep(INFINITE); return 0; }";

/// Measures the program that ships, and prints the figures as JSON.
///
/// # Errors
/// There is no Wine here, or the program does not do what it is asked for.
pub async fn bench(wait: Duration) -> Result<()> {
    // What waits is the program with the feature of tests, for Wine can not install anything; a copy of it, for the one
    // that ships is built over it.
    let waits = build::fake_release().await?;
    let wine = Wine::start().await?.context("there is no Wine here")?;
    let resident = wine.dir().join("windlass-agent-resident.exe");
    fs::copy(&waits, &resident)?;
    let exe = build::release(&build::AGENT).await?;
    let empty = empty(wine.dir()).await?;
    // One Windows for all runs: what its start takes is not the agent's.
    wine.keep().await?;
    let starts = starts::measure(&wine.runner(), &exe, &empty)?;
    let waiting = waiting::measure(&wine.runner(), &resident, &empty, wait)?;
    let figures = serde_json::json!({
        "agentExeBytes": fs::metadata(&exe)?.len(),
        "agentCollectMillis": starts.collect,
        "agentEmptyProgramMillis": starts.empty,
        "agentCollectAboveEmptyMillis": starts.above,
        "agentCollectAboveEmptyBestMillis": starts.best_above,
        "agentWaitingPrivateMiB": waiting.task_mib,
        "agentEmptyProgramPrivateMiB": waiting.empty_mib,
        "agentWaitingTaskCpuSecondsPer10Min": waiting.task_cpu,
        "agentWaitingPodCpuSecondsPer10Min": waiting.pod_cpu,
        "agentWaitedSeconds": wait.as_secs(),
    });
    println!("{}", serde_json::to_string_pretty(&figures)?);
    wine.end().await
}

async fn empty(dir: &Path) -> Result<PathBuf> {
    let (source, exe) = (dir.join("empty.c"), dir.join("empty.exe"));
    fs::write(&source, EMPTY)?;
    let mut gcc = Command::new("x86_64-w64-mingw32-gcc");
    gcc.args(["-O2", "-s"]).arg(&source).arg("-o").arg(&exe);
    run("the empty program", gcc).await?;
    Ok(exe)
}

/// A number with one digit behind the point.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
