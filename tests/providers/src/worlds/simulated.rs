//! The simulated hypervisor of winfleet, over real HTTP.

use anyhow::{Context, Result, ensure};
use axum::body::{Body, Bytes};
use conformance::proxy::Answer;
use conformance::{Dialect, Event, Forward, Happened, Proxy, World};
use futures::future::BoxFuture;
use http::request::Parts;
use http::{Method, Request};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use windlass::api;
use windlass::domain::NodeRef;
use windlass::ports::SnapshotProvider;
use windlass::providers::simulated::Simulated;
use winfleet::hypervisor::{SharedWorld, router};
use winfleet::model::{PowerRequest, TaskState};
use winfleet::scenario::{Effect, Scenario};

/// Its name in the table.
pub const NAME: &str = "simulated";

/// The machines of all cases; one takes fifty, and one two hundred.
const SCENARIO: &str = "
machines: [{prefix: m-, count: 400, build: 10.0.20348.2527}]
timings: {reboot: 100ms, kubeletStart: 0s, shutdown: 0s}
hypervisor: {id: lab, snapshotTakes: 300ms, restoreTakes: 300ms, powerTakes: 100ms}
";

/// Machines and their disks; the KubeVirt world has the same under its own surface.
#[derive(Clone)]
pub struct Fleet {
    pub world: SharedWorld,
    next: Arc<AtomicU32>,
    /// Machines with a fault that goes once it has struck, and how many tasks had failed before.
    armed: Arc<Mutex<BTreeSet<(String, usize)>>>,
}

/// Where the texts are on a disk.
const FILE: &str = "case.txt";

impl Fleet {
    pub fn new() -> Result<Self> {
        let scenario = Scenario::parse(SCENARIO)?;
        let world = SharedWorld::new(winfleet::model::World::new(&scenario, Timestamp::now()));
        Ok(Self { world, next: Arc::default(), armed: Arc::default() })
    }

    /// The name of a machine that nobody had before.
    pub fn take(&self) -> Result<String> {
        let name = format!("m-{}", self.next.fetch_add(1, Ordering::Relaxed) + 1);
        let there = self.world.with(|world, _| world.machine(&name).is_some());
        ensure!(there, "no machine is left: the scenario has too few");
        Ok(name)
    }

    pub fn write(&self, machine: &str, text: &str) -> Result<()> {
        self.world.with(|world, now| {
            let mut guest = world.guest(machine, now).with_context(|| format!("{machine} can not be written to"))?;
            guest.write_file(FILE, text.as_bytes()).map_err(|code| anyhow::anyhow!("{machine}: {code:?}"))
        })
    }

    /// Writes once the machine has booted.
    pub async fn write_soon(&self, machine: &str, text: &str) -> Result<()> {
        for _ in 0..50 {
            if self.write(machine, text).is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.write(machine, text)
    }

    pub fn read(&self, machine: &str) -> Result<String> {
        self.world.with(|world, _| {
            let machine = world.machine(machine).context("no such machine")?;
            let text = machine.disk.files.get(FILE).cloned().unwrap_or_default();
            Ok(String::from_utf8(text.to_vec())?)
        })
    }

    pub fn snapshots(&self, machine: &str) -> usize {
        self.world.with(|world, _| world.snapshots().filter(|snapshot| snapshot.machine == machine).count())
    }

    fn failed(&self, machine: &str) -> usize {
        let failed = |task: &&winfleet::model::Task| task.machine == machine && task.state == TaskState::Failed;
        self.world.with(|world, _| world.tasks().filter(failed).count())
    }

    /// Strikes a machine until the next of its tasks has failed.
    pub fn strike_once(&self, machine: &str, effect: Effect) -> Happened {
        let armed = (machine.to_owned(), self.failed(machine));
        self.world.with(|world, _| world.strike(machine, vec![effect]));
        self.armed.lock().unwrap_or_else(PoisonError::into_inner).insert(armed);
        Happened::Yes
    }

    /// Heals the machines whose fault has struck.
    pub fn settle(&self) {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner).retain(|(machine, before)| {
            let waits = self.failed(machine) == *before;
            if !waits {
                self.world.with(|world, _| world.heal(machine));
            }
            waits
        });
    }

    /// Switches a machine off, and waits until it is.
    pub async fn power_off(&self, machine: &str) -> Result<Happened> {
        let key = format!("case-off-{}", Timestamp::now().as_nanosecond());
        self.world
            .with(|world, _| world.power(machine, PowerRequest::Off, &key))
            .map_err(|e| anyhow::anyhow!("{e:?}"))?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(Happened::Yes)
    }
}

struct Sim {
    fleet: Fleet,
    proxy: Proxy,
}

/// Opens it.
pub async fn open() -> Result<Arc<dyn World>> {
    let fleet = Fleet::new()?;
    let forward = ToHypervisor { router: router(fleet.world.clone()), fleet: fleet.clone() };
    let proxy = Proxy::start(Box::new(forward), Box::new(Words)).await?;
    Ok(Arc::new(Sim { fleet, proxy }))
}

/// The hypervisor's own routes, without a second connection.
struct ToHypervisor {
    router: axum::Router,
    fleet: Fleet,
}

