//! Whose the node is. Looked up on a fresh read before every act that can not be taken back: the watch may lag, and
//! two rollouts must never work on the same machine.

use super::error::call;
use super::{ActContext, ActError, node_patch};
use crate::domain::{NodeSeen, StepKey, StepResult};
use crate::observe::Stores;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::Value;
use std::sync::Arc;

/// How often a write is tried again when another one came first: the node's own heartbeats and the controllers that
/// taint it write, too. (Of 160 such writes on a real API server 4 lost against those alone.)
const TRIES: u32 = 4;

/// Whose the node is.
pub(super) enum Claim {
    /// This node update's.
    Ours,
    /// Not this node update's; what the step comes to.
    NotOurs(StepResult),
}

/// Checks the claim before an act that can not be taken back: once per attempt, or again after a restart of ours.
pub(super) async fn check(ctx: &ActContext<'_>, key: &StepKey) -> Result<Claim, ActError> {
    if ctx.means.memory.claim_checked(key, ctx.now) {
        return Ok(Claim::Ours);
    }
    let claim = of(ctx, &read(ctx).await?);
    if matches!(claim, Claim::Ours) {
        ctx.means.memory.note_claim(key, ctx.now);
    }
    Ok(claim)
}

/// Whose a node is that was read.
pub(super) fn of(ctx: &ActContext<'_>, node: &Node) -> Claim {
    let name = &ctx.intent.node.name;
    match node_patch::holder(node) {
        Some(holder) if holder == ctx.intent.uid => Claim::Ours,
        Some(holder) => Claim::NotOurs(StepResult::failed(format!("node {name} is claimed by node update {holder}"))),
        None => {
            Claim::NotOurs(StepResult::failed(format!("node {name} is not claimed any more: somebody took it off")))
        }
    }
}

/// Reads the node afresh.
///
/// # Errors
/// [`ActError::NodeChanged`] when it is gone or its name has another machine, which the next pass will see, too.
pub(super) async fn read(ctx: &ActContext<'_>) -> Result<Node, ActError> {
    let name = &ctx.intent.node.name;
    let node = match call(nodes(ctx.means.clients.read.clone()).get(name)).await {
        Err(e) if e.is_not_found() => return Err(ActError::NodeChanged { name: name.clone() }),
        other => other.map_err(|source| ActError::GetNode { name: name.clone(), source })?,
    };
    if node.uid().as_deref() == Some(expected_uid(ctx)) {
        return Ok(node);
    }
    Err(ActError::NodeChanged { name: name.clone() })
}

/// The node as the watch shows it, if it is the machine that is meant.
fn watched(ctx: &ActContext<'_>) -> Option<Arc<Node>> {
    let node = Stores::get(&ctx.means.nodes, &ctx.intent.node.name)?;
    (node.uid().as_deref() == Some(expected_uid(ctx))).then_some(node)
}

/// The Node object that stands for the machine: the one that was meant, or the one it registered anew as.
fn expected_uid<'a>(ctx: &ActContext<'a>) -> &'a str {
    match ctx.node {
        NodeSeen::Replaced { now, same_machine: true } => &now.node.uid,
        NodeSeen::Here(_) | NodeSeen::Missing { .. } | NodeSeen::Gone | NodeSeen::Replaced { .. } => {
            &ctx.intent.node.uid
        }
    }
}

/// What to write to a node that was read.
pub(super) enum Change {
    /// Nothing; what the step comes to.
    Nothing(StepResult),
    /// This merge patch; what the step comes to once it is written.
    Patch(Value, StepResult),
}

/// Changes the node in one conditional write, and reads it afresh when another write came first.
///
/// The watched node will mostly do: a write that was decided on a stale one is refused. That nothing is to be written is
/// believed of a fresh one only.
pub(super) async fn change(ctx: &ActContext<'_>, decide: impl Fn(&Node) -> Change) -> Result<StepResult, ActError> {
    let name = &ctx.intent.node.name;
    let mut tries = 0;
    let mut watched = watched(ctx).map(|node| decide(&node));
    loop {
        tries += 1;
        let decided = match watched.take() {
            Some(patch @ Change::Patch(..)) => patch,
            Some(Change::Nothing(_)) | None => decide(&read(ctx).await?),
        };
        let (patch, result) = match decided {
            Change::Nothing(result) => return Ok(result),
            Change::Patch(patch, result) => (patch, result),
        };
        let api = nodes(ctx.means.clients.act.clone());
        match call(api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))).await {
            Ok(_) => return Ok(result),
            Err(e) if e.is_not_found() => return Err(ActError::NodeChanged { name: name.clone() }),
            Err(e) if e.is_conflict() && tries < TRIES => {}
            Err(source) => return Err(ActError::PatchNode { name: name.clone(), source }),
        }
    }
}

fn nodes(client: kube::Client) -> Api<Node> {
    Api::all(client)
}
