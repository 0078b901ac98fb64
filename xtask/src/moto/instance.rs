//! Instances as the demo and the conformance suite need them.

use super::front::Front;
use super::xml::element;
use anyhow::{Context, Result};

/// The image of Windows that moto is given.
const IMAGE: &str = "ami-12c6146b";

impl Front {
    /// Launches an instance with a root volume, and gives its id.
    ///
    /// # Errors
    /// moto makes none.
    pub async fn launch(&self, zone: &str) -> Result<String> {
        let params = [
            ("ImageId", IMAGE),
            ("MinCount", "1"),
            ("MaxCount", "1"),
            ("Placement.AvailabilityZone", zone),
            ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
            ("BlockDeviceMapping.1.Ebs.VolumeSize", "50"),
        ];
        let made = self.ec2("RunInstances", &params).await?;
        element(&made, "instanceId").map(str::to_owned).context("moto made no instance")
    }

    /// Attaches a new data volume to an instance.
    ///
    /// # Errors
    /// moto refuses.
    pub async fn add_volume(&self, instance: &str, zone: &str, device: &str) -> Result<()> {
        let made = self.ec2("CreateVolume", &[("AvailabilityZone", zone), ("Size", "8")]).await?;
        let volume = element(&made, "volumeId").context("moto made no volume")?;
        let place = [("VolumeId", volume), ("InstanceId", instance), ("Device", device)];
        self.ec2("AttachVolume", &place).await.map(drop)
    }
}
