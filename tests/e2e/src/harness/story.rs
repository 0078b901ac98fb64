//! A story: its name, its machines, where it is told.

use super::Scene;
use anyhow::Result;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Label of all machines of a story: its name.
pub const STORY_LABEL: &str = "windlass.example/story";
/// Label of the machines of one ring: the ring's full name.
pub const RING_LABEL: &str = "windlass.example/ring";
/// How long a story may take, in minutes. One update of a node takes about 15 s on an idle machine, and a story has a few.
const PATIENCE: Duration = Duration::from_mins(4);

/// Which cluster a story is told on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Venue {
    /// The cluster of all stories that disturb nobody but themselves.
    Shared,
    /// The cluster on which operators are killed; one story at a time.
    Crashes,
    /// The cluster on which operators compete and servers go down; one story at a time.
    Outages,
}

impl Venue {
    /// Its name: the folder of its cluster.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Crashes => "crashes",
            Self::Outages => "outages",
        }
    }

    /// Whether its stories are told one at a time.
    pub fn one_at_a_time(self) -> bool {
        self != Self::Shared
    }
}

type Plot = Box<dyn Fn(Scene) -> LocalBoxFuture<'static, Result<()>> + Send + Sync>;

/// One story.
pub struct Story {
    /// Its name: lower-case words with dashes, for it is part of the names of all that it makes.
    pub name: String,
    /// The cluster it is told on.
    pub venue: Venue,
    /// How long it may take.
    pub patience: Duration,
    machines: Vec<Value>,
    provider_ids: BTreeMap<String, String>,
    plot: Plot,
}

impl Story {
    /// A story on the shared cluster, without machines.
    pub fn new<F, Fut>(name: impl Into<String>, plot: F) -> Self
    where
        F: Fn(Scene) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + 'static,
    {
        let plot: Plot = Box::new(move |scene| plot(scene).boxed_local());
        Self {
            name: name.into(),
            venue: Venue::Shared,
            patience: PATIENCE,
            machines: Vec::new(),
            provider_ids: BTreeMap::new(),
            plot,
        }
    }

    /// Tells it elsewhere.
    pub fn on(mut self, venue: Venue) -> Self {
        self.venue = venue;
        self
    }

    /// Gives it another deadline, in seconds.
    pub fn within(mut self, seconds: u64) -> Self {
        self.patience = Duration::from_secs(seconds);
        self
    }

    /// Gives it machines for its ring `<story>-<ring>`, `<story>-<ring>-1` and so on, numbered through; `traits` choose what
    /// goes wrong on them (`scenario.yaml`).
    pub fn machines(self, ring: &str, count: u64, traits: &[&str]) -> Self {
        self.machines_that(ring, count, json!({"traits": traits}))
    }

    /// Gives it machines with these settings of a scenario's machines.
    pub fn machines_that(mut self, ring: &str, count: u64, settings: Value) -> Self {
        let ring = format!("{}-{ring}", self.name);
        let prefix = format!("{ring}-");
        let before = self.machines.iter().filter(|group| group["prefix"] == prefix.as_str());
        let first = 1 + before.filter_map(|group| group["count"].as_u64()).sum::<u64>();
        let group = json!({
            "prefix": prefix,
            "first": first,
            "count": count,
            "labels": {STORY_LABEL: self.name, RING_LABEL: ring},
            "build": super::BUILD_BEFORE,
        });
        self.machines.push(super::merged(group, settings));
        self
    }

    /// Makes the `number`-th machine of a ring another provider's: its node has this providerID.
    pub fn provider_id(mut self, ring: &str, number: u64, id: &str) -> Self {
        self.provider_ids.insert(format!("{}-{ring}-{number}", self.name), id.to_owned());
        self
    }

    /// The providerIDs of machines that are another provider's.
    pub fn provider_ids(&self) -> &BTreeMap<String, String> {
        &self.provider_ids
    }

    /// Its machines as a scenario has them.
    pub fn scenario_machines(&self) -> &[Value] {
        &self.machines
    }

    /// Tells it.
    pub fn tell(&self, scene: Scene) -> LocalBoxFuture<'static, Result<()>> {
        (self.plot)(scene)
    }
}
