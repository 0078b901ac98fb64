//! Who takes and restores the demo's snapshots, and what has to run for that.

use super::apply;
use super::aws::Ec2;
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
        })
    }
}

/// What a provider brings to the story.
pub(super) enum Stage {
    Simulated(PathBuf),
    Aws(Box<Ec2>),
}

impl Stage {
    /// The scenario of the machines.
    pub fn scenario(&self) -> PathBuf {
        match self {
            Self::Simulated(scenario) => scenario.clone(),
            Self::Aws(ec2) => ec2.scenario(),
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
                let class = json!({"spec": {"strategy": {"inPlace": {"snapshot": {"className": "ebs"}}}}});
                let policies: Api<UpdatePolicy> = Api::all(cluster.client().await?);
                policies.patch("standard", &PatchParams::default(), &Patch::Merge(class)).await?;
                Ok(())
            }
        }
    }

    /// Promises of the story that only this provider makes, and that were broken.
    pub async fn broken(&self, cluster: &Cluster) -> Result<Vec<String>> {
        match self {
            Self::Simulated(_) => Ok(Vec::new()),
            Self::Aws(ec2) => ec2.broken(cluster).await,
        }
    }

    /// Tells what it was asked.
    pub fn print(&self) {
        if let Self::Aws(ec2) = self {
            ec2.print();
        }
    }
}

/// Points a class at an address of this very run.
async fn point(cluster: &Cluster, class: &str, provider: serde_json::Value) -> Result<()> {
    let classes: Api<SnapshotClass> = Api::all(cluster.client().await?);
    let patch = json!({"spec": {"provider": provider}});
    classes.patch(class, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}
