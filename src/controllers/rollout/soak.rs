//! Probes the nodes of a ring that soaks.

use super::memory::{Soak, uid_of};
use crate::act::{self, Depth, InService, ProbeVerdict, Whose, probe_in_service};
use crate::api::{PinnedSet, UpdateRollout};
use crate::controllers::context::Context;
use crate::controllers::error::ReconcileError;
use crate::domain::{Build, NodeState};
use crate::plan::fleet::SoakObservation;
use crate::plan::rollout::SoakProbe;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::SignedDuration;
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::time::Duration;

/// How soon to look again at probes under way; their pods' own events come earlier.
pub const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How many nodes are asked at once.
const AT_ONCE: usize = 8;

/// Begins a probing, or looks how the one under way goes. `true`: it is through, and in `soak.fresh`.
///
/// # Errors
/// [`ReconcileError`].
pub async fn probe(
    ctx: &Context,
    rollout: &UpdateRollout,
    due: &SoakProbe<'_>,
    pinned: &[PinnedSet],
    soak: &mut Soak,
) -> Result<bool, ReconcileError> {
    let now = ctx.clock.now();
    let begun = match &soak.under_way {
        Some((ring, begun)) if ring == due.ring => *begun,
        Some(_) | None => {
            soak.under_way = Some((due.ring.to_owned(), now));
            now
        }
    };
    let (name, uid, run) = (rollout.name_any(), uid_of(rollout), begun.as_millisecond().to_string());
    let deep: BTreeSet<_> = due.deep.iter().map(|node| node.node.uid.as_str()).collect();
    let probings = due.nodes.iter().enumerate().map(|(place, node)| InService {
        means: &ctx.means,
        now,
        rollout: &name,
        rollout_uid: &uid,
        node,
        policy: &due.revision.policy,
        build: expected_build(node, pinned),
        depth: Depth { pods: deep.contains(node.node.uid.as_str()), whole: place == 0 },
        run: &run,
    });
    let found: Vec<_> = stream::iter(probings.map(ask).collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await?;
    let patience = SignedDuration::try_from(due.revision.policy.verify.timeout.get()).unwrap_or_default();
    let Some(failures) = failures(found, now.duration_since(begun) >= patience) else { return Ok(false) };
    // The pods of one that failed stay for a look, until one passes or the rollout ends.
    let pods = due.revision.policy.verify.probes.iter().any(|p| p.pod.is_some() || p.http.is_some());
    if failures.is_empty()
        && pods
        && let Err(error) = act::clean_up(&ctx.means, Whose::Soak(&uid)).await
    {
        // The next probing that passes takes them, or the rollout's end: what was found counts whether they go or not.
        tracing::warn!(rollout = name, %error, "pods of a soak's probes are left");
    }
    soak.under_way = None;
    soak.turn = due.deep.last().map(|node| node.node.name.clone());
    let passed = due.deep.iter().map(|node| node.node.name.clone());
    let passed = passed.filter(|name| !failures.iter().any(|(failed, _)| failed == name)).collect();
    soak.fresh = Some(SoakObservation { ring: due.ring.to_owned(), at: begun, failures, passed });
    Ok(true)
}

/// The verdicts on one node, by its name.
async fn ask(probing: InService<'_>) -> Result<(String, Vec<(String, ProbeVerdict)>), ReconcileError> {
    Ok((probing.node.node.name.clone(), probe_in_service(&probing).await?))
}

/// What failed: node, and a message that names the probe. `None`: not all probes are through, or nothing has failed and
/// something is not known yet. What nobody knows when it is `late` has failed.
fn failures(found: Vec<(String, Vec<(String, ProbeVerdict)>)>, late: bool) -> Option<Vec<(String, String)>> {
    let (mut failures, mut unknown) = (Vec::new(), false);
    for (node, verdicts) in found {
        for (probe, verdict) in verdicts {
            match verdict {
                ProbeVerdict::Passed => {}
                ProbeVerdict::Running => return None,
                ProbeVerdict::Inconclusive(_) if !late => unknown = true,
                ProbeVerdict::Inconclusive(why) | ProbeVerdict::NotYet(why) | ProbeVerdict::Failed(why) => {
                    failures.push((node.clone(), format!("probe {probe} failed: {why}")));
                }
            }
        }
    }
    (!unknown || !failures.is_empty()).then_some(failures)
}

/// The build the node was updated to; at least the one it has.
fn expected_build(node: &NodeState, pinned: &[PinnedSet]) -> Build {
    let has = node.build.unwrap_or(Build::new(0, 0, 0, 0));
    let os_build = has.os_build();
    let set = pinned.iter().find(|set| set.os_build == os_build);
    set.and_then(|set| set.expected_build.as_ref()?.parse().ok()).unwrap_or(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probing_is_through_when_no_probe_runs_and_names_what_failed() {
        use ProbeVerdict::{Failed, Inconclusive, Passed, Running};
        let node = |name: &str, verdict| (name.to_owned(), vec![("dns".to_owned(), verdict)]);
        let failed = |why: &str| Some(vec![("b".to_owned(), format!("probe dns failed: {why}"))]);
        let told = |a, b, late| failures(vec![node("a", a), node("b", b)], late);
        assert_eq!(told(Passed, Passed, false), Some(vec![]));
        assert_eq!(told(Failed("x".into()), Running, true), None);
        assert_eq!(told(Passed, Failed("no answer".into()), false), failed("no answer"));
        assert_eq!(told(Passed, Inconclusive("no data".into()), false), None, "it is asked again");
        assert_eq!(told(Passed, Inconclusive("no data".into()), true), failed("no data"));
        assert_eq!(told(Inconclusive("no data".into()), Failed("x".into()), false), failed("x"));
    }
}
