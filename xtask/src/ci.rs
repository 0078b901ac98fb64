//! What every change must pass, in the order of what fails fastest.

mod deny;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cluster::{CHARTS, owns_its_namespace, render_chart};
use crate::simulate_many::{self, Many};
use crate::windows::{self, build};
use crate::workspace::Profile;
use crate::{agent, control_plane, crdgen, guardian, probe, workspace};

/// How long each fuzz target runs with every change, in seconds; its corpus in the cache grows from run to run.
const FUZZ_SECONDS: u32 = 10;
/// How long small fleets are simulated with every change.
const SIMULATING: Duration = Duration::from_secs(100);
/// As many fleets as nobody simulates in that time.
const MANY: u64 = 100_000;
/// Asks the conformance suite to write its tables.
const BLESS: &str = "--bless";

/// Runs all checks and then all tests; stops at the first that fails.
///
/// # Errors
/// Names the check that failed.
pub async fn run() -> Result<()> {
    cargo("format", &["fmt", "--all", "--check"]).await?;
    cargo("clippy", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]).await?;
    heading("generated CRDs");
    crdgen::check()?;
    heading("dependencies");
    deny::check().await?;
    heading("charts");
    charts().await?;
    heading("the agent under Wine");
    agent::test(&[]).await?;
    heading("the probe under Wine");
    probe::test(&[]).await?;
    heading("programs for Windows");
    if windows::works_here().await? {
        build::release(&build::AGENT).await?;
        build::release(&build::PROBE).await?;
    }
    heading("fuzzing");
    agent::fuzz(FUZZ_SECONDS).await?;
    heading("simulated fleets");
    let many = Many { scenario: simulate_many::FLEET.into(), runs: MANY, first: 1, within: Some(SIMULATING) };
    tokio::task::spawn_blocking(move || simulate_many::run(Profile::Dev, &many)).await??;
    test(&[]).await
}

/// Runs the tests of the whole workspace on a real control plane, and with them the conformance suite of providers;
/// ends with the runners' own summaries. With a filter, only tests of that name, and the suite only for `providers`.
///
/// # Errors
/// The control plane cannot be had, or a test fails.
pub async fn test(filter: &[String]) -> Result<()> {
    tokio::task::spawn_blocking(control_plane::ensure).await??;
    if let Some((first, rest)) = filter.split_first()
        && first == "providers"
    {
        return providers(rest).await;
    }
    let mut arguments = vec!["test", "--workspace"];
    arguments.extend(filter.iter().map(String::as_str));
    if filter.is_empty() {
        // First: it prints figures after its own summary, and a run ends with the summary of all others.
        providers(&[]).await?;
    }
    heading("tests");
    cargo_quietly("tests", &arguments).await
}

/// Writes the logs of `tests/golden` anew.
///
/// # Errors
/// A story does not end as its scenario expects, or breaks an invariant.
pub async fn golden() -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["test", "--package=windlass", "--test=golden"]).env("WINDLASS_GOLDEN", "update");
    check("golden logs", command).await
}

/// Runs the conformance suite of providers alone. `--bless` writes what came out to the documents.
async fn providers(rest: &[String]) -> Result<()> {
    heading("providers");
    let mut command = workspace::cargo();
    command.args(["test", "--workspace", "--test", "providers", "--"]);
    command.args(rest.iter().filter(|argument| *argument != BLESS));
    if rest.iter().any(|argument| argument == BLESS) {
        command.env("WINDLASS_BLESS", "1");
    }
    check("providers", command).await
}

/// Both charts must render; helm refuses a template that is not clean. The release's own namespace is in neither: helm would
/// delete it with the first chart that does not have it.
async fn charts() -> Result<()> {
    let binaries = tokio::task::spawn_blocking(control_plane::ensure).await??;
    for chart in CHARTS {
        let rendered = render_chart(&binaries.helm, chart, &[]).await?;
        let objects = rendered.split("\n---").filter(|document| document.contains("kind:")).count();
        tracing::info!("{chart}: {objects} objects");
        ensure!(objects > 0, "chart {chart} renders nothing");
        ensure!(!owns_its_namespace(&rendered), "chart {chart} renders the namespace of its own release");
    }
    Ok(())
}

async fn cargo(name: &str, arguments: &[&str]) -> Result<()> {
    heading(name);
    cargo_quietly(name, arguments).await
}

async fn cargo_quietly(name: &str, arguments: &[&str]) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(arguments);
    check(name, command).await
}

/// Runs `command` with its output where ours goes.
async fn check(name: &str, command: Command) -> Result<()> {
    let status = guardian::run(command).await.context(name.to_owned())?;
    ensure!(status.success(), "{name}: failed ({status})");
    Ok(())
}

fn heading(name: &str) {
    tracing::info!("== {name}");
}
