//! Simulated Windows machines under EC2: what is done to an instance's root volume is done to the machine's disk.

use super::hardware::{Hardware, Progress};
use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Longest that a machine is waited for which is busy with something else.
const PATIENCE: Duration = Duration::from_secs(10);

/// The hypervisor of winfleet, and which machine each instance is.
pub struct Winfleet {
    url: OnceLock<String>,
    http: reqwest::Client,
    /// The machine that each instance is.
    machines: Mutex<BTreeMap<String, String>>,
    /// winfleet's snapshot of each of ours.
    snapshots: Mutex<BTreeMap<String, String>>,
    /// The snapshot of ours that each volume was made of.
    volumes: Mutex<BTreeMap<String, String>>,
    /// winfleet's task of each of ours.
    tasks: Mutex<BTreeMap<String, String>>,
}

impl Winfleet {
    /// No machines yet. Neither is their hypervisor known: it may start when the instances are there.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub fn new() -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        let (machines, snapshots, volumes, tasks) = Default::default();
        Ok(Self { url: OnceLock::new(), http, machines, snapshots, volumes, tasks })
    }

    /// An instance is this machine.
    pub fn add(&self, instance: &str, machine: &str) {
        lock(&self.machines).insert(instance.to_owned(), machine.to_owned());
    }

    /// Their hypervisor is at this URL. The first time counts.
    pub fn is_at(&self, url: &str) {
        self.url.get_or_init(|| url.to_owned());
    }

    fn url(&self) -> Result<&str> {
        self.url.get().map(String::as_str).context("the machines do not run yet")
    }

    /// Begins a task; a machine that is busy with another is waited for, as EC2 does it behind its answers.
    async fn task(&self, instance: &str, what: &str, body: Value) -> Result<Value> {
        let machine =
            lock(&self.machines).get(instance).cloned().with_context(|| format!("{instance} is no machine"))?;
        let url = format!("{}/v1/machines/{machine}/{what}", self.url()?);
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.http.post(&url).json(&body).send().await?;
            let well = answer.status().is_success();
            let text: Value = answer.json().await?;
            if well {
                return Ok(text["task"].clone());
            }
            ensure!(
                text["error"]["code"] == "Busy" && Instant::now() < until,
                "{what} of {machine}: {}",
                text["error"]
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn restore(&self, instance: &str, snapshot: &str, key: &str) -> Result<String> {
        let theirs = lock(&self.snapshots).get(snapshot).cloned().context("no such snapshot")?;
        let task = self.task(instance, "restore", json!({"snapshotId": theirs, "key": key})).await?;
        Ok(task["id"].as_str().unwrap_or_default().to_owned())
    }

    async fn get(&self, path: &str) -> Result<Value> {
        Ok(self.http.get(format!("{}{path}", self.url()?)).send().await?.error_for_status()?.json().await?)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hardware for Winfleet {
    fn captured<'a>(&'a self, instance: &'a str, _volume: &'a str, snapshot: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            let task = self.task(instance, "snapshots", json!({"key": snapshot})).await?;
            let theirs = task["snapshotId"].as_str().unwrap_or_default().to_owned();
            lock(&self.snapshots).insert(snapshot.to_owned(), theirs);
            Ok(())
        }
        .boxed()
    }

    fn state_of<'a>(&'a self, snapshot: &'a str) -> BoxFuture<'a, Result<Option<&'static str>>> {
        async move {
            let theirs = lock(&self.snapshots).get(snapshot).cloned();
            let Some(theirs) = theirs else { return Ok(None) };
            let found = self.get(&format!("/v1/snapshots/{theirs}")).await?;
            Ok(match found["state"].as_str() {
                Some("Creating") => Some("pending"),
                Some("Failed") => Some("error"),
                _ => None,
            })
        }
        .boxed()
    }

    fn made<'a>(&'a self, snapshot: &'a str, volume: &'a str) -> BoxFuture<'a, Result<()>> {
        lock(&self.volumes).insert(volume.to_owned(), snapshot.to_owned());
        async { Ok(()) }.boxed()
    }

    fn attached<'a>(&'a self, instance: &'a str, volume: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            let snapshot = lock(&self.volumes).get(volume).cloned();
            match snapshot {
                Some(snapshot) => self.restore(instance, &snapshot, volume).await.map(drop),
                None => Ok(()),
            }
        }
        .boxed()
    }

    fn replace<'a>(&'a self, task: &'a str, instance: &'a str, snapshot: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            let theirs = self.restore(instance, snapshot, task).await?;
            lock(&self.tasks).insert(task.to_owned(), theirs);
            Ok(())
        }
        .boxed()
    }

    fn progress<'a>(&'a self, task: &'a str) -> BoxFuture<'a, Result<Progress>> {
        async move {
            let theirs = lock(&self.tasks).get(task).cloned();
            let Some(theirs) = theirs else { return Ok(Progress::Pending) };
            let found = self.get(&format!("/v1/tasks/{theirs}")).await?;
            Ok(match (found["state"].as_str(), found["error"]["code"].as_str()) {
                (Some("Succeeded"), _) => Progress::Succeeded,
                (Some("Failed"), Some("Detached")) => Progress::FailedDetached,
                (Some("Failed"), _) => Progress::Failed,
                _ => Progress::InProgress,
            })
        }
        .boxed()
    }

    fn powered<'a>(&'a self, instance: &'a str, on: bool) -> BoxFuture<'a, Result<()>> {
        async move {
            let (want, now) = (if on { "On" } else { "Off" }, jiff::Timestamp::now());
            self.task(instance, "power", json!({"want": want, "key": format!("{instance}-{now}")})).await.map(drop)
        }
        .boxed()
    }
}
