//! `cargo xtask simulate-many`: many small fleets with heavy faults, one seed after the other on all cores.
//!
//! The program that users have plays them; what is counted is read from its reports.

use crate::workspace::{self, Profile};
use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Seeds that one process plays before the next is started: its start costs nothing beside them.
const CHUNK: u64 = 20;
/// The fleet that is played, from the root of the workspace.
pub const FLEET: &str = "xtask/src/simulate_many/fleet.yaml";

/// The bar of a run whose end is known.
const BAR: &str = "{elapsed_precise} {bar:40} {pos}/{len} ({per_sec}, {eta} left)";
/// The bar of a run that ends by the clock.
const SPINNER: &str = "{elapsed_precise} {pos} ({per_sec})";

/// What many simulations came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Simulations.
    pub runs: u64,
    /// Node updates that ended.
    pub node_updates: u64,
    /// Rollouts by state.
    pub states: BTreeMap<String, u64>,
    /// Checks of invariants.
    pub checked: u64,
    /// Seeds of simulations in which an invariant was broken, with the first message.
    pub broken: Vec<(u64, String)>,
}

/// Which simulations are played.
#[derive(Debug)]
pub struct Many {
    /// The scenario, from the root of the workspace or absolute.
    pub scenario: PathBuf,
    /// How many.
    pub runs: u64,
    /// The first seed.
    pub first: u64,
    /// After this time none is begun any more.
    pub within: Option<Duration>,
}

/// Plays simulations on all cores.
///
/// # Errors
/// The program can not be built or run, or an invariant was broken: the text has the seeds and how to replay them.
pub fn run(profile: Profile, many: &Many) -> Result<()> {
    let player = Player { program: workspace::build_programs(profile)?.windlass, scenario: &many.scenario };
    let began = Instant::now();
    let until = many.within.map(|within| began + within);
    let bar = if until.is_some() { ProgressBar::new_spinner() } else { ProgressBar::new(many.runs) };
    let style = if until.is_some() { SPINNER } else { BAR };
    bar.set_style(ProgressStyle::with_template(style).context("the bar's style")?);
    bar.enable_steady_tick(Duration::from_secs(1));
    let tally = all(&player, many, until, &|| bar.inc(1))?;
    bar.finish();
    let took = began.elapsed();
    println!(
        "{} rollouts with {} node updates in {:.0} s; {} checks, {} broken",
        tally.runs,
        tally.node_updates,
        took.as_secs_f64(),
        tally.checked,
        tally.broken.len()
    );
    println!("{:?}", tally.states);
    for (seed, message) in &tally.broken {
        println!("seed {seed}: {message}");
        let scenario = many.scenario.display();
        println!("  replay: windlass simulate --scenario {scenario} --faults heavy --seed {seed} --log story.txt");
    }
    ensure!(tally.broken.is_empty(), "{} simulations broke an invariant", tally.broken.len());
    Ok(())
}

/// Plays so many simulations, one after the other.
///
/// # Errors
/// The program can not be run.
pub fn one_core(program: PathBuf, runs: u64) -> Result<Tally> {
    let mut tally = Tally::default();
    Player { program, scenario: Path::new(FLEET) }.chunk(1, runs, &mut |report| note(&mut tally, report))?;
    Ok(tally)
}

fn all(player: &Player<'_>, many: &Many, until: Option<Instant>, done: &(impl Fn() + Sync)) -> Result<Tally> {
    let next = AtomicU64::new(0);
    let tally = Mutex::new(Tally::default());
    let work = || -> Result<()> {
        loop {
            let from = next.fetch_add(CHUNK, Ordering::Relaxed);
            if from >= many.runs || until.is_some_and(|until| Instant::now() >= until) {
                return Ok(());
            }
            player.chunk(many.first + from, CHUNK.min(many.runs - from), &mut |report| {
                note(&mut tally.lock().unwrap_or_else(PoisonError::into_inner), report);
                done();
            })?;
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
    })?;
    Ok(tally.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The program, and what it plays.
struct Player<'a> {
    program: PathBuf,
    scenario: &'a Path,
}

impl Player<'_> {
    /// Plays some seeds, and gives each report.
    fn chunk(&self, seed: u64, count: u64, each: &mut impl FnMut(&Value)) -> Result<()> {
        let mut child = Command::new(&self.program)
            .arg("simulate")
            .args(["--scenario".as_ref(), workspace::root().join(self.scenario).as_os_str()])
            .args(["--faults", "heavy", "--output", "json"])
            // More than one, so that each report is a line.
            .args(["--seed", &seed.to_string(), "--runs", &count.max(2).to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run windlass simulate")?;
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        for line in lines.take(usize::try_from(count)?) {
            each(&serde_json::from_str(&line?).context("windlass simulate printed no report")?);
        }
        let status = child.wait()?;
        ensure!(matches!(status.code(), Some(0 | 3)), "windlass simulate --seed {seed}: {status}");
        Ok(())
    }
}

fn note(tally: &mut Tally, report: &Value) {
    let list = |path: &str| report.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
    tally.runs += 1;
    tally.checked += report.pointer("/invariants/checked").and_then(Value::as_u64).unwrap_or_default();
    let ended = list("/nodes").iter().filter(|node| !node["outcome"].is_null()).count();
    tally.node_updates += u64::try_from(ended).unwrap_or_default();
    for rollout in list("/rollouts") {
        let state = rollout["state"].as_str().unwrap_or_default().to_owned();
        *tally.states.entry(state).or_default() += 1;
    }
    if let Some(broken) = list("/invariants/broken").first() {
        let message = format!("{}: {}", broken["invariant"], broken["message"]);
        tally.broken.push((report["seed"].as_u64().unwrap_or_default(), message));
    }
}
