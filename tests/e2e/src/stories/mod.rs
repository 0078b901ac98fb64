//! The stories, by theme.

mod approvals;
mod bad;
mod bad_input;
mod budget;
mod classes;
mod crash;
mod credentials;
mod good;
mod holds;
mod identity;
mod killed;
mod outage;
mod probes;
mod rivals;
mod snapshots;
mod unreadable;
mod upgraded;
mod wishes;

use crate::harness::{Scene, Story};
use anyhow::{Result, ensure};

/// The good update.
const GOOD: &str = "KB5039227";
/// The build after the good update.
const GOOD_BUILD: &str = "10.0.20348.2527";
/// The update that is bad on machines with the trait `cni-calico-vxlan`.
const BAD: &str = "KB5040437";
/// The build after that update.
const BAD_BUILD: &str = "10.0.20348.2582";
/// The update that comes in two rounds.
const TWO_ROUNDS: &str = "KB5041160";
/// The build after that update.
const TWO_ROUNDS_BUILD: &str = "10.0.20348.2655";

/// All stories. Those that take longest come first, so that they do not end last.
pub fn all() -> Vec<Story> {
    [
        crash::stories(),
        killed::stories(),
        outage::stories(),
        upgraded::stories(),
        credentials::stories(),
        unreadable::stories(),
        bad::stories(),
        snapshots::stories(),
        classes::stories(),
        probes::stories(),
        wishes::stories(),
        holds::stories(),
        approvals::stories(),
        rivals::stories(),
        budget::stories(),
        identity::stories(),
        bad_input::stories(),
        good::stories(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Sees to it that the machine was updated by the book: once, and nothing undone; `reboots` is how often it had to.
async fn updated_once(scene: &Scene, machine: &str, build: &str, reboots: u64) -> Result<()> {
    let inside = scene.stage.sim.inside(machine).await?;
    let counters = &inside.counters;
    ensure!(inside.kernel_version == build, "{machine} runs {}, not {build}", inside.kernel_version);
    let done = (counters.snapshots, counters.restores, counters.reboots_requested);
    ensure!(done == (1, 0, reboots), "{machine}: not 1 snapshot, 0 restores, {reboots} reboots: {counters:?}");
    ensure!(counters.installs() == reboots, "{machine}: not {reboots} installations: {counters:?}");
    scene.in_service(machine).await
}

/// Sees to it that the machine was updated, found bad, and put back: once.
async fn reverted_once(scene: &Scene, machine: &str) -> Result<()> {
    let inside = scene.stage.sim.inside(machine).await?;
    let counters = &inside.counters;
    ensure!(inside.kernel_version == crate::harness::BUILD_BEFORE, "{machine} runs {}", inside.kernel_version);
    ensure!(inside.pod_network_ok, "the pods of {machine} have no network");
    let done = (counters.snapshots, counters.installs(), counters.restores);
    ensure!(done == (1, 1, 1), "{machine}: not 1 snapshot, installation, restore: {counters:?}");
    scene.in_service(machine).await
}

/// Sees to it that nothing was ever changed on the machine.
async fn untouched(scene: &Scene, machine: &str) -> Result<()> {
    let inside = scene.stage.sim.inside(machine).await?;
    let counters = &inside.counters;
    ensure!(inside.kernel_version == crate::harness::BUILD_BEFORE, "{machine} runs {}", inside.kernel_version);
    let done = (counters.installs(), counters.restores, counters.reboots_requested);
    ensure!(done == (0, 0, 0), "{machine}: something was installed, restored or rebooted: {counters:?}");
    scene.let_go(machine).await
}
