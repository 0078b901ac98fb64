//! `NodeUpdate`: one node in one rollout; the frozen intent, and the log of what was done.

use super::{Date, Frozen, UpdatePolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_protocol as protocol;

/// One node in one rollout. Written by the controller; `spec` is the intent, frozen when it was created.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "windlass.dev",
    version = "v1alpha1",
    kind = "NodeUpdate",
    plural = "nodeupdates",
    shortname = "nu",
    category = "windlass",
    status = "NodeUpdateStatus",
    derive = "PartialEq",
    doc = "One node in one rollout, written by the controller: what is to be done (spec, frozen), and step by step what was done (status).",
    printcolumn(name = "Node", type_ = "string", json_path = ".spec.nodeName"),
    printcolumn(name = "Ring", type_ = "string", json_path = ".spec.ring"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.step"),
    printcolumn(name = "Outcome", type_ = "string", json_path = ".status.outcome"),
    printcolumn(name = "From", type_ = "string", json_path = ".spec.fromBuild"),
    printcolumn(name = "To", type_ = "string", json_path = ".spec.toBuild"),
    printcolumn(name = "Waiting On", type_ = "string", json_path = ".status.waitingOn"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    selectable = ".spec.nodeName",
    selectable = ".spec.rolloutName"
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("the intent of a node update is frozen; a new rollout makes a new one"))]
pub struct NodeUpdateSpec {
    /// The rollout this belongs to.
    pub rollout_name: String,
    /// The rollout's UID.
    pub rollout_uid: String,
    /// The ring.
    pub ring: String,
    /// The node's name.
    pub node_name: String,
    /// The Node object's UID: another UID under the same name is another machine.
    pub node_uid: String,
    /// The node's providerID: which machine the provider snapshots.
    pub provider_id: String,
    /// The machine's own identity (`nodeInfo.systemUUID`): another one under the same providerID is another machine.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub system_uuid: String,
    /// What is done with the node.
    pub operation: Operation,
    /// The build the node had, and is reverted to.
    pub from_build: String,
    /// The build the node is to have.
    pub to_build: String,
    /// The updates, pinned by the rollout.
    #[schemars(length(max = 64))]
    pub updates: Vec<PinnedUpdate>,
    /// The SnapshotClass, as the policy named it.
    pub snapshot_class: String,
    /// The policy, frozen.
    pub policy: Frozen<UpdatePolicySpec>,
}

/// What is done with the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operation {
    /// It is updated.
    Update,
}

/// One pinned update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinnedUpdate {
    /// The catalogue's identity of the update.
    #[schemars(length(max = 128))]
    pub update_id: String,
    /// Revision of that identity.
    pub revision: i64,
    /// The KB, `KB5040437`.
    #[schemars(length(max = 10), regex(pattern = "^KB[0-9]{6,8}$"))]
    pub kb: String,
    /// Title as the catalogue has it.
    #[schemars(length(max = 512))]
    pub title: String,
    /// Day of publication.
    pub released: Date,
}

/// An update pinned by its identity; the same as the protocol's, with validated parts.
pub type Pinned = protocol::PinnedUpdate;

/// The steps of a node update, in the order of the flow without failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Step {
    /// Looks at the node before anything is touched.
    Preflight,
    /// The agent finds and downloads the pinned set, and writes the baseline.
    Stage,
    /// Claims the node and makes it unschedulable.
    Cordon,
    /// Evicts the pods.
    Drain,
    /// Takes the snapshot.
    Snapshot,
    /// The agent installs the pinned set.
    Install,
    /// The machine reboots and its node is Ready again.
    Reboot,
    /// The probes pass.
    Verify,
    /// The machine's disk is restored from the snapshot.
    Restore,
    /// The old build is back, the proofs of the restore are there, and the probes pass.
    VerifyRestored,
    /// The node is given back as it was found.
    Uncordon,
    /// The node is kept out of service: cordoned and tainted, for a person to look at.
    Hold,
}

/// How a node update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// The pinned set is installed, verified, and the node is back in service.
    Updated,
    /// The update failed; the node is back on its snapshot, verified, and in service.
    Reverted,
    /// The node is kept out of service on purpose and waits for a person.
    Held,
    /// There was nothing to do, or it could not be done, and nothing was touched.
    Skipped,
    /// It failed before anything on the machine was changed; the node is back in service.
    Failed,
    /// It was aborted before anything on the machine was changed; the node is back in service.
    Aborted,
    /// The node went away.
    NodeGone,
}

/// Phase of one record in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum StepPhase {
    /// Intended and begun.
    Started,
    /// Done.
    Succeeded,
    /// Failed; the message says why.
    Failed,
}

/// What kind of end a step came to, where the phase alone does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum StepDetail {
    /// Reboot: more of the pinned set wants installing.
    MoreToInstall,
    /// Failed in a way that may pass.
    Retriable,
    /// Failed, and nothing on the machine was changed.
    Untouched,
    /// Failed, because the machine waits for a reboot.
    RebootFirst,
    /// Failed, because the source no longer gives the pinned set.
    NotOffered,
    /// Not done within its time.
    TimedOut,
    /// Ended by a person.
    Aborted,
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepRecord {
    /// Which step.
    pub step: Step,
    /// How far it is.
    pub phase: StepPhase,
    /// Round of installing, from 1.
    pub round: i32,
    /// Attempt within the round, from 1.
    pub attempt: i32,
    /// When it was started; its deadline counts from here.
    pub started_at: MicroTime,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<MicroTime>,
    /// What kind of end it came to, where the phase alone does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<StepDetail>,
    /// What the step made or saw, where it is needed later: a snapshot's handle, the boot id before the installation and
    /// when the node was put back in service, what ends a snapshot and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub handle: Option<String>,
    /// What came of it, one sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub message: String,
}

/// What was done, and what is waited for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeUpdateStatus {
    /// Generation of the spec this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The step in work, or the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// How it ended; empty while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What is waited for, by name, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub waiting_on: Option<String>,
    /// Why it did not end as intended, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub reason: Option<String>,
    /// The log, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub steps: Vec<StepRecord>,
    /// `Ready`, `Reconciling`, `Stalled` as kstatus reads them, and `Drained`, `SnapshotTaken`, `Verified`, `Reverted`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The last `windlass.dev/request` that was acted on, and why it was refused, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_handled_request: Option<String>,
}

/// How the reason of one begins whose node was held, and given back on request.
pub const RELEASED: &str = "released on request";

impl NodeUpdate {
    /// Whether it is still going on.
    pub fn in_work(&self) -> bool {
        self.status.as_ref().is_none_or(|status| status.outcome.is_none())
    }

    /// Whether it has ended with its node held, and nobody has released it since.
    pub fn is_held(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.outcome == Some(Outcome::Held)) && !self.was_released()
    }

    /// Whether its node was held, and given back on request; a request after that may have been refused.
    pub fn was_released(&self) -> bool {
        let reason = self.status.as_ref().and_then(|status| status.reason.as_deref());
        reason.is_some_and(|reason| reason.starts_with(RELEASED))
    }
}
