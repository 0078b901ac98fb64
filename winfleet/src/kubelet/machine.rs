//! What a kubelet sees of its machine: plain facts, taken from the model after each of its ticks.

use crate::model::Machine;
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use windlass_protocol::Build;

/// What never changes about a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineIdentity {
    /// Name of the machine and of its Node object.
    pub name: String,
    /// Provider ID (`simulated://<hypervisor>/<name>`).
    pub provider_id: String,
    /// Labels from the scenario, the zone's among them.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Whether its node registers cordoned.
    pub cordoned: bool,
    /// Number of the machine in the scenario, from 0; its pods' addresses come from it.
    pub index: u16,
}

/// What a kubelet sees of its machine now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct MachineFacts {
    /// Whether processes run on the machine.
    pub os_up: bool,
    /// Whether the kubelet runs and is ready.
    pub kubelet_up: bool,
    /// When the present run of the machine's services began: what started before it is dead. Unlike the boot ID it is
    /// not on the disk and never rewinds.
    pub boot: Timestamp,
    /// How many machines had this name before.
    pub generation: u32,
    /// Build as the kubelet read it when it started.
    pub build: Build,
    /// Boot ID: a plain number on Windows, and on the disk, so that a restore rewinds it.
    pub boot_id: String,
    /// SMBIOS UUID.
    pub system_uuid: String,
    /// Whether sandboxes of new pods can be made.
    pub can_start_pods: bool,
    /// How much longer a new pod takes until its containers run: its image is pulled slowly.
    pub pod_start_delay: Duration,
    /// Whether containers end that are told to.
    pub pods_stop: bool,
    /// Whether pods with a domain identity start.
    pub domain_ok: bool,
    /// What the network does for pods.
    pub pod_network: PodNetwork,
}

/// What the network of a machine does for its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodNetwork {
    /// All that it should.
    Works,
    /// No service (cluster IP) is reached.
    NoServices,
    /// No name is resolved.
    NoDns,
    /// Nothing is reached.
    Dead,
}

impl MachineIdentity {
    /// Takes the identity of machine number `index` from the model.
    pub fn of(machine: &Machine, index: u16) -> Self {
        Self {
            name: machine.name().to_owned(),
            provider_id: machine.provider_id().to_owned(),
            labels: Arc::clone(&machine.spec().labels),
            cordoned: machine.spec().group.cordoned,
            index,
        }
    }
}

impl MachineFacts {
    /// Takes the facts from the model, as of its last tick.
    pub fn of(machine: &Machine) -> Self {
        Self {
            os_up: machine.is_up(),
            kubelet_up: machine.kubelet_up(),
            boot: machine.up_since().unwrap_or(Timestamp::UNIX_EPOCH),
            generation: machine.node_generation(),
            build: machine.kernel_version(),
            boot_id: machine.boot_id().to_string(),
            system_uuid: machine.system_uuid(),
            can_start_pods: machine.can_start_pods(),
            pod_start_delay: machine.pod_start_delay().to_std(),
            pods_stop: machine.pods_stop(),
            domain_ok: machine.domain_ok(),
            pod_network: match (machine.pod_network_ok(), machine.dns_ok(), machine.services_ok()) {
                (false, _, _) => PodNetwork::Dead,
                (true, false, _) => PodNetwork::NoDns,
                (true, true, false) => PodNetwork::NoServices,
                (true, true, true) => PodNetwork::Works,
            },
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A healthy machine that booted at `boot`.
    pub fn facts(boot: Timestamp) -> MachineFacts {
        MachineFacts {
            os_up: true,
            kubelet_up: true,
            boot,
            generation: 0,
            build: Build::new(10, 0, 20348, 2461),
            boot_id: "7".into(),
            system_uuid: "u".into(),
            can_start_pods: true,
            pod_start_delay: Duration::ZERO,
            pods_stop: true,
            domain_ok: true,
            pod_network: PodNetwork::Works,
        }
    }

    /// Machine number 3 of a fleet.
    pub fn identity() -> MachineIdentity {
        MachineIdentity {
            name: "win-1".into(),
            provider_id: "simulated://sim/win-1".into(),
            labels: Arc::new(BTreeMap::from([("pool".to_owned(), "a".to_owned())])),
            cordoned: false,
            index: 3,
        }
    }
}
