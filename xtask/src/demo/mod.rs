//! `cargo xtask demo`: the main job, from nothing. A good update goes through the fleet; a bad one is caught, reverted
//! and halted by the operator itself.
//!
//! The demo only does what users do: it applies the manifests of `examples/demo` and looks. What it tells at the end is
//! read back from the API server.

mod aws;
mod fleet;
mod kubevirt;
mod promise;
mod provider;
mod summary;
mod view;

use crate::cluster::{Cluster, Options};
use crate::workspace;
use anyhow::{Context, Result, ensure};
use fleet::Watcher;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ListParams};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use windlass::api::{RolloutState, UpdateRollout};

use provider::Stage;

pub use provider::Provider;
pub use summary::{NodeLine, RolloutLine, Summary};

/// Longest a rollout of the demo may take, in seconds; the story promises less than 240 in all.
const PATIENCE: Duration = Duration::from_mins(4);
/// How often the cluster is looked at.
const LOOK: Duration = Duration::from_millis(300);
/// Where the demo's manifests are, under the checkout.
const MANIFESTS: &str = "examples/demo";

/// How the agent runs on the machine that the bad update breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Agent {
    /// Its core, inside winfleet, as on all machines.
    #[default]
    Simulated,
    /// The real windlass-agent.exe, under Wine.
    Wine,
}

/// How to run the demo.
#[derive(Clone, Debug, Default)]
pub struct Demo {
    /// Leave the cluster running at the end.
    pub keep: bool,
    /// How the agent runs on the machine that the bad update breaks.
    pub agent: Agent,
    /// Write the outcome there, as JSON.
    pub summary: Option<PathBuf>,
    /// The cluster's folder; without it, one under the system's temporary folder.
    pub dir: Option<PathBuf>,
    /// Who takes and restores the snapshots.
    pub provider: Provider,
}

/// Runs the demo.
///
/// # Errors
/// The cluster does not come up, or the story did not end as promised: the message names each broken promise.
pub async fn run(demo: Demo) -> Result<()> {
    let dir = demo.dir.clone().unwrap_or_else(default_dir);
    ensure!(!demo.keep || demo.provider == Provider::Simulated, "--keep: only with --provider simulated");
    let scenario = workspace::root().join(match demo.agent {
        Agent::Simulated => "examples/scenarios/demo.yaml",
        Agent::Wine => "examples/scenarios/demo-wine.yaml",
    });
    let stage = demo.provider.set_up(scenario).await?;
    println!("A control plane, 12 simulated Windows nodes in 3 zones, and the operator under its own rights:");
    let cluster =
        Cluster::up(Options { scenario: Some(stage.scenario()), operator: true, ..Options::new(&dir) }).await?;
    let told = tell(&cluster, &stage).await;
    let summary = Summary::read(&cluster).await?;
    summary.print();
    stage.print(&cluster)?;
    // What plays a provider's part ends before what it works with.
    drop(stage);
    if let Some(file) = &demo.summary {
        std::fs::write(file, serde_json::to_vec_pretty(&summary)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if demo.keep {
        println!("\nexport KUBECONFIG={}", cluster.kubeconfig().display());
        println!("End it with: cargo xtask cluster down --dir {}", dir.display());
        cluster.keep()?;
    } else {
        drop(cluster);
        // A folder that somebody named is theirs.
        if demo.dir.is_none() && told.is_ok() {
            let _ = std::fs::remove_dir_all(&dir);
        }
    }
    told
}

fn default_dir() -> PathBuf {
    std::env::temp_dir().join(format!("windlass-demo-{}", std::process::id()))
}

async fn tell(cluster: &Cluster, stage: &Stage) -> Result<()> {
    let started = Instant::now();
    let machines = cluster.machines().context("the demo's cluster has machines")?;
    apply(cluster, "workloads.yaml").await?;
    apply(cluster, "policy.yaml").await?;
    stage.bring_class(cluster, &machines.hypervisor).await?;
    apply(cluster, "rings.yaml").await?;
    workloads_are_up(cluster).await.context("the demo's workloads")?;

    println!("\nRollout 1: the update of June, a good one.");
    let june = roll_out(cluster, "patch-tuesday-june", "rollout-june.yaml").await?;
    println!(
        "\nMicrosoft publishes KB5040437. Rollout 2: the update of July 2024, which takes down pod networks on one CNI."
    );
    let publish = format!("{}/sim/updates/KB5040437/publish", machines.hypervisor);
    reqwest::Client::new().post(publish).timeout(Duration::from_secs(10)).send().await?.error_for_status()?;
    let july = roll_out(cluster, "patch-tuesday-july", "rollout-july.yaml").await?;

    workloads_are_up(cluster).await.context("the workloads after both rollouts")?;
    let mut broken = promise::broken(cluster, &june, &july).await?;
    broken.extend(stage.broken(cluster).await?);
    println!("\nTold in {} s.", started.elapsed().as_secs());
    ensure!(broken.is_empty(), "the story did not end as promised:\n- {}", broken.join("\n- "));
    Ok(())
}

async fn apply(cluster: &Cluster, manifest: &str) -> Result<()> {
    let path = workspace::root().join(MANIFESTS).join(manifest);
    kubectl(cluster, &["apply", "--filename"], &path).await
}

async fn kubectl(cluster: &Cluster, args: &[&str], path: &Path) -> Result<()> {
    let output = cluster.kubectl().args(args).arg(path).output().await?;
    ensure!(output.status.success(), "kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Starts a rollout and watches it, and the fleet under it, until no node is in work any more.
async fn roll_out(cluster: &Cluster, name: &str, manifest: &str) -> Result<Watcher> {
    apply(cluster, manifest).await?;
    let rollouts: Api<UpdateRollout> = Api::all(cluster.client().await?);
    let mut watcher = Watcher::new(cluster.client().await?, name);
    let mut view = view::View::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let updates = watcher.look().await?;
        view.show(&updates);
        let status = rollouts.get(name).await?.status.unwrap_or_default();
        let ended = status.ended_at.is_some() || status.state == RolloutState::Stalled;
        if ended {
            view.end(&status);
            return Ok(watcher);
        }
        ensure!(
            Instant::now() < deadline,
            "{name} has not ended within {} s: {:?} {:?}",
            PATIENCE.as_secs(),
            status.state,
            status.reason
        );
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until every Deployment has all its replicas available.
async fn workloads_are_up(cluster: &Cluster) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(cluster.client().await?, "shop");
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let all = deployments.list(&ListParams::default()).await?.items;
        let missing: Vec<_> =
            all.iter().filter(|d| available(d) < wanted(d)).filter_map(|d| d.metadata.name.as_deref()).collect();
        if missing.is_empty() && !all.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "not all replicas are available: {}", missing.join(", "));
        tokio::time::sleep(LOOK).await;
    }
}

fn available(deployment: &Deployment) -> i32 {
    deployment.status.as_ref().and_then(|s| s.available_replicas).unwrap_or_default()
}

fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
}
