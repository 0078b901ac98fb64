//! Pods of node updates that ended well go while the rollout goes on, those of many with one request.
//!
//! Ten pods of each of thousands of nodes would stay until its end otherwise, and Kubernetes keeps 12,500 pods that have
//! ended (kube-controller-manager, `--terminated-pod-gc-threshold`): ours would push out other people's.

use super::Pass;
use super::facts::Facts;
use crate::act::{self, Whose};
use crate::api::{Outcome, UpdateRolloutStatus};
use crate::plan::fleet::UpdateSeen;
use kube::ResourceExt;

/// How many node updates' pods are deleted together. Their UIDs are the request's query: 25 are 1 KiB of it.
const TOGETHER: usize = 25;

impl Pass<'_> {
    /// Deletes the pods of node updates that were counted as updated, once there are enough of them. What fails is not
    /// tried again: the rollout's end takes what is left.
    pub(super) async fn tidy(&mut self, facts: &Facts, status: &UpdateRolloutStatus) {
        let counted = usize::try_from(status.counts.updated).unwrap_or_default();
        if counted < self.memory.tidied.len() + TOGETHER {
            return;
        }
        let uids = untidied(facts.updates(), |uid| self.memory.tidied.contains(uid));
        if uids.len() < TOGETHER {
            return;
        }
        if let Err(error) = act::clean_up(&self.ctx.means, Whose::NodeUpdates(&uids)).await {
            tracing::warn!(rollout = self.object.name_any(), %error, "pods of ended node updates are left");
        }
        self.memory.tidied.extend(uids);
    }
}

/// The UIDs of the first node updates that ended well and are not tidied up after.
fn untidied(updates: &[UpdateSeen], is_tidied: impl Fn(&str) -> bool) -> Vec<String> {
    let left = updates.iter().filter(|update| update.outcome == Some(Outcome::Updated) && !is_tidied(&update.uid));
    left.take(TOGETHER).map(|update| update.uid.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::samples::node_update;

    #[test]
    fn pods_go_of_what_ended_well_and_of_nothing_else() {
        let update = |name: &str, outcome| UpdateSeen::read(&node_update(name, "win-1", "r", outcome));
        let all = [
            update("nu-1", Some("Updated")),
            update("nu-2", None),
            update("nu-3", Some("Held")),
            update("nu-4", Some("Reverted")),
            update("nu-5", Some("Updated")),
        ];
        assert_eq!(untidied(&all, |_| false), [all[0].uid.as_str(), all[4].uid.as_str()]);
        assert_eq!(untidied(&all, |uid| uid == all[0].uid), [all[4].uid.as_str()]);
    }
}
