//! Snapshots: made, looked at, listed, deleted.

use super::cluster::{Objects, ask};
use super::wire::{self, Machine, Reference, Snapshot, SnapshotSpec, SnapshotStatus, Volumes, said};
use super::{KubeVirt, machine, name_of, object_name};
use crate::domain::NodeRef;
use crate::ports::{Consistency, Found, Handle, Order, Progress, ProviderError, SnapshotFacts};
use crate::providers::tags;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use std::collections::BTreeMap;

/// Label on restores: the snapshot they are made from.
pub(super) const OF_SNAPSHOT: &str = "windlass.dev/snapshot";
/// How the names of volumes of KubeVirt's own begin: the state of TPM and firmware. They are in no machine's spec.
const STATE: &str = "persistent-state-for";
/// KubeVirt's word for a snapshot without a volume that it could have been asked for.
const PARTIAL: &str = "PartialSnapshot";

impl KubeVirt {
    /// The machine is the node's, and its system disk is one that can be snapshotted.
    pub(super) async fn is_there(&self, node: &NodeRef) -> Result<(), ProviderError> {
        let objects = self.objects().await?;
        let seen = self.machine(&objects, node).await?;
        if !machine::has_disk(&seen) {
            let text = format!("VirtualMachine {} is left without a disk", seen.name_any());
            return Err(ProviderError::RootDetached(text));
        }
        has_a_disk_for_it(&seen)
    }

    pub(super) async fn take(&self, order: &Order<'_>) -> Result<Progress, ProviderError> {
        let (machine_name, name) = (name_of(order.node)?, object_name(order.node, order.key));
        let objects = self.objects().await?;
        let what = format!("VirtualMachineSnapshot {name}");
        if let Some(found) = ask(&what, objects.snapshots.get_opt(&name)).await? {
            let source = source(&objects, &found).await?;
            return progress(&found, source.as_ref(), order);
        }
        let seen = self.machine(&objects, order.node).await?;
        may_be_taken(&seen)?;
        let wanted = self.wanted(&name, machine_name, order);
        match ask(&what, objects.snapshots.create(&PostParams::default(), &wanted)).await {
            Ok(made) => progress(&made, None, order),
            // Somebody was faster, or the answer to our own first request was lost: the next look finds it.
            Err(ProviderError::Transient(_)) => Ok(running("VirtualMachineSnapshot to be made")),
            Err(error) => Err(error),
        }
    }

    fn wanted(&self, name: &str, machine: &str, order: &Order<'_>) -> Snapshot {
        let spec = SnapshotSpec {
            source: Reference::machine(machine),
            deletion_policy: Some("Delete".to_owned()),
            failure_deadline: Some(format!("{}s", self.settings.failure_deadline.get().as_secs())),
        };
        let mut wanted = Snapshot::new(name, &wire::snapshots(), spec);
        wanted.metadata = self.marked(name, tags::of(order, &self.installation));
        wanted
    }

    /// Metadata with the marks: labels by which objects are found, annotations for what is only read.
    pub(super) fn marked(&self, name: &str, tags: BTreeMap<&'static str, String>) -> ObjectMeta {
        let is_label = |tag: &str| matches!(tag, tags::INSTALLATION | tags::NODE_UPDATE | OF_SNAPSHOT);
        let (labels, annotations): (BTreeMap<_, _>, BTreeMap<_, _>) =
            tags.into_iter().map(|(name, value)| (name.to_owned(), value)).partition(|(name, _)| is_label(name));
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.settings.namespace.clone()),
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }
    }

    pub(super) async fn facts(&self, handle: &Handle) -> Result<SnapshotFacts, ProviderError> {
        let objects = self.objects().await?;
        let what = format!("VirtualMachineSnapshot {handle}");
        let snapshot = ask(&what, objects.snapshots.get(handle.as_str())).await?;
        let source = source(&objects, &snapshot).await?;
        if let Some(why) = failed(&snapshot, source.as_ref()) {
            return Err(ProviderError::Failed(why));
        }
        Ok(facts(&snapshot))
    }

    pub(super) async fn remove(&self, handle: &Handle) -> Result<(), ProviderError> {
        let objects = self.objects().await?;
        let what = format!("VirtualMachineSnapshot {handle}");
        match ask(&what, objects.snapshots.delete(handle.as_str(), &DeleteParams::default())).await {
            Ok(_) | Err(ProviderError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        // Records of restores from it; they would stay until their machine goes.
        let of_it = ListParams::default().labels(&format!("{OF_SNAPSHOT}={handle}"));
        let what = format!("VirtualMachineRestores of {handle}");
        ask(&what, objects.restores.delete_collection(&DeleteParams::default(), &of_it)).await.map(drop)
    }

    pub(super) async fn all(&self) -> Result<Vec<Found>, ProviderError> {
        let objects = self.objects().await?;
        let ours = ListParams::default().labels(&format!("{}={}", tags::INSTALLATION, self.installation));
        let list = ask("VirtualMachineSnapshots", objects.snapshots.list(&ours)).await?;
        Ok(list.items.iter().map(found).collect())
    }
}

fn found(snapshot: &Snapshot) -> Found {
    let mut marks = snapshot.annotations().clone();
    marks.extend(snapshot.labels().clone());
    let made_at = snapshot.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |at| at.0);
    tags::found(Handle::new(snapshot.name_any()), &marks, made_at, None)
}

