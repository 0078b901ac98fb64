//! The facts that a rollout is planned on.

use super::memory::{Memory, uid_of};
use crate::api::{UpdateRollout, UpdateRolloutStatus};
use crate::controllers::context::Context;
use crate::controllers::holds;
use crate::domain::NodeState;
use crate::observe;
use crate::plan::fleet::{Fleet, SoakSeen, UpdateSeen};
use crate::plan::holds::HoldSeen;
use std::collections::HashMap;

/// Nodes and node updates, as they are now.
pub struct Facts {
    name: String,
    /// All Windows nodes. One that another rollout works on counts as claimed before its claim is written.
    pub nodes: Vec<NodeState>,
    updates: Vec<UpdateSeen>,
    holds: Vec<HoldSeen>,
}

impl Facts {
    /// Gathers them from the stores, and from what was made a moment ago.
    pub async fn gather(ctx: &Context, rollout: &UpdateRollout, memory: &mut Memory) -> Self {
        let uid = uid_of(rollout);
        let mut updates = Vec::new();
        let mut others = Vec::new();
        for guard in ctx.stores.updates.state() {
            let Ok(update) = &guard.0 else { continue };
            let of = if update.spec.rollout_uid == uid { &mut updates } else { &mut others };
            of.push(UpdateSeen::read(update));
        }
        for other in ctx.memories.others(&uid) {
            // Rollouts are taken one after the other: nobody holds it for longer than a moment.
            let not_shown = other.lock().await.not_shown(&others);
            others.extend(not_shown);
        }
        let claims = others.into_iter().filter(UpdateSeen::in_work).map(|update| (update.node, update.uid)).collect();
        let not_shown = memory.not_shown(&updates);
        updates.extend(not_shown);
        updates.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let nodes = observe::node::all(&ctx.stores.nodes).into_iter().map(|node| claimed(node, &claims)).collect();
        let name = rollout.metadata.name.clone().unwrap_or_default();
        Self { name, nodes, updates, holds: holds::seen(&ctx.stores) }
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
            nodes: &self.nodes,
            updates: &self.updates,
            holds: &self.holds,
            soak,
            operator_node: ctx.settings.operator_node.as_deref(),
        }
    }
}

fn claimed(mut node: NodeState, claims: &HashMap<String, String>) -> NodeState {
    if node.claimed_by.is_none() {
        node.claimed_by = claims.get(&node.node.name).cloned();
    }
    node
}
