//! The intent: what a NodeUpdate was made to do, parsed and frozen.

use super::{Build, KbId, NodeRef};
use crate::api::{Frozen, NodeUpdate, NodeUpdateSpec, Operation, UpdatePolicySpec};
use kube::ResourceExt;
use std::time::Duration;
use windlass_protocol::PinnedUpdate;

/// What a NodeUpdate was made to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// Name of the NodeUpdate.
    pub name: String,
    /// UID of the NodeUpdate.
    pub uid: String,
    /// Name of the rollout.
    pub rollout: String,
    /// UID of the rollout.
    pub rollout_uid: String,
    /// The ring.
    pub ring: String,
    /// The machine.
    pub node: NodeRef,
    /// What is done with it.
    pub operation: Operation,
    /// The build it had.
    pub from: Build,
    /// The build it is to have.
    pub to: Build,
    /// The pinned updates.
    pub updates: Vec<PinnedUpdate>,
    /// Name of the SnapshotClass.
    pub snapshot_class: String,
    /// The policy, frozen.
    pub policy: Frozen<UpdatePolicySpec>,
}

/// A NodeUpdate whose spec makes no sense. The controller writes none such; a hand may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    /// The object has no UID: it is not from an API server.
    #[error("metadata.uid: missing")]
    NoUid,
    /// A field does not parse.
    #[error("spec.{field}: {message}")]
    Field {
        /// Path under `spec`.
        field: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The builds are of two Windows versions: that would be a feature upgrade.
    #[error("spec.toBuild: {to} is another Windows version than {from}; feature upgrades are never made")]
    FeatureUpgrade {
        /// Build before.
        from: Build,
        /// Build asked for.
        to: Build,
    },
}

impl Intent {
    /// Parses a NodeUpdate.
    ///
    /// # Errors
    /// [`IntentError`], naming the field.
    pub fn parse(update: &NodeUpdate) -> Result<Self, IntentError> {
        let spec = &update.spec;
        let from: Build = spec.from_build.parse().map_err(|e| field("fromBuild", &e))?;
        let to: Build = spec.to_build.parse().map_err(|e| field("toBuild", &e))?;
        if !from.same_os(to) {
            return Err(IntentError::FeatureUpgrade { from, to });
        }
        if spec.policy.strategy.in_place.is_none() {
            return Err(field("policy.strategy.inPlace", &"missing"));
        }
        Ok(Self {
            name: update.name_any(),
            uid: update.uid().ok_or(IntentError::NoUid)?,
            rollout: spec.rollout_name.clone(),
            rollout_uid: spec.rollout_uid.clone(),
            ring: spec.ring.clone(),
            node: NodeRef::meant_by(spec),
            operation: spec.operation,
            from,
            to,
            updates: spec.updates.iter().map(pinned).collect::<Result<_, _>>()?,
            snapshot_class: spec.snapshot_class.clone(),
            policy: spec.policy.clone(),
        })
    }
}

impl NodeRef {
    /// The machine that a node update was made for, as its spec has it.
    pub fn meant_by(spec: &NodeUpdateSpec) -> Self {
        Self {
            name: spec.node_name.clone(),
            uid: spec.node_uid.clone(),
            provider_id: spec.provider_id.clone(),
            system_uuid: spec.system_uuid.clone(),
        }
    }
}

impl Intent {
    /// How long it may take from now on until the node is back on its snapshot, when the snapshot was just taken.
    pub fn time_to_restore(&self) -> Duration {
        let Some(in_place) = &self.policy.strategy.in_place else { return Duration::ZERO };
        let (install, snapshot) = (&in_place.install, &in_place.snapshot);
        let installing = install.timeout.get() * u32::try_from(install.attempts).unwrap_or(1);
        installing + install.reboot_timeout.get() + self.policy.verify.timeout.get() + snapshot.restore_timeout.get()
    }

    /// The same, when the node is still in service.
    pub fn time_to_drain_and_restore(&self) -> Duration {
        let snapshot = self.policy.strategy.in_place.as_ref().map(|p| p.snapshot.timeout.get()).unwrap_or_default();
        self.policy.drain.timeout.get() + snapshot + self.time_to_restore()
    }
}

fn pinned(update: &crate::api::PinnedUpdate) -> Result<PinnedUpdate, IntentError> {
    let kb: KbId = update.kb.parse().map_err(|e| field("updates[].kb", &e))?;
    let revision = u32::try_from(update.revision).map_err(|e| field("updates[].revision", &e))?;
    Ok(PinnedUpdate { update_id: update.update_id.clone(), revision, kb })
}

fn field(field: &'static str, message: &dyn std::fmt::Display) -> IntentError {
    IntentError::Field { field, message: message.to_string() }
}