/// Whether a machine may be snapshotted now: with nothing else under way, and with nothing in it but its own disks.
fn may_be_taken(seen: &Machine) -> Result<(), ProviderError> {
    let name = seen.name_any();
    machine::idle(seen)?;
    let plugged = machine::plugged(&seen.spec);
    if !plugged.is_empty() {
        let text = format!("VirtualMachine {name} still has volumes plugged in: {}", plugged.join(", "));
        return Err(ProviderError::Transient(text));
    }
    has_a_disk_for_it(seen)
}

/// The machine that a snapshot is of, asked for only where it matters: when volumes were left out of a good snapshot.
async fn source(objects: &Objects, snapshot: &Snapshot) -> Result<Option<Machine>, ProviderError> {
    let left_out = |s: &SnapshotStatus| is_ready(s) && !s.snapshot_volumes.excluded_volumes.is_empty();
    if !snapshot.status.as_ref().is_some_and(left_out) {
        return Ok(None);
    }
    let name = &snapshot.spec.source.name;
    ask(&format!("VirtualMachine {name}"), objects.machines.get_opt(name)).await
}

/// Whether a machine has a system disk, and all that has to be in its snapshot can be snapshotted.
fn has_a_disk_for_it(seen: &Machine) -> Result<(), ProviderError> {
    let name = seen.name_any();
    if machine::system_volume(&seen.spec).is_none() {
        let text = format!("VirtualMachine {name} has no disk whose volume is a dataVolume or persistentVolumeClaim");
        return Err(ProviderError::Permanent(text));
    }
    let statuses = seen.status.as_ref().map(|s| s.volume_snapshot_statuses.as_slice()).unwrap_or_default();
    let own: Vec<_> = machine::own_volumes(&seen.spec).collect();
    let is_needed = |volume: &str| own.contains(&volume) || volume.starts_with(STATE);
    match statuses.iter().find(|status| !status.enabled && is_needed(&status.name)) {
        Some(status) => {
            let (volume, why) = (&status.name, &status.reason);
            let text = format!("VirtualMachine {name}: its volume {volume} can not be snapshotted: {why}");
            Err(ProviderError::Permanent(text))
        }
        None => Ok(()),
    }
}

fn running(what: &str) -> Progress {
    Progress::Running { message: what.to_owned() }
}

/// How far a snapshot is, that was found under our name.
fn progress(snapshot: &Snapshot, source: Option<&Machine>, order: &Order<'_>) -> Result<Progress, ProviderError> {
    let name = snapshot.name_any();
    if snapshot.annotations().get(tags::KEY) != Some(&order.key.to_string())
        || snapshot.spec.source != Reference::machine(name_of(order.node)?)
    {
        return Err(ProviderError::Permanent(format!("VirtualMachineSnapshot {name} is there, and not ours")));
    }
    if let Some(why) = failed(snapshot, source) {
        return Err(ProviderError::Failed(why));
    }
    if facts(snapshot).restorable {
        return Ok(Progress::Done { handle: Some(Handle::new(name)) });
    }
    let status = snapshot.status.clone().unwrap_or_default();
    let phase = if status.phase.is_empty() { "Pending" } else { &status.phase };
    let why = said(&status.conditions, "Progressing").map(|why| format!(": {why}")).unwrap_or_default();
    Ok(running(&format!("VirtualMachineSnapshot {name} ({phase}{why})")))
}

