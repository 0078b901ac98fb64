//! A whole Kubernetes cluster on this machine: etcd, API server, controller-manager, scheduler, simulated Windows nodes,
//! and the operator under the rights that ship.
//!
//! ```no_run
//! # async fn story() -> anyhow::Result<()> {
//! use xtask::cluster::{Cluster, Options};
//!
//! let options = Options { scenario: Some("examples/scenarios/demo.yaml".into()), operator: true, ..Options::new("/tmp/story") };
//! let cluster = Cluster::up(options).await?;
//! let client = cluster.client().await?; // an administrator's
//! // ... and when `cluster` is dropped, however that comes, every process of it is gone.
//! # Ok(()) }
//! ```

pub mod audit;
mod install;
mod kubeconfig;
mod machines;
mod operator;
mod pki;
mod process;
pub mod registry;
mod servers;
mod startup;
mod wait;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

pub use install::owns_its_namespace;
pub(crate) use install::{CHARTS, render_chart};
pub use machines::Machines;
pub use operator::Operator;
pub use process::Spec;
pub use servers::NodeLifecycle;

use crate::control_plane::{self, Binaries};
use crate::workspace::{self, Profile, Programs};
use process::Processes;

/// Names in a cluster's folder that `up` may remove when it uses the folder again.
const OURS: [&str; 6] = ["etcd", "helm", "logs", "pki", "winfleet", "cluster.json"];

/// What cluster to make.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster's own folder: new, empty, or of a cluster that has ended.
    pub dir: PathBuf,
    /// The simulated machines; without it the cluster has no nodes.
    pub scenario: Option<PathBuf>,
    /// Whether to start an operator, named `operator`.
    pub operator: bool,
    /// When a silent node counts as lost.
    pub node_lifecycle: NodeLifecycle,
    /// The programs to run; without them cargo builds those that are needed (profile dev).
    pub programs: Option<Programs>,
}

impl Options {
    /// A control plane in `dir`, with the charts installed and nothing else.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let node_lifecycle = NodeLifecycle::default();
        Self { dir: dir.into(), scenario: None, operator: false, node_lifecycle, programs: None }
    }
}

/// What `cluster.json` has: all that another process needs to use the cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    server: String,
    binaries: Binaries,
    programs: Option<Programs>,
    machines: Option<Machines>,
}

/// A running cluster. Dropping it ends every process of it, unless it was [kept](Cluster::keep) or only attached to.
pub struct Cluster {
    dir: PathBuf,
    facts: Facts,
    processes: Processes,
}

impl Cluster {
    /// Makes a cluster and returns when it can be used: the API answers, the CRDs are established, the admission policy
    /// works, the simulated nodes are Ready, and, if asked for, the operator is ready.
    ///
    /// # Guarantees
    /// Two clusters at once do not meet: ports are the system's choice, everything else is in `dir`.
    /// No process is left behind when this fails, is cancelled, panics, or when this process is killed.
    ///
    /// # Errors
    /// The folder is in use, a binary cannot be had, or a part does not become ready in time; the message says which and
    /// carries the end of its log.
    pub async fn up(options: Options) -> Result<Self> {
        let started = Instant::now();
        install_crypto();
        let dir = prepare(&options.dir)?;
        let binaries = tokio::task::spawn_blocking(control_plane::ensure).await??;
        let programs = programs(&options).await?;
        registry::add(&dir)?;
        let pki = pki::Pki::create(&dir.join("pki"))?;
        let (processes, server) = startup::control_plane(&dir, &binaries, &pki, options.node_lifecycle).await?;
        let facts = Facts { server, binaries, programs, machines: None };
        let mut cluster = Self { dir, facts, processes };
        cluster.write_kubeconfigs(&pki)?;
        cluster.install().await?;
        if let Some(scenario) = &options.scenario {
            cluster.facts.machines = Some(cluster.start_machines(scenario, &pki.kubelet).await?);
        }
        cluster.save()?;
        if options.operator {
            let operator = cluster.start_operator(operator::DEFAULT_NAME).await?;
            cluster.operator_is_ready(&operator).await?;
        }
        tracing::info!("cluster up in {:.1} s", started.elapsed().as_secs_f32());
        Ok(cluster)
    }

    /// Uses the running cluster of `dir`, which stays as it is when this is dropped.
    ///
    /// # Errors
    /// There is no cluster in `dir`, or its API server does not run.
    pub fn attach(dir: &Path) -> Result<Self> {
        install_crypto();
        let dir = std::path::absolute(dir)?;
        let path = dir.join("cluster.json");
        let json = fs::read(&path).with_context(|| format!("no cluster in {}", dir.display()))?;
        let facts = serde_json::from_slice(&json).with_context(|| format!("cannot parse {}", path.display()))?;
        let processes = Processes::attach(&dir)?;
        ensure!(processes.is_alive("kube-apiserver"), "the cluster in {} does not run", dir.display());
        Ok(Self { dir, facts, processes })
    }

    /// Ends every process of the cluster in `dir`, whoever started it, complete or not. The folder stays, for its logs.
    ///
    /// # Errors
    /// There never was a cluster in `dir`.
    pub fn down(dir: &Path) -> Result<()> {
        let dir = std::path::absolute(dir)?;
        ensure!(dir.join("processes.json").exists(), "no cluster in {}", dir.display());
        Processes::attach(&dir)?.stop_all();
        registry::remove(&dir)
    }

    /// Lets the cluster outlive this process; `cargo xtask cluster down --dir ...` ends it.
    ///
    /// # Errors
    /// The guardian cannot be told; the cluster ends.
    pub fn keep(mut self) -> Result<()> {
        self.processes.release()
    }

