//! Restores. KubeVirt stops the machine, replaces its volumes, and leaves it stopped; what it ran by is put back then.

use super::cluster::{Objects, ask};
use super::snapshot::{self, OF_SNAPSHOT};
use super::wire::{self, Machine, Reference, Restore, RestoreSpec, Snapshot, said};
use super::{KubeVirt, machine, name_of, object_name};
use crate::domain::{NodeRef, StepKey};
use crate::ports::{Handle, Progress, ProviderError};
use crate::providers::tags;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, PostParams};
use std::collections::BTreeMap;

/// How a restore that was begun stands.
enum Stage {
    Complete,
    Failed(String),
    Running(String),
}

impl KubeVirt {
    pub(super) async fn put_back(
        &self,
        node: &NodeRef,
        handle: &Handle,
        key: &StepKey,
    ) -> Result<Progress, ProviderError> {
        name_of(node)?;
        let name = object_name(node, key);
        let objects = self.objects().await?;
        let begun = ask(&format!("VirtualMachineRestore {name}"), objects.restores.get_opt(&name)).await?;
        let Some(begun) = begun else {
            let machine = self.machine(&objects, node).await?;
            self.begin(&objects, &machine, (&name, handle, key)).await?;
            return Ok(Progress::Running { message: format!("VirtualMachineRestore {name}") });
        };
        if begun.spec.virtual_machine_snapshot_name != handle.as_str() {
            let other = &begun.spec.virtual_machine_snapshot_name;
            let text = format!("VirtualMachineRestore {name} is there, and restores {other}, not {handle}");
            return Err(ProviderError::Permanent(text));
        }
        match stage(&begun) {
            Stage::Running(message) => Ok(Progress::Running { message }),
            Stage::Complete => {
                machine::put_back(&objects, &self.machine(&objects, node).await?, key).await?;
                Ok(Progress::Done { handle: Some(handle.clone()) })
            }
            Stage::Failed(why) => {
                let machine = self.machine(&objects, node).await?;
                machine::put_back(&objects, &machine, key).await?;
                Err(if machine::has_disk(&machine) {
                    ProviderError::Failed(why)
                } else {
                    ProviderError::RootDetached(why)
                })
            }
        }
    }

    async fn begin(
        &self,
        objects: &Objects,
        seen: &Machine,
        (name, handle, key): (&str, &Handle, &StepKey),
    ) -> Result<(), ProviderError> {
        let what = format!("VirtualMachineSnapshot {handle}");
        let snapshot = ask(&what, objects.snapshots.get(handle.as_str())).await?;
        fits(&snapshot, seen)?;
        if key.attempt > 1 {
            self.clear(objects, key).await?;
        }
        machine::idle(seen)?;
        machine::remember(objects, seen, key, false).await?;
        let spec = RestoreSpec {
            target: Reference::machine(&seen.name_any()),
            virtual_machine_snapshot_name: handle.to_string(),
            target_readiness_policy: Some("StopTarget".to_owned()),
            volume_restore_policy: Some("InPlace".to_owned()),
        };
        let mut wanted = Restore::new(name, &wire::restores(), spec);
        let marks = BTreeMap::from([
            (tags::INSTALLATION, self.installation.clone()),
            (tags::NODE_UPDATE, key.node_update_uid.clone()),
            (tags::KEY, key.to_string()),
            (OF_SNAPSHOT, handle.to_string()),
        ]);
        wanted.metadata = self.marked(name, marks);
        let what = format!("VirtualMachineRestore {name}");
        ask(&what, objects.restores.create(&PostParams::default(), &wanted)).await.map(drop)
    }

