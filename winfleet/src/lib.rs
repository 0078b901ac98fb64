//! Simulated Windows machines: a pure model, a kubelet that drives a real API server, a hypervisor.

pub mod agent_host;
pub mod hypervisor;
pub mod kubelet;
pub mod model;
pub mod scenario;
pub mod wine;
