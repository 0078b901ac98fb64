//! What really happened inside the machines, and making things happen there.

use super::{eventually, not_yet, seen};
use anyhow::{Context, Result, ensure};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the simulation may take to answer, in seconds.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The test side of winfleet.
pub struct Sim {
    url: String,
    http: Client,
}

/// One machine from inside.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "some of it is only shown, in reports")]
pub struct Inside {
    /// As its hypervisor sees it: `Running`, `Booting`, `Off`, `Hung` and so on.
    pub state: String,
    /// Whether its kubelet runs.
    pub kubelet_up: bool,
    /// The build that kubelet read at its start.
    pub kernel_version: String,
    /// Whether its pods have a network.
    pub pod_network_ok: bool,
    /// What happened since the world began; no restore rewinds it.
    pub counters: Counters,
}

/// What happened to a machine.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Reboots that software on the machine asked for.
    pub reboots_requested: u64,
    /// Installations begun, by KB.
    pub installs_started: BTreeMap<String, u64>,
    /// Snapshots asked for.
    pub snapshots: u64,
    /// Restores that swapped the disk.
    pub restores: u64,
}

impl Counters {
    /// Installations begun, of all KBs.
    pub fn installs(&self) -> u64 {
        self.installs_started.values().sum()
    }
}

impl Sim {
    /// The simulation at this URL.
    pub fn new(url: &str) -> Result<Self> {
        let http = Client::builder().timeout(TIMEOUT).no_proxy().build()?;
        Ok(Self { url: url.to_owned(), http })
    }

    /// A machine from inside.
    pub async fn inside(&self, machine: &str) -> Result<Inside> {
        self.get(&format!("/sim/machines/{machine}")).await
    }

    /// Has the machine's cloud replace it by a fresh one of the same name.
    pub async fn replace(&self, machine: &str) -> Result<()> {
        self.post(&format!("/sim/machines/{machine}/replace"), &Value::Null).await
    }

    /// Has the hypervisor misbehave in this way (`{}`: not at all).
    pub async fn hypervisor(&self, mode: &Value) -> Result<()> {
        self.post("/sim/hypervisor", mode).await
    }

    /// Has these effects hold on the machine from now on (`docs/scenarios.md`).
    pub async fn strike(&self, machine: &str, effects: &Value) -> Result<()> {
        self.post(&format!("/sim/machines/{machine}/effects"), &json!({"effects": effects})).await
    }

    /// Where the hypervisor is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Has the hypervisor take a snapshot of a machine that nobody else knows of, and returns its handle.
    pub async fn take_snapshot(&self, machine: &str, key: &str, tags: &Value) -> Result<String> {
        let url = format!("{}/v1/machines/{machine}/snapshots", self.url);
        let task = eventually("the hypervisor takes the snapshot", TIMEOUT, async || {
            let answer = self.http.post(&url).json(&json!({"key": key, "tags": tags})).send().await?;
            // It does one thing at a time with a machine.
            if answer.status() == StatusCode::CONFLICT {
                return Ok(not_yet("the machine is at something"));
            }
            Ok(seen(answer.error_for_status()?.json::<Value>().await?))
        });
        task.await?["task"]["snapshotId"].as_str().map(str::to_owned).context("the task names no snapshot")
    }

    /// Whether the provider has the snapshot of this handle.
    pub async fn has_snapshot(&self, handle: &str) -> Result<bool> {
        let response = self.http.get(format!("{}/v1/snapshots/{handle}", self.url)).send().await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        response.error_for_status()?;
        Ok(true)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let response = self.http.get(format!("{}{path}", self.url)).send().await?.error_for_status()?;
        response.json().await.with_context(|| format!("the answer to GET {path}"))
    }

    async fn post(&self, path: &str, body: &Value) -> Result<()> {
        let response = self.http.post(format!("{}{path}", self.url)).json(body).send().await?;
        let status = response.status();
        ensure!(status.is_success(), "POST {path}: {status}: {}", response.text().await?);
        Ok(())
    }
}
