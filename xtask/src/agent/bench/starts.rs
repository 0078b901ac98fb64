//! From a program's start to its end: `collect`, against a program that does nothing.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::round;

/// How often each start is measured; the median counts.
const STARTS: usize = 31;

/// Starts before any is measured: services of Windows that are begun by the first question run from then on.
const WARM: usize = 3;

/// A request that only looks, for any node that is named in it.
const COLLECT: &str = r#"{"version":1,"node":"NODE","ticket":{"nodeUpdateUid":"u","step":"Collect","round":1,"attempt":1,
    "challenge":"c"},"command":{"collect":{"follow":false}}}"#;

/// Milliseconds: medians, and the difference of the quickest runs, which what else the machine does disturbs least.
pub(super) struct Starts {
    pub collect: f64,
    pub empty: f64,
    pub above: f64,
    pub best_above: f64,
}

/// Measures both programs in turns, so that what else the machine does falls on both.
pub(super) fn measure(runner: &Path, exe: &Path, empty: &Path) -> Result<Starts> {
    let request = BASE64_STANDARD.encode(COLLECT.replace("NODE", &node(runner, exe)?));
    let collect = ["collect", "--request", &request];
    let (mut reports, mut nothings) = (vec![], vec![]);
    for number in 0..WARM + STARTS {
        let (nothing, report) = (start(runner, empty, &[])?, start(runner, exe, &collect)?);
        if number >= WARM {
            nothings.push(nothing);
            reports.push(report);
        }
    }
    reports.sort_unstable();
    nothings.sort_unstable();
    let above = |at: usize| millis(reports[at].saturating_sub(nothings[at]));
    let middle = STARTS / 2;
    Ok(Starts {
        collect: millis(reports[middle]),
        empty: millis(nothings[middle]),
        above: above(middle),
        best_above: above(0),
    })
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
    let ended = output.status.code() == Some(0) && output.status.signal().is_none();
    ensure!(ended && (arguments.is_empty() || !output.stdout.is_empty()), "{}: {output:?}", exe.display());
    Ok(took)
}

fn millis(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1000.0)
}
