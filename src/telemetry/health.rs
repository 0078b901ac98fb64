//! Health over HTTP: `/healthz`, `/readyz`, `/metrics`.
//!
//! Neither depends on the API server being reachable: restarting the operator would not bring it back.

use super::Metrics;
use axum::{Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, routing::get};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// What the operator is at, as `/readyz` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waits for the custom resources to be served.
    WaitingForResources,
    /// Another instance leads; ready to take over.
    Standby,
    /// Leads, and fills its stores.
    Filling,
    /// Leads and works.
    Leading,
    /// Comes to an end.
    Stopping,
}

/// The operator's health.
pub struct Health {
    phase: Mutex<Phase>,
    metrics: Arc<Metrics>,
}

impl Health {
    /// Health at the start.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { phase: Mutex::new(Phase::WaitingForResources), metrics }
    }

    /// The operator is at another phase now.
    pub fn set(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until the process ends; the address that was bound is logged.
///
/// # Errors
/// The address can not be bound.
pub async fn serve(listen: SocketAddr, health: Arc<Health>) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    tracing::info!(address = %listener.local_addr()?, "serving /healthz, /readyz and /metrics");
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes(health)).await {
            tracing::error!(%error, "health is not served any more");
        }
    });
    Ok(())
}

fn routes(health: Arc<Health>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn ready(State(health): State<Arc<Health>>) -> (StatusCode, &'static str) {
    match health.phase() {
        Phase::WaitingForResources => (StatusCode::SERVICE_UNAVAILABLE, "waiting for the custom resources"),
        Phase::Filling => (StatusCode::SERVICE_UNAVAILABLE, "filling the stores"),
        Phase::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        Phase::Standby => (StatusCode::OK, "standby"),
        Phase::Leading => (StatusCode::OK, "leading"),
    }
}

async fn metrics(State(health): State<Arc<Health>>) -> ([(axum::http::HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], health.metrics.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_standby_is_ready_and_one_that_fills_or_stops_is_not() {
        let health = Arc::new(Health::new(Arc::default()));
        for (phase, code) in [
            (Phase::WaitingForResources, 503),
            (Phase::Standby, 200),
            (Phase::Filling, 503),
            (Phase::Leading, 200),
            (Phase::Stopping, 503),
        ] {
            health.set(phase);
            assert_eq!(ready(State(Arc::clone(&health))).await.0.as_u16(), code, "{phase:?}");
        }
    }
}
