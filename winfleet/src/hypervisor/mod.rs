//! The hypervisor's HTTP API over the world, and the controls of a test over both.
//!
//! `/v1` is what a provider speaks to: snapshots, restores and power as asynchronous tasks with idempotent keys.
//! `/sim` is for tests and demos: counters, publishing updates, breaking machines, and making `/v1` misbehave. Errors
//! are JSON, `{"error": {"code", "message"}}`.

mod api;
mod control;
mod mode;
mod shared;
mod wire;

pub use mode::Mode;
pub use shared::SharedWorld;

use axum::{Router, middleware};

/// All routes over a world.
pub fn router(world: SharedWorld) -> Router {
    let misbehaving = middleware::from_fn_with_state(world.clone(), mode::misbehave);
    Router::new()
        .nest("/v1", api::routes().layer(misbehaving))
        .nest("/sim", control::routes())
        .fallback(wire::no_route)
        .with_state(world)
}

#[cfg(test)]
mod tests;
