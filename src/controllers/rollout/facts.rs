//! The facts that a rollout is planned on.

use super::memory::{Memory, Read, uid_of};
use crate::api::{NodeUpdate, UpdateRollout, UpdateRolloutStatus};
use crate::controllers::context::Context;
use crate::controllers::holds;
use crate::domain::NodeState;
use crate::observe::{self, Stores};
use crate::plan::fleet::{Fleet, SoakSeen, UpdateSeen};
use crate::plan::holds::HoldSeen;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Nodes and node updates, as they are now.
pub struct Facts {
    name: String,
    read: Read,
    holds: Vec<HoldSeen>,
    providers_away: Vec<(String, String)>,
    taken: Vec<(String, Timestamp)>,
}

impl Facts {
    /// Gathers them from the stores, and from what was made a moment ago.
    pub async fn gather(ctx: &Context, rollout: &UpdateRollout, memory: &mut Memory) -> Self {
        let uid = uid_of(rollout);
        let mut read = std::mem::take(&mut memory.read);
        let updates = ctx.stores.updates.state().into_iter().filter_map(|guard| guard.parsed().cloned());
        let (updates, others): (Vec<_>, Vec<_>) = updates.partition(|update| update.spec.rollout_uid == uid);
        read.updates.renew(updates, UpdateSeen::read);
        let shown = read.updates.facts();
        let is_shown = |name: &str| shown.binary_search_by(|seen| seen.name.as_str().cmp(name)).is_ok();
        for made in memory.not_shown(is_shown) {
            let place = read.updates.facts().partition_point(|seen| seen.name < made.name);
            read.updates.add(place, made);
        }
        read.nodes.renew(Stores::select(&ctx.stores.nodes, |_| true), observe::node::read);
        let claims = claims(ctx, &uid, &others).await;
        if !claims.is_empty() {
            read.nodes.correct(|node| claim(node, &claims));
        }
        let name = rollout.metadata.name.clone().unwrap_or_default();
        let classes = Stores::all(&ctx.stores.classes);
        let providers_away = ctx.looks.away(classes.iter().map(AsRef::as_ref));
        let taken = taken(rollout, &others);
        Self { name, read, holds: holds::seen(&ctx.stores), providers_away, taken }
    }

    /// All Windows nodes.
    pub fn nodes(&self) -> &[NodeState] {
        self.read.nodes.facts()
    }

    /// The node updates of the rollout.
    pub fn updates(&self) -> &[UpdateSeen] {
        self.read.updates.facts()
    }

    /// Leaves behind what the next pass need not read again.
    pub fn leave(self, memory: &mut Memory) {
        memory.read = self.read;
    }

    /// As the planner wants them.
    pub fn fleet<'a>(
        &'a self,
        ctx: &'a Context,
        rollout: &UpdateRollout,
        status: &'a UpdateRolloutStatus,
        soak: SoakSeen<'a>,
    ) -> Fleet<'a> {
        Fleet {
            rollout: &self.name,
            desired: rollout.spec.state,
            deleting: rollout.metadata.deletion_timestamp.is_some(),
            status,
            nodes: self.nodes(),
            updates: self.updates(),
            holds: &self.holds,
            soak,
            providers_away: &self.providers_away,
            taken: &self.taken,
            operator_node: ctx.settings.operator_node.as_deref(),
        }
    }
}

/// What other rollouts work on: UIDs of their node updates by the name of the node.
async fn claims(ctx: &Context, uid: &str, others: &[Arc<NodeUpdate>]) -> HashMap<String, String> {
    let shown = others.iter().filter(|update| update.in_work());
    let shown = shown.map(|update| (update.spec.node_name.clone(), update.metadata.uid.clone().unwrap_or_default()));
    let mut claims: HashMap<_, _> = shown.collect();
    for other in ctx.memories.others(uid) {
        // Rollouts are taken one after the other: nobody holds it for longer than a moment.
        let is_shown = |name: &str| others.iter().any(|update| update.metadata.name.as_deref() == Some(name));
        let made = other.lock().await.not_shown(is_shown);
        claims.extend(made.into_iter().filter(UpdateSeen::in_work).map(|update| (update.node, update.uid)));
    }
    claims
}

/// When other rollouts last took a node, by the node's UID; what they took before this rollout was there is left out.
fn taken(rollout: &UpdateRollout, others: &[Arc<NodeUpdate>]) -> Vec<(String, Timestamp)> {
    let created = |metadata: &ObjectMeta| metadata.creation_timestamp.as_ref().map(|at| at.0);
    let since = created(&rollout.metadata);
    let mut taken = BTreeMap::new();
    for other in others {
        if let Some(at) = created(&other.metadata).filter(|at| Some(*at) >= since) {
            taken.entry(&other.spec.node_uid).and_modify(|last: &mut Timestamp| *last = at.max(*last)).or_insert(at);
        }
    }
    taken.into_iter().map(|(uid, at)| (uid.clone(), at)).collect()
}

/// Counts a node as claimed, if it is; says whether that is news.
fn claim(node: &mut NodeState, claims: &HashMap<String, String>) -> bool {
    let claim = claims.get(&node.node.name).filter(|_| node.claimed_by.is_none());
    node.claimed_by = claim.cloned().or(node.claimed_by.take());
    claim.is_some()
}