/// Why a snapshot will never be good. Where volumes were left out, `source` is the machine, if it is there.
fn failed(snapshot: &Snapshot, source: Option<&Machine>) -> Option<String> {
    let name = snapshot.name_any();
    if snapshot.metadata.deletion_timestamp.is_some() {
        return Some(format!("VirtualMachineSnapshot {name} is being deleted"));
    }
    let status = snapshot.status.as_ref()?;
    let condition = said(&status.conditions, "Failure");
    if status.phase == "Failed" || condition.is_some() {
        let error = status.error.as_ref().and_then(|error| error.message.as_deref());
        let why = error.or(condition).unwrap_or("KubeVirt does not say why");
        return Some(format!("VirtualMachineSnapshot {name} failed: {why}"));
    }
    let why = is_ready(status).then(|| lacks(status, source)).flatten()?;
    Some(format!("VirtualMachineSnapshot {name} {why}"))
}

/// What is not in a snapshot that KubeVirt calls good. It leaves out a claim whose storage class has no
/// VolumeSnapshotClass, and succeeds all the same; only a newer one says `PartialSnapshot` then.
fn lacks(status: &SnapshotStatus, source: Option<&Machine>) -> Option<String> {
    let Volumes { included_volumes, excluded_volumes } = &status.snapshot_volumes;
    if !included_volumes.iter().any(|name| !name.starts_with(STATE)) {
        return Some("has no volume of the machine in it".to_owned());
    }
    let is_partial = status.source_indications.iter().any(|indication| indication.word == PARTIAL);
    // Of a machine that is gone nobody knows what its volumes were: then KubeVirt's word counts.
    let is_lacking = |name: &&str| source.map_or(is_partial, |machine| !machine::may_be_left_out(&machine.spec, name));
    let mut lacking: Vec<_> = excluded_volumes.iter().map(String::as_str).filter(is_lacking).collect();
    lacking.sort_unstable();
    let told = is_partial && excluded_volumes.is_empty();
    (told || !lacking.is_empty()).then(|| format!("is partial, these volumes are not in it: {}", lacking.join(", ")))
}

fn is_ready(status: &SnapshotStatus) -> bool {
    status.phase == "Succeeded" && status.ready_to_use == Some(true)
}

fn facts(snapshot: &Snapshot) -> SnapshotFacts {
    let status = snapshot.status.clone().unwrap_or_default();
    let mut indications: Vec<String> = status.source_indications.iter().map(|i| i.word.clone()).collect();
    indications.sort();
    let has = |word: &str| indications.iter().any(|indication| indication == word);
    // Off, or frozen by the guest agent in time. KubeVirt says `Online` of every machine that ran.
    let flushed = !has("Online") || has("GuestAgent") && !has("QuiesceTimeout");
    let made_at = snapshot.metadata.creation_timestamp.clone();
    SnapshotFacts {
        captured_at: status.creation_time.clone().or(made_at).map_or(Timestamp::UNIX_EPOCH, |at| at.0),
        restorable: is_ready(&status),
        restorable_until: None,
        // The claims' sizes are not in it, and what the storage charges is its own affair.
        size_bytes: None,
        consistency: if flushed { Consistency::FileSystem } else { Consistency::Crash },
        indications,
    }
}

