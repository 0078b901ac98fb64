//! What a case works with.

use crate::{Event, Fault, Happened, Requests, Verdict, World};
use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use windlass::api::Step;
use windlass::domain::{NodeRef, StepKey};
use windlass::ports::{Handle, Order, Progress, ProviderError, SnapshotProvider};

/// Longest that a piece of work may take in the emulators.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// How soon to ask again.
const POLL: Duration = Duration::from_millis(100);

/// What a case works with: a world, and machines and keys of its own.
pub struct Bench<'a> {
    /// The world.
    pub world: &'a dyn World,
    case: &'static str,
    serial: AtomicU32,
}

impl<'a> Bench<'a> {
    /// A bench for one case.
    pub fn new(world: &'a dyn World, case: &'static str) -> Self {
        Self { world, case, serial: AtomicU32::new(0) }
    }

    /// The provider, as after a start of the operator.
    pub fn provider(&self) -> Arc<dyn SnapshotProvider> {
        self.world.provider()
    }

    /// A new machine with this text on its disk.
    ///
    /// # Errors
    /// The world can not make one.
    pub async fn machine(&self, text: &str) -> Result<NodeRef> {
        let node = self.world.machine().await?;
        self.world.write(&node, text).await?;
        Ok(node)
    }

    /// A key that nobody had before.
    pub fn key(&self, step: Step) -> StepKey {
        let n = self.serial.fetch_add(1, Ordering::Relaxed);
        let uid = format!("{}-{}-{n}", self.case, Timestamp::now().as_nanosecond());
        StepKey { node_update_uid: uid, step, round: 1, attempt: 1 }
    }

    /// Asks for a snapshot once.
    ///
    /// # Errors
    /// What the provider says.
    pub async fn ask(&self, node: &NodeRef, key: &StepKey) -> Result<Progress, ProviderError> {
        let expires_at = "2027-01-01T00:00:00Z".parse().ok();
        self.provider().ensure(&Order { node, key, expires_at }).await
    }

    /// Asks for a snapshot until it is made and can be restored, with a provider made anew each time; what may pass is
    /// waited for.
    ///
    /// # Errors
    /// It failed, or took too long.
    pub async fn snapshot(&self, node: &NodeRef, key: &StepKey) -> Result<Handle> {
        let handle = self.until("the snapshot", async || self.ask(node, key).await).await?;
        let handle = handle.context("a snapshot without a handle")?;
        let until = Instant::now() + PATIENCE;
        while !self.provider().inspect(&handle).await?.restorable {
            ensure!(Instant::now() < until, "snapshot {handle} is not restorable within {PATIENCE:?}");
            tokio::time::sleep(POLL).await;
        }
        Ok(handle)
    }

    /// Restores until it is done, and switches the machine on if it is not.
    ///
    /// # Errors
    /// It failed, or took too long.
    pub async fn restore(&self, node: &NodeRef, handle: &Handle, key: &StepKey) -> Result<()> {
        self.until("the restore", async || self.provider().restore(node, handle, key).await).await.map(drop)
    }

    /// Repeats a call until it is done. Errors that the contract says may pass are waited for.
    ///
    /// # Errors
    /// One that does not pass, or the time is over.
    pub async fn until(
        &self,
        what: &str,
        call: impl AsyncFn() -> Result<Progress, ProviderError>,
    ) -> Result<Option<Handle>> {
        let until = Instant::now() + PATIENCE;
        let mut last = String::new();
        while Instant::now() < until {
            match call().await {
                Ok(Progress::Done { handle }) => return Ok(handle),
                Ok(Progress::Running { message }) => last = message,
                Err(error @ (ProviderError::Transient(_) | ProviderError::Throttled { .. })) => {
                    last = error.to_string();
                }
                Err(error) => bail!("{what}: {error:?}"),
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("{what} did not end within {PATIENCE:?}; last: {last}")
    }

    /// Repeats a call until it fails in a way that does not pass.
    ///
    /// # Errors
    /// It was done, or the time is over.
    pub async fn until_refused(
        &self,
        what: &str,
        call: impl AsyncFn() -> Result<Progress, ProviderError>,
    ) -> Result<ProviderError> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match call().await {
                Ok(Progress::Done { handle }) => bail!("{what} was done ({handle:?}), and should not have been"),
                Ok(Progress::Running { .. }) | Err(ProviderError::Transient(_) | ProviderError::Throttled { .. }) => {}
                Err(error) => return Ok(error),
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("{what} neither ended nor failed within {PATIENCE:?}")
    }

    /// Waits until the machine's disk has this text.
    ///
    /// # Errors
    /// It has another after a while.
    pub async fn reads(&self, node: &NodeRef, text: &str) -> Result<()> {
        let found = self.world.read(node).await?;
        ensure!(found == text, "the disk of {} has {found:?}, and should have {text:?}", node.name);
        Ok(())
    }

    /// Checks how many snapshots of the machine there really are.
    ///
    /// # Errors
    /// There are more, or fewer.
    pub async fn there_are(&self, snapshots: usize, node: &NodeRef) -> Result<()> {
        let found = self.world.snapshots(node).await?;
        ensure!(found == snapshots, "there are {found} snapshots of {}, and should be {snapshots}", node.name);
        Ok(())
    }

    /// Misbehaves; what can not be is the reason why the case is not applicable.
    pub fn misbehave(&self, fault: Fault, on: Requests, times: u32) -> Option<Verdict> {
        let reason = || Verdict::NotApplicable(format!("the protocol has no answer for {fault:?}"));
        (!self.world.proxy().misbehave(fault, on, times)).then(reason)
    }

    /// Behaves again; the fault must have struck, or the case would show nothing.
    ///
    /// # Errors
    /// It did not strike.
    pub fn behave(&self) -> Result<()> {
        ensure!(self.world.proxy().behave() > 0, "no request was struck: the case shows nothing");
        Ok(())
    }

    /// Makes something happen; what can not is the reason why the case is not applicable.
    ///
    /// # Errors
    /// The world fails.
    pub async fn happens(&self, event: Event<'_>) -> Result<Option<Verdict>> {
        Ok(match self.world.happen(event).await? {
            Happened::Yes => None,
            Happened::Never(why) => Some(Verdict::NotApplicable(why.to_owned())),
        })
    }
}
