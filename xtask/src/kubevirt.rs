//! What KubeVirt's virt-controller would do, over simulated machines: it plays its part for machines of one namespace.
//!
//! The objects and their schemas are KubeVirt's own; disks and power are those of a hypervisor of winfleet. It is softer
//! than the real one: no webhook refuses a second restore, there are no `VirtualMachineInstances`, claims or
//! `VolumeSnapshots`, and a restored machine has power for a moment before it is stopped.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind, ObjectMeta};
use kube::{Api, Client, ResourceExt};
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

use crate::workspace;

/// How often it looks at its objects.
const LOOK: Duration = Duration::from_millis(100);
/// Where the CRDs are, under the checkout.
const CRDS: &str = "tests/providers/data/kubevirt";
/// How long the API server may take to serve them.
const SERVED: Duration = Duration::from_secs(30);
/// Annotation on a machine: the volume of it whose storage class has no `VolumeSnapshotClass`.
const NO_CLASS: &str = "simulated/no-snapshot-class";
/// Keeps a snapshot's object until the snapshot is gone.
const FINALIZER: &str = "snapshot.kubevirt.io/vmsnapshot-protection";

/// The controller's clients.
#[derive(Clone)]
pub struct VirtController {
    machines: Api<DynamicObject>,
    snapshots: Api<DynamicObject>,
    restores: Api<DynamicObject>,
    http: reqwest::Client,
    hypervisor: String,
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

impl VirtController {
    /// Installs the CRDs and the namespace, and gives a controller over the machines of a hypervisor.
    ///
    /// # Errors
    /// The API server does not take or serve them.
    pub async fn install(client: &Client, namespace: &str, hypervisor: &str) -> Result<Self> {
        let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
        for file in ["virtualmachines", "virtualmachinesnapshots", "virtualmachinerestores"] {
            let path = workspace::root().join(CRDS).join(format!("{file}.yaml"));
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let crd: CustomResourceDefinition = serde_saphyr::from_str(&text)?;
            crds.patch(&crd.name_any(), &PatchParams::apply("windlass-xtask").force(), &Patch::Apply(&crd)).await?;
        }
        let metadata = ObjectMeta { name: Some(namespace.to_owned()), ..ObjectMeta::default() };
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
        let api = |group: &str, version: &str, kind: &str, plural: &str| {
            Api::namespaced_with(client.clone(), namespace, &resource(group, version, kind, plural))
        };
        let snapshots = "snapshot.kubevirt.io";
        let controller = Self {
            machines: api("kubevirt.io", "v1", "VirtualMachine", "virtualmachines"),
            snapshots: api(snapshots, "v1beta1", "VirtualMachineSnapshot", "virtualmachinesnapshots"),
            restores: api(snapshots, "v1beta1", "VirtualMachineRestore", "virtualmachinerestores"),
            http: reqwest::Client::builder().no_proxy().build()?,
            hypervisor: hypervisor.to_owned(),
        };
        let until = tokio::time::Instant::now() + SERVED;
        for api in [&controller.machines, &controller.snapshots, &controller.restores] {
            while api.list(&ListParams::default().limit(1)).await.is_err() {
                ensure!(tokio::time::Instant::now() < until, "the CRDs of KubeVirt are not served within {SERVED:?}");
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(controller)
    }

    /// Makes the machine of this name and firmware, that runs; the hypervisor has to have one of the same name.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn make(&self, name: &str, uuid: &str) -> Result<()> {
        let machine = json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": name},
            "spec": {"runStrategy": "Always", "template": {"spec": {
                "domain": {"firmware": {"uuid": uuid}, "devices": {"disks": [{"name": "system", "disk": {"bus": "virtio"}}]}},
                "volumes": [{"name": "system", "persistentVolumeClaim": {"claimName": format!("{name}-system")}}],
            }}},
        });
        self.machines.create(&PostParams::default(), &serde_json::from_value(machine)?).await?;
        Ok(())
    }