    /// The cluster's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// URL of the API server.
    pub fn server(&self) -> &str {
        &self.facts.server
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The programs of the control plane, kubectl and helm among them.
    pub fn binaries(&self) -> &Binaries {
        &self.facts.binaries
    }

    /// Where the simulated machines can be reached, if the cluster has a scenario.
    pub fn machines(&self) -> Option<&Machines> {
        self.facts.machines.as_ref()
    }

    /// The requests of operator and agents that the API server has answered so far.
    ///
    /// # Errors
    /// The audit log cannot be read.
    pub fn audit(&self) -> Result<Vec<audit::Request>> {
        audit::read(&self.dir.join("logs/audit.log"))
    }

    /// An administrator's client.
    ///
    /// # Errors
    /// The kubeconfig cannot be read.
    pub async fn client(&self) -> Result<kube::Client> {
        client(&self.kubeconfig()).await
    }

    /// `kubectl` as administrator, ready for its arguments; it ends with its future.
    pub fn kubectl(&self) -> tokio::process::Command {
        let mut kubectl = tokio::process::Command::new(&self.facts.binaries.kubectl);
        kubectl.arg("--kubeconfig").arg(self.kubeconfig()).arg("--cache-dir").arg(self.dir.join("kubectl-cache"));
        kubectl.kill_on_drop(true);
        kubectl
    }

    /// The pid of the process `name` (`etcd`, `kube-apiserver`, `kube-controller-manager`, `kube-scheduler`, `winfleet`, or an
    /// operator's name), while it lives.
    pub fn pid(&self, name: &str) -> Option<i32> {
        self.processes.pid(name)
    }

    /// The file with the output of the process `name`.
    pub fn log(&self, name: &str) -> PathBuf {
        self.processes.log(name)
    }

    /// Sends a signal to the process `name`, without waiting.
    ///
    /// # Errors
    /// It does not run.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        self.processes.signal(name, signal)
    }

    /// Ends the process `name` by SIGTERM, then SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// The record of the processes cannot be written.
    pub fn stop(&self, name: &str) -> Result<()> {
        self.processes.stop(name)
    }

    /// Ends the process `name` by SIGKILL and waits until it is gone: a crash.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&self, name: &str) -> Result<()> {
        self.processes.signal(name, Signal::SIGKILL)?;
        self.processes.stop(name)
    }

    /// Starts the process `name` again with the arguments it had.
    ///
    /// # Errors
    /// It was never started, or it still runs.
    pub fn restart(&self, name: &str) -> Result<()> {
        self.processes.start(self.processes.spec(name)?)
    }

    fn write_kubeconfigs(&self, pki: &pki::Pki) -> Result<()> {
        for (file, identity) in [("kubeconfig", &pki.admin), ("winfleet.kubeconfig", &pki.winfleet)] {
            let credential = kubeconfig::Credential::Certificate(identity);
            kubeconfig::write(&self.dir.join(file), self.server(), &pki.ca, &credential)?;
        }
        Ok(())
    }

    fn save(&self) -> Result<()> {
        process::write_private(&self.dir.join("cluster.json"), &serde_json::to_vec_pretty(&self.facts)?)
    }

    /// The programs of this workspace, or why there are none.
    fn programs(&self) -> Result<&Programs> {
        self.facts.programs.as_ref().context("this cluster was made without windlass and winfleet")
    }
}

/// A client for the cluster that a kubeconfig file names.
async fn client(kubeconfig: &Path) -> Result<kube::Client> {
    let config = Kubeconfig::read_from(kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    Ok(kube::Client::try_from(config)?)
}

/// Chooses ring for all of this process's TLS; somebody who has chosen already wins.
pub(crate) fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The programs that the options ask for: those given, or built if any is to be run.
async fn programs(options: &Options) -> Result<Option<Programs>> {
    match &options.programs {
        None if options.scenario.is_some() || options.operator => {
            tokio::task::spawn_blocking(|| workspace::build_programs(Profile::Dev)).await?.map(Some)
        }
        given => Ok(given.clone()),
    }
}

/// Makes the folder ready for a new cluster, and refuses one that holds anything else.
fn prepare(dir: &Path) -> Result<PathBuf> {
    let dir = std::path::absolute(dir)?;
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    if dir.join("processes.json").exists() {
        let alive = Processes::attach(&dir)?.list().into_iter().any(|(_, pid)| pid.is_some());
        ensure!(!alive, "a cluster runs in {0}: `cargo xtask cluster down --dir {0}` ends it", dir.display());
    } else if fs::read_dir(&dir)?.next().is_some() {
        bail!("{} is not empty, and was never a cluster's folder", dir.display());
    }
    for name in OURS {
        let path = dir.join(name);
        if path.is_dir() {
            fs::remove_dir_all(&path)?;
        } else if path.exists() {
            fs::remove_file(&path)?;
        }
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_other_things_is_refused() {
        let dir = std::env::temp_dir().join(format!("windlass-prepare-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("thesis.txt"), "mine").unwrap();
        let error = prepare(&dir).unwrap_err();
        assert!(error.to_string().ends_with("is not empty, and was never a cluster's folder"), "{error}");
        assert!(dir.join("thesis.txt").exists());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn there_is_nothing_to_end_in_a_folder_without_a_cluster() {
        let error = Cluster::down(Path::new("/nonexistent")).unwrap_err();
        assert_eq!(error.to_string(), "no cluster in /nonexistent");
    }
}
