//! KubeVirt's own CRDs on a real API server, with a small controller that plays virt-controller's part over the machines of
//! a simulated hypervisor. The provider reaches the API server through the proxy, by a kubeconfig in a Secret.

use super::kubernetes::{ToServer, Words};
use super::secrets::OneSecret;
use super::simulated::Fleet;
use anyhow::{Context, Result, bail};
use conformance::{Event, Happened, Proxy, World};
use futures::future::BoxFuture;
use kube::Client;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use windlass::api;
use windlass::domain::NodeRef;
use windlass::ports::{Secrets, SnapshotProvider};
use windlass::providers::Surroundings;
use windlass::providers::kubevirt::KubeVirt;
use winfleet::hypervisor::router;
use winfleet::scenario::Effect;
use xtask::cluster::{Cluster, Options};
use xtask::kubevirt::VirtController;

/// Its name in the table.
pub const NAME: &str = "kubevirt";
/// The namespace of the machines.
const NAMESPACE: &str = "machines";
/// Machines that are always there, while the others are used up: KubeVirt's CRDs are the same for each.
const PATIENCE: Duration = Duration::from_secs(20);

struct Machines {
    fleet: Fleet,
    controller: VirtController,
    proxy: Proxy,
    token: Arc<Mutex<String>>,
    secret: Arc<OneSecret>,
    client: Client,
    /// Ends with this world.
    _cluster: Cluster,
}

/// Opens it.
pub async fn open() -> Result<Arc<dyn World>> {
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("../conformance/kubevirt");
    let cluster = Cluster::up(Options::new(dir)).await?;
    let client = cluster.client().await?;
    let fleet = Fleet::new()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let hypervisor = format!("http://{}", listener.local_addr()?);
    let served = router(fleet.world.clone());
    tokio::spawn(async move { drop(axum::serve(listener, served).await) });
    let controller = VirtController::install(&client, NAMESPACE, &hypervisor).await?;
    tokio::spawn(controller.clone().run());
    // The provider has the rights that the chart grants, and no others.
    cluster.set_values(&[&format!("kubevirt.namespaces={{{NAMESPACE}}}")]).await?;
    let granted = cluster.operator_client().await?;
    let token = Arc::new(Mutex::new("first".to_owned()));
    let forward = ToServer { client: granted, token: Arc::clone(&token) };
    let proxy = Proxy::start(Box::new(forward), Box::new(Words)).await?;
    let machines = Machines { fleet, controller, proxy, token, secret: Arc::default(), client, _cluster: cluster };
    machines.write_secret("first");
    Ok(Arc::new(machines))
}

