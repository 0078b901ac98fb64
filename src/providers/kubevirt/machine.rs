//! The machine itself: what it is at, its run strategy, its power.

use super::cluster::{Objects, ask};
use super::wire::{Machine, MachineSpec, MachineStatus, Volume};
use super::{KubeVirt, name_of};
use crate::domain::{NodeRef, StepKey};
use crate::ports::{ConsoleFacts, Power, Progress, ProviderError};
use http::Request;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

/// Annotation on a VirtualMachine that we stop: `<UID of the NodeUpdate>/<what it ran by>`, a run strategy, or `running`
/// for a machine that has the older field.
const RAN_BY: &str = "windlass.dev/ran-by";
/// The run strategy of a machine that is to be off.
const HALTED: &str = "Halted";
/// States in which a machine's disk is missing.
const WITHOUT_DISK: [&str; 3] = ["ErrorPvcNotFound", "ErrorDataVolumeNotFound", "DataVolumeError"];

impl KubeVirt {
    pub(super) async fn switch(&self, node: &NodeRef, want: Power, key: &StepKey) -> Result<Progress, ProviderError> {
        let name = name_of(node)?;
        let objects = self.objects().await?;
        let machine = self.machine(&objects, node).await?;
        if power(&machine) == want {
            return Ok(Progress::Done { handle: None });
        }
        match want {
            Power::Off => {
                remember(&objects, &machine, key, true).await?;
                Ok(Progress::Running { message: format!("stopping VirtualMachine {name}") })
            }
            Power::On => {
                self.start(&objects, &machine, key).await?;
                Ok(Progress::Running { message: format!("starting VirtualMachine {name}") })
            }
        }
    }

    /// Starts a machine by the strategy it had, or by `Always` when nobody knows.
    async fn start(&self, objects: &Objects, machine: &Machine, key: &StepKey) -> Result<(), ProviderError> {
        let strategy = machine.spec.run_strategy.as_deref();
        if recorded(machine, key).is_some() {
            return put_back(objects, machine, key).await.map(drop);
        }
        match (strategy, machine.spec.running) {
            (Some(HALTED), _) => patch(objects, machine, json!({"runStrategy": "Always"}), None).await,
            (None, Some(false)) => patch(objects, machine, json!({"running": true}), None).await,
            (Some("Manual"), _) => self.start_by_hand(objects, &machine.name_any()).await,
            // KubeVirt starts the others by itself.
            _ => Ok(()),
        }
    }

    /// Nothing but this request starts a machine whose run strategy is `Manual`.
    async fn start_by_hand(&self, objects: &Objects, name: &str) -> Result<(), ProviderError> {
        let (what, namespace) = (format!("start of VirtualMachine {name}"), &self.settings.namespace);
        let path = format!("/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachines/{name}/start");
        let request = Request::put(path).header("content-type", "application/json").body(b"{}".to_vec());
        let request = request.map_err(|e| ProviderError::Permanent(format!("{what}: {e}")))?;
        ask(&what, objects.client.request_text(request)).await.map(drop)
    }

    pub(super) async fn screen(&self, node: &NodeRef) -> Result<ConsoleFacts, ProviderError> {
        let objects = self.objects().await?;
        let machine = self.machine(&objects, node).await?;
        let state = state(&machine).to_owned();
        Ok(ConsoleFacts { power: power(&machine), root_attached: has_disk(&machine), state })
    }
}

/// Refuses a machine that KubeVirt is at work on.
pub(super) fn idle(machine: &Machine) -> Result<(), ProviderError> {
    let Some(MachineStatus { restore_in_progress, snapshot_in_progress, .. }) = &machine.status else { return Ok(()) };
    match restore_in_progress.as_ref().or(snapshot_in_progress.as_ref()) {
        Some(other) => {
            let name = machine.name_any();
            Err(ProviderError::Transient(format!("VirtualMachine {name} is at work on {other}")))
        }
        None => Ok(()),
    }
}

/// What the machine is at, in KubeVirt's words.
fn state(machine: &Machine) -> &str {
    machine.status.as_ref().map(|s| s.printable_status.as_str()).filter(|s| !s.is_empty()).unwrap_or("Unknown")
}

