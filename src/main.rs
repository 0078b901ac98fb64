//! `windlass`: reads flags, wires the rooms, runs until it is told to end.

use anyhow::Context as _;
use clap::Parser;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use windlass::act::Clients;
use windlass::config::{Cli, Command, Config, LogFormat};
use windlass::controllers::{Controllers, Parts, resources_served};
use windlass::observe::Stores;
use windlass::ports::SnapshotProviders;
use windlass::providers::{Prometheus, Registry, Surroundings};
use windlass::telemetry::{Elector, Health, Metrics, Phase, Terms, counted_client, init_logs, serve};

/// Name of the leader's Lease.
const LEASE: &str = "windlass";
/// How long what is under way may take to come to its end when the operator is told to end.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long giving the lease back may take. Together with the above it is less than the 20 s that a shutdown may last.
const RELEASE_WITHIN: Duration = Duration::from_secs(4);

/// How long what still runs in the background may keep the process: a name that does not resolve, say.
const EXIT_WITHIN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let config = match Cli::parse().command {
        Command::Run(config) => config,
        Command::Simulate(flags) => return ExitCode::from(windlass::simulate::cli::main(&flags).code()),
    };
    init_logs(config.log_format == LogFormat::Json);
    // Two crates speak TLS; neither chooses a provider by itself.
    drop(rustls::crypto::ring::default_provider().install_default());
    let result = Runtime::new().context("no threads").and_then(|runtime| {
        let result = runtime.block_on(run(&config));
        runtime.shutdown_timeout(EXIT_WITHIN);
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the operator until it is told to end. An error is a reason to be started again.
async fn run(config: &Config) -> anyhow::Result<()> {
    config.check()?;
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::new(Arc::clone(&metrics)));
    serve(config.listen, Arc::clone(&health)).await.with_context(|| format!("--listen {}", config.listen))?;
    let kube = config.kube().await?;
    let clients =
        Clients { read: counted_client(&kube, true, &metrics)?, act: counted_client(&kube, false, &metrics)? };
    // Renewals must not queue behind other requests.
    let client = counted_client(&kube, false, &metrics)?;
    let mut elector = Elector::new(client, &config.namespace, LEASE, &config.identity(), Terms::of(config));
    let mut told_to_end = std::pin::pin!(told_to_end()?);
    let leads = async {
        resources_served(&clients.read).await?;
        health.set(Phase::Standby);
        elector.acquire().await;
        anyhow::Ok(())
    };
    tokio::select! {
        leads = leads => leads?,
        () = &mut told_to_end => return Ok(()),
    }
    tracing::info!("leading");
    metrics.leads(true);
    let result = lead(config, clients, &metrics, &health, (&mut elector, told_to_end)).await;
    metrics.leads(false);
    if result.is_ok() && tokio::time::timeout(RELEASE_WITHIN, elector.release()).await.is_err() {
        tracing::warn!("lease not released in time, it runs out by itself");
    }
    result
}

/// Leads until told to end, or until the lease is lost: then the process ends, and whatever it was about to do.
async fn lead(
    config: &Config,
    clients: Clients,
    metrics: &Arc<Metrics>,
    health: &Health,
    (elector, mut told_to_end): (&mut Elector, std::pin::Pin<&mut impl Future<Output = ()>>),
) -> anyhow::Result<()> {
    health.set(Phase::Filling);
    let work = async {
        let mut controllers = tokio::select! {
            started = start(config, clients, metrics) => started?,
            () = &mut told_to_end => return Ok(()),
        };
        health.set(Phase::Leading);
        tokio::select! {
            () = controllers.ended() => anyhow::bail!("a controller ended by itself"),
            () = &mut told_to_end => {}
        }
        health.set(Phase::Stopping);
        tracing::info!("told to end");
        controllers.stop(STOP_WITHIN).await;
        Ok(())
    };
    tokio::select! {
        result = work => result,
        lost = elector.keep() => Err(lost.into()),
    }
}

async fn start(config: &Config, clients: Clients, metrics: &Arc<Metrics>) -> anyhow::Result<Controllers> {
    let surroundings = Surroundings::of(&clients.read, &config.namespace).await.context("namespace kube-system")?;
    let providers = Box::new(|stores: &Stores| {
        Arc::new(Registry::new(stores.classes.clone(), surroundings)) as Arc<dyn SnapshotProviders>
    });
    let monitoring = Arc::new(Prometheus::new().map_err(anyhow::Error::msg)?);
    Ok(Controllers::start(Parts::of(config, clients, metrics, (providers, monitoring))).await?)
}

/// Resolves when the process is told to end.
fn told_to_end() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
