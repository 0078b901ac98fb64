//! `winfleet`: runs the simulated Windows machines of a scenario against a real API server.

use anyhow::Context;
use clap::{Parser, Subcommand};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use winfleet::{
    hypervisor::SharedWorld,
    kubelet::{Fleet, FleetOptions, Running},
    model::World,
    scenario::Scenario,
    wine::{Wine, WineMachines},
};

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the kubelets and the hypervisor of a scenario until SIGTERM.
    Run(Run),
}

#[derive(clap::Args)]
struct Run {
    /// Kubeconfig by which all kubelets reach the API server.
    #[arg(long)]
    kubeconfig: PathBuf,
    /// Scenario file (docs/scenarios.md).
    #[arg(long)]
    scenario: PathBuf,
    /// Serving certificate of the kubelets, PEM, valid for 127.0.0.1.
    #[arg(long)]
    kubelet_cert: PathBuf,
    /// Key of the serving certificate, PEM.
    #[arg(long)]
    kubelet_key: PathBuf,
    /// Address of the hypervisor's HTTP API; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Written once all nodes are registered: {"hypervisor": URL, "kubelet": PORT}.
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// Requests per second to the API server, for the whole fleet.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_second: u32,
    /// Runs a Windows program, for machines with `agent: wine`: <runner> <exe> <arguments>.
    #[arg(long, requires = "agent_exe")]
    wine_runner: Option<PathBuf>,
    /// windlass-agent.exe with the feature fake-machine, for machines with `agent: wine`.
    #[arg(long, requires = "wine_runner")]
    agent_exe: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,kube_client=warn,kube_runtime=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    // The only failure is a provider that is installed already.
    rustls::crypto::ring::default_provider().install_default().ok();
    let Command::Run(run) = Cli::parse().command;
    run.run().await
}

impl Run {
    async fn run(self) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            result = self.serve() => result,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    }

    /// Starts everything and serves for ever. Dropping it stops all parts: each write is whole or not done, and the
    /// next start takes on what is there.
    async fn serve(self) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(&self.scenario)
            .with_context(|| format!("--scenario {}", self.scenario.display()))?;
        let scenario = Scenario::parse(&text).with_context(|| format!("--scenario {}", self.scenario.display()))?;
        let wine = self.wine(&scenario)?;
        let world = SharedWorld::new(World::new(&scenario, jiff::Timestamp::now()));
        let listener = TcpListener::bind(self.listen).await.with_context(|| format!("--listen {}", self.listen))?;
        let hypervisor = format!("http://{}", listener.local_addr()?);
        let hypervisor_api = axum::serve(listener, winfleet::hypervisor::router(world.clone()));
        let mut fleet = Fleet::start(world, &self.fleet_options(wine)).await?;
        tokio::select! {
            ended = hypervisor_api => ended.context("the hypervisor's server ended"),
            ended = self.follow(&mut fleet, &hypervisor) => ended,
        }
    }

    fn fleet_options(&self, wine: WineMachines) -> FleetOptions {
        FleetOptions {
            kubeconfig: self.kubeconfig.clone(),
            kubelet_cert: self.kubelet_cert.clone(),
            kubelet_key: self.kubelet_key.clone(),
            requests_per_second: self.requests_per_second,
            wine,
        }
    }

    fn wine(&self, scenario: &Scenario) -> anyhow::Result<WineMachines> {
        let (runner, exe) = (self.wine_runner.clone(), self.agent_exe.clone());
        WineMachines::of(scenario, runner.zip(exe).map(|(runner, exe)| Wine { runner, exe }))
    }

    /// Says when the fleet is ready, then waits for the part of it that ends, which none should.
    async fn follow(&self, fleet: &mut Running, hypervisor: &str) -> anyhow::Result<()> {
        fleet.all_registered().await?;
        tracing::info!(hypervisor, kubelet = fleet.kubelet_port, "all nodes are registered");
        if let Some(path) = &self.ready_file {
            let ready = serde_json::json!({"hypervisor": hypervisor, "kubelet": fleet.kubelet_port});
            write_whole(path, &ready.to_string()).with_context(|| format!("--ready-file {}", path.display()))?;
        }
        match fleet.tasks.join_next().await {
            Some(Err(error)) => Err(error).context("a part of the fleet failed"),
            _ => anyhow::bail!("a part of the fleet ended"),
        }
    }
}

/// Writes a file so that a reader sees all of it or nothing.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    std::fs::write(&unfinished, text)?;
    std::fs::rename(&unfinished, path)
}
