//! The operator's flags.

mod simulate;

pub use simulate::{Faults, Output, Simulate};

use clap::{Args, Parser, Subcommand};
use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Updates the Windows nodes of a Kubernetes cluster ring by ring, and reverts what a bad update broke.
#[derive(Debug, Parser)]
#[command(name = "windlass", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the operator until it is told to end.
    Run(Box<Config>),
    /// Plays what policies, rings and rollouts would do to a simulated fleet; no cluster is needed.
    Simulate(Simulate),
}

/// The operator's settings.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// Namespace of the operator: its Lease, and the Secrets that SnapshotClasses name.
    #[arg(long, default_value = "windlass-system")]
    pub namespace: String,
    /// Namespace of agent pods.
    #[arg(long, default_value = "windlass-agents")]
    pub agents_namespace: String,
    /// Namespace of probe pods.
    #[arg(long, default_value = "windlass-probes")]
    pub probes_namespace: String,
    /// Image of the agent.
    #[arg(long)]
    pub agent_image: String,
    /// Image of the pods that ask a URL.
    #[arg(long)]
    pub probe_image: String,
    /// When these images are pulled.
    #[arg(long, default_value = "IfNotPresent", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub image_pull_policy: String,
    /// Where health and metrics are served.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// How log lines look.
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// Kubeconfig file; without it the in-cluster service account, or the usual default.
    #[arg(long, env = "KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// This instance's name in leader election; it has to be another one for each instance.
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
    /// Name of the node that the operator runs on; that node is updated last.
    #[arg(long, env = "NODE_NAME")]
    pub node_name: Option<String>,
    /// Seconds that the Node object of a machine in work may be missing before the machine is believed to be gone. Ten
    /// minutes is a slow boot: a kubelet registers anew when it starts.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub node_gone_after: u64,
    /// Seconds that a lease keeps other instances away after it was last renewed.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub lease_duration: u64,
    /// Seconds that a leader which can not renew goes on leading.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub renew_deadline: u64,
    /// Seconds between renewals.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub retry_period: u64,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// No way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// The kubeconfig file can not be used.
    #[error("--kubeconfig {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// There is neither a service account nor a kubeconfig.
    #[error("no way to the API server: {0}")]
    Infer(#[from] InferConfigError),
}

/// Settings that contradict each other.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--lease-duration ({0} s) must be longer than --renew-deadline ({1} s), and that longer than --retry-period ({2} s)"
)]
pub struct TermsError(u64, u64, u64);

impl Config {
    /// This instance's name in leader election: the pod's, or one that no other process here has.
    pub fn identity(&self) -> String {
        // Each container's first process is number 1: its host name tells it from the others.
        let host = || std::env::var("HOSTNAME").unwrap_or_else(|_| "windlass".to_owned());
        self.identity.clone().unwrap_or_else(|| format!("{}-{}", host(), std::process::id()))
    }

    /// The way to the API server.
    ///
    /// # Errors
    /// [`KubeError`].
    pub async fn kube(&self) -> Result<kube::Config, KubeError> {
        let Some(path) = &self.kubeconfig else { return Ok(kube::Config::infer().await?) };
        let refuse = |source| KubeError::File { path: path.clone(), source };
        let file = Kubeconfig::read_from(path).map_err(refuse)?;
        kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(refuse)
    }

    /// Checks what no single flag shows.
    ///
    /// # Errors
    /// [`TermsError`], naming the flags.
    pub fn check(&self) -> Result<(), TermsError> {
        let (lease, renew, retry) = (self.lease_duration, self.renew_deadline, self.retry_period);
        if lease > renew && renew > retry { Ok(()) } else { Err(TermsError(lease, renew, retry)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(more: &[&str]) -> Result<Config, clap::Error> {
        let args = ["windlass", "run", "--agent-image=a", "--probe-image=p"];
        let Command::Run(config) = Cli::try_parse_from(args.iter().chain(more))?.command else {
            panic!("the command is run")
        };
        Ok(*config)
    }

    #[test]
    fn flags_are_checked() {
        assert!(parse(&[]).is_ok_and(|config| config.check().is_ok()));
        assert!(Cli::try_parse_from(["windlass", "run"]).is_err_and(|e| e.to_string().contains("--agent-image")));
        assert!(parse(&["--listen=nowhere"]).is_err_and(|e| e.to_string().contains("--listen")));
        assert!(parse(&["--image-pull-policy=Sometimes"]).is_err());
        let config = parse(&["--lease-duration=5"]).expect("each flag for itself is fine");
        assert_eq!(config.check(), Err(TermsError(5, 10, 2)));
    }
}
