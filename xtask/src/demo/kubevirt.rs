//! The demo on KubeVirt: every simulated machine is a VirtualMachine of this very cluster, too.

use super::promise::VICTIM;
use crate::cluster::Cluster;
use crate::kubevirt::VirtController;
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::task::JoinHandle;
use windlass::api::{NodeSnapshot, PROVIDER_ID};

/// The namespace of `examples/demo/snapshotclass-kubevirt.yaml`.
const NAMESPACE: &str = "machines";
/// How long the machines may take to show that they run.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often they are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The machines as VirtualMachines.
pub(super) struct Machines {
    dir: PathBuf,
    names: Vec<String>,
    /// The controller, and its work.
    controller: OnceLock<(VirtController, JoinHandle<()>)>,
}

impl Machines {
    /// Gives the machines of the scenario the providerIDs of KubeVirt's cloud provider. The victim's is another
    /// distribution's: its Node gets the annotation.
    ///
    /// # Errors
    /// The scenario can not be read.
    pub fn prepare(scenario: &Path) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("windlass-demo-kubevirt-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let text = fs::read_to_string(scenario)?;
        let machines = winfleet::scenario::Scenario::parse(&text)?.machines;
        let names: Vec<_> = machines.into_iter().map(|machine| machine.name).collect();
        let id = |name: &String| match name.as_str() {
            VICTIM => format!("    {name}: rke2://{name}\n"),
            _ => format!("    {name}: kubevirt://{name}\n"),
        };
        let ids: String = names.iter().map(id).collect();
        let own = text.replacen("hypervisor:\n", &format!("hypervisor:\n  providerIds:\n{ids}"), 1);
        ensure!(own != text, "{} has no block `hypervisor`", scenario.display());
        fs::write(dir.join("scenario.yaml"), own)?;
        Ok(Self { dir, names, controller: OnceLock::new() })
    }

    pub fn scenario(&self) -> PathBuf {
        self.dir.join("scenario.yaml")
    }

    /// Installs KubeVirt's CRDs, makes the machines, and grants the operator its rights as a user does.
    pub async fn start(&self, cluster: &Cluster, hypervisor: &str) -> Result<()> {
        println!(
            "KubeVirt's CRDs, with a VirtualMachine for each machine; {VICTIM} is found by its Node's annotation."
        );
        let client = cluster.client().await?;
        let controller = VirtController::install(&client, NAMESPACE, hypervisor).await?;
        cluster.set_values(&[&format!("kubevirt.namespaces={{{NAMESPACE}}}")]).await?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        for name in &self.names {
            let url = format!("{hypervisor}/sim/machines/{name}");
            let inside: Value = http.get(url).send().await?.error_for_status()?.json().await?;
            let uuid = inside["systemUuid"].as_str().with_context(|| format!("{name} has no firmware"))?;
            controller.make(name, uuid).await?;
        }
        annotate(client, VICTIM).await?;
        let work = tokio::spawn(controller.clone().run());
        let until = tokio::time::Instant::now() + PATIENCE;
        while controller.machines().list(&ListParams::default()).await?.items.iter().any(|machine| !runs(machine)) {
            ensure!(tokio::time::Instant::now() < until, "not all VirtualMachines run within {PATIENCE:?}");
            tokio::time::sleep(LOOK).await;
        }
        self.controller.get_or_init(|| (controller, work));
        Ok(())
    }

    /// The victim was restored from the snapshot on record, no other machine was, and all run as before.
    pub async fn broken(&self, cluster: &Cluster) -> Result<Vec<String>> {
        let (controller, _) = self.controller.get().context("the machines were not started")?;
        let all = ListParams::default();
        let on_record = Api::<NodeSnapshot>::all(cluster.client().await?).list(&all).await?.items;
        let machines = controller.machines().list(&all).await?.items;
        let restores = controller.restores().list(&all).await?.items;
        let mut broken = Vec::new();
        for machine in machines {
            let name = machine.name_any();
            if !runs(&machine) || machine.data["spec"]["runStrategy"] != "Always" || !machine.annotations().is_empty() {
                broken.push(format!(
                    "{name} is not as it was: {} {:?}",
                    machine.data["spec"]["runStrategy"],
                    machine.annotations()
                ));
            }
            let of: Vec<_> =
                restores.iter().filter(|restore| restore.data["spec"]["target"]["name"] == *name).collect();
            let from = |snapshot: &&NodeSnapshot| {
                snapshot.spec.node_name == name
                    && of.iter().any(|r| r.data["spec"]["virtualMachineSnapshotName"] == *snapshot.spec.handle)
            };
            let complete = of.iter().filter(|restore| restore.data["status"]["complete"] == true).count();
            let (wanted, known) = (usize::from(name == VICTIM), on_record.iter().filter(from).count());
            if (of.len(), complete, known) != (wanted, wanted, wanted) {
                broken.push(format!(
                    "{name}: {} restores, {complete} complete, {known} of a snapshot on record",
                    of.len()
                ));
            }
        }
        Ok(broken)
    }

    /// Tells which requests were made.
    pub fn print(cluster: &Cluster) -> Result<()> {
        let mut counts = BTreeMap::<_, usize>::new();
        for request in cluster.audit()?.into_iter().filter(|r| r.namespace.as_deref() == Some(NAMESPACE)) {
            *counts.entry(format!("{} {}", request.verb, request.resource)).or_default() += 1;
        }
        let all: usize = counts.values().sum();
        let each: Vec<_> = counts.iter().map(|(request, times)| format!("{request} {times}")).collect();
        println!("Requests to KubeVirt: {all} ({})", each.join(", "));
        Ok(())
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        if let Some((_, work)) = self.controller.get() {
            work.abort();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn runs(machine: &DynamicObject) -> bool {
    machine.data["status"]["printableStatus"] == "Running"
}

async fn annotate(client: Client, node: &str) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {PROVIDER_ID: format!("kubevirt://{node}")}}});
    Api::<Node>::all(client).patch(node, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}
