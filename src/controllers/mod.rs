//! The loops: thin glue between what is observed, decided, recorded and done.
//!
//! Five controllers: `node_update` takes one node through its steps, many at once; `rollout` is the one writer that
//! spends the budgets; `snapshot` deletes what nobody needs any more; `snapshot_class` tends the classes of snapshots;
//! `approval` says what has come of approvals. Only the leader runs them.

mod admission;
mod again;
mod approval;
mod attention;
mod backoff;
mod by_hand;
mod context;
mod elsewhere;
mod error;
mod guard;
mod holds;
mod invalid;
mod missing;
mod node_update;
mod pace;
mod parts;
mod provider;
mod release;
mod rollout;
mod route;
mod run;
#[cfg(test)]
mod samples;
mod snapshot;
mod snapshot_class;

pub use by_hand::{ByHand, Target};
pub use context::{Context, Settings};
pub use error::ReconcileError;
pub use run::{Controllers, Parts, StartError, resources_served};