/// The names of all volumes that the machine had at the time.
pub(super) fn volumes(lists: &Volumes) -> Vec<&str> {
    let both = lists.included_volumes.iter().chain(&lists.excluded_volumes).map(String::as_str);
    let mut names: Vec<_> = both.filter(|name| !name.starts_with(STATE)).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Step;
    use crate::domain::{NodeRef, StepKey};
    use serde_json::{Value, json};

    fn snapshot(status: &Value) -> Snapshot {
        serde_json::from_value(json!({
            "apiVersion": "snapshot.kubevirt.io/v1beta1", "kind": "VirtualMachineSnapshot",
            "metadata": {"name": "s", "creationTimestamp": "2026-11-22T10:00:00Z", "annotations": {"windlass.dev/key": "u/Snapshot/1/1"}},
            "spec": {"source": {"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": "vm-7"}},
            "status": status,
        }))
        .expect("a snapshot")
    }

    /// Of which node a snapshot is ordered, and under which key.
    fn ordered() -> (NodeRef, StepKey) {
        let node = NodeRef {
            name: "win-7".into(),
            uid: "n".into(),
            provider_id: "kubevirt://vm-7".into(),
            system_uuid: String::new(),
        };
        (node, StepKey { node_update_uid: "u".into(), step: Step::Snapshot, round: 1, attempt: 1 })
    }

    fn check(status: &Value) -> Result<Progress, ProviderError> {
        let (node, key) = ordered();
        progress(&snapshot(status), None, &Order { node: &node, key: &key, expires_at: None })
    }

    fn ready(more: &Value) -> Value {
        let mut status =
            json!({"phase": "Succeeded", "readyToUse": true, "snapshotVolumes": {"includedVolumes": ["root"]}});
        for (key, value) in more.as_object().into_iter().flatten() {
            status[key] = value.clone();
        }
        status
    }

    #[tokio::test]
    async fn kubevirt_is_told_when_to_give_up() {
        let settings = crate::api::KubeVirt {
            namespace: "machines".into(),
            credentials_secret: None,
            failure_deadline: crate::api::Span::from_mins(2),
        };
        let nobody = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Ok::<_, std::convert::Infallible>(http::Response::new(kube::client::Body::empty()))
        });
        let cluster = super::super::Cluster::Own(kube::Client::new(nobody, "default"));
        let provider = KubeVirt { settings, installation: "cluster-1".into(), cluster };
        let (node, key) = ordered();
        let wanted = provider.wanted("s", "vm-7", &Order { node: &node, key: &key, expires_at: None });
        assert_eq!(wanted.spec.failure_deadline.as_deref(), Some("120s"));
        assert_eq!(wanted.spec.source, Reference::machine("vm-7"));
        assert_eq!(wanted.labels().get(tags::INSTALLATION).map(String::as_str), Some("cluster-1"));
    }

    #[test]
    fn a_machine_is_snapshotted_when_its_system_disk_can_be_and_nothing_else_is_in_it() {
        let machine = |volumes: Value, status: Value| -> Machine {
            serde_json::from_value(json!({
                "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": "vm-7"}, "status": status,
                "spec": {"template": {"spec": {"domain": {"devices": {"disks": [{"name": "root"}]}}, "volumes": volumes}}},
            }))
            .expect("a machine")
        };
        let root = json!({"name": "root", "dataVolume": {"name": "d"}});
        let disk = |name: &str, enabled| json!({"volumeSnapshotStatuses": [{"name": name, "enabled": enabled, "reason": "no class"}]});
        let plain = |status: Value| machine(json!([root]), status);
        assert_eq!(has_a_disk_for_it(&plain(disk("root", true))), Ok(()));
        assert_eq!(has_a_disk_for_it(&plain(disk("other", false))), Ok(()), "it is not a volume of this machine");
        let cloud_init = machine(json!([root, {"name": "init", "cloudInitNoCloud": {}}]), disk("init", false));
        assert_eq!(has_a_disk_for_it(&cloud_init), Ok(()), "it is made from the spec");
        let data = json!({"name": "data", "persistentVolumeClaim": {"claimName": "e"}});
        let refused = has_a_disk_for_it(&machine(json!([root, data]), disk("data", false)));
        assert!(matches!(&refused, Err(ProviderError::Permanent(text)) if text.contains("data")), "{refused:?}");
        let state = has_a_disk_for_it(&plain(disk("persistent-state-for-vm-7", false)));
        assert!(matches!(&state, Err(ProviderError::Permanent(text)) if text.contains("state")), "{state:?}");
        let none = has_a_disk_for_it(&machine(json!([{"name": "root", "containerDisk": {}}]), Value::Null));
        assert!(matches!(&none, Err(ProviderError::Permanent(text)) if text.contains("no disk")), "{none:?}");
        assert_eq!(has_a_disk_for_it(&plain(Value::Null)), Ok(()), "nothing is said of it");
        let refused = has_a_disk_for_it(&plain(disk("root", false)));
        assert!(matches!(&refused, Err(ProviderError::Permanent(text)) if text.contains("no class")), "{refused:?}");
        assert_eq!(may_be_taken(&plain(disk("root", false))), refused);

        // What is there before the drain is no objection; right before the snapshot it is.
        let pod = json!({"name": "pod", "persistentVolumeClaim": {"claimName": "c", "hotpluggable": true}});
        let plugged = machine(json!([root, pod]), Value::Null);
        assert_eq!(has_a_disk_for_it(&plugged), Ok(()));
        assert!(matches!(may_be_taken(&plugged), Err(ProviderError::Transient(text)) if text.contains("pod")));
        let busy = plain(json!({"snapshotInProgress": "other"}));
        assert_eq!(has_a_disk_for_it(&busy), Ok(()));
        assert!(matches!(may_be_taken(&busy), Err(ProviderError::Transient(text)) if text.contains("other")));
    }

    #[test]
    fn what_kubevirt_says_is_mapped() {
        let runs = |status: Value| matches!(check(&status), Ok(Progress::Running { .. }));
        let fails = |status: Value| matches!(check(&status), Err(ProviderError::Failed(_)));
        assert!(matches!(check(&ready(&json!({}))), Ok(Progress::Done { .. })));
        assert!(runs(Value::Null));
        assert!(runs(json!({"phase": "InProgress", "conditions": [{"type": "Progressing", "status": "True"}]})));
        assert!(runs(json!({"phase": "Unknown"})) && runs(json!({"phase": "Cogitating"})));
        assert!(runs(ready(&json!({"readyToUse": false}))), "a snapshot that is not ready to use is not done");
        assert!(fails(json!({"phase": "Failed", "error": {"message": "no space"}})));
        assert!(fails(ready(&json!({"conditions": [{"type": "Failure", "status": "True", "reason": "deadline"}]}))));
        assert!(fails(ready(&json!({"snapshotVolumes": {"excludedVolumes": ["root"]}}))));
    }

    #[test]
    fn a_snapshot_that_is_called_good_is_not_without_a_disk_of_the_machine() {
        // A Windows machine with its ISO, as templates have it.
        let machine: Machine = serde_json::from_value(json!({
            "metadata": {"name": "vm-7"},
            "spec": {"template": {"spec": {
                "domain": {"devices": {"disks": [{"name": "iso", "bootOrder": 1, "cdrom": {"bus": "sata"}},
                    {"name": "root", "bootOrder": 2, "disk": {}}, {"name": "data", "disk": {}}, {"name": "init", "disk": {}}]}},
                "volumes": [{"name": "iso", "persistentVolumeClaim": {"claimName": "i"}}, {"name": "root", "dataVolume": {"name": "r"}},
                    {"name": "data", "persistentVolumeClaim": {"claimName": "d"}}, {"name": "init", "cloudInitNoCloud": {}}],
            }}},
        }))
        .expect("a machine");
        let state = "persistent-state-for-vm-7";
        let says = |included: &[&str], excluded: &[&str], partial: bool, source| {
            let words = if partial { json!([{"indication": PARTIAL, "message": "m"}]) } else { json!([]) };
            let volumes = json!({"includedVolumes": included, "excludedVolumes": excluded});
            failed(&snapshot(&ready(&json!({"snapshotVolumes": volumes, "sourceIndications": words}))), source)
        };
        let there = Some(&machine);
        for partial in [true, false] {
            let lacking =
                says(&["data", "iso"], &["root", "init"], partial, there).expect("the system disk is not in it");
            assert!(lacking.ends_with("these volumes are not in it: root"), "{lacking}");
            let lacking = says(&["iso", "root"], &["init", "data"], partial, there).expect("a disk is not in it");
            assert!(lacking.ends_with(": data"), "{lacking}");
            let lacking = says(&["root", "data"], &[state, "init"], partial, there).expect("the TPM is not in it");
            assert!(lacking.contains(state), "{lacking}");
            assert!(says(&[state], &["init"], partial, there).is_some(), "the state of a TPM is no disk");
            assert_eq!(
                says(&["root", "data", state], &["init", "iso"], partial, there),
                None,
                "no update changes an ISO"
            );
        }
        let gone = says(&["data"], &["root", "init"], true, None).expect("KubeVirt says that it is partial");
        assert!(gone.ends_with("init, root"), "{gone}");
        assert_eq!(says(&["root", "data"], &["init"], false, None), None, "nobody says that it lacks anything");
        assert!(says(&["root"], &[], true, None).is_some(), "KubeVirt does not say what is not in it");
    }

    #[test]
    fn indications_tell_how_consistent_it_is() {
        let of = |words: &[&str]| {
            let list: Vec<_> = words.iter().map(|word| json!({"indication": word, "message": "m"})).collect();
            facts(&snapshot(&ready(&json!({"sourceIndications": list})))).consistency
        };
        assert_eq!(of(&["Online", "GuestAgent"]), Consistency::FileSystem);
        assert_eq!(of(&["Online", "NoGuestAgent"]), Consistency::Crash);
        assert_eq!(of(&["Online", "GuestAgent", "QuiesceTimeout"]), Consistency::Crash);
        assert_eq!(of(&[]), Consistency::FileSystem);
    }
}
