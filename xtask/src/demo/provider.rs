//! Who takes and restores the demo's snapshots, and what has to run for that.

use super::apply;
use super::aws::Ec2;
use super::kubevirt::Machines;
use crate::cluster::Cluster;
use anyhow::Result;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use std::path::PathBuf;
use windlass::api::{SnapshotClass, UpdatePolicy};

/// Who takes and restores the demo's snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Provider {
    /// winfleet's own hypervisor.
    #[default]
    Simulated,
    /// EC2, as moto serves it on this machine; the machines' disks obey.
    Aws,
    /// KubeVirt's CRDs on the demo's own API server, with a small controller that plays virt-controller's part.
    Kubevirt,
}

impl Provider {
    /// Starts what has to run before the cluster of these machines.
    ///
    /// # Errors
    /// It does not start.
    pub(super) async fn set_up(self, scenario: PathBuf) -> Result<Stage> {
        Ok(match self {
            Self::Simulated => Stage::Simulated(scenario),
            Self::Aws => Stage::Aws(Box::new(Ec2::start(&scenario).await?)),
            Self::Kubevirt => Stage::Kubevirt(Box::new(Machines::prepare(&scenario)?)),
        })
    }
}

/// What a provider brings to the story.
pub(super) enum Stage {
    Simulated(PathBuf),
    Aws(Box<Ec2>),
    Kubevirt(Box<Machines>),
}

impl Stage {
    /// The scenario of the machines.
    pub fn scenario(&self) -> PathBuf {
        match self {
            Self::Simulated(scenario) => scenario.clone(),
            Self::Aws(ec2) => ec2.scenario(),
            Self::Kubevirt(machines) => machines.scenario(),
        }
    }

    /// Applies the SnapshotClass, and has the policy name it.
    pub async fn bring_class(&self, cluster: &Cluster, hypervisor: &str) -> Result<()> {
        match self {
            Self::Simulated(_) => {
                apply(cluster, "snapshotclass.yaml").await?;
                point(cluster, "simulated", json!({"simulated": {"endpoint": hypervisor}})).await
            }
            Self::Aws(ec2) => {
                ec2.machines_are_at(hypervisor);
                apply(cluster, "snapshotclass-aws.yaml").await?;
                point(cluster, "ebs", json!({"aws": {"endpoint": ec2.endpoint()}})).await?;
                choose(cluster, "ebs").await
            }
            Self::Kubevirt(machines) => {
                machines.start(cluster, hypervisor).await?;
                apply(cluster, "snapshotclass-kubevirt.yaml").await?;
                choose(cluster, "kubevirt").await
            }
        }
    }

    /// Promises of the story that only this provider makes, and that were broken.
    pub async fn broken(&self, cluster: &Cluster) -> Result<Vec<String>> {
        match self {
            Self::Simulated(_) => Ok(Vec::new()),
            Self::Aws(ec2) => ec2.broken(cluster).await,
            Self::Kubevirt(machines) => machines.broken(cluster).await,
        }
    }

    /// Tells what it was asked.
    ///
    /// # Errors
    /// The audit log can not be read.
    pub fn print(&self, cluster: &Cluster) -> Result<()> {
        match self {
            Self::Simulated(_) => {}
            Self::Aws(ec2) => ec2.print(),
            Self::Kubevirt(_) => Machines::print(cluster)?,
        }
        Ok(())
    }
}

/// Has the policy name this class.
async fn choose(cluster: &Cluster, class: &str) -> Result<()> {
    let class = json!({"spec": {"strategy": {"inPlace": {"snapshot": {"className": class}}}}});
    let policies: Api<UpdatePolicy> = Api::all(cluster.client().await?);
    policies.patch("standard", &PatchParams::default(), &Patch::Merge(class)).await?;
    Ok(())
}

/// Points a class at an address of this very run.
async fn point(cluster: &Cluster, class: &str, provider: serde_json::Value) -> Result<()> {
    let classes: Api<SnapshotClass> = Api::all(cluster.client().await?);
    let patch = json!({"spec": {"provider": provider}});
    classes.patch(class, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}
