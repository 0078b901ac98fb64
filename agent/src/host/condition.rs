//! What a probe reads of the machine. Plain data, so that it can be kept as a baseline.

use super::HostResult;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use windlass_protocol::ServiceState;

/// How a service is set to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartMode {
    /// By itself, at boot.
    Automatic,
    /// When something asks for it.
    Manual,
    /// Not at all.
    Disabled,
}

/// The process of a service. Services may share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceProcess {
    /// Its process id: another one than before means that the service was started again.
    pub id: u32,
    /// How many threads it has; `None` where that could not be seen.
    pub threads: Option<u32>,
    /// When it was started; `None` where that could not be seen.
    pub started: Option<Timestamp>,
}

/// One service as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Whether it runs.
    pub state: ServiceState,
    /// How it is set to start.
    pub start: StartMode,
    /// Its process, while it runs.
    pub process: Option<ServiceProcess>,
}

/// Services.
pub trait Services {
    /// The services that a healthy machine has running: set to start automatically at the boot, not delayed, without a
    /// trigger. (The others stop by themselves when they are idle, and would look broken.)
    fn automatic_services(&self) -> HostResult<BTreeMap<String, ServiceState>>;
    /// One service by its name (not the display name); `None` when there is none.
    fn service(&self, name: &str) -> HostResult<Option<Service>>;
}

/// One host network (HNS).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostNetwork {
    /// Its identity; another one after it was made anew.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its type (`L2Bridge`, `Overlay`, `nat`, ...).
    pub kind: String,
    /// The host's address on it, where it has one.
    pub management_ip: Option<IpAddr>,
}

/// One endpoint of a host network (HNS).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostEndpoint {
    /// Its identity.
    pub id: String,
    /// Name of its network.
    pub network: String,
    /// Its address, where it has one.
    pub ip: Option<IpAddr>,
    /// Its state in HNS' own words (`Created`, `Attached`, `Degraded`, ...).
    pub state: String,
}

/// One network adapter of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Adapter {
    /// The connection's name.
    pub name: String,
    /// What the adapter is.
    pub description: String,
    /// Its hardware address, as lower-case hexadecimal pairs.
    pub mac: String,
    /// Whether it is up.
    pub up: bool,
    /// Whether its IPv4 address comes by DHCP.
    pub dhcp: bool,
    /// Its addresses, sorted.
    pub addresses: Vec<IpAddr>,
    /// Its DNS servers, in the order they are asked.
    pub dns_servers: Vec<IpAddr>,
}

impl Adapter {
    /// Whether it gave itself an address (APIPA, 169.254.0.0/16), for want of a better one.
    pub fn has_apipa(&self) -> bool {
        self.addresses.iter().any(|a| is_apipa(*a))
    }
}

/// Whether an address is one that a machine gives itself (APIPA, 169.254.0.0/16; RFC 3927).
pub fn is_apipa(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.is_link_local())
}

/// One route of the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// The network it leads to.
    pub destination: IpAddr,
    /// Length of that network's prefix in bits; 0 is the default route.
    pub prefix: u8,
    /// The next hop; all zero where the network is on the link.
    pub next_hop: IpAddr,
}

/// Networking of the host.
pub trait Network {
    /// The host networks (HNS).
    fn host_networks(&self) -> HostResult<Vec<HostNetwork>>;
    /// The endpoints of the host networks (HNS).
    fn host_endpoints(&self) -> HostResult<Vec<HostEndpoint>>;
    /// The network adapters, the virtual ones of the host too.
    fn adapters(&self) -> HostResult<Vec<Adapter>>;
    /// The routes, sorted.
    fn routes(&self) -> HostResult<Vec<Route>>;
    /// TCP ports of the dynamic range that are not reserved by somebody.
    fn dynamic_ports_left(&self) -> HostResult<u32>;
    /// Asks the machine's own resolver for a name; an error where it has no answer.
    fn resolve(&self, name: &str) -> HostResult<Vec<IpAddr>>;
}

