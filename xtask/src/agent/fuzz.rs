//! Fuzzes what the agent reads from others: requests, reports, its state file.
//!
//! The targets are those of `cargo fuzz`, and can be run by it. Here they are built without it, and without a nightly
//! compiler: coverage is a pass of every rustc, only sanitizers are not, and safe code has little for them to find.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::windows::run;
use crate::workspace;

/// The targets in `agent/fuzz`.
const TARGETS: [&str; 3] = ["request", "report", "state"];

/// What `cargo fuzz --sanitizer none` sets for coverage (cargo-fuzz 0.13).
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks";

/// Longest input in bytes: above the largest report, so that the bound is met.
const MAX_INPUT: u32 = 70_000;

/// Runs each target for so many seconds, from its seeds and what earlier runs found.
///
/// # Errors
/// A target fails: the input that it fails on is left in the cache, and named.
pub async fn fuzz(seconds: u32) -> Result<()> {
    let target = workspace::cache_dir()?.join("fuzz");
    let manifest = workspace::root().join("agent/fuzz/Cargo.toml");
    let mut build = workspace::cargo();
    build.args(["build", "--quiet", "--release", "--bins", "--manifest-path"]).arg(&manifest);
    // With a target that is named, the flags are not those of build scripts as well.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    build.args(["--target", &platform, "--target-dir"]).arg(target.join("target")).env("RUSTFLAGS", FLAGS);
    run("build of the fuzz targets", build).await?;
    for name in TARGETS {
        let (corpus, found) = (target.join("corpus").join(name), target.join("found"));
        for folder in [&corpus, &found] {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        tracing::info!("fuzzing {name} for {seconds} s");
        let mut fuzzer = Command::new(target.join("target").join(&platform).join("release").join(name));
        fuzzer.args([format!("-max_total_time={seconds}"), format!("-max_len={MAX_INPUT}"), "-verbosity=0".to_owned()]);
        fuzzer.args(["-print_final_stats=1", "-timeout=10"]);
        fuzzer.arg(format!("-artifact_prefix={}/{name}-", found.display()));
        fuzzer.arg(&corpus).arg(workspace::root().join("agent/fuzz/seeds").join(name));
        run(&format!("fuzz target {name} (inputs are in {})", found.display()), fuzzer).await?;
    }
    Ok(())
}
