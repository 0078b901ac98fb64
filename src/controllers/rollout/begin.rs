//! The beginning of a rollout: its rings and policies are frozen, then its updates pinned.

use super::memory::uid_of;
use super::{LOOK_AGAIN, Pass, facts::Facts, providers, scan};
use crate::act::cel_syntax_error;
use crate::api::{RingStatus, RolloutState, UpdateRolloutStatus};
use crate::controllers::error::ReconcileError;
use crate::domain::Labels;
use crate::observe::{self, Stores};
use crate::plan::pin::pin;
use crate::plan::resolve::{Catalogue, resolve};
use crate::plan::stall::{StallCode, Stalled};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};
use std::time::Duration;

/// How long it may take until it is known which updates are offered, before a person is told that this does not get on.
/// A first search takes minutes; it is asked on whatever this says.
const SCAN_DEADLINE: SignedDuration = SignedDuration::from_hours(1);
/// How soon a provider that is not ready is asked again. Nothing tells when what it lacks is there: a Secret, or a right
/// granted elsewhere, is not watched.
const READY_AGAIN: Duration = Duration::from_secs(30);

impl Pass<'_> {
    /// Freezes rings and policies. `Some`: something is missing or contradicts itself, look again after this time; the
    /// status says what.
    pub(super) async fn freeze(&mut self) -> Result<Option<Duration>, ReconcileError> {
        let now = self.ctx.clock.now();
        let status = self.status();
        match self.resolved().await? {
            Ok(rings) => {
                let reason = Some("asking what the catalogue offers".to_owned());
                let status = UpdateRolloutStatus { state: RolloutState::Pending, rings, reason, ..status };
                self.record(status, None, now).await?;
                Ok(None)
            }
            Err(problems) => {
                let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
                let reason = Some(messages.join("; "));
                let status = UpdateRolloutStatus { state: RolloutState::Stalled, reason, ..status };
                self.record(status, problems.first(), now).await?;
                Ok(Some(again(&problems)))
            }
        }
    }

    async fn resolved(&self) -> Result<Result<Vec<RingStatus>, Vec<Stalled>>, ReconcileError> {
        let stores = &self.ctx.stores;
        let (rings, policies) = (Stores::all(&stores.rings), Stores::all(&stores.policies));
        let classes = providers::of_classes(self.ctx);
        let nodes: Vec<_> = Stores::all(&stores.nodes).iter().map(|node| observe::node::read(node)).collect();
        let resolve_with = |other_nodes: &[Labels]| {
            let catalogue =
                Catalogue { rings: &rings, policies: &policies, classes: &classes, nodes: &nodes, other_nodes };
            resolve(&self.object.spec, &catalogue)
        };
        let problems = match resolve_with(&[]) {
            Ok(rings) => {
                let mut problems = not_expressions(&rings);
                problems.extend(providers::problems(self.ctx, &rings, &nodes).await);
                return Ok(if problems.is_empty() { Ok(rings) } else { Err(problems) });
            }
            Err(problems) => problems,
        };
        let problems = if problems.iter().any(|p| p.code == StallCode::RingEmpty) {
            // Only then it is worth a request whether the ring selects nodes of another operating system.
            let others = self.other_nodes().await?;
            resolve_with(&others).err().unwrap_or(problems)
        } else {
            problems
        };
        Ok(Err(problems.into_iter().map(|problem| self.unreadable(problem)).collect()))
    }

    /// The labels of all nodes that do not run Windows.
    async fn other_nodes(&self) -> Result<Vec<Labels>, ReconcileError> {
        let api: Api<PartialObjectMeta<Node>> = Api::all(self.ctx.means.clients.read.clone());
        let list = ListParams::default().labels("kubernetes.io/os!=windows");
        let nodes = api.list(&list).await.map_err(ReconcileError::api("listing nodes"))?;
        Ok(nodes.items.into_iter().map(|node| node.labels().into()).collect())
    }

    /// A ring or a policy that is there but does not parse is not missing.
    fn unreadable(&self, problem: Stalled) -> Stalled {
        let (stores, mut rings) = (&self.ctx.stores, self.object.spec.rings.iter());
        let Some(ring) = rings.find(|ring| problem.message.starts_with(&format!("ring {ring}:"))) else {
            return problem;
        };
        let policy = || Some(Stores::get(&stores.rings, ring)?.spec.policy_name.clone());
        let message = match problem.code {
            StallCode::RingMissing => Stores::invalid(&stores.rings, ring)
                .map(|invalid| format!("ring {ring} can not be read: {}", invalid.error)),
            StallCode::PolicyMissing => policy().and_then(|policy| {
                let invalid = Stores::invalid(&stores.policies, &policy)?;
                Some(format!("ring {ring}: UpdatePolicy {policy} can not be read: {}", invalid.error))
            }),
            _ => None,
        };
        Stalled { message: message.unwrap_or(problem.message), ..problem }
    }

    /// Pins the updates. `Some`: not yet, look again after this time; the status says what is waited for.
    pub(super) async fn pin(&mut self) -> Result<Option<Duration>, ReconcileError> {
        let now = self.ctx.clock.now();
        let object = std::sync::Arc::clone(&self.object);
        let facts = Facts::gather(self.ctx, &object, self.memory).await;
        let status = self.status();
        let scanned = scan::scan(self.ctx, &object, &status.rings, facts.nodes(), self.memory, now).await;
        facts.leave(self.memory);
        match scanned? {
            scan::Scanned::Waiting(on, after) => {
                let stalled = takes_too_long(&status, now)
                    .then(|| Stalled { code: StallCode::UpdatesUnknown, message: on.clone() });
                let state = if stalled.is_some() { RolloutState::Stalled } else { RolloutState::Pending };
                let status = UpdateRolloutStatus { state, reason: Some(on), ..status };
                self.record(status, stalled.as_ref(), now).await?;
                Ok(Some(after))
            }
            scan::Scanned::Offered(offered) => {
                let pinned = pin(&self.object.spec.updates, &offered, now);
                tracing::info!(uid = uid_of(&self.object), sets = pinned.len(), "updates pinned");
                let status = UpdateRolloutStatus { pinned, reason: None, ..status };
                self.record(status, None, now).await?;
                Ok(None)
            }
        }
    }
}

