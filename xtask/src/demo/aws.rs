//! The demo on EC2: every simulated machine is an instance at moto, too.

use super::promise::VICTIM;
use crate::cluster::Cluster;
use crate::moto::{Front, Moto, Winfleet, serve};
use anyhow::{Result, ensure};
use kube::api::{Api, ListParams};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::JoinHandle;
use windlass::api::NodeSnapshot;

/// The region of `examples/demo/snapshotclass-aws.yaml`.
const REGION: &str = "us-east-1";
/// The access key of the Secret in `examples/demo/snapshotclass-aws.yaml`.
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";

/// moto, its front, and the machines as instances.
pub(super) struct Ec2 {
    dir: PathBuf,
    front: Arc<Front>,
    endpoint: String,
    server: JoinHandle<()>,
    winfleet: Arc<Winfleet>,
    /// The instance of each machine.
    instances: BTreeMap<String, String>,
    _moto: Moto,
}

impl Ec2 {
    /// Starts moto with an instance for each machine of the scenario, in its zone.
    ///
    /// # Errors
    /// moto can not be had, or makes no instance.
    pub async fn start(scenario: &Path) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("windlass-demo-aws-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        println!("EC2 as moto {} serves it, with an instance for each machine.", crate::moto::VERSION);
        let moto = Moto::start(&dir.join("moto.log")).await?;
        let text = fs::read_to_string(scenario)?;
        let machines = winfleet::scenario::Scenario::parse(&text)?.machines;
        let winfleet = Arc::new(Winfleet::new()?);
        let front = Arc::new(Front::new(moto.url(), REGION, winfleet.clone())?);
        let (mut instances, mut ids) = (BTreeMap::new(), Vec::new());
        for machine in machines {
            let zone = format!("{REGION}{}", machine.zone.as_deref().unwrap_or("a"));
            let instance = front.launch(&zone).await?;
            front.add_volume(&instance, &zone, "xvdf").await?;
            winfleet.add(&instance, &machine.name);
            ids.push(format!("    {}: aws:///{zone}/{instance}\n", machine.name));
            instances.insert(machine.name, instance);
        }
        let own = text.replacen("hypervisor:\n", &format!("hypervisor:\n  providerIds:\n{}", ids.concat()), 1);
        ensure!(own != text, "{} has no block `hypervisor`", scenario.display());
        fs::write(dir.join("scenario.yaml"), own)?;
        front.only_keys(Some(&[KEY]));
        let (endpoint, server) = serve(front.clone()).await?;
        Ok(Self { dir, front, endpoint, server, winfleet, instances, _moto: moto })
    }

    pub fn scenario(&self) -> PathBuf {
        self.dir.join("scenario.yaml")
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub fn machines_are_at(&self, hypervisor: &str) {
        self.winfleet.is_at(hypervisor);
    }

    /// The victim's root volume is made of the snapshot that is on record, and no other instance's was replaced.
    pub async fn broken(&self, cluster: &Cluster) -> Result<Vec<String>> {
        let snapshots = Api::<NodeSnapshot>::all(cluster.client().await?).list(&ListParams::default()).await?.items;
        let mut broken = Vec::new();
        for (name, instance) in &self.instances {
            let root = self.front.root(instance).await?.unwrap_or_default();
            let volume = self.front.ec2("DescribeVolumes", &[("VolumeId.1", &root)]).await?;
            let of = volume.split("<snapshotId>").nth(1).and_then(|rest| rest.split("</").next()).unwrap_or_default();
            let on_record = snapshots.iter().any(|s| s.spec.node_name == *name && s.spec.handle == of);
            if on_record != (name == VICTIM) {
                broken.push(format!("{name}: root volume {root} is of snapshot {of:?}"));
            }
        }
        Ok(broken)
    }

    /// Tells which calls were made.
    pub fn print(&self) {
        let calls = self.front.calls();
        let all: usize = calls.values().sum();
        let each: Vec<_> = calls.iter().map(|(action, times)| format!("{action} {times}")).collect();
        println!("Calls to AWS: {all} ({})", each.join(", "));
    }
}

impl Drop for Ec2 {
    fn drop(&mut self) {
        self.server.abort();
        // What stays behind is a log in the system's temporary folder.
        let _ = fs::remove_dir_all(&self.dir);
    }
}
