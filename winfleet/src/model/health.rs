//! What faults make of a machine's service to its pods and to those who use them.

use super::Machine;
use crate::scenario::{Effect, Fault, Metric, Over, Period, Shows};
use jiff::Timestamp;
use windlass_protocol::ServiceState;

impl Machine {
    /// Whether pods on it can work as they should: the truth behind all probes.
    pub fn serves(&self) -> bool {
        self.kubelet_up()
            && self.can_start_pods()
            && self.pod_network_ok()
            && self.services_ok()
            && self.dns_ok()
            && self.domain_ok()
            && self.broken_by().next().is_none()
    }

    /// The faults that those who use its pods feel now: those that hold, and those by which it went down and
    /// is not back yet. What goes down once is felt once: a later restart is another matter.
    pub fn broken_by(&self) -> impl Iterator<Item = &Fault> {
        let felt = |(fault, effect): &(&Fault, &Effect)| {
            effect.harms()
                || match effect {
                    Effect::HandlesLeak { .. } => self.exhausted_at(fault, effect).is_some_and(|at| at <= self.clock),
                    Effect::ClockOff { .. } => self.disk.certificate.not_after <= self.wall_clock(),
                    _ => false,
                }
        };
        let back = self.kubelet_up();
        let down =
            self.faults.iter().map(AsRef::as_ref).filter(move |fault| !back && self.down_by.contains(&fault.name));
        self.effects().filter(felt).map(|(fault, _)| fault).chain(down)
    }

    /// Whether its kubelet's certificate has ended by the right time, as one has that came back with an old disk.
    pub fn certificate_ended(&self) -> bool {
        self.disk.certificate.not_after <= self.clock
    }

    /// Whether its pods reach services (cluster IPs).
    pub fn services_ok(&self) -> bool {
        self.host_network_ok() && !self.suffers(|e| *e == Effect::ServicePolicyLost)
    }

    /// Whether the host reaches others and is reached.
    pub fn host_network_ok(&self) -> bool {
        self.is_up() && !self.suffers(|e| *e == Effect::HostNetworkDead)
    }

    /// Whether pods with a domain identity start.
    pub fn domain_ok(&self) -> bool {
        self.disk.password == self.domain_knows && !self.suffers(|e| *e == Effect::DomainTrustLost)
    }

    /// Whether containers end that are told to.
    pub fn pods_stop(&self) -> bool {
        !self.suffers(|e| *e == Effect::PodsStuckTerminating)
    }

    /// How much longer a new pod takes to start.
    pub fn pod_start_delay(&self) -> Period {
        let slower = |(_, e): (&Fault, &Effect)| if let Effect::ImagePullSlow { by } = e { Some(*by) } else { None };
        self.effects().filter_map(slower).fold(Period::ZERO, Period::plus)
    }

    /// What its clock shows.
    pub fn wall_clock(&self) -> Timestamp {
        let off = |(_, e): (&Fault, &Effect)| match e {
            Effect::ClockOff { by, behind } => Some((*by, *behind)),
            _ => None,
        };
        self.effects().filter_map(off).fold(
            self.clock,
            |now, (by, behind)| {
                if behind { by.before(now) } else { by.after(now) }
            },
        )
    }

    /// The share of requests to its pods that fail though they reach them.
    pub fn failing_requests(&self) -> f64 {
        let share = |(fault, e): (&Fault, &Effect)| match e {
            Effect::RequestsFail { share } => Some(share * self.grown(fault)),
            _ => None,
        };
        self.effects().filter_map(share).sum::<f64>().min(1.0)
    }

    /// How much longer requests to its pods take, in seconds.
    pub fn slower_requests(&self) -> f64 {
        let slower = |(fault, e): (&Fault, &Effect)| match e {
            Effect::RequestsSlow { by } => Some(by.to_std().as_secs_f64() * self.grown(fault)),
            _ => None,
        };
        self.effects().filter_map(slower).sum()
    }

    /// The share of its free memory that leaked, from 0 to 1.
    pub fn leaked_memory(&self) -> f64 {
        let Some(up) = self.up_since else { return 0.0 };
        let leaked = |(fault, e): (&Fault, &Effect)| {
            let Effect::MemoryLeaks { exhausted_after } = e else { return None };
            let passed = self.clock.duration_since(self.since(fault)?.max(up)).as_secs_f64();
            Some(passed / exhausted_after.to_std().as_secs_f64().max(1.0))
        };
        self.effects().filter_map(leaked).sum::<f64>().clamp(0.0, 1.0)
    }

    /// Names of the disks that the host can use.
    pub fn usable_disks(&self) -> Vec<String> {
        let raw = |disk: &String| self.suffers(|e| matches!(e, Effect::DiskRaw { name } if name == disk));
        self.disks().into_iter().filter(|disk| !raw(disk)).collect()
    }

    /// Names of the network adapters' drivers.
    pub fn drivers(&self) -> Vec<String> {
        let now = |driver: &String| {
            let other = |(_, e): (&Fault, &Effect)| match e {
                Effect::DriverReplaced { name, by } if name == driver => Some(by.clone()),
                _ => None,
            };
            self.effects().find_map(other).unwrap_or_else(|| driver.clone())
        };
        self.disk.drivers.iter().map(now).collect()
    }

    /// What a metric shows of this machine alone.
    pub fn metric(&self, metric: &Metric) -> f64 {
        match metric.shows {
            // Where pods of a workload run and are not reached, all requests to them fail.
            Shows::FailedShare if metric.workload.is_some() && !self.pod_network_ok() => 1.0,
            Shows::FailedShare => (metric.usually + self.failing_requests()).min(1.0),
            Shows::LatencySeconds => metric.usually + self.slower_requests(),
            Shows::MemoryUsedShare => metric.usually + (1.0 - metric.usually) * self.leaked_memory(),
        }
    }

    pub(super) fn service_struck(&self, name: &str) -> bool {
        self.effects().any(|(fault, effect)| match effect {
            Effect::ServiceStopped { name: stopped } => stopped == name,
            Effect::HandlesLeak { service, .. } => {
                service == name && self.exhausted_at(fault, effect).is_some_and(|at| at <= self.clock)
            }
            Effect::KubeletDead => name == super::machine::KUBELET,
            _ => false,
        })
    }

    /// Whether a service that this machine has runs; what it never had is not missed.
    pub(super) fn runs(&self, name: &str) -> bool {
        self.service(name) != ServiceState::Stopped
    }
}

impl Metric {
    /// What it shows of those of these machines that are up; nothing, where there is none.
    pub fn value<'a>(&self, machines: impl Iterator<Item = &'a Machine>) -> Option<f64> {
        let values: Vec<f64> = machines.filter(|machine| machine.is_up()).map(|machine| machine.metric(self)).collect();
        let count = u32::try_from(values.len()).ok().filter(|count| *count > 0)?;
        Some(match self.over {
            Over::Worst => values.iter().copied().fold(f64::MIN, f64::max),
            Over::Mean => values.iter().sum::<f64>() / f64::from(count),
        })
    }
}
