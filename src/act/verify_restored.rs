//! `VerifyRestored` (needs a client): the old build is back, the restore is proved, and the probes pass.
//!
//! The proof comes first: its pod can only have run on the restored disk, while the Node object may still show what was
//! before. Nonce A there and nonce B absent say that the disk is the snapshot's. Undo: none; an unproved node is held.

use super::probes::{Expect, Subject, Verdicts, all, host};
use super::verify::settle;
use super::{ActContext, ActError, install};
use crate::domain::{Readiness, StepKey, StepResult};

pub(super) async fn run(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    let Some(node) = ctx.node.here() else { return Ok(install::boot(ctx)) };
    let since = match node.readiness {
        // A kubelet tells the time of its own clock, which an old disk may have ahead: that is no reason to wait for it.
        Readiness::Ready(since) if since > ctx.now => ctx.begun(),
        Readiness::Ready(since) => since.max(ctx.begun()),
        Readiness::NotReady(_) | Readiness::Unknown => ctx.now,
    };
    if let Some(result) = settle(ctx, node, since) {
        return Ok(result);
    }
    let expect = Expect { build: ctx.intent.from, exact: true };
    let subject = Subject::of(ctx, node, key, expect);
    let proof = host::Proof::Restored { uid: &ctx.intent.uid };
    let proved = Verdicts(vec![("restore".to_owned(), host::probe(&subject, &proof).await?)]);
    match proved.result() {
        StepResult::Done { .. } => all(&subject, &proof).await.map(|result| told(ctx, result)),
        not_yet => Ok(not_yet),
    }
}

/// A success says what was proved, not only how many probes passed.
fn told(ctx: &ActContext<'_>, result: StepResult) -> StepResult {
    match result {
        StepResult::Done { message, .. } => {
            StepResult::done(format!("build {} is back, the restore is proved, {message}", ctx.intent.from))
        }
        other @ (StepResult::Pending { .. } | StepResult::Failed { .. }) => other,
    }
}
