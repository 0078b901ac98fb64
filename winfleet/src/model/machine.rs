//! One machine: what can be seen of it from outside and by its kubelet.
//!
//! Everything is as of the last tick.

use super::{Counters, Disk, Password, fault::Conditions, happen::Foreign, job::Job};
use crate::scenario::{Effect, Fault, MachineSpec};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use windlass_protocol::{Build, ServiceState};

/// The service that the kubelet runs as.
pub(super) const KUBELET: &str = "kubelet";

/// One simulated Windows machine.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(super) spec: MachineSpec,
    pub(super) provider_id: String,
    /// The faults that strike this machine, each when its time comes.
    pub(super) faults: Vec<Arc<Fault>>,
    /// The system disk.
    pub disk: Disk,
    /// Volumes of pods that are attached.
    pub attached_volumes: Vec<String>,
    pub(super) root_attached: bool,
    pub(super) boot: Boot,
    /// When the services started, while they run.
    pub(super) up_since: Option<Timestamp>,
    /// When the kubelet is ready, while services run.
    pub(super) kubelet_at: Option<Timestamp>,
    /// The build that the kubelet read when it started.
    pub(super) kubelet_build: Build,
    pub(super) startup_task_due: bool,
    pub(super) startup_task_runs: bool,
    pub(super) jobs: BTreeMap<u64, Job>,
    /// Faults whose cause does not lie on the disk.
    pub(super) conditions: Conditions,
    /// How often each fault struck an operation; no restore rewinds it.
    pub(super) uses: BTreeMap<String, u32>,
    /// The faults by which something happened that happens once for each.
    pub(super) once: BTreeSet<String>,
    /// The faults by which it crashed, restarted or was replaced, until its node is back.
    pub(super) down_by: BTreeSet<String>,
    /// What something else installs on it.
    pub(super) foreign: Option<Foreign>,
    /// Since when its node is not ready.
    pub(super) unready_since: Option<Timestamp>,
    /// Where its draws begin.
    pub(super) dice: u64,
    /// When the world began.
    pub(super) start: Timestamp,
    pub(super) generation: u32,
    /// How often software wrote to the agent's folder.
    pub(super) writes: u64,
    pub(super) counters: Counters,
    /// The password that the domain takes; no restore rewinds it.
    pub(super) domain_knows: Password,
    /// How far this machine has been advanced.
    pub(super) clock: Timestamp,
}

/// What software that waits on a machine looks at: as long as this is the same, it finds the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    up_since: Option<Timestamp>,
    boots: u64,
    boot: Boot,
    writes: u64,
    task: bool,
    task_runs: bool,
    jobs: usize,
    running: usize,
    foreign: bool,
}

/// Where a machine is between off and running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Boot {
    Off,
    /// Off because there is no power; it starts when there is.
    Dark,
    Booting {
        until: Timestamp,
    },
    Up,
    ShuttingDown {
        until: Timestamp,
    },
    Hung,
    Loop,
    Prompt,
}

/// Whether a machine has power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Power {
    /// It has.
    On,
    /// It has not.
    Off,
}

/// A machine's state as its hypervisor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum MachineState {
    /// Windows runs.
    Running,
    /// Windows starts or goes down.
    Booting,
    /// No power.
    Off,
    /// It starts over and over.
    BootLoop,
    /// It has power, and Windows does not come up.
    Hung,
    /// It has no system disk.
    Detached,
}

impl Machine {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// What the scenario says of it: zone, labels, traits, disks.
    pub fn spec(&self) -> &MachineSpec {
        &self.spec
    }

    /// Its Node's `spec.providerID`: `simulated://<hypervisor>/<name>`, or as the scenario says.
    pub fn provider_id(&self) -> &str {
        &self.provider_id
    }

    /// How many machines had this name before it: a new one is a new Node object with a new UID.
    pub fn node_generation(&self) -> u32 {
        self.generation
    }

    /// The firmware's UUID: its own for each machine, and for each generation of one name.
    pub fn system_uuid(&self) -> String {
        // FNV-1a of the name: stable over runs, and no secret.
        let hash = self
            .provider_id
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let (high, low) = (hash >> 32, hash & 0xffff_ffff);
        format!("{high:08x}-{:04x}-4000-8000-{:04x}{low:08x}", self.generation, self.generation)
    }

    /// How far it has been advanced.
    pub fn now(&self) -> Timestamp {
        self.clock
    }

    /// What really happened to it.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether it has power.
    pub fn power(&self) -> Power {
        if matches!(self.boot, Boot::Off | Boot::Dark) { Power::Off } else { Power::On }
    }

    /// Its state as the hypervisor sees it.
    pub fn state(&self) -> MachineState {
        if !self.root_attached {
            return MachineState::Detached;
        }
        match self.boot {
            Boot::Off | Boot::Dark => MachineState::Off,
            Boot::Booting { .. } | Boot::ShuttingDown { .. } => MachineState::Booting,
            Boot::Up => MachineState::Running,
            Boot::Hung | Boot::Prompt => MachineState::Hung,
            Boot::Loop => MachineState::BootLoop,
        }
    }

