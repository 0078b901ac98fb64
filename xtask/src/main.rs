//! `cargo xtask`: the whole developer interface.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use xtask::cluster::{Cluster, Options, registry};
use xtask::demo::{self, Demo};
use xtask::simulate_many::{self, Many};
use xtask::windows::build;
use xtask::workspace::Profile;
use xtask::{agent, bench, ci, crdgen, incidents, probe, soak};

/// The developer's interface of Windlass.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the main job, from nothing: a good update goes through a fleet, a bad one is caught, reverted and halted
    Demo {
        /// Leave the cluster running at the end, and print its kubeconfig
        #[arg(long)]
        keep: bool,
        /// How the agent runs on win-3, which the bad update breaks
        #[arg(long, value_enum, default_value_t)]
        agent: demo::Agent,
        /// Write the outcome there, as JSON
        #[arg(long, value_name = "FILE")]
        summary: Option<PathBuf>,
        /// The cluster's folder; without it, one under the system's temporary folder
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Who takes and restores the snapshots
        #[arg(long, value_enum, default_value = "simulated")]
        provider: demo::Provider,
    },
    /// A real control plane on this machine, with simulated Windows nodes
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Measure requests, memory, the planner and the makespan (about eight minutes)
    Bench {
        /// Only this part
        #[arg(long, value_enum)]
        only: Option<bench::Part>,
        /// Also write the figures there, as JSON
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Play published Windows incidents and months of noise against examples/default, and print what came
    Incidents {
        /// Only scenarios whose name contains this
        #[arg(default_value = "")]
        filter: String,
        /// Write the tables to docs/incidents.md; without it they are compared with what stands there
        #[arg(long, conflicts_with = "filter")]
        bless: bool,
    },
    /// Write the CRDs of src/api to crds/ and to the chart
    Crdgen {
        /// Only compare, and fail on a difference
        #[arg(long)]
        check: bool,
    },
    /// The agent as a Windows program
    #[command(subcommand)]
    Agent(AgentCommand),
    /// The program of http probe pods as a Windows program
    #[command(subcommand)]
    Probe(ProbeCommand),
    /// Run all tests, on a real control plane where they need one
    Test {
        /// What is passed on to `cargo test --workspace`: a filter, or flags after `--`; `providers` runs their conformance suite
        /// alone, with `--bless` to write its tables
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        filter: Vec<String>,
    },
    /// Kill the operator by SIGKILL, again and again, on a real control plane: the same ends, and nothing done twice
    Soak {
        /// How often
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        kills: u64,
        /// Which moments are drawn
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Write the logs of tests/golden anew; git shows what changed in the stories
    Golden,
    /// Play many small fleets with heavy faults, one seed after the other on all cores
    SimulateMany {
        /// How many simulations
        #[arg(long, default_value_t = 10_000)]
        runs: u64,
        /// The first seed
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The fleet, from the root of the workspace; a smaller one, for many more of them, is beside it as small.yaml
        #[arg(long, value_name = "FILE", default_value = simulate_many::FLEET)]
        scenario: PathBuf,
        /// How the program is built that plays them
        #[arg(long, value_enum, default_value = "quick")]
        profile: Profile,
    },
    /// Run everything a change must pass: format, clippy, CRDs, dependencies, charts, tests
    Ci,
}

#[derive(Subcommand)]
enum AgentCommand {
    /// Build windlass-agent.exe as it ships: release, C runtime inside, version resource with the commit
    Build {
        /// Copy it there; without it, it stays in cargo's folder
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Fuzz what it reads from others: requests, reports, its state file
    Fuzz {
        /// Seconds for each target
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Measure it under Wine: size, start to report, and what it takes while it waits for an installation
    Bench {
        /// How many seconds of waiting are measured; the figure is scaled to ten minutes
        #[arg(long, value_name = "N", default_value_t = 60)]
        wait: u64,
    },
    /// Lint and test it for Windows, under Wine, which is installed where it can be
    Test {
        /// What is passed on to `cargo test`: a filter, or flags after `--`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        filter: Vec<String>,
    },
}

#[derive(Subcommand)]
enum ProbeCommand {
    /// Build windlass-probe.exe as it ships: release, C runtime inside, loadable on a Nano Server
    Build {
        /// Copy it there; without it, it stays in cargo's folder
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Lint and test it for Windows, under Wine, which is installed where it can be
    Test {
        /// What is passed on to `cargo test`: a filter, or flags after `--`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        filter: Vec<String>,
    },
}

#[derive(Subcommand)]
enum ClusterCommand {
    /// Make a cluster, leave it running, and print its kubeconfig's path
    Up {
        /// The cluster's own folder: new, empty, or of a cluster that has ended
        #[arg(long)]
        dir: PathBuf,
        /// The simulated machines (docs/scenarios.md); without it there are no nodes
        #[arg(long)]
        scenario: Option<PathBuf>,
        /// Also run the operator
        #[arg(long)]
        operator: bool,
    },
    /// End every process of a cluster; its folder stays, for the logs
    Down {
        /// The cluster's folder
        #[arg(long)]
        dir: PathBuf,
    },
    /// Show the running clusters of this machine
    List,
}

#[tokio::main]
async fn main() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,xtask=info"));
    let format = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    format.without_time().with_target(false).with_level(false).init();
    let end = tokio::select! {
        result = run(Cli::parse().command) => result.map_or_else(|error| { tracing::error!("error: {error:#}"); 1 }, |()| 0),
        // The other branch is dropped by now, and with it every process that was started.
        code = interrupted() => { tracing::error!("interrupted"); code }
    };
    // Not a return: a thread may still wait for a program that the guardian ends only now.
    std::process::exit(end)
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Demo { keep, agent, summary, dir, provider } => {
            demo::run(Demo { keep, agent, summary, dir, provider }).await
        }
        Command::Cluster(command) => cluster(command).await,
        Command::Bench { only, json } => bench::run(only, json).await,
        Command::Incidents { filter, bless } => incidents::run(filter, bless).await,
        Command::Crdgen { check: true } => crdgen::check(),
        Command::Crdgen { check: false } => crdgen::write(),
        Command::Agent(AgentCommand::Build { to }) => build::deliver(&build::AGENT, to).await,
        Command::Agent(AgentCommand::Fuzz { seconds }) => agent::fuzz(seconds).await,
        Command::Agent(AgentCommand::Bench { wait }) => agent::bench(Duration::from_secs(wait)).await,
        Command::Agent(AgentCommand::Test { filter }) => agent::test(&filter).await,
        Command::Probe(ProbeCommand::Build { to }) => build::deliver(&build::PROBE, to).await,
        Command::Probe(ProbeCommand::Test { filter }) => probe::test(&filter).await,
        Command::Test { filter } => ci::test(&filter).await,
        Command::Soak { kills, seed } => soak::run(kills, seed).await,
        Command::Golden => ci::golden().await,
        Command::SimulateMany { runs, seed, scenario, profile } => {
            let many = Many { scenario, runs, first: seed, within: None };
            tokio::task::spawn_blocking(move || simulate_many::run(profile, &many)).await?
        }
        Command::Ci => ci::run().await,
    }
}

async fn cluster(command: ClusterCommand) -> Result<()> {
    match command {
        ClusterCommand::Up { dir, scenario, operator } => {
            let cluster = Cluster::up(Options { scenario, operator, ..Options::new(dir) }).await?;
            let kubeconfig = cluster.kubeconfig();
            cluster.keep()?;
            println!("{}", kubeconfig.display());
        }
        ClusterCommand::Down { dir } => Cluster::down(&dir)?,
        ClusterCommand::List => {
            for entry in registry::list().context("cannot list the clusters")? {
                let processes = entry.processes.iter().map(|(name, pid)| format!("{name} ({pid})"));
                println!("{}\t{}", entry.dir.display(), processes.collect::<Vec<_>>().join(", "));
            }
        }
    }
    Ok(())
}

/// Waits for Ctrl-C, SIGTERM or SIGHUP, and returns the exit code that shells use for it.
async fn interrupted() -> i32 {
    let wait = async |kind: SignalKind| match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
            128 + kind.as_raw_value()
        }
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        code = wait(SignalKind::interrupt()) => code,
        code = wait(SignalKind::terminate()) => code,
        code = wait(SignalKind::hangup()) => code,
    }
}
