//! Updates that go wrong, and machines that do.

use super::{BAD, GOOD, GOOD_BUILD, reverted_once, untouched};
use crate::harness::{Rollout, Scene, Story, Workload, condition, reason_of, steps};
use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use windlass::api::{NodeUpdate, Outcome, REQUEST, RolloutState, Step};

/// The stories.
pub fn stories() -> Vec<Story> {
    let one =
        |name: &str, traits: &[&str]| (name.to_owned(), traits.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
    let reverted = [
        (one("build-unchanged", &["build-unchanged"]), "build"),
        (one("install-fails", &["install-fails"]), "0x80070643"),
        (one("breaks-at-second-boot", &["breaks-at-second-boot"]), "hns"),
    ];
    let mut stories = vec![
        Story::new("bad-update", bad_update)
            .machines("canary", 1, &[])
            .machines("early", 1, &["cni-calico-vxlan"])
            .machines("early", 2, &[])
            .machines("broad", 2, &["cni-calico-vxlan"]),
        Story::new("never-comes-back", never_comes_back).machines("ring", 1, &["reboot-never-returns"]),
        Story::new("restore-fails", restore_fails).machines("ring", 2, &["cni-calico-vxlan", "restore-fails"]),
        Story::new("hold-and-release", hold_and_release).machines("ring", 1, &["cni-calico-vxlan"]),
        Story::new("snapshot-fails", snapshot_fails).machines("ring", 1, &["snapshot-fails"]),
        Story::new("disk-full", disk_full).machines("ring", 1, &["disk-full"]),
        Story::new("withdrawn", withdrawn).machines("ring", 1, &["withdrawn"]),
        Story::new("withdrawn-late", withdrawn).machines("ring", 1, &["withdrawn-late"]),
        Story::new("disk-fills-up", disk_fills_up).machines("ring", 1, &["disk-fills-up"]),
    ];
    stories.extend(reverted.map(|((name, traits), words)| {
        let traits: Vec<&str> = traits.iter().map(String::as_str).collect();
        Story::new(name, move |scene| fails_and_is_reverted(scene, words)).machines("ring", 1, &traits)
    }));
    stories
}

/// The main job: in the second ring a node's pod network is dead while it says Ready. It is reverted, the rollout halts,
/// and says why; the third ring is never touched.
async fn bad_update(scene: Scene) -> Result<()> {
    let web = Workload { replicas: 3, min_available: 2, ends_after: 1 };
    scene.workload("web", "early", web).await?;
    scene.policy(json!({})).await?;
    for ring in ["canary", "early", "broad"] {
        scene.ring(ring, json!({})).await?;
    }
    let (early, broad) = (scene.witness("early", 1).await?, scene.witness("broad", 0).await?);

    let rollout = scene.rollout("july", &["canary", "early", "broad"], BAD).await?;
    let halted = rollout.ends(RolloutState::Halted).await?;

    let (culprit, status) = (scene.machine("early", 1), halted.status.clone().context("no status")?);
    let reason = status.reason.as_deref().unwrap_or_default();
    for words in [culprit.as_str(), "pod-network", "reverted", "broad not started"] {
        ensure!(reason.contains(words), "the reason does not say {words:?}: {reason}");
    }
    let (stalled, code, _) = condition(&status.conditions, "Stalled")?;
    ensure!((stalled, code) == ("True", "Halted"), "Stalled is {stalled}, reason {code}");
    ensure!((status.counts.reverted, status.counts.held) == (1, 0), "{:?}", status.counts);
    early.testify()?;
    broad.testify()?;

    rollout.node_ends(&scene.machine("canary", 1), Outcome::Updated).await?;
    rollout.node_ends(&culprit, Outcome::Reverted).await?;
    reverted_once(&scene, &culprit).await?;
    for spared in [scene.machine("early", 2), scene.machine("broad", 1), scene.machine("broad", 2)] {
        ensure!(rollout.update(&spared).is_none(), "{spared} has a NodeUpdate");
        untouched(&scene, &spared).await?;
    }
    scene.workload("web", "early", web).await
}

/// An update that fails by itself, on any machine: reverted, and the reason has these words.
async fn fails_and_is_reverted(scene: Scene, words: &str) -> Result<()> {
    let extra_reboots = i32::from(scene.name() == "breaks-at-second-boot");
    let policy = json!({
        "verify": {"extraReboots": extra_reboots, "timeout": "20s"},
        "strategy": {"inPlace": {"install": {"attempts": 1}}},
    });
    let rollout = scene.simple(policy, json!({}), GOOD).await?;
    rollout.ends(RolloutState::Halted).await?;
    let machine = scene.machine("ring", 1);
    let update = rollout.node_ends(&machine, Outcome::Reverted).await?;
    let reason = reason_of(&update)?;
    ensure!(reason.contains(words), "the reason does not say {words:?}: {reason}");
    reverted_once(&scene, &machine).await
}

/// The machine hangs in its reboot: the node-lifecycle controller gives it up, and the disk is put back without the agent.
async fn never_comes_back(scene: Scene) -> Result<()> {
    // Whichever is noticed first: that the installation has ended, or that the machine is away.
    let policy = json!({"strategy": {"inPlace": {"install": {"timeout": "20s", "rebootTimeout": "20s"}}}});
    let rollout = scene.simple(policy, json!({}), GOOD).await?;
    let machine = scene.machine("ring", 1);
    scene.unknown(&machine).await?;
    rollout.ends(RolloutState::Halted).await?;
    let update = rollout.node_ends(&machine, Outcome::Reverted).await?;
    let reason = reason_of(&update)?;
    ensure!(reason.contains("not done within 20s") && reason.contains("to boot and be Ready"), "{reason}");
    reverted_once(&scene, &machine).await
}

/// A node that cannot be put back stays out of service, for a person, and counts as a failure.
async fn restore_fails(scene: Scene) -> Result<()> {
    let policy = json!({"strategy": {"inPlace": {"snapshot": {"restoreTimeout": "20s"}}}});
    let rollout = scene.simple(policy, json!({}), BAD).await?;
    let halted = rollout.ends(RolloutState::Halted).await?;
    let counts = halted.status.as_ref().context("no status")?.counts;
    ensure!((counts.held, counts.reverted, counts.updated) == (1, 0, 0), "{counts:?}");
    let machine = scene.machine("ring", 1);
    let update = is_held(&scene, &rollout, &machine).await?;
    ensure!(reason_of(&update)?.contains("pod-network"), "the first failure is not told: {}", reason_of(&update)?);
    untouched(&scene, &scene.machine("ring", 2)).await
}

async fn is_held(scene: &Scene, rollout: &Rollout, machine: &str) -> Result<NodeUpdate> {
    let update = rollout.node_ends(machine, Outcome::Held).await?;
    scene.held(machine, &update.uid().unwrap_or_default()).await?;
    let (stalled, _, message) = condition(&update.status.as_ref().context("no status")?.conditions, "Stalled")?;
    ensure!(stalled == "True", "Stalled is {stalled}: {message}");
    Ok((*update).clone())
}

/// A policy that wants failed nodes held: nothing is restored until a person lets the node go.
async fn hold_and_release(scene: Scene) -> Result<()> {
    let rollout = scene.simple(json!({"onFailure": {"node": "Hold"}}), json!({}), BAD).await?;
    rollout.ends(RolloutState::Halted).await?;
    let machine = scene.machine("ring", 1);
    let update = is_held(&scene, &rollout, &machine).await?;
    ensure!(!steps(&update).iter().any(|(step, _)| *step == Step::Restore), "it was restored");

    let updates: Api<NodeUpdate> = Api::all(scene.stage.client.clone());
    let request = Patch::Merge(json!({"metadata": {"annotations": {REQUEST: "release"}}}));
    updates.patch(&update.name_any(), &PatchParams::default(), &request).await?;
    scene.is_let_go(&machine).await?;
    scene.in_service(&machine).await
}

/// Without a snapshot nothing is installed, and the node goes back into service.
async fn snapshot_fails(scene: Scene) -> Result<()> {
    let policy = json!({"strategy": {"inPlace": {"install": {"attempts": 1}}}});
    fails_untouched(&scene, policy, Outcome::Failed, "snapshot").await
}

/// A machine without room for the update is not touched.
async fn disk_full(scene: Scene) -> Result<()> {
    fails_untouched(&scene, json!({}), Outcome::Failed, "free").await
}

/// The same after the snapshot: the installation fails before its first act, so nothing is restored. It counts against the
/// update, and halts.
async fn disk_fills_up(scene: Scene) -> Result<()> {
    let rollout = scene.simple(json!({}), json!({}), GOOD).await?;
    let machine = scene.machine("ring", 1);
    let update = rollout.node_ends(&machine, Outcome::Failed).await?;
    ensure!(reason_of(&update)?.contains("0x80070070"), "the code is not told: {}", reason_of(&update)?);
    rollout.ends(RolloutState::Halted).await?;
    untouched(&scene, &machine).await?;
    scene.in_service(&machine).await
}

/// The source takes the update back between pinning and staging, or after the snapshot: the node is skipped, and as nothing
/// was installed nothing is restored.
async fn withdrawn(scene: Scene) -> Result<()> {
    fails_untouched(&scene, json!({}), Outcome::Skipped, GOOD).await
}

/// The update ends so, its reason has these words, nothing was changed, and a ring without an updated node promotes nothing.
async fn fails_untouched(scene: &Scene, policy: serde_json::Value, outcome: Outcome, words: &str) -> Result<()> {
    let rollout = scene.simple(policy, json!({}), GOOD).await?;
    let machine = scene.machine("ring", 1);
    let update = rollout.node_ends(&machine, outcome).await?;
    let reason = reason_of(&update)?;
    ensure!(reason.contains(words), "the reason does not say {words:?}: {reason}");
    rollout.reaches(RolloutState::Stalled).await?;
    rollout.says(&["0 of at least 1 nodes updated"]).await?;
    ensure!(scene.stage.sim.inside(&machine).await?.kernel_version != GOOD_BUILD, "it was installed");
    untouched(scene, &machine).await?;
    scene.in_service(&machine).await
}
