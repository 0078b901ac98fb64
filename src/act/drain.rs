//! `Drain` (needs a client): evicts the pods and waits until they and their volumes are gone.
//!
//! Budgets are honoured and nothing is ever forced: what can not be evicted is waited for, by name, until the step's
//! deadline. The node's pods are followed meanwhile, so that a look at them costs no request. Undo: `Uncordon`; the pods
//! live on elsewhere.

use super::claim::{self, Claim};
use super::evict::{Evicted, Fate, evict, fate, full_name};
use super::tenants::Tenants;
use super::{ActContext, ActError, budgets, wait};
use crate::domain::{StepKey, StepResult, WaitingOn};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Node, Pod};
use std::sync::Arc;
use std::time::Duration;

/// How soon to ask again what a budget refused: `kubectl drain` waits as long.
const BUDGET_AGAIN: Duration = Duration::from_secs(5);
/// How soon to look again for volumes that are still attached.
const VOLUMES_AGAIN: Duration = Duration::from_secs(5);
/// How many evictions are under way at once: a node's pods in a moment, and no burst at the API server.
const AT_ONCE: usize = 5;
/// How soon to look again at pods that were told to end.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) async fn run(ctx: &ActContext<'_>, key: &StepKey) -> Result<StepResult, ActError> {
    if let Claim::NotOurs(result) = claim::check(ctx, key).await? {
        return Ok(result);
    }
    let tenants = tenants(ctx, key).await?;
    let pods = judged(ctx, &tenants);
    if let Some(pod) = pods.iter().find(|(_, fate)| *fate == Fate::Stuck) {
        let name = full_name(&pod.0);
        return Ok(StepResult::failed(format!("pod {name} has no controller: once evicted it would not come back")));
    }
    let (leaving, to_evict): (Vec<_>, Vec<_>) = pods.into_iter().partition(|(_, fate)| *fate == Fate::Leaving);
    let asked = ask_to_leave(ctx, to_evict.into_iter().map(|(pod, _)| pod).collect()).await?;
    for (pod, _) in asked.iter().filter(|(_, evicted)| *evicted == Evicted::Yes) {
        tenants.note_leaving(pod, ctx.now);
    }
    if let Some((pod, words)) = asked.iter().find_map(|(p, e)| refused(e).map(|words| (p, words))) {
        let budget = budget(ctx, &tenants, pod, words).await?;
        return Ok(wait(WaitingOn::DisruptionBudget { budget, pod: full_name(pod) }, BUDGET_AGAIN));
    }
    match left(&leaving, &asked) {
        None => empty(ctx, key).await,
        Some(on) => Ok(wait(on, LOOK_AGAIN)),
    }
}

/// What is waited for while pods are left: all that the node had at this look. Whatever their evictions came to, only the
/// list of the node's pods says that one is gone.
fn left(leaving: &[(Arc<Pod>, Fate)], asked: &[(Arc<Pod>, Evicted)]) -> Option<WaitingOn> {
    let put_off = |(pod, evicted): &(Arc<Pod>, Evicted)| match evicted {
        Evicted::Later(words) => Some(WaitingOn::ApiServer(format!("evicting pod {}: {words}", full_name(pod)))),
        Evicted::Yes | Evicted::Refused(_) => None,
    };
    // While others end, there is somebody to wait for, and what is put off is mostly taken at the next look.
    let others_end = !leaving.is_empty() || asked.iter().any(|one| put_off(one).is_none());
    if !others_end {
        return asked.iter().find_map(put_off);
    }
    let pods = leaving.iter().map(|(pod, _)| pod).chain(asked.iter().map(|(pod, _)| pod));
    let mut names: Vec<_> = pods.map(|pod| full_name(pod)).collect();
    names.sort_unstable();
    Some(WaitingOn::PodsTerminating { left: names.len(), first: names.first()?.clone() })
}

/// The node's pods, followed from the first pass of the step on.
async fn tenants(ctx: &ActContext<'_>, key: &StepKey) -> Result<Arc<Tenants>, ActError> {
    let (memory, name) = (&ctx.means.memory, &ctx.intent.node.name);
    if let Some(tenants) = memory.tenants(&key.node_update_uid) {
        return Ok(tenants);
    }
    let tenants = Tenants::follow(ctx.means.clients.read.clone(), name).await;
    let tenants = Arc::new(tenants.map_err(|source| ActError::ListPods { name: name.clone(), source })?);
    memory.note_tenants(key.node_update_uid.clone(), Arc::clone(&tenants));
    Ok(tenants)
}

/// The pods of the node that do not stay, by name.
fn judged(ctx: &ActContext<'_>, tenants: &Tenants) -> Vec<(Arc<Pod>, Fate)> {
    let config = &ctx.means.config;
    let ours = [config.agents_namespace.as_str(), config.probes_namespace.as_str()];
    let judged = tenants.look().into_iter().map(|pod| {
        let fate = fate(&pod, ours);
        (pod, fate)
    });
    let mut pods: Vec<_> = judged.filter(|(_, fate)| *fate != Fate::Stays).collect();
    pods.sort_by_cached_key(|(pod, _)| full_name(pod));
    pods
}

/// Evicts these pods, a few at once; the answers are in their order.
async fn ask_to_leave(ctx: &ActContext<'_>, pods: Vec<Arc<Pod>>) -> Result<Vec<(Arc<Pod>, Evicted)>, ActError> {
    let means = ctx.means;
    let evictions = pods.into_iter().map(|pod| async move {
        let evicted = evict(means, &pod).await?;
        Ok::<_, ActError>((pod, evicted))
    });
    stream::iter(evictions).buffered(AT_ONCE).try_collect().await
}

/// Names the budget that refused a pod with these words.
async fn budget(ctx: &ActContext<'_>, tenants: &Tenants, pod: &Pod, words: &str) -> Result<String, ActError> {
    if let Some(budget) = tenants.budget(pod, words) {
        return Ok(budget);
    }
    let budget = budgets::of_pod(ctx.means, pod, words).await?;
    tenants.note_budget(pod, words, &budget);
    Ok(budget)
}

fn refused(evicted: &Evicted) -> Option<&str> {
    match evicted {
        Evicted::Refused(words) => Some(words),
        Evicted::Yes | Evicted::Later(_) => None,
    }
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
        ctx.means.memory.forget_tenants(&key.node_update_uid);
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
    use serde_json::json;

    fn pod(name: &str) -> Arc<Pod> {
        let pod = json!({"metadata": {"name": name, "namespace": "shop"}});
        Arc::new(serde_json::from_value(pod).expect("a pod"))
    }

    /// A conflict was once taken for "it is gone": the drain ended, and the pod ran on.
    #[test]
    fn a_pod_is_left_whatever_its_eviction_came_to() {
        let later = |name| (pod(name), Evicted::Later("the object has been modified".into()));
        let ends = |left, first: &str| Some(WaitingOn::PodsTerminating { left, first: first.into() });
        assert_eq!(left(&[], &[]), None);
        assert_eq!(left(&[], &[(pod("web-1"), Evicted::Yes)]), ends(1, "shop/web-1"));
        assert_eq!(left(&[(pod("web-2"), Fate::Leaving)], &[later("web-1")]), ends(2, "shop/web-1"));
        assert_eq!(left(&[], &[later("web-1"), (pod("web-2"), Evicted::Yes)]), ends(2, "shop/web-1"));
        let words = "evicting pod shop/web-1: the object has been modified";
        assert_eq!(left(&[], &[later("web-1"), later("web-2")]), Some(WaitingOn::ApiServer(words.into())));
    }
}
