use super::Machine;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use windlass_agent::HostError;
use windlass_agent::host::{
    Adapter, BitLocker, Clock, Disk, Disks, Driver, DriverClass, Drivers, EventSpan, Events, HostEndpoint, HostNetwork,
    HostResult, Identity, Memory, MemoryUse, Network, Route, Runtime, SYSTEM_DISK, Service, ServiceProcess, Services,
    StartMode,
};
use windlass_protocol::ServiceState;

/// The machine's fixed address.
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));

/// An address that a machine gives itself.
pub const APIPA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 7, 7));

/// `E_NOTIMPL`: what a call says that this machine can not answer.
const NOT_THERE: u32 = 0x8000_4001;

/// The rest of what a probe reads.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Processes of services, where a test cares.
    pub processes: BTreeMap<String, ServiceProcess>,
    /// How services are set to start, where that is not by themselves.
    pub starts: BTreeMap<String, StartMode>,
    pub endpoints: Vec<HostEndpoint>,
    pub adapters: Vec<Adapter>,
    pub routes: Vec<Route>,
    pub ports: u32,
    pub disks: Vec<Disk>,
    pub drivers: Vec<Driver>,
    /// Whether the domain trusts the machine; none in no domain.
    pub secure_channel: Option<bool>,
    /// From when on the kubelet's certificate does not count; none is found.
    pub certificate: Option<Timestamp>,
    /// When the password is due; none in no domain.
    pub password: Option<Timestamp>,
    pub time_server: bool,
    pub on_battery: bool,
    /// Calls that this machine can not answer.
    pub silent: BTreeSet<&'static str>,
}

impl Default for Condition {
    fn default() -> Self {
        let adapter = Adapter {
            name: "Ethernet0".into(),
            description: "vmxnet3".into(),
            mac: "02:00:00:00:00:01".into(),
            up: true,
            dhcp: false,
            addresses: vec![ADDRESS],
            dns_servers: vec![ADDRESS],
        };
        let driver = Driver {
            class: DriverClass::Network,
            device: "vmxnet3 Ethernet Adapter".into(),
            service: "vmxnet3".into(),
            version: "1.9.14.0".into(),
            problem: 0,
        };
        Self {
            processes: BTreeMap::new(),
            starts: BTreeMap::new(),
            endpoints: vec![],
            adapters: vec![adapter],
            routes: vec![Route { destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0, next_hop: ADDRESS }],
            ports: 16_384,
            disks: vec![Disk { name: SYSTEM_DISK.into(), own: true }],
            drivers: vec![driver],
            secure_channel: None,
            certificate: None,
            password: None,
            time_server: true,
            on_battery: false,
            silent: BTreeSet::new(),
        }
    }
}

impl Machine {
    /// The answer of a call that only looks.
    pub fn tell<T>(&self, call: &str, value: T) -> HostResult<T> {
        self.live()?;
        if self.condition.silent.contains(call) { Err(HostError::new(NOT_THERE, call)) } else { Ok(value) }
    }
}

impl Services for Machine {
    fn automatic_services(&self) -> HostResult<BTreeMap<String, ServiceState>> {
        self.tell("automatic_services", self.services.clone())
    }

    fn service(&self, name: &str) -> HostResult<Option<Service>> {
        let start = self.condition.starts.get(name).copied().unwrap_or(StartMode::Automatic);
        let process = self.condition.processes.get(name).copied();
        let state = self.services.get(name).copied();
        self.tell("service", state.map(|state| Service { state, start, process }))
    }
}

impl Network for Machine {
    fn host_networks(&self) -> HostResult<Vec<HostNetwork>> {
        let network = |name: &String| HostNetwork {
            id: name.clone(),
            name: name.clone(),
            kind: "L2Bridge".into(),
            management_ip: Some(if self.apipa { APIPA } else { ADDRESS }),
        };
        self.tell("host_networks", self.networks.iter().map(network).collect())
    }

    fn host_endpoints(&self) -> HostResult<Vec<HostEndpoint>> {
        self.tell("host_endpoints", self.condition.endpoints.clone())
    }

    fn adapters(&self) -> HostResult<Vec<Adapter>> {
        self.tell("adapters", self.condition.adapters.clone())
    }

    fn routes(&self) -> HostResult<Vec<Route>> {
        self.tell("routes", self.condition.routes.clone())
    }

    fn dynamic_ports_left(&self) -> HostResult<u32> {
        self.tell("dynamic_ports_left", self.condition.ports)
    }

    fn resolve(&self, _: &str) -> HostResult<Vec<IpAddr>> {
        self.tell("resolve", vec![ADDRESS])
    }
}

impl Runtime for Machine {
    fn kubelet_health(&self) -> HostResult<u16> {
        self.tell("kubelet_health", self.kubelet)
    }

    fn runtime_answers(&self) -> HostResult<bool> {
        self.tell("runtime_answers", self.services.get("containerd") == Some(&ServiceState::Running))
    }
}

impl Events for Machine {
    fn critical_events(&self, _: EventSpan) -> HostResult<Vec<String>> {
        self.tell("critical_events", self.events.clone())
    }

    fn write_event(&mut self, _: bool, _: &str) -> HostResult<()> {
        self.live()
    }
}

impl Disks for Machine {
    fn disks(&self) -> HostResult<Vec<Disk>> {
        self.tell("disks", self.condition.disks.clone())
    }

    fn free_bytes(&self) -> HostResult<u64> {
        self.tell("free_bytes", self.free)
    }

    fn bitlocker(&self) -> HostResult<BitLocker> {
        self.tell("bitlocker", self.bitlocker)
    }
}

impl Drivers for Machine {
    fn drivers(&self) -> HostResult<Vec<Driver>> {
        self.tell("drivers", self.condition.drivers.clone())
    }
}

impl Clock for Machine {
    fn clock_ahead(&self) -> HostResult<Option<SignedDuration>> {
        self.tell("clock_ahead", self.condition.time_server.then_some(self.clock_ahead))
    }

    fn secure_channel(&self) -> HostResult<Option<bool>> {
        self.tell("secure_channel", self.condition.secure_channel)
    }
}

impl Identity for Machine {
    fn kubelet_certificate_ends(&self) -> HostResult<Option<Timestamp>> {
        self.tell("kubelet_certificate_ends", self.condition.certificate)
    }

    fn machine_password_due(&self) -> HostResult<Option<Timestamp>> {
        self.tell("machine_password_due", self.condition.password)
    }
}

impl Memory for Machine {
    fn memory(&self) -> HostResult<MemoryUse> {
        self.tell("memory", self.memory)
    }
}
