//! EC2 as moto serves it, with the front before it that adds what moto lacks; the disks are those of simulated machines.
//! The provider reaches the front through the proxy, by keys in a Secret.

use super::ec2::{ToFront, Words};
use super::secrets::OneSecret;
use super::simulated::Fleet;
use anyhow::{Context, Result};
use conformance::{Event, Happened, Limit, Proxy, World};
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use windlass::api;
use windlass::domain::NodeRef;
use windlass::ports::{Secrets, SnapshotProvider};
use windlass::providers::aws::{Aws, Shared};
use winfleet::hypervisor::router;
use winfleet::scenario::Effect;
use xtask::moto::{Front, Moto, Winfleet};

/// Its name in the table.
pub const NAME: &str = "aws";
const REGION: &str = "us-east-1";
const ZONE: &str = "us-east-1a";
/// Another one of the same region.
const OTHER_ZONE: &str = "us-east-1b";
/// What the provider is told to keep to. The default is lower; moto answers about this many.
const LIMIT: Limit = Limit { per_second: 20, burst: 20 };

struct Ec2 {
    fleet: Fleet,
    front: Arc<Front>,
    winfleet: Arc<Winfleet>,
    proxy: Proxy,
    secret: Arc<OneSecret>,
    /// The providerID of each machine.
    ids: Mutex<BTreeMap<String, String>>,
    /// Ends with this world.
    _moto: Moto,
}

/// Opens it.
pub async fn open() -> Result<Arc<dyn World>> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../conformance/aws");
    fs::create_dir_all(&dir)?;
    let moto = Moto::start(&dir.join("moto.log")).await?;
    let fleet = Fleet::new()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let winfleet = Arc::new(Winfleet::new()?);
    winfleet.is_at(&format!("http://{}", listener.local_addr()?));
    let served = router(fleet.world.clone());
    tokio::spawn(async move { drop(axum::serve(listener, served).await) });
    let front = Arc::new(Front::new(moto.url(), REGION, winfleet.clone())?);
    let forward = ToFront { front: Arc::clone(&front), fleet: fleet.clone() };
    let proxy = Proxy::start(Box::new(forward), Box::new(Words)).await?;
    let ids = Mutex::default();
    let world = Ec2 { fleet, front, winfleet, proxy, secret: Arc::default(), ids, _moto: moto };
    world.keys_are("AKIAFIRST");
    Ok(Arc::new(world))
}

impl Ec2 {
    /// These keys are in the Secret, and no others count.
    fn keys_are(&self, id: &str) {
        let pair = [("aws_access_key_id", id), ("aws_secret_access_key", "the-secret-of-a-case")];
        self.secret.set(&pair);
        self.front.only_keys(Some(&[id]));
    }

    fn make(&self, installation: &str) -> Arc<dyn SnapshotProvider> {
        let settings = api::Aws {
            region: REGION.to_owned(),
            endpoint: Some(self.proxy.endpoint().to_owned()),
            credentials_secret: Some("keys".to_owned()),
            ca_secret: None,
            requests_per_second: LIMIT.per_second,
            burst: LIMIT.burst,
            replaced_root_volume: api::ReplacedRootVolume::Delete,
        };
        let secrets = Arc::clone(&self.secret) as Arc<dyn Secrets>;
        Arc::new(Aws::new(&settings, installation, &secrets, &Shared::default()))
    }

