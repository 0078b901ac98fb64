//! How the hypervisor behaves, and how long things take.

use super::{Period, Trouble};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// How the hypervisor behaves.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HypervisorSpec {
    /// Its id, the host part of each machine's provider ID (`simulated://<id>/<machine>`).
    pub id: String,
    /// Provider IDs of machines that are somebody else's instances as well (`aws:///us-east-1a/i-...`), by machine; instead
    /// of `simulated://<id>/<machine>`.
    pub provider_ids: BTreeMap<String, String>,
    /// From the request for a snapshot to its end.
    pub snapshot_takes: Period,
    /// From a snapshot's end until a machine can be restored from it (clouds copy in the background).
    pub restorable_after: Period,
    /// Lifetime of a snapshot; none means for ever.
    pub snapshots_expire: Option<Period>,
    /// Snapshots one machine may have; none means any number. A request above it is refused with code `Quota`.
    pub snapshots_per_machine: Option<usize>,
    /// From the request for a restore until the disk is swapped and the machine powered on.
    pub restore_takes: Period,
    /// From the request for a change of power to its end.
    pub power_takes: Period,
    /// When set, of each n requests in a row one is answered with 429.
    pub throttle: Option<Throttle>,
    /// What goes wrong with its API, and when.
    pub troubles: Vec<Trouble<HypervisorEffect>>,
}

/// What becomes false of the hypervisor's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum HypervisorEffect {
    /// It answers.
    Down,
    /// It takes requests: of each n in a row one is refused.
    Throttled(Throttle),
    /// Its tasks take their usual time.
    Slow {
        /// How much longer.
        by: Period,
    },
    /// It answers at once: it does what it is asked at once, and answers this much later.
    AnswersLate {
        /// How much later.
        by: Period,
    },
}

impl Default for HypervisorSpec {
    fn default() -> Self {
        Self {
            id: "sim".into(),
            provider_ids: BTreeMap::new(),
            snapshot_takes: Period::seconds(60),
            restorable_after: Period::ZERO,
            snapshots_expire: None,
            snapshots_per_machine: None,
            restore_takes: Period::seconds(300),
            power_takes: Period::seconds(5),
            throttle: None,
            troubles: Vec::new(),
        }
    }
}

/// Refuses some requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Throttle {
    /// Of how many requests in a row one is refused, which is drawn; 1 refuses all.
    pub every_nth: NonZeroU32,
    /// The `Retry-After` of the refusal (whole seconds, rounded up).
    pub retry_after: Period,
}

/// How long things take on a healthy machine. The defaults are usual times of a Windows Server 2022 node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Timings {
    /// Download of one update.
    pub stage: Period,
    /// Installation of one update.
    pub install: Period,
    /// From the request for a reboot until the machine's software has stopped.
    pub shutdown: Period,
    /// From power-on, or the end of the shutdown, until the machine's services run.
    pub reboot: Period,
    /// From the services' start until the kubelet is ready.
    pub kubelet_start: Period,
    /// From a pod's arrival on a node until its containers run.
    pub pod_start: Period,
    /// How long a pod runs that ends by itself.
    pub pod_runs: Period,
    /// The longest that a container takes to stop, whatever its grace period.
    pub pod_stop: Period,
    /// Between two renewals of a node's Lease.
    pub lease_renew: Period,
    /// Between two reports of a node's status when nothing changed.
    pub node_status: Period,
    /// How long servicing's "reboot pending" mark stays after a boot that installed something.
    pub servicing_lingers: Period,
    /// Lifetime of the kubelet's client certificate; it is renewed after four fifths of it.
    pub kubelet_certificate: Period,
    /// How long a machine keeps its password in the domain, until it changes it.
    pub machine_password: Period,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            stage: Period::seconds(300),
            install: Period::seconds(1200),
            shutdown: Period::seconds(10),
            reboot: Period::seconds(300),
            kubelet_start: Period::seconds(20),
            pod_start: Period::seconds(10),
            pod_runs: Period::seconds(5),
            pod_stop: Period::seconds(2),
            // The kubelet's own defaults: a quarter of the 40 s lease, and nodeStatusReportFrequency.
            lease_renew: Period::seconds(10),
            node_status: Period::seconds(300),
            servicing_lingers: Period::seconds(120),
            kubelet_certificate: Period::hours(24 * 365),
            // Windows' own ("Maximum machine account password age").
            machine_password: Period::hours(24 * 30),
        }
    }
}
