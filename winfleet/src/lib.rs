//! Simulated Windows machines: a pure model, a kubelet that drives a real API server, a hypervisor.

pub mod model;
pub mod scenario;
