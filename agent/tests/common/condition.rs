use super::Machine;
use jiff::SignedDuration;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use windlass_agent::host::{
    Adapter, BitLocker, Clock, Disks, Driver, DriverClass, Drivers, EventSpan, Events, HostEndpoint, HostNetwork,
    HostResult, Memory, MemoryUse, Network, Route, Runtime, Service, Services, StartMode,
};
use windlass_protocol::ServiceState;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
const APIPA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 7, 7));

impl Machine {
    fn address(&self) -> IpAddr {
        if self.apipa { APIPA } else { ADDRESS }
    }
}

impl Services for Machine {
    fn automatic_services(&self) -> HostResult<BTreeMap<String, ServiceState>> {
        self.live().map(|()| self.services.clone())
    }

    fn service(&self, name: &str) -> HostResult<Option<Service>> {
        self.live()?;
        let state = self.services.get(name).copied();
        Ok(state.map(|state| Service { state, start: StartMode::Automatic, process: None }))
    }
}

impl Network for Machine {
    fn host_networks(&self) -> HostResult<Vec<HostNetwork>> {
        self.live()?;
        let network = |name: &String| HostNetwork {
            id: name.clone(),
            name: name.clone(),
            kind: "L2Bridge".into(),
            management_ip: Some(self.address()),
        };
        Ok(self.networks.iter().map(network).collect())
    }

    fn host_endpoints(&self) -> HostResult<Vec<HostEndpoint>> {
        self.live().map(|()| vec![])
    }

    fn adapters(&self) -> HostResult<Vec<Adapter>> {
        self.live()?;
        Ok(vec![Adapter {
            name: "Ethernet0".into(),
            description: "vmxnet3".into(),
            mac: "02:00:00:00:00:01".into(),
            up: true,
            dhcp: false,
            addresses: vec![self.address()],
            dns_servers: vec![ADDRESS],
        }])
    }

    fn routes(&self) -> HostResult<Vec<Route>> {
        let default = Route { destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0, next_hop: ADDRESS };
        self.live().map(|()| vec![default])
    }

    fn dynamic_ports_left(&self) -> HostResult<u32> {
        self.live().map(|()| 16_384)
    }

    fn resolve(&self, _: &str) -> HostResult<Vec<IpAddr>> {
        self.live().map(|()| vec![ADDRESS])
    }
}

impl Runtime for Machine {
    fn kubelet_health(&self) -> HostResult<u16> {
        self.live().map(|()| self.kubelet)
    }

    fn runtime_answers(&self) -> HostResult<bool> {
        self.live().map(|()| self.services.get("containerd") == Some(&ServiceState::Running))
    }
}

impl Events for Machine {
    fn critical_events(&self, _: EventSpan) -> HostResult<Vec<String>> {
        self.live().map(|()| self.events.clone())
    }

    fn write_event(&mut self, _: bool, _: &str) -> HostResult<()> {
        self.live()
    }
}

impl Disks for Machine {
    fn disks(&self) -> HostResult<Vec<String>> {
        self.live().map(|()| vec!["disk0".into()])
    }

    fn free_bytes(&self) -> HostResult<u64> {
        self.live().map(|()| self.free)
    }

    fn bitlocker(&self) -> HostResult<BitLocker> {
        self.live().map(|()| self.bitlocker)
    }
}

impl Drivers for Machine {
    fn drivers(&self) -> HostResult<Vec<Driver>> {
        self.live()?;
        Ok(vec![Driver {
            class: DriverClass::Network,
            device: "vmxnet3 Ethernet Adapter".into(),
            service: "vmxnet3".into(),
            version: "1.9.14.0".into(),
            problem: 0,
        }])
    }
}

impl Clock for Machine {
    fn clock_ahead(&self) -> HostResult<Option<SignedDuration>> {
        self.live().map(|()| Some(self.clock_ahead))
    }

    fn secure_channel(&self) -> HostResult<Option<bool>> {
        self.live().map(|()| None)
    }
}

impl Memory for Machine {
    fn memory(&self) -> HostResult<MemoryUse> {
        self.live().map(|()| self.memory)
    }
}
