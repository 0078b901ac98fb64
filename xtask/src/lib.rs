//! The developer's interface, as a library: `cargo xtask` is its command line, the stories in `tests/e2e` use it directly.
//!
//! | Module | For |
//! |---|---|
//! | [`workspace`] | the checkout, the cache folder, the programs that cargo builds |
//! | [`control_plane`] | finding or building etcd, the Kubernetes servers, kubectl and helm |
//! | [`cluster`] | a whole cluster on this machine: TLS, RBAC, simulated Windows nodes, the operator |
//! | [`crdgen`] | `crds/` and the chart's copy, from the API types |
//! | [`demo`] | the main job, told as a story |
//! | [`moto`] | EC2 on this machine, for tests and the demo |
//! | [`windows`] | programs for Windows: built, linted, run under Wine |
//! | [`agent`] | the agent as a Windows program: tested, fuzzed, measured |
//! | [`probe`] | the program of `http` probe pods as a Windows program |
//! | [`guardian`] | child processes that do not outlive their owner |
//! | [`soak`] | an operator that is killed again and again |
//! | [`incidents`] | what the default policy makes of published incidents |
//! | [`kubevirt`] | virt-controller's part over simulated machines |
//! | [`bench`] | the figures that the project promises to watch |
//! | [`ci`] | what every change must pass |

// Counts become figures for people here; they are far below 2^52.
#![allow(clippy::cast_precision_loss)]

pub mod agent;
pub mod bench;
pub mod ci;
pub mod cluster;
pub mod control_plane;
pub mod crdgen;
pub mod demo;
mod fields;
pub mod guardian;
pub mod incidents;
pub mod kubevirt;
pub mod moto;
pub mod probe;
pub mod simulate_many;
pub mod soak;
pub mod windows;
pub mod workspace;
