//! The operator dies, by SIGKILL, again and again at moments that a seed draws: the same ends, and nothing done twice.
//!
//! `cargo xtask soak --kills 500` makes it long; without that it is a sample.

use super::{BAD, BAD_BUILD, GOOD, GOOD_BUILD};
use crate::harness::{OPERATOR, Rollout, Scene, Story, Venue};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::cell::Cell;
use std::env;
use std::str::FromStr;
use std::time::Duration;
use windlass::api::{Outcome, RolloutState};
use xtask::soak::{KILLS, SEED};

/// Kills of the sample.
const SAMPLE: u64 = 12;
/// How many kills a round takes at least: two rollouts over a ring, each with several steps.
const PER_ROUND: u64 = 6;
/// How long one kill and what follows may take, in seconds, on a busy computer.
const SECONDS_PER_KILL: u64 = 15;
/// Shortest time between two kills, in milliseconds; the longest is 32 times that.
const SHORTEST: u64 = 120;

/// The stories.
pub fn stories() -> Vec<Story> {
    let kills = number(KILLS, SAMPLE);
    let rounds = kills / PER_ROUND + 1;
    let story = Story::new("killed-at-any-time", killed).on(Venue::Crashes).within(300 + SECONDS_PER_KILL * kills);
    let machines = |story: Story, round| {
        let ring = format!("r{round}");
        story.machines(&ring, 2, &[]).machines(&ring, 1, &["cni-calico-vxlan"])
    };
    vec![(1..=rounds).fold(story, machines)]
}

/// Rounds of a good update and one that is bad on one machine of three, until the operator was killed often enough.
async fn killed(scene: Scene) -> Result<()> {
    let (wanted, seed) = (number(KILLS, SAMPLE), number(SEED, 1));
    let killer = Killer { random: Cell::new(fastrand::Rng::with_seed(seed)), killed: Cell::new(0), wanted };
    scene.policy(json!({"verify": {"settle": "1s"}})).await?;
    let mut round = 0;
    while killer.killed.get() < wanted {
        round += 1;
        ensure!(round <= wanted / PER_ROUND + 1, "only {} kills in {} rounds", killer.killed.get(), round - 1);
        let told = tell(&scene, &killer, round).await;
        told.with_context(|| format!("round {round}, after {} kills, seed {seed}", killer.killed.get()))?;
    }
    println!("killed-at-any-time: {} kills in {round} rounds, seed {seed}", killer.killed.get());
    Ok(())
}

async fn tell(scene: &Scene, killer: &Killer, round: u64) -> Result<()> {
    let ring = format!("r{round}");
    scene.ring(&ring, json!({"batch": {"maxUnavailable": 3}})).await?;
    let good = scene.rollout(&format!("good{round}"), &[&ring], GOOD).await?;
    killer.until_it_ends(scene, &good, RolloutState::Completed).await?;
    let bad = scene.rollout(&format!("bad{round}"), &[&ring], BAD).await?;
    killer.until_it_ends(scene, &bad, RolloutState::Halted).await?;
    for number in 1..=3 {
        let machine = scene.machine(&ring, number);
        good.node_ends(&machine, Outcome::Updated).await?;
        bad.node_ends(&machine, if number == 3 { Outcome::Reverted } else { Outcome::Updated }).await?;
        done_once(scene, &machine, number == 3).await?;
    }
    Ok(())
}

/// Each effect at most once at the machine: two updates, of which one was reverted or not.
async fn done_once(scene: &Scene, machine: &str, reverted: bool) -> Result<()> {
    let inside = scene.stage.sim.inside(machine).await?;
    let (build, restores) = if reverted { (GOOD_BUILD, 1) } else { (BAD_BUILD, 0) };
    ensure!(inside.kernel_version == build, "{machine} runs {}, not {build}", inside.kernel_version);
    let counters = &inside.counters;
    let done = (counters.snapshots, counters.installs(), counters.restores);
    ensure!(done == (2, 2, restores), "{machine}: not 2 snapshots, 2 installations, {restores} restores: {counters:?}");
    scene.in_service(machine).await
}

/// Kills the operator and starts it again, at times that the seed draws.
struct Killer {
    random: Cell<fastrand::Rng>,
    killed: Cell<u64>,
    wanted: u64,
}

impl Killer {
    async fn until_it_ends(&self, scene: &Scene, rollout: &Rollout, state: RolloutState) -> Result<()> {
        let mut end = std::pin::pin!(rollout.ends(state));
        loop {
            tokio::select! {
                ended = &mut end => return ended.map(drop),
                killed = self.kill(scene) => killed?,
            }
        }
    }

    /// Waits, kills, and starts anew. Once it was killed often enough, it is left alone.
    async fn kill(&self, scene: &Scene) -> Result<()> {
        if self.killed.get() >= self.wanted {
            return std::future::pending().await;
        }
        let mut random = self.random.take();
        let wait = Duration::from_millis(random.u64(SHORTEST..2 * SHORTEST) << random.u32(0..5));
        self.random.set(random);
        tokio::time::sleep(wait).await;
        let cluster = scene.stage.cluster()?;
        cluster.kill(OPERATOR)?;
        self.killed.set(self.killed.get() + 1);
        cluster.restart(OPERATOR)
    }
}

/// A number from the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).ok().and_then(|text| u64::from_str(&text).ok()).unwrap_or(otherwise)
}
