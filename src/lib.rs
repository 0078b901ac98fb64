//! Windlass updates the Windows nodes of a Kubernetes cluster ring by ring, and reverts what a bad update broke.
//!
//! # Rooms
//!
//! Imports point one way: `api` <- `domain` <- `plan`; `ports` <- `domain`; `observe`, `record` and `act` sit above;
//! `controllers` above those; `main` alone names a concrete provider. `plan` never sees a client, `act` never imports
//! `plan`. An architecture test reads the `use` lines.

pub mod act;
pub mod api;
pub mod config;
pub mod controllers;
pub mod domain;
pub mod manifest;
pub mod observe;
pub mod plan;
pub mod ports;
pub mod providers;
pub mod record;
pub mod simulate;
pub mod telemetry;
