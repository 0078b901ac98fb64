//! One `go install` of whatever is missing, with progress, moved into the cache only when all of it is done.

use std::fs;
use std::io::{BufRead, BufReader, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use super::Tool;
use super::versions::Versions;
use crate::guardian::Guardian;

/// Builds `tools` and moves them into `cache`.
///
/// The caller holds the cache's lock. A crash leaves at most a folder `.building-<pid>`, which the next build removes.
pub(super) fn install(module: &Path, versions: &Versions, tools: &[Tool], cache: &Path) -> Result<()> {
    check_go(&versions.go)?;
    fs::create_dir_all(cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let staging = Staging::create(cache)?;
    let names: Vec<&str> = tools.iter().map(|tool| tool.name).collect();
    tracing::info!(
        "building {} of Kubernetes {} with go into {} (once; about 8 minutes on 2 cores)",
        names.join(", "),
        versions.kubernetes,
        cache.display()
    );
    let started = Instant::now();
    run(go_install(module, versions, tools, &staging.0)?, count_packages(module, tools)?)?;
    for tool in tools {
        let built = staging.0.join(binary_name(tool));
        let target = cache.join(tool.name);
        fs::rename(&built, &target).with_context(|| format!("go built no {}", built.display()))?;
    }
    tracing::info!("built the control plane in {} s", started.elapsed().as_secs());
    Ok(())
}

/// A folder beside the binaries (the same file system, so that a rename is atomic), removed when dropped.
struct Staging(PathBuf);

impl Staging {
    const PREFIX: &str = ".building-";

    fn create(cache: &Path) -> Result<Self> {
        for entry in fs::read_dir(cache)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(Self::PREFIX) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let dir = cache.join(format!("{}{}", Self::PREFIX, std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!("cannot remove {}: {error}", self.0.display());
        }
    }
}

/// The file name that `go install` gives: the last part of the package's path that is not a major version.
fn binary_name(tool: &Tool) -> &'static str {
    let is_major = |part: &str| part.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok());
    tool.package.rsplit('/').find(|part| !is_major(part)).unwrap_or(tool.package)
}

fn go(module: &Path) -> Command {
    let mut go = Command::new("go");
    // Never download another toolchain behind the user's back.
    go.current_dir(module)
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=readonly")
        .env_remove("GOOS")
        .env_remove("GOARCH");
    go
}

fn check_go(wanted: &str) -> Result<()> {
    let output = match Command::new("go").args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!(
                "go is not installed: go {wanted} or newer is needed to build the control plane (or set KUBEBUILDER_ASSETS)"
            )
        }
        Err(error) => return Err(error).context("cannot run go"),
    };
    let found = String::from_utf8_lossy(&output.stdout).trim().trim_start_matches("go").to_owned();
    ensure!(
        numbers(&found) >= numbers(wanted),
        "go {found} is too old: go {wanted} or newer is needed to build the control plane"
    );
    Ok(())
}

/// `1.26.8` as numbers that compare; a suffix such as `rc1` ends the list.
fn numbers(version: &str) -> Vec<u32> {
    version.split(['.', ' ']).map_while(|part| part.parse().ok()).collect()
}

/// How many packages the tools consist of: the length of the progress bar. Downloads the modules that are missing.
fn count_packages(module: &Path, tools: &[Tool]) -> Result<u64> {
    let mut list = go(module);
    list.args(["list", "-deps"]).args(tools.iter().map(|tool| tool.package));
    let output = list.stderr(Stdio::inherit()).output().context("cannot run go list")?;
    ensure!(output.status.success(), "go list of the control plane's packages failed ({})", output.status);
    Ok(output.stdout.split(|byte| *byte == b'\n').count() as u64)
}

fn go_install(module: &Path, versions: &Versions, tools: &[Tool], target: &Path) -> Result<Command> {
    let version = "-X k8s.io/component-base/version";
    // Without these the server reports `v0.0.0-master+$Format`, which clients cannot parse.
    let ldflags = format!(
        "-s -w {version}.gitVersion={} {version}.gitMajor={} {version}.gitMinor={}",
        versions.kubernetes,
        versions.major()?,
        versions.minor()?
    );
    let mut install = go(module);
    // `-v` names each package as it is compiled, which is what the progress bar counts.
    install.env("GOBIN", target).args(["install", "-v", "-ldflags", &ldflags]);
    install.args(tools.iter().map(|tool| tool.package));
    Ok(install)
}

/// Runs the build and shows how far it is; on failure the error carries what go said.
fn run(mut install: Command, packages: u64) -> Result<()> {
    let bar = progress_bar(packages)?;
    install.stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    let guardian = Guardian::start()?; // an interrupted build must not go on compiling
    let mut child = install.spawn().context("cannot run go install")?;
    guardian.watch(i32::try_from(child.id())?)?;
    let mut said = Vec::new();
    let stderr = child.stderr.take().context("go install has no stderr")?;
    for line in BufReader::new(stderr).lines() {
        let line = line?;
        if line.contains(' ') {
            said.push(line); // a package's name has no space: this is a message
        } else {
            bar.inc(1);
            report_without_terminal(&bar);
        }
    }
    let status = child.wait()?;
    guardian.release()?;
    bar.finish_and_clear();
    ensure!(status.success(), "go install failed ({status}): {}", said.join("\n"));
    Ok(())
}

fn progress_bar(packages: u64) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("  {wide_bar} {pos}/{len} packages, {elapsed}")?;
    let bar = ProgressBar::new(packages).with_style(style);
    bar.enable_steady_tick(Duration::from_secs(1));
    Ok(bar)
}

/// Where no bar can be drawn (a log of CI), a line for each 250 packages: a sign of life about once a minute.
fn report_without_terminal(bar: &ProgressBar) {
    if bar.position().is_multiple_of(250) && !std::io::stderr().is_terminal() {
        tracing::info!("  compiled {} of at most {} packages", bar.position(), bar.length().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::super::TOOLS;
    use super::*;

    #[test]
    fn binaries_are_named_as_go_install_names_them() {
        let names: Vec<_> = TOOLS.iter().map(binary_name).collect();
        let expected = ["server", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "helm"];
        assert_eq!(names, expected);
    }

    #[test]
    fn go_versions_compare_as_numbers() {
        assert!(numbers("1.26.8") >= numbers("1.26.0"));
        assert!(numbers("1.9.1") < numbers("1.26.0"));
        assert!(numbers("1.26rc1") < numbers("1.26.0"));
    }
}