    /// Removes restores of earlier attempts that failed: KubeVirt takes no other while one is not complete.
    async fn clear(&self, objects: &Objects, key: &StepKey) -> Result<(), ProviderError> {
        let ours = ListParams::default().labels(&format!("{}={}", tags::NODE_UPDATE, key.node_update_uid));
        let list = ask("VirtualMachineRestores", objects.restores.list(&ours)).await?;
        for failed in list.items.iter().filter(|restore| matches!(stage(restore), Stage::Failed(_))) {
            let name = failed.name_any();
            let what = format!("VirtualMachineRestore {name}");
            match ask(&what, objects.restores.delete(&name, &DeleteParams::default())).await {
                Ok(_) | Err(ProviderError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether this snapshot may be put into this machine.
fn fits(snapshot: &Snapshot, seen: &Machine) -> Result<(), ProviderError> {
    let (name, machine_name) = (snapshot.name_any(), seen.name_any());
    let refuse = |why: String| Err(ProviderError::Permanent(format!("VirtualMachineSnapshot {name}: {why}")));
    let status = snapshot.status.clone().unwrap_or_default();
    if snapshot.spec.source != Reference::machine(&machine_name) || status.source_uid != seen.uid() {
        return refuse(format!("it is not of this VirtualMachine {machine_name}, but of another one"));
    }
    if status.ready_to_use != Some(true) || snapshot.metadata.deletion_timestamp.is_some() {
        return refuse("it can not be restored now".to_owned());
    }
    let (then, now) = (snapshot::volumes(&status.snapshot_volumes), machine::volumes(&seen.spec));
    if then != now {
        let (then, now) = (then.join(", "), now.join(", "));
        return refuse(format!("VirtualMachine {machine_name} had the volumes {then} then, and has {now} now"));
    }
    Ok(())
}

fn stage(restore: &Restore) -> Stage {
    let name = restore.name_any();
    let status = restore.status.clone().unwrap_or_default();
    if status.complete == Some(true) {
        return Stage::Complete;
    }
    if let Some(why) = said(&status.conditions, "Failure") {
        return Stage::Failed(format!("VirtualMachineRestore {name} failed: {why}"));
    }
    let doing = status.conditions.iter().find(|c| c.type_ == "Progressing").map(|c| c.reason.as_str());
    let doing = doing.filter(|doing| !doing.is_empty()).map(|doing| format!(": {doing}")).unwrap_or_default();
    Stage::Running(format!("VirtualMachineRestore {name}{doing}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn seen(uid: &str, volumes: &[&str]) -> Machine {
        let volumes: Vec<_> = volumes.iter().map(|name| json!({"name": name})).collect();
        serde_json::from_value(json!({"metadata": {"name": "vm-7", "uid": uid},
            "spec": {"template": {"spec": {"volumes": volumes}}}}))
        .expect("a machine")
    }

    fn snapshot(of: &str, change: &Value) -> Snapshot {
        let mut status = json!({"sourceUID": "m-1", "readyToUse": true, "phase": "Succeeded",
            "snapshotVolumes": {"includedVolumes": ["root", "persistent-state-for-vm-7-x"], "excludedVolumes": ["cloudinit"]}});
        for (key, value) in change.as_object().into_iter().flatten() {
            status[key] = value.clone();
        }
        serde_json::from_value(json!({"metadata": {"name": "s"}, "status": status,
            "spec": {"source": {"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": of}}}))
        .expect("a snapshot")
    }

    #[test]
    fn only_the_very_machine_with_the_very_disks_is_restored() {
        let machine = seen("m-1", &["root", "cloudinit"]);
        assert_eq!(fits(&snapshot("vm-7", &json!({})), &machine), Ok(()));
        for (snapshot, machine, says) in [
            (snapshot("vm-8", &json!({})), &machine, "not of this"),
            (snapshot("vm-7", &json!({})), &seen("m-2", &["root", "cloudinit"]), "not of this"),
            (snapshot("vm-7", &json!({"readyToUse": false})), &machine, "can not be restored"),
            (snapshot("vm-7", &json!({})), &seen("m-1", &["root", "cloudinit", "extra"]), "extra, root now"),
            (snapshot("vm-7", &json!({})), &seen("m-1", &["cloudinit"]), "has cloudinit now"),
        ] {
            let error = fits(&snapshot, machine).expect_err(says);
            assert!(matches!(&error, ProviderError::Permanent(text) if text.contains(says)), "{says}: {error}");
        }
    }

    #[test]
    fn a_restore_is_done_when_it_says_so() {
        let of = |status: Value| {
            stage(
                &serde_json::from_value(json!({"metadata": {"name": "r"}, "status": status,
                "spec": {"target": Reference::machine("vm-7"), "virtualMachineSnapshotName": "s"}}))
                .expect("a restore"),
            )
        };
        assert!(matches!(of(Value::Null), Stage::Running(_)));
        assert!(matches!(of(json!({"complete": true})), Stage::Complete));
        assert!(
            matches!(of(json!({"complete": false, "conditions": [{"type": "Failure", "status": "True", "reason": "x"}]})), Stage::Failed(why) if why.ends_with(": x"))
        );
        let waiting = json!({"complete": false, "conditions": [{"type": "Progressing", "status": "False", "reason": "stopping"}]});
        assert!(matches!(of(waiting), Stage::Running(what) if what.ends_with("stopping")));
    }
}
