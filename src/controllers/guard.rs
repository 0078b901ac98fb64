//! Around every pass: a bound in time, a net for panics, measures, and what follows a failure.

use super::again::Again;
use super::backoff::Backoff;
use super::context::Context;
use super::error::{PASS_TIMEOUT, ReconcileError};
use futures::FutureExt;
use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::time::Instant;

/// How much sooner than after a failure a pass is made again that was decided on what is no longer true: first after 100 ms.
const STALE_SOONER: u32 = 5;

/// Names a pass: the controller, and the object.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The controller.
    pub controller: &'static str,
    /// The object's name.
    pub name: String,
}

impl Pass {
    /// Its key among all controllers' objects.
    pub fn key(&self) -> String {
        format!("{}/{}", self.controller, self.name)
    }
}

/// Makes a pass. It ends in [`PASS_TIMEOUT`], and a panic in it stops nothing but itself.
///
/// # Errors
/// Those of the pass, or that it took too long, or panicked.
pub async fn guarded(
    ctx: &Context,
    pass: &Pass,
    work: impl Future<Output = Result<Again, ReconcileError>>,
) -> Result<Again, ReconcileError> {
    let started = Instant::now();
    let result = bounded(work, PASS_TIMEOUT).await;
    ctx.metrics.reconciled(pass.controller, started.elapsed());
    if result.as_ref().is_ok_and(|again| again.passed()) {
        ctx.failures.succeeded(&pass.key());
    }
    result
}

/// What follows a failure.
pub fn after_failure(ctx: &Context, pass: &Pass, error: &ReconcileError) -> Again {
    ctx.metrics.reconcile_failed(pass.controller, error.label());
    ctx.pace.forget(&pass.key());
    let wait = wait_after(&ctx.failures, &pass.key(), error);
    if error.is_stale() {
        tracing::debug!(controller = pass.controller, name = pass.name, %error, "pass dropped");
        return Again::after(wait);
    }
    tracing::warn!(controller = pass.controller, name = pass.name, %error, ?wait, "pass failed, trying again");
    Again::after(wait)
}

/// How long to wait, longer with each failure in a row: another write may come first every time.
fn wait_after(failures: &Backoff, key: &str, error: &ReconcileError) -> Duration {
    let wait = failures.failed(key);
    if error.is_stale() { wait / STALE_SOONER } else { wait }
}

async fn bounded<T>(
    work: impl Future<Output = Result<T, ReconcileError>>,
    within: Duration,
) -> Result<T, ReconcileError> {
    match tokio::time::timeout(within, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(ReconcileError::Panicked(text_of(panic.as_ref()))),
        Err(_) => Err(ReconcileError::TimedOut),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RecordError;

    #[tokio::test]
    async fn a_panic_ends_its_own_pass_only() {
        let panics = async { if true { panic!("node {}", "win-1") } else { Ok(()) } };
        assert!(
            matches!(bounded(panics, PASS_TIMEOUT).await, Err(ReconcileError::Panicked(text)) if text == "node win-1")
        );
        assert!(matches!(bounded(async { Ok(7) }, PASS_TIMEOUT).await, Ok(7)));
    }

    /// Ten times a second, for as long as another write came first: a load for the API server, and for a simulation, where
    /// seed 61 of a small fleet found it, a time that never passes.
    #[test]
    fn what_is_stale_again_and_again_is_tried_ever_later() {
        let (failures, stale) =
            (Backoff::default(), || ReconcileError::from(RecordError::Conflict { name: "x".into() }));
        let waits: Vec<_> = (0..12).map(|_| wait_after(&failures, "a", &stale())).collect();
        let (first, last) = (waits[0], waits[11]);
        assert!((Duration::from_millis(100)..Duration::from_millis(126)).contains(&first), "{first:?}");
        assert!((Duration::from_secs(12)..Duration::from_secs(16)).contains(&last), "{last:?}");
        assert!(wait_after(&failures, "b", &ReconcileError::TimedOut) >= Duration::from_millis(500));
        failures.succeeded("a");
        assert!(wait_after(&failures, "a", &stale()) < Duration::from_millis(126));
    }

    #[tokio::test]
    async fn a_pass_that_hangs_is_cut_off() {
        let hangs = std::future::pending::<Result<(), ReconcileError>>();
        assert!(matches!(bounded(hangs, Duration::from_millis(1)).await, Err(ReconcileError::TimedOut)));
    }
}