    /// The last line on its screen.
    pub fn console(&self) -> &'static str {
        match self.state() {
            MachineState::Hung if self.boot == Boot::Prompt => "Enter the recovery key for this drive.",
            MachineState::Running => "Press Ctrl+Alt+Delete to unlock.",
            MachineState::Booting => "Working on updates. Don't turn off your computer.",
            MachineState::Off => "",
            MachineState::BootLoop => {
                "Your device ran into a problem and needs to restart. Stop code: INACCESSIBLE BOOT DEVICE"
            }
            MachineState::Hung => "Getting Windows ready. Don't turn off your computer.",
            MachineState::Detached => "No bootable device was found.",
        }
    }

    /// Its disks as the hypervisor sees them; without the system disk when that is detached.
    pub fn disks(&self) -> Vec<String> {
        let disks = self.spec.group.disks.iter().skip(usize::from(!self.root_attached));
        let missing = |disk: &String| self.suffers(|e| matches!(e, Effect::DiskMissing { name } if name == disk));
        disks.filter(|disk| !missing(disk)).cloned().collect()
    }

    /// Whether software on it runs (up to the end of a shutdown).
    pub fn is_up(&self) -> bool {
        matches!(self.boot, Boot::Up | Boot::ShuttingDown { .. })
    }

    /// When the current run of its services began; a process that started before is dead.
    pub fn up_since(&self) -> Option<Timestamp> {
        self.up_since
    }

    /// What software that waits on it looks at.
    pub fn sight(&self) -> Sight {
        Sight {
            up_since: self.up_since,
            boots: self.disk.boots,
            boot: self.boot,
            writes: self.writes,
            task: self.disk.task.is_some(),
            task_runs: self.startup_task_runs || self.startup_task_due,
            jobs: self.jobs.len(),
            running: self.jobs.values().filter(|job| job.runs()).count(),
            foreign: self.foreign.is_some(),
        }
    }

    /// Whether the registered task is to be started now: at a boot, or because software on the machine asked for it.
    pub fn startup_task_due(&self) -> bool {
        self.is_up() && self.startup_task_due
    }

    /// Whether its kubelet reports to the API server.
    pub fn kubelet_up(&self) -> bool {
        self.is_up()
            && self.kubelet_at.is_some_and(|at| at <= self.clock)
            && self.disk.certificate.not_after > self.wall_clock()
            && self.runs(KUBELET)
            && self.host_network_ok()
            && !self.suffers(|e| *e == Effect::CertificateExpired)
    }

    /// `nodeInfo.kernelVersion`: the build that the kubelet read when it last started.
    pub fn kernel_version(&self) -> Build {
        self.kubelet_build
    }

    /// `nodeInfo.bootID`: on Windows a plain number, which a restore rewinds.
    pub fn boot_id(&self) -> u64 {
        self.disk.boots
    }

    /// Whether a new pod gets its sandbox and starts.
    pub fn can_start_pods(&self) -> bool {
        self.kubelet_up() && self.runs("containerd") && !self.suffers(|e| *e == Effect::NewPodsDoNotStart)
    }

    /// Whether its pods reach others and are reached.
    pub fn pod_network_ok(&self) -> bool {
        self.host_network_ok() && self.runs("hns") && !self.suffers(|e| *e == Effect::PodNetworkDead)
    }

    /// Whether its pods resolve names.
    pub fn dns_ok(&self) -> bool {
        self.host_network_ok() && !self.suffers(|e| *e == Effect::DnsDead)
    }

    /// The state of a service.
    pub fn service(&self, name: &str) -> ServiceState {
        match self.disk.services.get(name) {
            None => ServiceState::Missing,
            Some(_) if self.service_struck(name) => ServiceState::Stopped,
            Some(state) => *state,
        }
    }

    /// Free bytes on the system disk.
    pub fn free_bytes(&self) -> u64 {
        let fills = |(fault, e): (&Fault, &Effect)| (*e == Effect::DiskFull).then(|| self.grown(fault));
        let full = self.effects().filter_map(fills).fold(0.0, f64::max);
        // A share of the bytes that are free without it: a rounding of bytes does not matter.
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "see above"
        )]
        let free = (self.disk.free_bytes as f64 * (1.0 - full)) as u64;
        free
    }

    /// Names of the host networks (HNS) that are there.
    pub fn networks(&self) -> Vec<String> {
        let missing =
            |network: &String| self.suffers(|e| matches!(e, Effect::NetworkMissing { name } if name == network));
        self.disk.networks.iter().filter(|network| !missing(network)).cloned().collect()
    }

    /// Kinds of critical events in the log (`source/id`), in order, each once.
    pub fn critical_events(&self) -> Vec<String> {
        let logged =
            self.effects().filter_map(|(_, e)| if let Effect::EventLogged { kind } = e { Some(kind) } else { None });
        let all: BTreeSet<&String> = self.disk.critical_events.iter().chain(logged).collect();
        all.into_iter().cloned().collect()
    }
}
