//! The simulated Windows machines: winfleet as a process of the cluster.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use serde::{Deserialize, Serialize};

use super::pki::Identity;
use super::process::Spec;
use super::{Cluster, servers, wait};
use crate::windows::{build, wine::Wine};

/// How long the machines may take to boot, register and become Ready, in minutes: 500 nodes at 200 requests a second
/// take a few seconds, a slow boot in the scenario more.
const PATIENCE: Duration = Duration::from_mins(3);

/// Where winfleet can be reached, as its ready file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machines {
    /// URL of the hypervisor's API, and of the control side under `/sim`.
    pub hypervisor: String,
}

impl Cluster {
    /// Starts winfleet and waits until every node it registered is Ready.
    pub(super) async fn start_machines(&self, scenario: &Path, kubelet: &Identity) -> Result<Machines> {
        let ready_file = self.dir.join("winfleet/ready.json");
        fs::create_dir_all(self.dir.join("winfleet"))?;
        tracing::info!("starting the machines of {}", scenario.display());
        let mut winfleet = self.winfleet(scenario, kubelet, &ready_file)?;
        if uses_wine(scenario)? {
            winfleet.args.extend(wine_flags().await?);
        }
        self.processes.start(winfleet)?;
        let registered = async || Ok(ready_file.exists());
        wait::until(&self.processes, "winfleet", "the simulated nodes are registered", PATIENCE, registered).await?;
        let nodes: Api<Node> = Api::all(self.client().await?);
        let ready = async || {
            let nodes = nodes.list(&ListParams::default()).await?.items;
            Ok(!nodes.is_empty() && nodes.iter().all(is_ready))
        };
        wait::until(&self.processes, "winfleet", "the simulated nodes are Ready", PATIENCE, ready).await?;
        let json = fs::read(&ready_file)?;
        serde_json::from_slice(&json).with_context(|| format!("cannot parse {}", ready_file.display()))
    }

    fn winfleet(&self, scenario: &Path, kubelet: &Identity, ready_file: &Path) -> Result<Spec> {
        let scenario = fs::canonicalize(scenario).with_context(|| format!("no scenario {}", scenario.display()))?;
        // A fixed port: SnapshotClasses name it, and it has to be the same after a restart.
        let [port] = servers::free_ports()?;
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let args = vec![
            "run".to_owned(),
            flag("kubeconfig", &self.dir.join("winfleet.kubeconfig")),
            flag("scenario", &scenario),
            flag("kubelet-cert", &kubelet.cert),
            flag("kubelet-key", &kubelet.key),
            format!("--listen=127.0.0.1:{port}"),
            flag("ready-file", ready_file),
        ];
        let program = self.programs()?.winfleet.clone();
        Ok(Spec { name: "winfleet".into(), program, args, env: BTreeMap::new() })
    }
}

/// Whether any machine of the scenario runs the real agent, under Wine.
fn uses_wine(scenario: &Path) -> Result<bool> {
    let text = fs::read_to_string(scenario).with_context(|| format!("no scenario {}", scenario.display()))?;
    // What is wrong with a scenario, winfleet says.
    let scenario: serde_json::Value = serde_saphyr::from_str(&text).unwrap_or_default();
    let groups = scenario["machines"].as_array().into_iter().flatten();
    Ok(groups.into_iter().any(|group| group["agent"] == "wine"))
}

/// The agent as a Windows program, and what runs it.
async fn wine_flags() -> Result<[String; 2]> {
    let exe = build::fake().await?;
    let wine = Wine::start().await?.context("the scenario has `agent: wine`, and there is no Wine here")?;
    let flags = [format!("--wine-runner={}", wine.runner().display()), format!("--agent-exe={}", exe.display())];
    // Its lock is held as long as this process lives; the server ends by itself after the last program.
    std::mem::forget(wine);
    Ok(flags)
}

/// Whether pods can be scheduled to the node: it says Ready, and the node-lifecycle controller believes it.
fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        && !taints.any(|taint| taint.key.starts_with("node.kubernetes.io/"))
}
