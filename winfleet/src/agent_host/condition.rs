//! What a probe reads of a simulated machine. What the model has can be broken by a fault; of the rest it is a machine
//! on which nothing is wrong.

use super::host::SimulatedHost;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use windlass_agent::HostError;
use windlass_agent::host::{
    Adapter, BitLocker, Clock, Disk, Disks, Driver, DriverClass, Drivers, EventSpan, Events, HostEndpoint, HostNetwork,
    HostResult, Identity, Memory, MemoryUse, Network, Route, Runtime, Service, Services, StartMode,
};
use windlass_protocol::ServiceState;

/// The host's address on its networks (TEST-NET-1, RFC 5737).
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));

/// Free memory of a node of 16 GiB that is fully used by nobody, in bytes.
const FREE_MEMORY: f64 = 12_884_901_888.0;

/// `ERROR_CONNECTION_REFUSED`: nobody listens.
const REFUSED: u32 = 0x8007_04C9;

impl SimulatedHost<'_> {
    fn runs(&self, service: &str) -> bool {
        self.guest.services().get(service) == Some(&ServiceState::Running)
    }
}

impl Services for SimulatedHost<'_> {
    fn automatic_services(&self) -> HostResult<BTreeMap<String, ServiceState>> {
        Ok(self.guest.services())
    }

    fn service(&self, name: &str) -> HostResult<Option<Service>> {
        let state = self.guest.services().get(name).copied().filter(|s| *s != ServiceState::Missing);
        Ok(state.map(|state| Service { state, start: StartMode::Automatic, process: None }))
    }
}

impl Network for SimulatedHost<'_> {
    fn host_networks(&self) -> HostResult<Vec<HostNetwork>> {
        let network = |name: String| HostNetwork {
            id: name.clone(),
            name,
            kind: "L2Bridge".to_owned(),
            management_ip: Some(ADDRESS),
        };
        Ok(self.guest.networks().into_iter().map(network).collect())
    }

    fn host_endpoints(&self) -> HostResult<Vec<HostEndpoint>> {
        Ok(vec![])
    }

    fn adapters(&self) -> HostResult<Vec<Adapter>> {
        let adapter = |(number, driver): (usize, String)| Adapter {
            name: format!("Ethernet{number}"),
            description: driver,
            mac: format!("02:00:00:00:00:{number:02x}"),
            up: true,
            dhcp: false,
            addresses: vec![ADDRESS],
            dns_servers: vec![ADDRESS],
        };
        Ok(self.guest.drivers().into_iter().enumerate().map(adapter).collect())
    }

    fn routes(&self) -> HostResult<Vec<Route>> {
        Ok(vec![Route { destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0, next_hop: ADDRESS }])
    }

    fn dynamic_ports_left(&self) -> HostResult<u32> {
        Ok(16_384)
    }

    fn resolve(&self, _name: &str) -> HostResult<Vec<IpAddr>> {
        Ok(vec![ADDRESS])
    }
}

impl Runtime for SimulatedHost<'_> {
    fn kubelet_health(&self) -> HostResult<u16> {
        if self.runs("kubelet") { Ok(200) } else { Err(HostError::new(REFUSED, "kubelet: /healthz")) }
    }

    fn runtime_answers(&self) -> HostResult<bool> {
        Ok(self.runs("containerd"))
    }
}

impl Events for SimulatedHost<'_> {
    fn critical_events(&self, _span: EventSpan) -> HostResult<Vec<String>> {
        Ok(self.guest.critical_events())
    }

    fn write_event(&mut self, _failure: bool, _text: &str) -> HostResult<()> {
        Ok(())
    }
}

impl Disks for SimulatedHost<'_> {
    fn disks(&self) -> HostResult<Vec<Disk>> {
        let disk = |own| move |name| Disk { name, own };
        let of_pods = self.guest.machine().attached_volumes.clone();
        Ok(self.guest.disks().into_iter().map(disk(true)).chain(of_pods.into_iter().map(disk(false))).collect())
    }

    fn free_bytes(&self) -> HostResult<u64> {
        Ok(self.guest.free_bytes())
    }

    fn bitlocker(&self) -> HostResult<BitLocker> {
        Ok(BitLocker::Off)
    }
}

impl Drivers for SimulatedHost<'_> {
    fn drivers(&self) -> HostResult<Vec<Driver>> {
        let driver = |service: String| Driver {
            class: DriverClass::Network,
            device: service.clone(),
            service,
            version: String::new(),
            problem: 0,
        };
        Ok(self.guest.drivers().into_iter().map(driver).collect())
    }
}

impl Clock for SimulatedHost<'_> {
    fn clock_ahead(&self) -> HostResult<Option<SignedDuration>> {
        let machine = self.guest.machine();
        Ok(Some(machine.wall_clock().duration_since(machine.now())))
    }

    fn secure_channel(&self) -> HostResult<Option<bool>> {
        Ok(Some(self.guest.machine().domain_ok()))
    }
}

impl Identity for SimulatedHost<'_> {
    fn kubelet_certificate_ends(&self) -> HostResult<Option<Timestamp>> {
        Ok(Some(self.guest.machine().disk.certificate.not_after))
    }

    fn machine_password_due(&self) -> HostResult<Option<Timestamp>> {
        Ok(Some(self.guest.machine().disk.password.due))
    }
}

impl Memory for SimulatedHost<'_> {
    fn memory(&self) -> HostResult<MemoryUse> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share from 0 to 1 of free memory"
        )]
        let leaked = (self.guest.machine().leaked_memory() * FREE_MEMORY) as u64;
        Ok(MemoryUse { lsass_bytes: 32 << 20, pool_bytes: (512 << 20) + leaked })
    }
}