/// Probes whose expression is none: known before any node is touched.
fn not_expressions(rings: &[RingStatus]) -> Vec<Stalled> {
    let mut problems = Vec::new();
    for ring in rings {
        let policy = &ring.revision.ring.policy_name;
        for probe in &ring.revision.policy.verify.probes {
            if let Some(error) = probe.cel.as_ref().and_then(|cel| cel_syntax_error(&cel.expression)) {
                let probe = &probe.name;
                let message = format!("ring {}: UpdatePolicy {policy}: probe {probe}: expression: {error}", ring.name);
                problems.push(Stalled { code: StallCode::ProbeInvalid, message });
            }
        }
    }
    problems
}

/// When to look again at what stops a rollout. Rings, policies, classes and nodes are watched, providers are not.
fn again(problems: &[Stalled]) -> Duration {
    let asked = problems.iter().any(|problem| problem.code == StallCode::ProviderNotReady);
    if asked { READY_AGAIN } else { LOOK_AGAIN }
}

/// Whether asking for the offered updates takes longer than it may. Since when it goes on is in the status: from there on
/// the rollout is `Reconciling`, and once it is `Stalled` it stays so until it is known.
fn takes_too_long(status: &UpdateRolloutStatus, now: Timestamp) -> bool {
    let since = status.conditions.iter().find(|c| c.type_ == "Reconciling" && c.status == "True");
    status.state == RolloutState::Stalled
        || since.is_some_and(|since| now.duration_since(since.last_transition_time.0) >= SCAN_DEADLINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_is_not_ready_is_asked_again_soon() {
        let problem = |code| Stalled { code, message: String::new() };
        assert_eq!(again(&[problem(StallCode::RingMissing)]), LOOK_AGAIN);
        assert_eq!(again(&[problem(StallCode::NodeNotAccepted), problem(StallCode::ProviderNotReady)]), READY_AGAIN);
    }

    #[test]
    fn a_probe_that_is_no_expression_is_told_before_any_node_is_touched() {
        let resource =
            serde_json::json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "web"});
        let probe = |name: &str, expression: &str| serde_json::json!({"name": name, "cel": {"resource": resource, "expression": expression}});
        let right = probe("right", "object.status.readyReplicas == object.spec.replicas");
        let policy = serde_json::json!({"verify": {"probes": [right, probe("wrong", "object.status.ready = 2")]}});
        let ring = crate::plan::sample::ring("canary", serde_json::json!({}), policy).expect("a ring");
        let problems = not_expressions(&[ring]);
        let [Stalled { code: StallCode::ProbeInvalid, message }] = problems.as_slice() else { panic!("{problems:?}") };
        assert!(message.starts_with("ring canary: UpdatePolicy standard: probe wrong: expression: "), "{message}");
    }

    #[test]
    fn asking_for_ever_is_told_to_a_person_until_there_is_an_answer() {
        let status = |state: &str, reconciling: &str| -> UpdateRolloutStatus {
            let condition = serde_json::json!({"type": "Reconciling", "status": reconciling, "reason": "x",
                "message": "", "lastTransitionTime": "2026-11-22T10:00:00Z"});
            serde_json::from_value(serde_json::json!({"state": state, "conditions": [condition]})).expect("a status")
        };
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        assert!(!takes_too_long(&status("Pending", "True"), at("2026-11-22T10:59:59Z")));
        assert!(takes_too_long(&status("Pending", "True"), at("2026-11-22T11:00:00Z")));
        assert!(takes_too_long(&status("Stalled", "False"), at("2026-11-22T10:00:01Z")));
        assert!(!takes_too_long(&UpdateRolloutStatus::default(), at("2026-11-22T10:00:01Z")));
    }
}
