//! Around every pass: a bound in time, a net for panics, measures, and what follows a failure.

use super::again::Again;
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
    if result.is_ok() {
        ctx.failures.succeeded(&pass.key());
    }
    result
}

/// What follows a failure.
pub fn after_failure(ctx: &Context, pass: &Pass, error: &ReconcileError) -> Again {
    ctx.metrics.reconcile_failed(pass.controller, error.label());
    ctx.pace.forget(&pass.key());
    let wait = ctx.failures.failed(&pass.key());
    if error.is_stale() {
        tracing::debug!(controller = pass.controller, name = pass.name, %error, "pass dropped");
        return Again::after(wait / STALE_SOONER);
    }
    tracing::warn!(controller = pass.controller, name = pass.name, %error, ?wait, "pass failed, trying again");
    Again::after(wait)
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

    #[tokio::test]
    async fn a_panic_ends_its_own_pass_only() {
        let panics = async { if true { panic!("node {}", "win-1") } else { Ok(()) } };
        assert!(
            matches!(bounded(panics, PASS_TIMEOUT).await, Err(ReconcileError::Panicked(text)) if text == "node win-1")
        );
        assert!(matches!(bounded(async { Ok(7) }, PASS_TIMEOUT).await, Ok(7)));
    }

    #[tokio::test]
    async fn a_pass_that_hangs_is_cut_off() {
        let hangs = std::future::pending::<Result<(), ReconcileError>>();
        assert!(matches!(bounded(hangs, Duration::from_millis(1)).await, Err(ReconcileError::TimedOut)));
    }
}
