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
pub(super) const VICTIM: &str = "win-3";
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
    let mut promises = Promises::default();
    promises.budgets(june);
    promises.budgets(july);
    for node in &nodes {
        promises.node(node, &june.rollout, &july.rollout, &updates);
    }
    let ready = july.ready_in_verify.contains(VICTIM);
    promises.check(ready, || format!("{VICTIM} did not say Ready while its pod network was dead"));
    for (name, want) in [(&june.rollout, RolloutState::Completed), (&july.rollout, RolloutState::Halted)] {
        promises.rollout(&rollouts.get(name).await?, want);
    }
    Ok(promises.broken)
}

/// The promises that were broken so far.
#[derive(Default)]
struct Promises {
    broken: Vec<String>,
}

impl Promises {
    fn check(&mut self, kept: bool, text: impl FnOnce() -> String) {
        if !kept {
            self.broken.push(text());
        }
    }

    /// At no time more unavailable than each ring's budget, and no PodDisruptionBudget broken.
    fn budgets(&mut self, watcher: &Watcher) {
        let Watcher { rollout, most_unavailable, broken_budgets, .. } = watcher;
        for (ring, budget) in BUDGETS {
            let most = most_unavailable.get(ring).copied().unwrap_or_default();
            self.check(most <= budget, || {
                format!("{rollout}: {most} nodes of ring {ring} were unavailable at once, at most {budget} may be")
            });
        }
        self.check(broken_budgets.is_empty(), || {
            format!("{rollout}: PodDisruptionBudgets were broken: {broken_budgets:?}")
        });
    }

    /// Each node is in service at the end, has the outcomes and the build that the story gives it.
    fn node(&mut self, node: &Node, june: &str, july: &str, updates: &[NodeUpdate]) {
        let name = node.name_any();
        let of = |rollout: &str| {
            let found = updates.iter().find(|u| u.spec.rollout_name == rollout && u.spec.node_name == name);
            found.and_then(|u| u.status.as_ref()).and_then(|s| s.outcome)
        };
        let (good, bad) = (of(june), of(july));
        let ring = node.labels().get(RING_LABEL).map(String::as_str).unwrap_or_default();
        let (want, at) = match ring {
            "broad" => (None, GOOD),
            _ if name == VICTIM => (Some(Outcome::Reverted), GOOD),
            "canary" => (Some(Outcome::Updated), BAD),
            // The victim's companions of the ring: updated if they had started before the halt.
            _ => (bad.filter(|o| *o == Outcome::Updated), if bad.is_some() { BAD } else { GOOD }),
        };
        let build = node.status.as_ref().and_then(|s| s.node_info.as_ref()).map_or("", |i| i.kernel_version.as_str());
        self.check(is_available(node), || format!("{name} is not in service at the end"));
        self.check(good == Some(Outcome::Updated), || format!("{june}: {name} is {good:?}, not Updated"));
        self.check(bad == want, || format!("{july}: {name} of ring {ring} is {bad:?}, not {want:?}"));
        self.check(build == at, || format!("{name} of ring {ring} has build {build}, not {at}"));
    }

    /// The rollout stands where it should, and a halted one says why.
    fn rollout(&mut self, rollout: &UpdateRollout, want: RolloutState) {
        let (name, status) = (rollout.name_any(), rollout.status.clone().unwrap_or_default());
        self.check(status.state == want, || format!("{name} is {:?}, not {want:?}", status.state));
        let reason = status.reason.unwrap_or_default();
        let tells = want != RolloutState::Halted || reason.contains(VICTIM) && reason.contains("pod-network");
        self.check(tells, || format!("{name} does not say why in one sentence: {reason:?}"));
    }
}