impl Forward for ToHypervisor {
    fn forward(&self, parts: Parts, body: Bytes) -> BoxFuture<'_, Result<Answer>> {
        self.fleet.settle();
        let mut router = self.router.clone();
        Box::pin(async move {
            let request = Request::from_parts(parts, Body::from(body));
            let answer = tower_call(&mut router, request).await;
            let (parts, body) = answer.into_parts();
            let content_type = parts.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
            let body = axum::body::to_bytes(body, usize::MAX).await?;
            Ok(Answer::new(parts.status.as_u16(), content_type, body))
        })
    }
}

async fn tower_call(router: &mut axum::Router, request: Request<Body>) -> axum::response::Response {
    use tower::Service;
    match router.as_service().call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

struct Words;

fn refusal(code: u16, name: &str) -> Answer {
    Answer::new(code, "application/json", json!({"error": {"code": name, "message": "by the case"}}).to_string())
}

impl Dialect for Words {
    fn is_write(&self, parts: &Parts, _: &[u8]) -> bool {
        parts.method != Method::GET
    }

    fn throttled(&self, retry_after: Duration) -> Option<Answer> {
        Some(refusal(429, "Throttled").with("retry-after", retry_after.as_secs().to_string()))
    }

    fn denied(&self) -> Answer {
        refusal(403, "Denied")
    }

    fn quota(&self) -> Option<Answer> {
        Some(refusal(409, "Quota"))
    }

    fn with_unknown_states(&self, body: &[u8]) -> Option<Bytes> {
        let mut object: Value = serde_json::from_slice(body).ok()?;
        for pointer in ["/state", "/task/state", "/snapshots/0/state"] {
            if let Some(state) = object.pointer_mut(pointer) {
                *state = json!("Cogitating");
            }
        }
        Some(object.to_string().into())
    }

    fn not_visible(&self, parts: &Parts, _: &[u8]) -> Option<Answer> {
        let path = parts.uri.path();
        (path.starts_with("/v1/tasks/") || path.starts_with("/v1/snapshots/")).then(|| refusal(404, "NotFound"))
    }
}

impl Sim {
    fn make(&self, installation: &str) -> Arc<dyn SnapshotProvider> {
        let settings = api::Simulated { endpoint: self.proxy.endpoint().to_owned() };
        match Simulated::new(&settings, installation) {
            Ok(provider) => Arc::new(provider),
            Err(error) => unreachable!("the proxy's endpoint is a URL: {error}"),
        }
    }
}

impl World for Sim {
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
        Box::pin(async move {
            let name = self.fleet.take()?;
            let provider_id = format!("simulated://lab/{name}");
            Ok(NodeRef { uid: format!("uid-{name}"), provider_id, system_uuid: String::new(), name })
        })
    }

    fn write<'a>(&'a self, node: &'a NodeRef, text: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.fleet.write_soon(&node.name, text))
    }

    fn read<'a>(&'a self, node: &'a NodeRef) -> BoxFuture<'a, Result<String>> {
        Box::pin(async { self.fleet.read(&node.name) })
    }

    fn snapshots<'a>(&'a self, node: &'a NodeRef) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async { Ok(self.fleet.snapshots(&node.name)) })
    }

    fn happen<'a>(&'a self, event: Event<'a>) -> BoxFuture<'a, Result<Happened>> {
        Box::pin(async move {
            let world = &self.fleet.world;
            let strike = |node: &NodeRef, effect| Ok(self.fleet.strike_once(&node.name, effect));
            match event {
                Event::Replaced(node) => ensure!(world.with(|world, _| world.replace(&node.name)), "no such machine"),
                Event::VolumeAttached(node) => {
                    ensure!(
                        world.with(|world, _| world.attach_volumes(&node.name, vec!["pvc-1".into()])),
                        "no machine"
                    );
                }
                Event::VolumesDetached(node) => {
                    ensure!(world.with(|world, _| world.attach_volumes(&node.name, vec![])), "no machine");
                }
                Event::DiskAdded(_) => return Ok(Happened::Never("its machines get no disks later")),
                Event::NextSnapshotFails(node) => return strike(node, Effect::SnapshotFails),
                Event::NextSnapshotLies(node) => return strike(node, Effect::SnapshotTimesOutButExists),
                Event::SnapshotsLackTheDisk(_) => return Ok(Happened::Never(super::ONE_VOLUME)),
                Event::NextRestoreFails(node) => return strike(node, Effect::RestoreFails),
                Event::NextRestoreDetaches(node) => return strike(node, Effect::RestoreDetachesRoot),
                Event::SnapshotDeleted(handle) => {
                    let deleted = world.with(|world, _| world.delete_snapshot(handle.as_str()));
                    deleted.map_err(|e| anyhow::anyhow!("{e:?}"))?;
                }
                Event::SnapshotExpired(handle) => {
                    ensure!(world.with(|world, _| world.expire_snapshot(handle.as_str())), "no such snapshot");
                }
                Event::PoweredOff(node) => return self.fleet.power_off(&node.name).await,
                Event::CredentialsRotated | Event::CredentialsRevoked | Event::CredentialsRestored => {
                    return Ok(Happened::Never("it takes no credentials"));
                }
            }
            Ok(Happened::Yes)
        })
    }
}
