//! Gates that people open: only with an honest name, for what they have seen, once.

use super::{BAD, BAD_BUILD, GOOD, untouched, updated_once};
use crate::harness::{PATIENCE, Rollout, Scene, Story, eventually, not_yet, seen};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;
use windlass::api::{ApprovalState, Outcome, REQUEST, RETRY, RolloutState, UpdateApproval};

/// The user of the administrator's certificate.
const ME: &str = "admin";

/// The stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story::new("promote-and-resume", promote_and_resume)
            .machines("canary", 1, &[])
            .machines("early", 1, &["cni-calico-vxlan"])
            .machines("early", 1, &[]),
        Story::new("failed-node-retried", retried).machines("ring", 1, &["withdrawn"]),
    ]
}

/// The first ring waits for a word; in the second a node is reverted, and the rollout stays halted until somebody says so:
/// with a name that the API server has checked. Then the next node is taken, and the failed one left alone.
async fn promote_and_resume(scene: Scene) -> Result<()> {
    scene.policy(json!({})).await?;
    scene.ring("canary", json!({"promotion": "Approval"})).await?;
    scene.ring("early", json!({})).await?;
    let rollout = scene.rollout("july", &["canary", "early"], BAD).await?;

    let promote = gate(&scene, &rollout, "Promote").await?;
    ensure!(rollout.update(&scene.machine("early", 1)).is_none(), "the next ring was started");
    let forged = approve(&scene, "forged", &promote, json!({"approver": "somebody-else"})).await;
    ensure!(forged.is_err_and(|why| format!("{why:#}").contains("must be your own user name, admin")), "not refused");
    approve(&scene, "promote", &promote, json!({})).await?;
    ends(&scene, "promote", ApprovalState::Used, "").await?;

    let halted = rollout.ends(RolloutState::Halted).await?;
    let pinned = halted.status.as_ref().context("no status")?.pinned.clone();
    let resume = gate(&scene, &rollout, "Resume").await?;
    approve(&scene, "late", &promote, json!({"gate": "Resume"})).await?;
    ends(&scene, "late", ApprovalState::Refused, "spec.planHash").await?;
    without_the_binding(&scene, &resume).await?;
    ensure!(rollout.update(&scene.machine("early", 2)).is_none(), "a node was started although the rollout is halted");

    approve(&scene, "resume", &resume, json!({})).await?;
    ends(&scene, "resume", ApprovalState::Used, "").await?;
    let completed = rollout.ends(RolloutState::Completed).await?;
    let status = completed.status.as_ref().context("no status")?;
    ensure!((status.counts.updated, status.counts.reverted) == (2, 1), "{:?}", status.counts);
    ensure!(status.pinned == pinned, "another set is pinned than before the halt");
    ensure!(status.approvals.iter().all(|opened| opened.approver == ME), "{:?}", status.approvals);
    rollout.node_ends(&scene.machine("early", 1), Outcome::Reverted).await?;
    updated_once(&scene, &scene.machine("early", 2), BAD_BUILD, 1).await
}

/// Without the binding of the admission policy a name proves nothing: the approval is ignored, and says so.
async fn without_the_binding(scene: &Scene, gate: &Value) -> Result<()> {
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(scene.stage.client.clone());
    let shipped = bindings.get("windlass-approvals").await?;
    bindings.delete("windlass-approvals", &DeleteParams::default()).await?;
    approve(scene, "unproved", gate, json!({})).await?;
    ends(scene, "unproved", ApprovalState::Refused, "there is no ValidatingAdmissionPolicyBinding").await?;
    let mut again =
        ValidatingAdmissionPolicyBinding { spec: shipped.spec, ..ValidatingAdmissionPolicyBinding::default() };
    again.metadata.name = Some("windlass-approvals".to_owned());
    bindings.create(&PostParams::default(), &again).await?;
    eventually("the binding is in force", PATIENCE, async || {
        let forged = json!({"approver": "nobody", "planHash": "0000000000000000"});
        if approve(scene, "probe", gate, forged).await.is_err() {
            return Ok(seen(()));
        }
        approvals(scene).delete(&scene.own("probe"), &DeleteParams::default()).await?;
        Ok(not_yet("it is not"))
    })
    .await?;
    // What is made in the same second as the binding counts as older: times of objects are whole seconds.
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

/// A node that was skipped is taken along once more when somebody asks, as another NodeUpdate.
async fn retried(scene: Scene) -> Result<()> {
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    let machine = scene.machine("ring", 1);
    let first = rollout.node_ends(&machine, Outcome::Skipped).await?;
    let change = json!({"metadata": {"annotations": {REQUEST: RETRY}}});
    let updates: Api<windlass::api::NodeUpdate> = Api::all(scene.stage.client.clone());
    let patch = kube::api::Patch::Merge(change);
    updates.patch(&first.name_any(), &kube::api::PatchParams::default(), &patch).await?;
    scene
        .until("another update of the node has ended", |lookout| match lookout.updates(&rollout.name).as_slice() {
            [a, b] if [a, b].iter().all(|u| u.status.as_ref().is_some_and(|s| s.outcome.is_some())) => seen(()),
            updates => not_yet(format!("{} updates", updates.len())),
        })
        .await?;
    untouched(&scene, &machine).await?;
    scene.in_service(&machine).await
}

/// The gate of this name, once it is closed, as an approval has to name it.
async fn gate(scene: &Scene, rollout: &Rollout, name: &str) -> Result<Value> {
    let what = format!("the gate {name} is closed");
    scene
        .until(&what, |lookout| {
            let seen_rollout = lookout.rollout(&rollout.name);
            let gate = seen_rollout.as_ref().and_then(|rollout| rollout.status.as_ref()?.gate.clone());
            match (gate, seen_rollout.and_then(|rollout| rollout.uid())) {
                (Some(gate), Some(uid)) if format!("{:?}", gate.name) == name => seen(json!({
                    "rolloutName": rollout.name, "rolloutUid": uid, "gate": name, "planHash": gate.plan_hash,
                })),
                (gate, _) => not_yet(format!("{gate:?}")),
            }
        })
        .await
}

fn approvals(scene: &Scene) -> Api<UpdateApproval> {
    Api::all(scene.stage.client.clone())
}

/// Makes an approval of a gate.
async fn approve(scene: &Scene, name: &str, gate: &Value, change: Value) -> Result<()> {
    let spec = crate::harness::merged(gate.clone(), json!({"approver": ME, "expiresAt": "2099-01-01T00:00:00Z"}));
    let spec = serde_json::from_value(crate::harness::merged(spec, change))?;
    approvals(scene).create(&PostParams::default(), &UpdateApproval::new(&scene.own(name), spec)).await?;
    Ok(())
}

/// Waits until something has come of an approval, and sees to it that it is this, with these words.
async fn ends(scene: &Scene, name: &str, state: ApprovalState, words: &str) -> Result<()> {
    let status = eventually(&format!("something has come of approval {name}"), PATIENCE, async || {
        let status = approvals(scene).get(&scene.own(name)).await?.status.unwrap_or_default();
        Ok(if status.state == ApprovalState::Waiting { not_yet(status.message) } else { seen(status) })
    })
    .await?;
    ensure!(status.state == state && status.message.contains(words), "{:?}: {}", status.state, status.message);
    Ok(())
}
