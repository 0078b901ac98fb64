//! What the story promises, checked against what was seen and what the API server says at the end.

use super::fleet::{RING_LABEL, Watcher, is_available};
use crate::cluster::Cluster;
use anyhow::Result;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use windlass::api::{NodeUpdate, Outcome, RolloutState, UpdateRollout};

/// The most nodes of each ring that may be unavailable at once, as `examples/demo/rings.yaml` has it.
const BUDGETS: [(&str, usize); 3] = [("canary", 1), ("early", 2), ("broad", 3)];
/// The one machine of the ring `early` with the CNI that the bad update breaks.
const VICTIM: &str = "win-3";
/// The build of the good update.
const GOOD: &str = "10.0.20348.2527";
/// The build of the bad update.
const BAD: &str = "10.0.20348.2582";

/// Tells each promise that was broken, in a sentence.
pub(super) async fn broken(cluster: &Cluster, june: &Watcher, july: &Watcher) -> Result<Vec<String>> {
    let client = cluster.client().await?;
    let rollouts: Api<UpdateRollout> = Api::all(client.clone());
    let updates = Api::<NodeUpdate>::all(client.clone()).list(&ListParams::default()).await?.items;
    let nodes = Api::<Node>::all(client).list(&ListParams::default()).await?.items;
    let mut broken = Vec::new();
    let mut promise = |kept: bool, text: String| {
        if !kept {
            broken.push(text);
        }
    };
    for watcher in [june, july] {
        for (ring, budget) in BUDGETS {
            let most = watcher.most_unavailable.get(ring).copied().unwrap_or_default();
            promise(
                most <= budget,
                format!(
                    "{}: {most} nodes of ring {ring} were unavailable at once, at most {budget} may be",
                    watcher.rollout
                ),
            );
        }
        promise(
            watcher.broken_budgets.is_empty(),
            format!("{}: PodDisruptionBudgets were broken: {:?}", watcher.rollout, watcher.broken_budgets),
        );
    }
    let of = |rollout: &str, node: &str| {
        let found = updates.iter().find(|u| u.spec.rollout_name == rollout && u.spec.node_name == node);
        found.and_then(|u| u.status.as_ref()).and_then(|s| s.outcome)
    };
    for node in &nodes {
        let name = node.name_any();
        let ring = node.labels().get(RING_LABEL).map(String::as_str).unwrap_or_default();
        let outcome = of(&june.rollout, &name);
        promise(outcome == Some(Outcome::Updated), format!("{}: {name} is {outcome:?}, not Updated", june.rollout));
        promise(is_available(node), format!("{name} is not in service at the end"));
        let build = node.status.as_ref().and_then(|s| s.node_info.as_ref()).map_or("", |i| i.kernel_version.as_str());
        let outcome = of(&july.rollout, &name);
        let (want, at) = match ring {
            "broad" => (None, GOOD),
            _ if name == VICTIM => (Some(Outcome::Reverted), GOOD),
            "canary" => (Some(Outcome::Updated), BAD),
            // The victim's companions of the ring: updated if they had started before the halt.
            _ => (outcome.filter(|o| *o == Outcome::Updated), if outcome.is_some() { BAD } else { GOOD }),
        };
        promise(outcome == want, format!("{}: {name} of ring {ring} is {outcome:?}, not {want:?}", july.rollout));
        promise(build == at, format!("{name} of ring {ring} has build {build}, not {at}"));
    }
    promise(
        july.ready_in_verify.contains(VICTIM),
        format!("{VICTIM} did not say Ready while its pod network was dead"),
    );
    for (name, want) in [(&june.rollout, RolloutState::Completed), (&july.rollout, RolloutState::Halted)] {
        let status = rollouts.get(name).await?.status.unwrap_or_default();
        promise(status.state == want, format!("{name} is {:?}, not {want:?}", status.state));
        let reason = status.reason.unwrap_or_default();
        let tells = want != RolloutState::Halted || reason.contains(VICTIM) && reason.contains("pod-network");
        promise(tells, format!("{name} does not say why in one sentence: {reason:?}"));
    }
    Ok(broken)
}
