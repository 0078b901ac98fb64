//! `kubevirt`: nodes that are VirtualMachines of a KubeVirt cluster, snapshotted and restored by its custom resources
//! (`snapshot.kubevirt.io/v1beta1`, as of KubeVirt 1.9).
//!
//! The name of each object is made of the step's key: making it twice is a conflict, not a second one. A restore stops
//! the machine (`StopTarget`) and replaces the claims in place (`InPlace`); the machine's run strategy from before is kept
//! in an annotation on the machine, so that it is put back after any crash in between.

mod cluster;
mod error;
mod identity;
mod machine;
mod restore;
mod snapshot;
mod wire;

use crate::api::{self, PROVIDER_ID};
use crate::domain::{NodeRef, StepKey, child_name};
use crate::ports::{
    Answer, Capabilities, Capability, ConsoleFacts, Found, Handle, Order, Power, Progress, ProviderError,
    SnapshotFacts, SnapshotProvider,
};
use crate::providers::Surroundings;
use cluster::{Cluster, Objects, ask};
use futures::FutureExt;
use kube::api::ListParams;
use wire::Machine;

/// The scheme of machines that this provider takes.
const SCHEME: &str = "kubevirt://";

/// What its snapshots can do. All persistent volumes of a machine are in a snapshot: those of pods have to be gone.
const CAPABILITIES: Capabilities = Capabilities::of(&[
    Capability::InPlace,
    Capability::KeepsIdentity,
    Capability::Online,
    Capability::FileSystemConsistent,
]);

/// A provider for machines of one namespace of a KubeVirt cluster.
pub struct KubeVirt {
    settings: api::KubeVirt,
    installation: String,
    cluster: Cluster,
}

impl KubeVirt {
    /// A provider of these settings; nothing is asked yet.
    pub fn new(settings: &api::KubeVirt, surroundings: &Surroundings) -> Self {
        let cluster = match &settings.credentials_secret {
            Some(secret) => Cluster::other(surroundings.secrets.clone(), secret),
            None => Cluster::Own(surroundings.client.clone()),
        };
        Self { settings: settings.clone(), installation: surroundings.installation.clone(), cluster }
    }

    async fn objects(&self) -> Result<Objects, ProviderError> {
        self.cluster.objects(&self.settings.namespace).await
    }

    /// Does a call of the contract. No credential is in the text of its error.
    fn call<'a, T>(&'a self, work: impl Future<Output = Result<T, ProviderError>> + Send + 'a) -> Answer<'a, T> {
        async { work.await.map_err(|error| self.cluster.told(error)) }.boxed()
    }

    /// The machine of a node, if it is that node's.
    async fn machine(&self, objects: &Objects, node: &NodeRef) -> Result<Machine, ProviderError> {
        let name = name_of(node)?;
        let machine = ask(&format!("VirtualMachine {name}"), objects.machines.get(name)).await?;
        identity::is_of(&machine, node)?;
        Ok(machine)
    }

    async fn look(&self) -> Result<(), ProviderError> {
        let objects = self.objects().await?;
        let one = ListParams::default().limit(1);
        let namespace = &self.settings.namespace;
        for looked in [
            ask(&format!("VirtualMachines in {namespace}"), objects.machines.list(&one)).await.map(drop),
            ask(&format!("VirtualMachineSnapshots in {namespace}"), objects.snapshots.list(&one)).await.map(drop),
        ] {
            looked.map_err(|error| match error {
                ProviderError::NotFound(what) => ProviderError::Permanent(format!("{what}: KubeVirt is not installed")),
                other => other,
            })?;
        }
        Ok(())
    }
}

impl SnapshotProvider for KubeVirt {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn accepts(&self, node: &NodeRef) -> Result<(), ProviderError> {
        name_of(node).map(drop)
    }

    fn ready(&self) -> Answer<'_, ()> {
        self.call(self.look())
    }

    fn examine<'a>(&'a self, node: &'a NodeRef) -> Answer<'a, ()> {
        self.call(self.is_there(node))
    }

    fn ensure<'a>(&'a self, order: &'a Order<'a>) -> Answer<'a, Progress> {
        self.call(self.take(order))
    }

    fn restore<'a>(&'a self, node: &'a NodeRef, handle: &'a Handle, key: &'a StepKey) -> Answer<'a, Progress> {
        self.call(self.put_back(node, handle, key))
    }

    fn inspect<'a>(&'a self, handle: &'a Handle) -> Answer<'a, SnapshotFacts> {
        self.call(self.facts(handle))
    }

    fn delete<'a>(&'a self, handle: &'a Handle) -> Answer<'a, ()> {
        self.call(self.remove(handle))
    }

    fn list(&self) -> Answer<'_, Vec<Found>> {
        self.call(self.all())
    }

    fn power<'a>(&'a self, node: &'a NodeRef, want: Power, key: &'a StepKey) -> Answer<'a, Progress> {
        self.call(self.switch(node, want, key))
    }

    fn console<'a>(&'a self, node: &'a NodeRef) -> Answer<'a, ConsoleFacts> {
        self.call(self.screen(node))
    }
}

/// The name of the object that is made for a key.
fn object_name(node: &NodeRef, key: &StepKey) -> String {
    child_name(&["windlass", &node.name], &key.to_string())
}

/// The name of the VirtualMachine behind a node.
fn name_of(node: &NodeRef) -> Result<&str, ProviderError> {
    let name = node.provider_id.strip_prefix(SCHEME).filter(|name| is_name(name));
    name.ok_or_else(|| {
        let (node, id) = (&node.name, &node.provider_id);
        ProviderError::Permanent(format!(
            "node {node}: providerID {id:?} is not {SCHEME}<VirtualMachine>; {PROVIDER_ID} may say it"
        ))
    })
}

/// Whether it may be the name of an object.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    (1..=253).contains(&text.len()) && text.chars().all(plain) && !text.starts_with(['-', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules of the Role of this name.
    fn rules(manifest: &str, role: &str) -> serde_json::Value {
        let role = manifest.split("\n---\n").find(|part| part.contains("kind: Role\n") && part.contains(role));
        let rules = role.and_then(|role| role.split_once("\nrules:\n")).expect("rules").1;
        serde_saphyr::from_str(rules).expect("a list of rules")
    }

    #[test]
    fn the_rights_in_another_cluster_are_those_in_this_one() {
        let chart = include_str!("../../../charts/windlass/templates/rbac.yaml");
        let example = include_str!("../../../examples/kubevirt/infra-rights.yaml");
        assert_eq!(rules(chart, "name: windlass-kubevirt"), rules(example, "name: windlass"));
    }

    #[test]
    fn a_node_is_a_virtual_machine_or_refused_by_name() {
        let node = |id: &str| NodeRef {
            name: "win-7".into(),
            uid: "n".into(),
            provider_id: id.into(),
            system_uuid: String::new(),
        };
        assert_eq!(name_of(&node("kubevirt://vm-7")), Ok("vm-7"));
        for id in ["", "aws:///a/i-1", "kubevirt://", "kubevirt://a/b", "kubevirt://../x", "kubevirt://A"] {
            let error = name_of(&node(id)).expect_err(id);
            assert!(matches!(&error, ProviderError::Permanent(text) if text.contains("win-7")), "{id}: {error}");
        }
    }
}
