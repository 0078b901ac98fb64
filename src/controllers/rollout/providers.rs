//! Whether the providers of a rollout's SnapshotClasses can work for its nodes: asked before any node starts.

use crate::api::RingStatus;
use crate::controllers::context::Context;
use crate::controllers::provider::{is_for_a_person, ready};
use crate::domain::{Capabilities, NodeState};
use crate::plan::selector::matches;
use crate::plan::stall::{StallCode, Stalled};
use std::collections::BTreeMap;

/// What the provider of each SnapshotClass can do, or why it has none.
pub fn of_classes(ctx: &Context) -> BTreeMap<String, Result<Capabilities, String>> {
    let names = ctx.stores.classes.state().into_iter().filter_map(|class| kube::Resource::meta(&*class).name.clone());
    names
        .map(|name| {
            let provided = ctx.means.providers.of_class(&name);
            let capabilities = provided.map(|provider| provider.capabilities()).map_err(|error| error.to_string());
            (name, capabilities)
        })
        .collect()
}

/// What keeps providers from working for these rings: a credential that is missing or refused, a node that is not
/// theirs. What may pass by itself is no problem yet: the step that needs the provider waits for it.
pub async fn problems(ctx: &Context, rings: &[RingStatus], nodes: &[NodeState]) -> Vec<Stalled> {
    let mut problems = Vec::new();
    let mut asked = BTreeMap::new();
    for ring in rings {
        let Some(in_place) = &ring.revision.policy.strategy.in_place else { continue };
        let class = in_place.snapshot.class_name.as_str();
        let Ok(provider) = ctx.means.providers.of_class(class) else { continue };
        if !asked.contains_key(class) {
            asked.insert(class, ready(provider.as_ref()).await);
        }
        if let Some(Err(error)) = asked.get(class)
            && is_for_a_person(error)
        {
            let message = format!("ring {}: SnapshotClass {class}: {error}", ring.name);
            problems.push(Stalled { code: StallCode::ProviderNotReady, message });
            continue;
        }
        let selector = &ring.revision.ring.node_selector;
        let mut foreign = nodes
            .iter()
            .filter(|node| matches(selector, &node.labels))
            .filter_map(|node| Some((&node.node.name, provider.accepts(&node.node).err()?)))
            .collect::<Vec<_>>();
        foreign.sort_by(|a, b| a.0.cmp(b.0));
        if let Some((_, error)) = foreign.first() {
            let more = if foreign.len() > 1 { format!(" (and {} more)", foreign.len() - 1) } else { String::new() };
            let message = format!("ring {}: SnapshotClass {class}: {error}{more}", ring.name);
            problems.push(Stalled { code: StallCode::NodeNotAccepted, message });
        }
    }
    problems
}