pub(super) fn has_disk(machine: &Machine) -> bool {
    !WITHOUT_DISK.contains(&state(machine))
}

/// Whether it has power. A state that is not known is taken for on: nobody switches on what may run.
fn power(machine: &Machine) -> Power {
    let off = ["Stopped", "Provisioning", "WaitingForVolumeBinding", "Starting"];
    if off.contains(&state(machine)) || !has_disk(machine) { Power::Off } else { Power::On }
}

/// The volume of the system disk: of those disks that keep what is written, the one that is booted first, or the first.
/// Windows templates boot the ISO before the disk.
pub(super) fn system_volume(spec: &MachineSpec) -> Option<&str> {
    let keeps = |name: &str| spec.template.spec.volumes.iter().any(|volume| volume.name == name && is_claim(volume));
    let disks = || spec.template.spec.domain.devices.disks.iter().filter(|d| d.drive.is_none() && keeps(&d.name));
    let booted = disks().filter(|disk| disk.boot_order.is_some()).min_by_key(|disk| disk.boot_order);
    booted.or(disks().next()).map(|disk| disk.name.as_str())
}

/// The machine's own volumes that have to be in a snapshot of it.
pub(super) fn own_volumes(spec: &MachineSpec) -> impl Iterator<Item = &str> {
    let plugged = plugged(spec);
    let names = spec.template.spec.volumes.iter().map(|volume| volume.name.as_str());
    names.filter(move |name| !may_be_left_out(spec, name) && !plugged.contains(name))
}

/// Whether a snapshot is whole without this volume. Cloud-init disks, container disks and the like are made anew from the
/// spec. A CD-ROM can not be written to: no update changes it, and a restore leaves it in the machine as it is. What is not
/// in the spec is KubeVirt's own, as the state of a TPM, and belongs to the disk.
pub(super) fn may_be_left_out(spec: &MachineSpec, name: &str) -> bool {
    let is_drive = spec.template.spec.domain.devices.disks.iter().any(|d| d.name == name && d.drive.is_some());
    is_drive || spec.template.spec.volumes.iter().any(|volume| volume.name == name && !is_claim(volume))
}

/// Whether what is written to it stays.
fn is_claim(volume: &Volume) -> bool {
    volume.imported.is_some() || volume.claim.is_some()
}

/// Volumes that were plugged into the running machine: those of pods, by KubeVirt's CSI driver.
pub(super) fn plugged(spec: &MachineSpec) -> Vec<&str> {
    let is_plugged =
        |volume: &&Volume| [&volume.imported, &volume.claim].into_iter().flatten().any(|claim| claim.hotpluggable);
    let mut names: Vec<_> = spec.template.spec.volumes.iter().filter(is_plugged).map(|v| v.name.as_str()).collect();
    names.sort_unstable();
    names
}

/// The names of all its volumes.
pub(super) fn volumes(spec: &MachineSpec) -> Vec<&str> {
    let mut names: Vec<_> = spec.template.spec.volumes.iter().map(|v| v.name.as_str()).collect();
    names.sort_unstable();
    names
}

/// What the machine ran by before this node update stopped it, if it is on record.
fn recorded<'a>(machine: &'a Machine, key: &StepKey) -> Option<&'a str> {
    let (uid, ran_by) = machine.annotations().get(RAN_BY)?.split_once('/')?;
    (uid == key.node_update_uid).then_some(ran_by)
}

/// Puts on record what the machine runs by, once for each node update; with `stop`, stops it in the same write.
pub(super) async fn remember(
    objects: &Objects,
    machine: &Machine,
    key: &StepKey,
    stop: bool,
) -> Result<(), ProviderError> {
    let known = recorded(machine, key).is_some();
    if known && !stop {
        return Ok(());
    }
    let ran_by = match (&machine.spec.run_strategy, machine.spec.running) {
        (Some(strategy), _) => strategy.as_str(),
        (None, Some(true)) => "running",
        (None, Some(false)) => "stopped",
        (None, None) => HALTED,
    };
    let ran_by = recorded(machine, key).unwrap_or(ran_by);
    let spec = match (stop, machine.spec.running) {
        (false, _) => Value::Null,
        (true, Some(_)) => json!({"running": false}),
        (true, None) => json!({"runStrategy": HALTED}),
    };
    patch(objects, machine, spec, Some(json!(format!("{}/{ran_by}", key.node_update_uid)))).await
}

