//! The doing side: one small idempotent effect per step, bounded in seconds. Long work is started, then polled.
//!
//! Nothing here decides what comes next, and nothing here imports `plan`. An effect finds its own earlier work: at the
//! node by the claim, at the provider by the step's key, among pods by a name made of the key. A fact about the node is
//! a [`StepResult`]; an [`ActError`] is a call that gave nothing and is made again with the next pass.

mod agent;
mod budgets;
mod claim;
mod clean_up;
mod cordon;
mod drain;
mod error;
mod evict;
mod hold;
mod install;
mod means;
mod node_patch;
mod pods;
mod preflight;
mod probes;
mod provider;
mod reboot;
mod report;
mod reset;
mod restore;
mod snapshot;
mod stage;
mod templates;
mod tenants;
mod uncordon;
mod verify;
mod verify_restored;

pub use agent::{Asked, Question, ask, asked_since, take_back};
pub use clean_up::{Whose, clean_up};
pub use error::{ActError, ApiError};
pub use means::{ActConfig, Clients, Means, Memory, PodStores};
pub use pods::Owner;
pub use probes::{Depth, InService, ProbeVerdict, cel_syntax_error, probe_in_service};
#[cfg(test)]
pub(crate) use report::tests::report as report_of;

use crate::api::Step;
use crate::domain::{History, Intent, NodeSeen, StepKey, StepResult, WaitingOn};
use futures::FutureExt;
use jiff::Timestamp;
use std::time::Duration;

/// How soon to try again what the API server refuses as such.
const REFUSED_AGAIN: Duration = Duration::from_secs(30);

/// One node update at one moment.
#[derive(Clone, Copy)]
pub struct ActContext<'a> {
    /// What effects work with.
    pub means: &'a Means,
    /// What is to be done.
    pub intent: &'a Intent,
    /// What was done; its last record is the step that runs.
    pub history: &'a History,
    /// What there is under the node's name.
    pub node: &'a NodeSeen,
    /// The time.
    pub now: Timestamp,
}

/// Runs one pass of a step that is on record.
///
/// # Guarantees
/// Run twice, after a crash or at once, it does nothing twice. A pass takes seconds, not minutes.
///
/// # Errors
/// [`ActError`] when a call to the API server gave nothing that says anything about the node: the pass is made again,
/// with growing waits. A request that is refused as such (a missing right, an admission rule, a webhook that is away) is
/// waited for instead, so that it is shown and the step's deadline applies.
pub async fn run(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    // Boxed each: what every pass carries about would be as large as the largest of them.
    let step = match key.step {
        Step::Preflight => return Ok(preflight::run(ctx).await),
        Step::Stage => stage::run(ctx, key).boxed(),
        Step::Cordon => cordon::run(ctx, key).boxed(),
        Step::Drain => drain::run(ctx, key).boxed(),
        Step::Snapshot => snapshot::run(ctx, key).boxed(),
        Step::Install => install::run(ctx, key).boxed(),
        Step::Reboot => reboot::run(ctx, key).boxed(),
        Step::Verify => verify::run(ctx, key).boxed(),
        Step::Restore => restore::run(ctx, key).boxed(),
        Step::VerifyRestored => verify_restored::run(ctx, key).boxed(),
        Step::Uncordon => uncordon::run(ctx, key).boxed(),
        Step::Hold => hold::run(ctx).boxed(),
    };
    match step.await {
        Err(error) if error.is_refused() => Ok(wait(WaitingOn::ApiServer(error.to_string()), REFUSED_AGAIN)),
        other => other,
    }
}

/// Not yet; look again after this time at the latest.
fn wait(on: WaitingOn, after: Duration) -> StepResult {
    StepResult::Pending { on, after }
}

impl ActContext<'_> {
    /// When the step that runs was begun.
    fn begun(&self) -> Timestamp {
        self.history.open().map_or(self.now, |record| record.started_at.0)
    }

    /// How long the step that runs has been under way.
    fn elapsed(&self) -> Duration {
        self.passed_since(self.begun())
    }

    /// How long ago that is; nothing where it has yet to come.
    fn passed_since(&self, at: Timestamp) -> Duration {
        Duration::try_from(self.now.duration_since(at)).unwrap_or_default()
    }

    /// When to ask the provider again: soon at first, then ever less often, so that a task of seconds is not waited for
    /// half a minute and one of an hour is not asked for a thousand times.
    fn poll(&self) -> Duration {
        (self.elapsed() / 4).clamp(Duration::from_secs(1), Duration::from_secs(15))
    }
}
