//! The agent's own figures, under Wine: printed, never asserted.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::wine::Wine;
use super::{build, run};

/// How often a start is measured; the median counts.
const STARTS: usize = 15;

/// A C program that does nothing: what Wine itself takes.
const EMPTY: &str = "int main(void) { return 0; }";

/// A request that only looks, for any node that is named in it.
const COLLECT: &str = r#"{"version":1,"node":"NODE","ticket":{"nodeUpdateUid":"u","step":"Collect","round":1,"attempt":1,
    "challenge":"c"},"command":{"collect":{"follow":false}}}"#;

/// Measures the program that ships, and prints the figures as JSON.
///
/// # Errors
/// There is no Wine here, or the program does not do what it is asked for.
pub async fn bench() -> Result<()> {
    let exe = build::release().await?;
    let wine = Wine::start().await?.context("there is no Wine here")?;
    let empty = empty(wine.dir()).await?;
    let runner = wine.runner();
    let node = node(&runner, &exe)?;
    let request = BASE64_STANDARD.encode(COLLECT.replace("NODE", &node));
    let collect = ["collect", "--request", &request];
    // Warm: the server of Wine runs, and the files are in memory.
    start(&runner, &empty, &[])?;
    start(&runner, &exe, &collect)?;
    let (nothing, report) = (median(|| start(&runner, &empty, &[]))?, median(|| start(&runner, &exe, &collect))?);
    let figures = serde_json::json!({
        "agentExeBytes": fs::metadata(&exe)?.len(),
        "agentCollectMillis": millis(report),
        "agentEmptyProgramMillis": millis(nothing),
        "agentCollectAboveEmptyMillis": millis(report.saturating_sub(nothing)),
        "agentCollectPeakMiB": peak_mib(&runner, &exe, &collect)?,
        "agentEmptyProgramPeakMiB": peak_mib(&runner, &empty, &[])?,
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

/// The machine's own name, as it tells it to somebody who asks for another.
fn node(runner: &Path, exe: &Path) -> Result<String> {
    let request = BASE64_STANDARD.encode(COLLECT);
    let output = Command::new(runner).arg(exe).args(["collect", "--request", &request]).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    let name = told.trim().rsplit(' ').next().context("the agent does not tell its machine's name")?;
    Ok(name.to_owned())
}

/// Starts a program and waits for its end; how long that took.
fn start(runner: &Path, exe: &Path, arguments: &[&str]) -> Result<Duration> {
    let started = Instant::now();
    let output = Command::new(runner).arg(exe).args(arguments).stdin(Stdio::null()).output()?;
    let took = started.elapsed();
    let ended = output.status.code().is_some() && output.status.signal().is_none();
    ensure!(ended && (arguments.is_empty() || !output.stdout.is_empty()), "{}: {output:?}", exe.display());
    Ok(took)
}

fn median(measure: impl Fn() -> Result<Duration>) -> Result<Duration> {
    let mut all = (0..STARTS).map(|_| measure()).collect::<Result<Vec<_>>>()?;
    all.sort_unstable();
    Ok(all.get(STARTS / 2).copied().unwrap_or_default())
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

/// Largest resident memory of the program's process, in MiB, as the kernel counts it: Wine's own part is in it.
fn peak_mib(runner: &Path, exe: &Path, arguments: &[&str]) -> Result<f64> {
    let mut child = Command::new(runner).arg(exe).args(arguments).stdout(Stdio::piped()).spawn()?;
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        peak = peak.max(peak_of(exe));
        thread::sleep(Duration::from_millis(1));
    }
    if let Some(mut out) = child.stdout.take() {
        out.read_to_end(&mut Vec::new())?;
    }
    Ok((peak as f64 / 102.4).round() / 10.0)
}

/// `VmHWM` in KiB of the process that has this program as its first argument; 0 when there is none.
fn peak_of(exe: &Path) -> u64 {
    let name = exe.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ours = processes.filter(|p| {
        let line = fs::read(p.path().join("cmdline")).unwrap_or_default();
        let first = String::from_utf8_lossy(line.split(|b| *b == 0).next().unwrap_or_default()).into_owned();
        first.ends_with(&name)
    });
    let peak = |p: fs::DirEntry| {
        let status = fs::read_to_string(p.path().join("status")).ok()?;
        status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
    };
    ours.filter_map(peak).max().unwrap_or_default()
}