    fn ids(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An instance that is this machine from now on.
    async fn launch(&self, name: &str) -> Result<()> {
        let instance = self.front.launch(ZONE).await?;
        self.winfleet.add(&instance, name);
        self.ids().insert(name.to_owned(), format!("aws:///{ZONE}/{instance}"));
        Ok(())
    }

    fn instance<'a>(&self, node: &'a NodeRef) -> Result<&'a str> {
        node.provider_id.rsplit('/').next().context("a providerID without an instance")
    }

    async fn happened(&self, event: Event<'_>) -> Result<Happened> {
        let strike = |node: &NodeRef, effect| Ok(self.fleet.strike_once(&node.name, effect));
        let ask = async |action: &str, name: &str, value: &str| self.front.ec2(action, &[(name, value)]).await;
        match event {
            Event::Replaced(node) => {
                ask("TerminateInstances", "InstanceId.1", self.instance(node)?).await?;
                self.fleet.world.with(|world, _| world.replace(&node.name));
                self.launch(&node.name).await?;
            }
            Event::VolumeAttached(node) => self.front.add_volume(self.instance(node)?, ZONE, "xvdf").await?,
            Event::VolumesDetached(_) => return Ok(Happened::Never("it does not wait for volumes to be detached")),
            Event::DiskAdded(node) => self.front.add_volume(self.instance(node)?, ZONE, "xvdg").await?,
            Event::NextSnapshotFails(node) => return strike(node, Effect::SnapshotFails),
            Event::NextSnapshotLies(_) => {
                return Ok(Happened::Never("a snapshot of EC2 is its own task, which can not contradict it"));
            }
            Event::SnapshotsLackTheDisk(_) => return Ok(Happened::Never(super::ONE_VOLUME)),
            Event::NextRestoreFails(node) => return strike(node, Effect::RestoreFails),
            Event::NextRestoreDetaches(node) => return strike(node, Effect::RestoreDetachesRoot),
            Event::SnapshotDeleted(handle) => _ = ask("DeleteSnapshot", "SnapshotId", handle.as_str()).await?,
            Event::SnapshotExpired(_) => return Ok(Happened::Never("its snapshots have no end")),
            Event::PoweredOff(node) => {
                ask("StopInstances", "InstanceId.1", self.instance(node)?).await?;
                return self.fleet.power_off(&node.name).await;
            }
            Event::CredentialsRotated => self.keys_are("AKIASECOND"),
            Event::CredentialsRevoked => self.front.only_keys(Some(&["nobody-has-this"])),
            Event::CredentialsRestored => self.keys_are("AKIATHIRD"),
        }
        Ok(Happened::Yes)
    }
}

impl World for Ec2 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn provider(&self) -> Arc<dyn SnapshotProvider> {
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
            self.launch(&name).await?;
            Ok(self.registered(&NodeRef {
                uid: format!("uid-{name}"),
                provider_id: String::new(),
                system_uuid: String::new(),
                name,
            }))
        })
    }

    fn absent(&self, node: &NodeRef) -> NodeRef {
        NodeRef { provider_id: format!("aws:///{ZONE}/i-0ffffffffffffffff"), ..node.clone() }
    }

    /// An instance that is in another zone than its node says is not the node's.
    fn impostor(&self, node: &NodeRef) -> Option<NodeRef> {
        let provider_id = node.provider_id.replace(ZONE, OTHER_ZONE);
        Some(NodeRef { provider_id, ..node.clone() })
    }

    fn registered(&self, node: &NodeRef) -> NodeRef {
        let provider_id = self.ids().get(&node.name).cloned().unwrap_or_default();
        NodeRef { provider_id, ..node.clone() }
    }

    fn write<'a>(&'a self, node: &'a NodeRef, text: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.fleet.write_soon(&node.name, text))
    }

    fn read<'a>(&'a self, node: &'a NodeRef) -> BoxFuture<'a, Result<String>> {
        Box::pin(async { self.fleet.read(&node.name) })
    }

    fn snapshots<'a>(&'a self, node: &'a NodeRef) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async {
            let filter = [("Filter.1.Name", "tag:windlass.dev/node"), ("Filter.1.Value.1", node.name.as_str())];
            let all = self.front.ec2("DescribeSnapshots", &filter).await?;
            Ok(all.matches("<snapshotId>").count())
        })
    }

    fn happen<'a>(&'a self, event: Event<'a>) -> BoxFuture<'a, Result<Happened>> {
        Box::pin(self.happened(event))
    }

    fn rate_limit(&self) -> Option<Limit> {
        Some(LIMIT)
    }
}