impl Machines {
    /// Puts a kubeconfig with this token into the Secret.
    fn write_secret(&self, token: &str) {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": self.proxy.endpoint()}}],
            "users": [{"name": "u", "user": {"token": token}}],
        });
        self.secret.set(&[("kubeconfig", &kubeconfig.to_string())]);
    }

    fn set_token(&self, token: &str) {
        token.clone_into(&mut self.token.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn make(&self, installation: &str) -> Arc<dyn SnapshotProvider> {
        let settings = api::KubeVirt {
            namespace: NAMESPACE.to_owned(),
            credentials_secret: Some("infra".to_owned()),
            failure_deadline: api::Span::from_mins(5),
        };
        let secrets = Arc::clone(&self.secret) as Arc<dyn Secrets>;
        let surroundings = Surroundings { installation: installation.to_owned(), secrets, client: self.client.clone() };
        Arc::new(KubeVirt::new(&settings, &surroundings))
    }

    /// Waits until the controller says this of a machine.
    async fn shows(&self, name: &str, status: &str) -> Result<()> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            self.fleet.settle();
            let machine = self.controller.machines().get(name).await?;
            if machine.data["status"]["printableStatus"] == status {
                return Ok(());
            }
            if tokio::time::Instant::now() > until {
                bail!("{name} is not {status}: {}", machine.data["status"]);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn happened(&self, event: Event<'_>) -> Result<Happened> {
        let volume = |name: &str, plugged: bool| json!({"name": name, "persistentVolumeClaim": {"claimName": name, "hotpluggable": plugged}});
        let system = json!({"name": "system", "persistentVolumeClaim": {"claimName": "system"}});
        let volumes = async |node: &NodeRef, volumes: serde_json::Value| {
            self.controller.change(&node.name, json!({"template": {"spec": {"volumes": volumes}}})).await
        };
        let strike = |node: &NodeRef, effect| Ok(self.fleet.strike_once(&node.name, effect));
        match event {
            Event::Replaced(node) => {
                self.controller.machines().delete(&node.name, &DeleteParams::default()).await?;
                self.controller.make(&node.name, &node.system_uuid).await?;
                self.shows(&node.name, "Running").await?;
            }
            Event::VolumeAttached(node) => volumes(node, json!([system, volume("pvc-1", true)])).await?,
            Event::VolumesDetached(node) => volumes(node, json!([system])).await?,
            Event::DiskAdded(node) => volumes(node, json!([system, volume("data", false)])).await?,
            Event::NextSnapshotFails(node) => return strike(node, Effect::SnapshotFails),
            Event::NextSnapshotLies(_) => {
                return Ok(Happened::Never(
                    "KubeVirt has one object for task and snapshot, which can not contradict each other",
                ));
            }
            Event::SnapshotsLackTheDisk(node) => {
                // With another disk in it, so that it is not merely empty.
                volumes(node, json!([system, volume("data", false)])).await?;
                self.controller.can_not_snapshot(&node.name, "system").await?;
            }
            Event::NextRestoreFails(node) => return strike(node, Effect::RestoreFails),
            Event::NextRestoreDetaches(node) => return strike(node, Effect::RestoreDetachesRoot),
            Event::SnapshotDeleted(handle) => {
                let snapshots = self.controller.snapshots();
                snapshots.delete(handle.as_str(), &DeleteParams::default()).await?;
                while snapshots.get_opt(handle.as_str()).await?.is_some() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            Event::SnapshotExpired(_) => return Ok(Happened::Never("its snapshots have no end")),
            Event::PoweredOff(node) => {
                self.controller.change(&node.name, json!({"runStrategy": "Halted"})).await?;
                self.shows(&node.name, "Stopped").await?;
            }
            Event::CredentialsRotated => {
                self.write_secret("second");
                self.set_token("second");
            }
            Event::CredentialsRevoked => self.set_token("nobody-has-this"),
            Event::CredentialsRestored => {
                self.write_secret("third");
                self.set_token("third");
            }
        }
        Ok(Happened::Yes)
    }
}

impl World for Machines {
    fn name(&self) -> &'static str {
        NAME
    }

    fn provider(&self) -> Arc<dyn SnapshotProvider> {
        self.fleet.settle();
        self.make("conformance")
    }

    fn stranger(&self) -> Arc<dyn SnapshotProvider> {
        self.make("somebody-else")
    }

    fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    fn machine(&self) -> BoxFuture<'_, Result<NodeRef>> {
        Box::pin(async {
            let name = self.fleet.take()?;
            let uuid =
                self.fleet.world.with(|world, _| world.machine(&name).map(winfleet::model::Machine::system_uuid));
            let system_uuid = uuid.context("no machine is left: the scenario has too few")?;
            self.controller.make(&name, &system_uuid).await?;
            self.shows(&name, "Running").await?;
            Ok(NodeRef { uid: format!("uid-{name}"), provider_id: format!("kubevirt://{name}"), system_uuid, name })
        })
    }

    fn impostor(&self, node: &NodeRef) -> Option<NodeRef> {
        Some(NodeRef { system_uuid: "1b4e28ba-2fa1-11d2-883f-0016d3cca427".to_owned(), ..node.clone() })
    }

    fn write<'a>(&'a self, node: &'a NodeRef, text: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.fleet.write_soon(&node.name, text))
    }

    fn read<'a>(&'a self, node: &'a NodeRef) -> BoxFuture<'a, Result<String>> {
        Box::pin(async { self.fleet.read(&node.name) })
    }

    fn snapshots<'a>(&'a self, node: &'a NodeRef) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async {
            // Deleting goes on after the answer: what is being deleted is as good as gone.
            let all = self.controller.snapshots().list(&ListParams::default()).await.context("snapshots")?.items;
            let of_it = |s: &&kube::core::DynamicObject| s.data["spec"]["source"]["name"] == node.name.as_str();
            Ok(all.iter().filter(of_it).filter(|s| s.metadata.deletion_timestamp.is_none()).count())
        })
    }

    fn happen<'a>(&'a self, event: Event<'a>) -> BoxFuture<'a, Result<Happened>> {
        Box::pin(self.happened(event))
    }
}
