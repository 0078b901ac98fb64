//! What the operator shows of itself: metrics, health, logs, and who leads.

mod count;
mod health;
mod leader;
mod logs;
mod metrics;

pub use count::counted_client;
pub use health::{Health, Phase, serve};
pub use leader::{Elector, Lost, Terms};
pub use logs::init_logs;
pub use metrics::{Metrics, SnapshotFigures};
