//! `Drain` (needs a client): evicts the pods and waits until they and their volumes are gone.
//!
//! Budgets are honoured and nothing is ever forced: what can not be evicted is waited for, by name, until the step's
//! deadline. Each pass lists the node's pods once, as seldom as that finds their end in time. Undo: `Uncordon`; the
//! pods live on elsewhere.

use super::claim::{self, Claim};
use super::error::call;
use super::evict::{Evicted, Fate, evict, fate, full_name, grace};
use super::{ActContext, ActError, budgets, wait};
use crate::domain::{StepKey, StepResult, WaitingOn};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::ListParams;
use std::time::Duration;

/// How soon to ask again what a budget refused: `kubectl drain` waits as long.
const BUDGET_AGAIN: Duration = Duration::from_secs(5);
/// How soon to look again for volumes that are still attached.
const VOLUMES_AGAIN: Duration = Duration::from_secs(5);
/// How many evictions are under way at once: a node's pods in a moment, and no burst at the API server.
const AT_ONCE: usize = 5;
/// Soonest and latest look at pods that were told to end.
const LOOK: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

pub(super) async fn run(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    if let Claim::NotOurs(result) = claim::check(ctx, key).await? {
        return Ok(result);
    }
    let pods = list(ctx).await?;
    if let Some(pod) = pods.iter().find(|(_, fate)| *fate == Fate::Stuck) {
        let name = full_name(&pod.0);
        return Ok(StepResult::failed(format!("pod {name} has no controller: once evicted it would not come back")));
    }
    let (leaving, to_evict): (Vec<_>, Vec<_>) = pods.into_iter().partition(|(_, fate)| *fate == Fate::Leaving);
    let asked = ask_to_leave(ctx, to_evict.into_iter().map(|(pod, _)| pod).collect()).await?;
    if let Some((pod, words)) = asked.iter().find_map(|(p, e)| refused(e).map(|words| (p, words))) {
        let on =
            WaitingOn::DisruptionBudget { budget: budgets::of_pod(ctx.means, pod, words).await?, pod: full_name(pod) };
        return Ok(wait(on, BUDGET_AGAIN));
    }
    let left: Vec<_> = leaving
        .iter()
        .map(|(pod, _)| (full_name(pod), ends(pod, ctx.now)))
        .chain(asked.iter().filter(|(_, e)| *e != Evicted::Gone).map(|(pod, _)| (full_name(pod), grace(pod))))
        .collect();
    if left.is_empty() { empty(ctx, key).await } else { Ok(terminating(ctx, &left)) }
}

/// The pods of the node that do not stay, by name.
async fn list(ctx: &ActContext<'_>) -> Result<Vec<(Pod, Fate)>, ActError> {
    let config = &ctx.means.config;
    let ours = [config.agents_namespace.as_str(), config.probes_namespace.as_str()];
    let name = &ctx.intent.node.name;
    let api: Api<Pod> = Api::all(ctx.means.clients.read.clone());
    let params = ListParams::default().fields(&format!("spec.nodeName={name}"));
    let error = |source| ActError::ListPods { name: name.clone(), source };
    let pods = call(api.list(&params)).await.map_err(error)?.items;
    let judged = pods.into_iter().map(|pod| {
        let fate = fate(&pod, ours);
        (pod, fate)
    });
    let mut pods: Vec<_> = judged.filter(|(_, fate)| *fate != Fate::Stays).collect();
    pods.sort_unstable_by_key(|(pod, _)| full_name(pod));
    Ok(pods)
}

/// Evicts these pods, a few at once; the answers are in their order.
async fn ask_to_leave(ctx: &ActContext<'_>, pods: Vec<Pod>) -> Result<Vec<(Pod, Evicted)>, ActError> {
    let means = ctx.means;
    let evictions = pods.into_iter().map(|pod| async move {
        let evicted = evict(means, &pod).await?;
        Ok::<_, ActError>((pod, evicted))
    });
    stream::iter(evictions).buffered(AT_ONCE).try_collect().await
}

fn refused(evicted: &Evicted) -> Option<&str> {
    match evicted {
        Evicted::Refused(words) => Some(words),
        Evicted::Yes | Evicted::Gone | Evicted::Later => None,
    }
}

/// How long until a pod that is ending must be gone: its deletion timestamp is the end of its grace period.
fn ends(pod: &Pod, now: Timestamp) -> Duration {
    let at = pod.metadata.deletion_timestamp.as_ref().map_or(now, |t| t.0);
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}

fn terminating(ctx: &ActContext<'_>, left: &[(String, Duration)]) -> StepResult {
    let first = left.iter().map(|(name, _)| name).min().cloned().unwrap_or_default();
    let last_end = left.iter().map(|(_, ends)| *ends).max().unwrap_or_default();
    wait(WaitingOn::PodsTerminating { left: left.len(), first }, look_again(ctx.elapsed(), last_end))
}

/// When to list the pods again: at their end at the latest, and before that after three times the time waited so far,
/// so that pods that end at once are seen to, and those that take long are not asked for every second.
fn look_again(waited: Duration, last_end: Duration) -> Duration {
    let sooner = waited.saturating_mul(2);
    sooner.min(last_end + Duration::from_secs(1)).clamp(LOOK.0, LOOK.1)
}

/// No pod is left. A fresh look at the node says whether its volumes are, and counts as the look before the snapshot.
async fn empty(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    let node = claim::read(ctx).await?;
    if let Claim::NotOurs(result) = claim::of(ctx, &node) {
        return Ok(result);
    }
    ctx.means.memory.note_claim(key, ctx.now);
    let volumes = attached(&node);
    if volumes.is_empty() {
        return Ok(StepResult::done("no pod and no volume is left"));
    }
    Ok(wait(WaitingOn::Volumes(volumes), VOLUMES_AGAIN))
}

/// The volumes that are attached to the node, sorted.
fn attached(node: &Node) -> Vec<String> {
    let volumes = node.status.as_ref().and_then(|s| s.volumes_attached.as_ref());
    let mut names: Vec<_> = volumes.into_iter().flatten().map(|v| v.name.clone()).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_of_thirty_seconds_cost_five_lists() {
        let (mut at, mut lists) = (Duration::ZERO, 1);
        let end = Duration::from_secs(30);
        while at <= end {
            at += look_again(at, end.saturating_sub(at));
            lists += 1;
        }
        assert_eq!((lists, at), (5, Duration::from_secs(31)));
    }

    #[test]
    fn pods_that_end_at_once_are_seen_to_soon() {
        assert_eq!(look_again(Duration::ZERO, Duration::from_mins(10)), LOOK.0);
        assert_eq!(look_again(Duration::from_mins(15), Duration::from_mins(10)), LOOK.1);
        assert_eq!(look_again(Duration::from_mins(15), Duration::ZERO), LOOK.0);
    }
}