    /// Changes a machine's spec behind everybody's back.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn change(&self, name: &str, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.machines.patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Lets a volume be left out of the snapshots of its machine, as one is whose storage can not be snapshotted.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn can_not_snapshot(&self, machine: &str, volume: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"annotations": { NO_CLASS: volume }}}));
        self.machines.patch(machine, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// The machines.
    pub fn machines(&self) -> &Api<DynamicObject> {
        &self.machines
    }

    /// The snapshots.
    pub fn snapshots(&self) -> &Api<DynamicObject> {
        &self.snapshots
    }

    /// The restores.
    pub fn restores(&self) -> &Api<DynamicObject> {
        &self.restores
    }

    /// Plays its part until it is dropped.
    pub async fn run(self) {
        loop {
            if let Err(error) = self.pass().await {
                tracing::debug!("virt-controller: {error:#}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn pass(&self) -> Result<()> {
        let all = ListParams::default();
        for snapshot in self.snapshots.list(&all).await?.items {
            self.snapshot(&snapshot).await.with_context(|| snapshot.name_any())?;
        }
        for restore in self.restores.list(&all).await?.items {
            self.restore(&restore).await.with_context(|| restore.name_any())?;
        }
        for machine in self.machines.list(&all).await?.items {
            self.machine(&machine).await.with_context(|| machine.name_any())?;
        }
        Ok(())
    }

    async fn machine(&self, machine: &DynamicObject) -> Result<()> {
        let name = machine.name_any();
        let seen = self.ask(Method::GET, &format!("/v1/machines/{name}"), None).await?;
        let state = seen["state"].as_str().unwrap_or_default();
        let wants = machine.data["spec"]["runStrategy"] != "Halted";
        let restoring = machine.data["status"]["restoreInProgress"].is_string();
        // While a restore is at work on it, the restore stops and starts it.
        if !restoring && state != "Detached" && wants != (seen["power"] == "On") {
            let want = if wants { "On" } else { "Off" };
            self.power(&name, want).await?;
        }
        let shown = match state {
            "Off" => "Stopped",
            "Detached" => "ErrorPvcNotFound",
            _ if wants => "Running",
            _ => "Stopping",
        };
        if machine.data["status"]["printableStatus"] != shown {
            self.status(&self.machines, &name, json!({"printableStatus": shown, "ready": shown == "Running"})).await?;
        }
        Ok(())
    }

    async fn power(&self, name: &str, want: &str) -> Result<()> {
        let key = format!("virt-{want}-{}", Timestamp::now().as_millisecond());
        let body = json!({"want": want, "key": key});
        self.ask(Method::POST, &format!("/v1/machines/{name}/power"), Some(body)).await.map(drop)
    }

    async fn snapshot(&self, snapshot: &DynamicObject) -> Result<()> {
        let (name, uid) = (snapshot.name_any(), snapshot.uid().unwrap_or_default());
        let machine = snapshot.data["spec"]["source"]["name"].as_str().unwrap_or_default();
        if snapshot.metadata.deletion_timestamp.is_some() {
            return self.gone(snapshot, machine, &uid).await;
        }
        let phase = &snapshot.data["status"]["phase"];
        if phase == "Succeeded" || phase == "Failed" {
            return Ok(());
        }
        if snapshot.finalizers().is_empty() {
            let finalize = Patch::Merge(json!({"metadata": {"finalizers": [FINALIZER]}}));
            self.snapshots.patch(&name, &PatchParams::default(), &finalize).await?;
        }
        let body = json!({"key": uid, "tags": {}});
        let task = self.ask(Method::POST, &format!("/v1/machines/{machine}/snapshots"), Some(body)).await?;
        let status = match task["task"]["state"].as_str() {
            Some("Succeeded") => self.taken(machine).await?,
            Some("Failed") => {
                let why = &task["task"]["error"]["message"];
                json!({"phase": "Failed", "readyToUse": false, "error": {"message": why},
                    "conditions": [condition("Failure", "True", "the snapshot failed")]})
            }
            _ if phase == "InProgress" => return Ok(()),
            _ => json!({"phase": "InProgress", "readyToUse": false,
                "conditions": [condition("Progressing", "True", "Source locked and operation in progress")]}),
        };
        self.status(&self.snapshots, &name, status).await
    }

    /// The status of a snapshot that is good.
    async fn taken(&self, machine: &str) -> Result<Value> {
        let source = self.machines.get(machine).await?;
        let volumes = source.data["spec"]["template"]["spec"]["volumes"].as_array().cloned().unwrap_or_default();
        let no_class = source.annotations().get(NO_CLASS);
        let is_in = |volume: &&Value| {
            let is_claim = volume["persistentVolumeClaim"].is_object() || volume["dataVolume"].is_object();
            is_claim && volume["name"].as_str() != no_class.map(String::as_str)
        };
        let (included, excluded): (Vec<_>, Vec<_>) = volumes.iter().partition(is_in);
        let names = |volumes: &[&Value]| volumes.iter().map(|volume| volume["name"].clone()).collect::<Vec<_>>();
        Ok(json!({
            "phase": "Succeeded", "readyToUse": true, "sourceUID": source.uid(),
            "creationTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "sourceIndications": [{"indication": "Online", "message": "the machine runs"},
                {"indication": "GuestAgent", "message": "it was frozen"}],
            "snapshotVolumes": {"includedVolumes": names(&included), "excludedVolumes": names(&excluded)},
            "conditions": [condition("Ready", "True", "Ready"), condition("Progressing", "False", "Operation complete")],
        }))
    }

    async fn gone(&self, snapshot: &DynamicObject, machine: &str, uid: &str) -> Result<()> {
        if let Some(id) = self.find(machine, uid).await? {
            self.ask(Method::DELETE, &format!("/v1/snapshots/{id}"), None).await?;
        }
        let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        self.snapshots.patch(&snapshot.name_any(), &PatchParams::default(), &release).await?;
        Ok(())
    }

    /// The hypervisor's snapshot that was made for an object.
    async fn find(&self, machine: &str, uid: &str) -> Result<Option<String>> {
        let found = self.ask(Method::GET, &format!("/v1/snapshots?machine={machine}&key={uid}"), None).await?;
        Ok(found["snapshots"][0]["id"].as_str().map(str::to_owned))
    }

    async fn restore(&self, restore: &DynamicObject) -> Result<()> {
        let status = &restore.data["status"];
        let failed = status["conditions"].as_array().is_some_and(|all| all.iter().any(|c| c["type"] == "Failure"));
        if status["complete"] == true || failed || restore.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let name = restore.name_any();
        let target = restore.data["spec"]["target"]["name"].as_str().unwrap_or_default().to_owned();
        let machine = self.machines.get(&target).await?;
        if machine.data["status"]["restoreInProgress"] != name {
            // `StopTarget`: what virt-api does for a machine that is always on.
            if machine.data["spec"]["runStrategy"] != "Halted" {
                self.change(&target, json!({"runStrategy": "Halted"})).await?;
            }
            if machine.data["status"]["printableStatus"] == "Running"
                || machine.data["status"]["printableStatus"] == "Stopping"
            {
                let waits = condition("Progressing", "False", "Waiting for target VM to be powered off");
                return self.status(&self.restores, &name, json!({"complete": false, "conditions": [waits]})).await;
            }
            return self.status(&self.machines, &target, json!({"restoreInProgress": name})).await;
        }
        self.put_back(restore, &name, &target).await
    }

    async fn put_back(&self, restore: &DynamicObject, name: &str, target: &str) -> Result<()> {
        let from = restore.data["spec"]["virtualMachineSnapshotName"].as_str().unwrap_or_default();
        let snapshot = self.snapshots.get(from).await?;
        let id = self.find(target, &snapshot.uid().unwrap_or_default()).await?.context("no snapshot")?;
        let body = json!({"snapshotId": id, "key": restore.uid()});
        let task = self.ask(Method::POST, &format!("/v1/machines/{target}/restore"), Some(body)).await?;
        let status = match task["task"]["state"].as_str() {
            Some("Succeeded") => {
                self.power(target, "Off").await?;
                let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                let conditions = [
                    condition("Progressing", "False", "Operation complete"),
                    condition("Ready", "True", "Operation complete"),
                ];
                json!({"complete": true, "restoreTime": time, "conditions": conditions})
            }
            Some("Failed") => {
                let why = task["task"]["error"]["message"].as_str().unwrap_or("the restore failed");
                json!({"complete": false, "conditions": [condition("Failure", "True", why)]})
            }
            _ => return Ok(()),
        };
        // What became of the machine is shown before what became of the restore.
        self.machine(&self.machines.get(target).await?).await?;
        let done = json!({"restoreInProgress": null});
        self.status(&self.machines, target, done).await?;
        self.status(&self.restores, name, status).await
    }

    async fn status(&self, api: &Api<DynamicObject>, name: &str, status: Value) -> Result<()> {
        let patch = Patch::Merge(json!({ "status": status }));
        api.patch_status(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let request = self.http.request(method, format!("{}{path}", self.hypervisor));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }
}

fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason})
}
