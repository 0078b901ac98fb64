//! What the README and the demo tell people to apply is accepted, by a strict API server.

use crate::harness::{Scene, Story};
use anyhow::{Result, ensure};
use std::fs;
use xtask::workspace;

/// The story of the example manifests.
pub fn story() -> Story {
    Story::new("admission-examples", examples)
}

async fn examples(scene: Scene) -> Result<()> {
    // A dry run makes no namespace for the objects that come after it.
    scene.stage.namespace("shop").await?;
    let mut folders = 0;
    for entry in fs::read_dir(workspace::root().join("examples"))? {
        let folder = entry?.path();
        // Scenarios are for winfleet and IAM policies for AWS, not for the API server.
        if !folder.is_dir() || folder.ends_with("scenarios") || folder.ends_with("aws") {
            continue;
        }
        let path = folder.display().to_string();
        let arguments = ["apply", "--dry-run=server", "--validate=strict", "--recursive", "--filename", &path];
        let answer = scene.kubectl(&arguments, None).await?;
        ensure!(answer.accepted, "{path}: {}", answer.said);
        folders += 1;
    }
    ensure!(folders > 0, "there are no examples");
    Ok(())
}
