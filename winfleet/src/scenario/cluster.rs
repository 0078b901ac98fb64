//! What surrounds the machines: the API server, the operator itself, the workloads on the nodes.

use super::{Period, Trouble, moment::Moment, updates::optional_date_or_time};
use jiff::Timestamp;
use serde::Deserialize;
use std::{collections::BTreeMap, num::NonZeroU32, str::FromStr};

/// How the API server behaves. Only a simulation plays it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ApiServerSpec {
    /// How long each request takes.
    pub latency: Period,
    /// How late the operator's caches see a change.
    pub cache_lag: Period,
    /// What goes wrong with it, and when.
    pub troubles: Vec<Trouble<ApiServerEffect>>,
}

/// What becomes false of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ApiServerEffect {
    /// It does not answer.
    Down,
    /// It takes longer to answer.
    Slow {
        /// By how much.
        by: Period,
    },
    /// Every n-th write is answered with 409: somebody else wrote first.
    Conflicts {
        /// Every how many writes.
        every_nth: NonZeroU32,
    },
    /// Watches bring changes later.
    StaleCaches {
        /// By how much.
        by: Period,
    },
    /// Every eviction is answered with 429.
    EvictionsRefused,
}

/// How many operators may run at once: a Deployment of two or three is usual, and each adds its own work on every node.
pub const MOST_OPERATORS: u32 = 5;

/// How the operator itself is treated. Only a simulation plays it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OperatorSpec {
    /// How many operators run at once, of which one is to lead.
    pub instances: NonZeroU32,
    /// When it is killed.
    pub kills: Vec<Kill>,
}

impl Default for OperatorSpec {
    fn default() -> Self {
        Self { instances: NonZeroU32::MIN, kills: Vec::new() }
    }
}

/// One kill of the operator: at a time, or at one of its own requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kill {
    /// How long after the scenario's start.
    #[serde(default)]
    pub after: Option<Period>,
    /// A date (midnight, UTC) or a time.
    #[serde(default, deserialize_with = "optional_date_or_time")]
    pub at: Option<Timestamp>,
    /// At its n-th request to the API server or the hypervisor, from 1.
    #[serde(default)]
    pub call: Option<NonZeroU32>,
    /// With `call`: on which side of it; after it, when left out.
    #[serde(default)]
    pub side: Option<Side>,
    /// How long it stays away.
    #[serde(default)]
    pub down_for: Period,
}

/// On which side of a request something happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// Before it is carried out.
    Before,
    /// After it was carried out, and before its answer is seen.
    #[default]
    After,
}

impl Kill {
    /// The time at which it is killed in a world that began at `start`; none when it is killed at a call.
    pub fn time(&self, start: Timestamp) -> Option<Timestamp> {
        Moment::of(self.after, self.at).map(|moment| moment.time(start))
    }
}

/// A Deployment on the Windows nodes, with its PodDisruptionBudget. Only a simulation plays it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workload {
    /// Its name, unique in its namespace.
    pub name: String,
    /// Its namespace.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// How many pods it wants.
    pub replicas: u32,
    /// Labels of the nodes that its pods may run on.
    #[serde(default)]
    pub node_selector: BTreeMap<String, String>,
    /// How many of its pods must be available, by its budget; no budget, when left out.
    #[serde(default)]
    pub min_available: Option<CountOrPercent>,
    /// How long a container takes to stop; the scenario's `podStop`, when left out.
    #[serde(default)]
    pub stops_after: Option<Period>,
    /// How long the first pull of its image on a node takes.
    #[serde(default)]
    pub image_pull: Period,
    /// Whether its pods have a domain identity (gMSA).
    #[serde(default)]
    pub domain_identity: bool,
}

fn default_namespace() -> String {
    "default".into()
}

/// A number of pods, or a share of them in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "must be a number like 3 or a percentage like \"80%\"")]
pub enum CountOrPercent {
    /// So many.
    Count(u32),
    /// So many of a hundred.
    Percent(Percent),
}

/// A whole percentage, written `80%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Percent(pub u8);

impl TryFrom<String> for Percent {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.strip_suffix('%').and_then(|digits| u8::from_str(digits).ok());
        digits.filter(|percent| *percent <= 100).map(Self).ok_or_else(|| format!("{text:?} is no percentage like 80%"))
    }
}

impl CountOrPercent {
    /// How many of `all` it is; a share is rounded up, as a PodDisruptionBudget does it.
    pub fn of(self, all: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(Percent(percent)) => (all * u32::from(percent)).div_ceil(100),
        }
    }
}

/// A figure that the fleet's monitoring has: what the simulated Prometheus answers to a query. Only a simulation plays it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metric {
    /// The query, to the letter; a probe that asks something else gets no data.
    pub query: String,
    /// What it shows.
    pub shows: Shows,
    /// The workload (`namespace/name`) whose nodes count; all nodes, when left out.
    #[serde(default)]
    pub workload: Option<String>,
    /// How the nodes' values become one.
    #[serde(default)]
    pub over: Over,
    /// The value while all is well.
    #[serde(default)]
    pub usually: f64,
}

/// What a metric shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Shows {
    /// The share of requests that fail, from 0 to 1: `requestsFail` raises it.
    FailedShare,
    /// How long requests take, in seconds: `requestsSlow` raises it.
    LatencySeconds,
    /// The share of memory in use, from 0 to 1: `memoryLeaks` raises it.
    MemoryUsedShare,
}

/// How the values of several nodes become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Over {
    /// The highest counts.
    #[default]
    Worst,
    /// Their mean counts.
    Mean,
}
