//! How fast `windlass simulate` is, and how much memory ten thousand nodes take: the program itself, one thread of it.

use crate::simulate_many;
use crate::workspace::{self, Profile};
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Simulations of twenty nodes with heavy faults that are timed.
const RUNS: u64 = 200;
/// What makes ten thousand nodes of the small fleet, a twentieth of them at a time, and a workload on a tenth.
const LARGE: [(&str, &str); 6] = [
    ("count: 8", "count: 4000"),
    ("count: 12", "count: 6000"),
    ("first: 9", "first: 4001"),
    ("replicas: 20", "replicas: 1000"),
    ("maxUnavailable: 4", "maxUnavailable: 300"),
    ("maxUnavailable: 2", "maxUnavailable: 200"),
];
/// Nodes of the large fleet.
const NODES: usize = 10_000;
/// How long they may take.
const LARGE_WITHIN: Duration = Duration::from_mins(30);

/// Measures node updates per second and core, and MiB.
///
/// # Errors
/// The program does not build, or a simulation fails.
pub(super) fn measure() -> Result<(f64, f64)> {
    let program = workspace::build_programs(Profile::Release)?.windlass;
    let began = Instant::now();
    let tally = simulate_many::one_core(program.clone(), RUNS)?;
    let per_second = number(tally.node_updates) / began.elapsed().as_secs_f64();
    let small = std::fs::read_to_string(workspace::root().join(simulate_many::FLEET))?;
    let file = std::env::temp_dir().join(format!("windlass-10k-{}.yaml", std::process::id()));
    std::fs::write(&file, large(small))?;
    let measured = memory(&program, &file);
    std::fs::remove_file(&file)?;
    Ok((per_second, measured?))
}

/// The small fleet, made large.
fn large(small: String) -> String {
    LARGE.iter().fold(small, |text, (from, to)| text.replace(from, to))
}

/// The highest resident memory of a simulation, in MiB.
fn memory(program: &Path, scenario: &Path) -> Result<f64> {
    let mut child = Command::new(program)
        .args(["simulate".as_ref(), "--scenario".as_ref(), scenario.as_os_str()])
        .args(["--output", "json"])
        .stdout(Stdio::null())
        .spawn()
        .context("cannot run windlass simulate")?;
    let mut highest = 0;
    let until = Instant::now() + LARGE_WITHIN;
    let status = loop {
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            bail!("the simulation of {NODES} nodes is not through after {} s", LARGE_WITHIN.as_secs());
        }
        // The kernel keeps the mark itself; only its last moments can be missed.
        let marks = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let mark = marks.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        highest = mark.unwrap_or(highest);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    ensure!(status.success(), "the simulation of {NODES} nodes: {status}");
    Ok(number(highest) / 1024.0)
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use winfleet::scenario::Scenario;

    #[test]
    fn the_large_fleet_has_ten_thousand_nodes_a_twentieth_of_them_at_a_time() {
        let small = std::fs::read_to_string(workspace::root().join(simulate_many::FLEET)).expect("the small fleet");
        let large = Scenario::parse(&large(small)).expect("a scenario");
        assert_eq!(large.machines.len(), NODES);
        let budgets: Vec<_> = large
            .manifests
            .iter()
            .filter_map(|manifest| manifest.object.pointer("/spec/batch/maxUnavailable")?.as_u64())
            .collect();
        assert_eq!(budgets, [200, 300]);
    }
}
