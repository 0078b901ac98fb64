//! The kubelets of the simulated machines: one process that drives a real API server for all of them.
//!
//! What only decides is pure: `lifecycle` (a pod's next action), `program` (what a pod runs), `pod_status` and
//! `node_object` (what is written). What acts is one `heartbeat` and one `pods` worker per node, fed by two shared
//! watches (`dispatch`), held to one request rate (`limiter`), with one HTTPS server for all logs (`server`). The
//! `driver` lets time pass in the model and tells each kubelet what it sees of its machine.
//!
//! The pure modules are public: a simulation without a real API server has kubelets of its own above them.
//!
//! A simulated kubelet writes what a real one writes and nothing else: it never cordons, never taints, and while its
//! machine is down it writes nothing at all. There are no readiness probes: a pod whose network is dead stays `Running`
//! and `Ready`, and so does its node. That is what happened in July 2024, and what the probes of a rollout are for.

mod api;
mod dispatch;
mod driver;
mod events;
mod fleet;
mod heartbeat;
pub mod lifecycle;
mod limiter;
mod logs;
pub mod machine;
pub mod network;
pub mod node_object;
pub mod pod;
pub mod pod_status;
mod pods;
mod process;
pub mod program;
mod server;
mod tracked;

pub use fleet::{Fleet, FleetOptions, Running};
pub use pod::{EXIT_CODE, TERMINATES_AFTER};

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// `from` plus `wait`, at the end of time at the latest.
fn after(from: Timestamp, wait: Duration) -> Timestamp {
    from.saturating_add(SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
