//! Waiting for a part of the cluster: with a deadline, and with its last words when it died instead.

use std::fs;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

use super::process::Processes;

/// How often to ask, in milliseconds: often enough that starting is not slowed down noticeably.
const POLL: Duration = Duration::from_millis(100);
/// How long one HTTP question may take, in seconds.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How many lines of a log an error message carries.
const LAST_WORDS: usize = 8;

/// Asks `ready` until it says yes.
///
/// # Errors
/// The process `name` ended, or `patience` is over: with `what` and the end of the process's log. An error of `ready`
/// itself counts as no and is told only at the deadline.
pub(super) async fn until(
    processes: &Processes,
    name: &str,
    what: &str,
    patience: Duration,
    ready: impl AsyncFn() -> Result<bool>,
) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        // Each question has the remaining time at most: a server may accept a connection and never answer.
        let answer = tokio::time::timeout_at(deadline, ready()).await;
        if matches!(answer, Ok(Ok(true))) {
            return Ok(());
        }
        if !processes.is_alive(name) {
            bail!("{name} ended while waiting until {what}; its last words:\n{}", last_words(processes, name));
        }
        if Instant::now() >= deadline {
            let why = answer.ok().and_then(Result::err).map(|error| format!(" ({error:#})")).unwrap_or_default();
            let seconds = patience.as_secs();
            bail!("not within {seconds} s: {what}{why}; {name} says:\n{}", last_words(processes, name));
        }
        sleep(POLL).await;
    }
}

fn last_words(processes: &Processes, name: &str) -> String {
    let log = fs::read(processes.log(name)).unwrap_or_default();
    let text = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = text.lines().rev().take(LAST_WORDS).map(str::trim_end).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
