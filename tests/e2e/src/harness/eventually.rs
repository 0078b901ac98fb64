//! Waiting with a deadline.

use anyhow::{Result, bail};
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often to look, in milliseconds.
const POLL: Duration = Duration::from_millis(250);

/// What one look brought: what was wanted, or a description of what was seen instead.
pub type Sight<T> = ControlFlow<T, String>;

/// It is there.
pub fn seen<T>(what: T) -> Sight<T> {
    ControlFlow::Break(what)
}

/// It is not there yet; this is.
pub fn not_yet<T>(instead: impl Into<String>) -> Sight<T> {
    ControlFlow::Continue(instead.into())
}

/// Looks again and again. For what the API server has, `Scene::until` waits without asking.
///
/// # Errors
/// It is not there within `patience`: with `what`, and what was seen last. An error of a look counts as not yet.
pub async fn eventually<T>(what: &str, patience: Duration, look: impl AsyncFn() -> Result<Sight<T>>) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        let last = match tokio::time::timeout_at(deadline, look()).await {
            Ok(Ok(Sight::Break(value))) => return Ok(value),
            Ok(Ok(Sight::Continue(instead))) => instead,
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => "no answer".to_owned(),
        };
        if Instant::now() >= deadline {
            bail!("not within {} s: {what}; last seen: {last}", patience.as_secs());
        }
        sleep(POLL).await;
    }
}