/// Puts back what the machine ran by. `false`: nothing was on record, so it is as it was.
pub(super) async fn put_back(objects: &Objects, machine: &Machine, key: &StepKey) -> Result<bool, ProviderError> {
    let Some(ran_by) = recorded(machine, key) else { return Ok(false) };
    let spec = match ran_by {
        "running" => json!({"running": true, "runStrategy": null}),
        "stopped" => json!({"running": false, "runStrategy": null}),
        strategy => json!({"runStrategy": strategy, "running": null}),
    };
    patch(objects, machine, spec, Some(Value::Null)).await?;
    Ok(true)
}

/// Changes the machine as it was seen, and only that: the resource version guards against another writer.
async fn patch(objects: &Objects, machine: &Machine, spec: Value, ran_by: Option<Value>) -> Result<(), ProviderError> {
    let name = machine.name_any();
    let mut body = json!({"metadata": {"resourceVersion": machine.resource_version()}});
    if let Some(ran_by) = ran_by {
        body["metadata"]["annotations"] = json!({ RAN_BY: ran_by });
    }
    if !spec.is_null() {
        body["spec"] = spec;
    }
    let (params, change) = (PatchParams::default(), Patch::Merge(body));
    ask(&format!("VirtualMachine {name}"), objects.machines.patch(&name, &params, &change)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Step;
    use std::sync::{Arc, Mutex};

    fn machine(spec: &Value, status: &str) -> Machine {
        serde_json::from_value(json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
            "metadata": {"name": "vm-7", "annotations": {RAN_BY: "u-1/Manual"}},
            "spec": spec, "status": {"printableStatus": status},
        }))
        .expect("a machine")
    }

    /// A change as RFC 7386 has it.
    fn merge(into: &mut Value, change: &Value) {
        let Value::Object(changes) = change else { return *into = change.clone() };
        if !into.is_object() {
            *into = json!({});
        }
        for (name, value) in changes {
            if value.is_null() {
                into.as_object_mut().expect("an object").remove(name);
            } else {
                merge(&mut into[name], value);
            }
        }
    }

    /// An API server that has this machine and merges what is sent.
    fn server(machine: &Arc<Mutex<Value>>) -> Objects {
        let machine = Arc::clone(machine);
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let machine = Arc::clone(&machine);
            async move {
                let body = request.into_body().collect_bytes().await?;
                let mut machine = machine.lock().expect("no panic");
                if !body.is_empty() {
                    merge(&mut machine, &serde_json::from_slice(&body)?);
                }
                let answer = kube::client::Body::from(machine.to_string().into_bytes());
                Ok::<_, tower::BoxError>(http::Response::new(answer))
            }
        });
        let client = kube::Client::new(service, "machines");
        let api = kube::Api::namespaced_with(client.clone(), "machines", &super::super::wire::machines());
        Objects {
            machines: api,
            snapshots: kube::Api::namespaced_with(client.clone(), "machines", &super::super::wire::snapshots()),
            restores: kube::Api::namespaced_with(client.clone(), "machines", &super::super::wire::restores()),
            client,
        }
    }

    #[tokio::test]
    async fn whatever_a_machine_ran_by_is_put_back_and_not_from_an_earlier_update() {
        let of = |uid: &str| StepKey { node_update_uid: uid.into(), step: Step::Restore, round: 1, attempt: 1 };
        let (key, other) = (of("u-1"), of("u-2"));
        for ran_by in [
            json!({"runStrategy": "Always"}),
            json!({"runStrategy": "RerunOnFailure"}),
            json!({"runStrategy": "Manual"}),
            json!({"runStrategy": "Halted"}),
            json!({"running": true}),
            json!({"running": false}),
        ] {
            let before = json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "spec": ran_by,
                "metadata": {"name": "vm-7", "annotations": {"theirs": "1"}}});
            let kept = Arc::new(Mutex::new(before.clone()));
            let objects = server(&kept);
            let machine = async || objects.machines.get("vm-7").await.expect("a machine");
            remember(&objects, &machine().await, &key, false).await.expect("remembered");
            // What KubeVirt itself does for a restore.
            let stopped = json!({"spec": {"runStrategy": "Halted", "running": null}});
            merge(&mut kept.lock().expect("no panic"), &stopped);
            remember(&objects, &machine().await, &key, true).await.expect("what is on record stays there");
            assert_eq!(put_back(&objects, &machine().await, &other).await, Ok(false), "{ran_by}");
            assert_eq!(put_back(&objects, &machine().await, &key).await, Ok(true), "{ran_by}");
            assert_eq!(*kept.lock().expect("no panic"), before);
            assert_eq!(put_back(&objects, &machine().await, &key).await, Ok(false), "once");
        }
    }

    #[test]
    fn power_is_what_kubevirt_says_in_its_words() {
        for (state, on, disk) in [
            ("Running", Power::On, true),
            ("Stopping", Power::On, true),
            ("CrashLoopBackOff", Power::On, true),
            ("NewWord", Power::On, true),
            ("Stopped", Power::Off, true),
            ("Starting", Power::Off, true),
            ("ErrorPvcNotFound", Power::Off, false),
        ] {
            let machine = machine(&json!({}), state);
            assert_eq!((power(&machine), has_disk(&machine)), (on, disk), "{state}");
        }
    }

    #[test]
    fn a_record_is_of_one_node_update() {
        let machine = machine(&json!({}), "Stopped");
        let key = |uid: &str| StepKey { node_update_uid: uid.into(), step: Step::Restore, round: 1, attempt: 1 };
        assert_eq!(recorded(&machine, &key("u-1")), Some("Manual"));
        assert_eq!(recorded(&machine, &key("u-2")), None, "somebody may have changed it since");
    }

    #[test]
    fn the_system_disk_is_the_one_that_is_booted() {
        let spec = |disks: Value| {
            machine(
                &json!({"template": {"spec": {"domain": {"devices": {"disks": disks}},
            "volumes": [{"name": "cd", "dataVolume": {"name": "iso"}}, {"name": "drivers", "containerDisk": {"image": "i"}},
                        {"name": "root", "dataVolume": {"name": "d"}}, {"name": "data", "persistentVolumeClaim": {"claimName": "e"}},
                        {"name": "pod", "persistentVolumeClaim": {"claimName": "c", "hotpluggable": true}}]}}}),
                "",
            )
            .spec
        };
        let first = spec(json!([{"name": "data"}, {"name": "root", "bootOrder": 1}]));
        assert_eq!(system_volume(&first), Some("root"));
        assert_eq!(system_volume(&spec(json!([{"name": "root"}, {"name": "data"}]))), Some("root"));
        assert_eq!(system_volume(&spec(json!([]))), None);
        assert_eq!(plugged(&first), ["pod"]);
        assert_eq!(volumes(&first), ["cd", "data", "drivers", "pod", "root"]);

        let drives = json!([{"name": "cd", "bootOrder": 1, "cdrom": {"bus": "sata"}}, {"name": "drivers"},
            {"name": "root", "bootOrder": 2}, {"name": "data"}]);
        let windows = spec(drives);
        assert_eq!(system_volume(&windows), Some("root"), "an ISO is booted first, and is not the system disk");
        assert_eq!(own_volumes(&windows).collect::<Vec<_>>(), ["root", "data"]);
        assert!(may_be_left_out(&windows, "cd") && may_be_left_out(&windows, "drivers"));
        assert!(!may_be_left_out(&windows, "root") && !may_be_left_out(&windows, "persistent-state-for-vm-7"));
        let unordered = spec(json!([{"name": "cd", "bootOrder": 1, "cdrom": {}}, {"name": "root"}, {"name": "data"}]));
        assert_eq!(system_volume(&unordered), Some("root"));
        assert_eq!(system_volume(&spec(json!([{"name": "cd", "cdrom": {}}, {"name": "drivers"}]))), None);
    }
}