/// The container runtime and the kubelet, by their own health answers.
pub trait Runtime {
    /// The HTTP status of the kubelet's `/healthz` on the loopback address.
    fn kubelet_health(&self) -> HostResult<u16>;
    /// Whether the container runtime takes connections.
    fn runtime_answers(&self) -> HostResult<bool>;
}

/// Which events of the log are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventSpan {
    /// All that the log still has.
    Kept,
    /// Those since the last boot.
    SinceBoot,
}

/// The event log.
pub trait Events {
    /// The kinds of critical events and errors in the System log, as `source/id`, each once, sorted. Where a service did
    /// not start or ended by itself, its short name follows: `Service Control Manager/7031/hns`.
    fn critical_events(&self, span: EventSpan) -> HostResult<Vec<String>>;
    /// Writes one line under the agent's own source of the Application log.
    fn write_event(&mut self, failure: bool, text: &str) -> HostResult<()>;
}

/// BitLocker on the system disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BitLocker {
    /// Not encrypted, or BitLocker is not there.
    Off,
    /// Protected: a change of the boot chain may ask for the recovery key.
    On,
    /// Encrypted, with its protectors suspended.
    Suspended,
    /// It could not be told.
    Unknown,
}

/// The name of the disk that Windows runs from. It has none of its own: a restore may put another disk in its place, with
/// another serial number (on AWS the serial number is the volume's identity, and a restore makes a new volume).
pub const SYSTEM_DISK: &str = "system disk";

/// A disk that is online.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// Product and serial number, which keep when disks are counted anew; [`SYSTEM_DISK`] for the one that Windows runs from.
    pub name: String,
    /// Whether it is the machine's own: volumes of it are in use, and none of them by the kubelet for a pod. Those of pods
    /// come and go with the pods.
    pub own: bool,
}

/// Disks.
pub trait Disks {
    /// The disks that are online.
    fn disks(&self) -> HostResult<Vec<Disk>>;
    /// Free space on the system disk, in bytes.
    fn free_bytes(&self) -> HostResult<u64>;
    /// BitLocker on the system disk.
    fn bitlocker(&self) -> HostResult<BitLocker>;
}

/// What a driver drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DriverClass {
    /// A network adapter.
    Network,
    /// A storage controller.
    Storage,
}

/// A device with its driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Driver {
    /// What it drives.
    pub class: DriverClass,
    /// The device's name.
    pub device: String,
    /// The driver's service (`netvsc`, `vmxnet3ndis6`, `vioscsi`, ...).
    pub service: String,
    /// The driver's version, where it says one.
    pub version: String,
    /// The device's problem code (`CM_PROB_...`), 0 where it works.
    pub problem: u32,
}

/// Drivers of the devices that are present.
pub trait Drivers {
    /// The drivers of network adapters and of storage controllers.
    fn drivers(&self) -> HostResult<Vec<Driver>>;
}

/// Time, and the domain that trusts it.
pub trait Clock {
    /// How far the machine's clock is ahead of its time server; `None` when it has none.
    fn clock_ahead(&self) -> HostResult<Option<SignedDuration>>;
    /// Whether the secure channel to the domain holds; `None` when the machine is in no domain.
    fn secure_channel(&self) -> HostResult<Option<bool>>;
}

/// What the disk holds that cluster and domain know the machine by.
pub trait Identity {
    /// From when on the kubelet's client certificate does not count; `None` when none is found.
    fn kubelet_certificate_ends(&self) -> HostResult<Option<Timestamp>>;
    /// When the machine's password in the domain is due to be changed; `None` in no domain, and where it is not to be
    /// changed.
    fn machine_password_due(&self) -> HostResult<Option<Timestamp>>;
}

/// Memory that leaks after some updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryUse {
    /// Private bytes of `lsass.exe`.
    pub lsass_bytes: u64,
    /// Bytes of the kernel's pools, paged and non-paged.
    pub pool_bytes: u64,
}

/// Memory.
pub trait Memory {
    /// What is in use now.
    fn memory(&self) -> HostResult<MemoryUse>;
}
