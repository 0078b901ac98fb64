//! Budgets that must hold at every moment: each change that the API server tells of is looked at.

use super::scene::{annotation, is_cordoned, is_ready};
use super::story::RING_LABEL;
use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;
use windlass::api::CLAIMED_BY;

/// Somebody who has watched since his making.
pub struct Witness {
    testimony: Arc<Mutex<Testimony>>,
    watching: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct Testimony {
    /// What went over the budget, first.
    offence: Option<String>,
    /// The most machines that were unavailable at once.
    most: usize,
}

impl Witness {
    /// Watches that no more than `budget` nodes of a ring are unavailable at once: cordoned or not Ready.
    pub async fn of_nodes(client: &Client, ring: &str, budget: usize) -> Result<Self> {
        let nodes: Api<Node> = Api::all(client.clone());
        let config = watcher::Config::default().labels(&format!("{RING_LABEL}={ring}"));
        let mut changes = watcher(nodes, config).default_backoff().applied_objects().boxed();
        let testimony = Arc::new(Mutex::new(Testimony::default()));
        let mut unavailable = BTreeSet::new();
        let mut look = {
            let testimony = Arc::clone(&testimony);
            move |node: &Node| {
                if is_ready(node) && !is_cordoned(node) {
                    unavailable.remove(&node.name_any());
                } else {
                    unavailable.insert(node.name_any());
                }
                let mut testimony = testimony.lock().unwrap_or_else(PoisonError::into_inner);
                testimony.most = testimony.most.max(unavailable.len());
                if unavailable.len() > budget {
                    testimony.offence.get_or_insert(format!("of a budget of {budget}, unavailable: {unavailable:?}"));
                }
            }
        };
        // The first change is there before the story goes on: nothing is missed.
        if let Some(node) = changes.try_next().await? {
            look(&node);
        }
        let watching = tokio::spawn(changes.for_each(move |node| {
            node.iter().for_each(&mut look);
            std::future::ready(())
        }));
        Ok(Self { testimony, watching })
    }

    /// Watches that the PodDisruptionBudgets of a namespace hold: never fewer healthy pods than each wants.
    pub fn of_disruptions(client: &Client, namespace: &str) -> Self {
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), namespace);
        let changes = watcher(budgets, watcher::Config::default()).default_backoff().applied_objects();
        let testimony = Arc::new(Mutex::new(Testimony::default()));
        let seen = Arc::clone(&testimony);
        let watching = tokio::spawn(changes.for_each(move |budget| {
            let status = budget.as_ref().ok().and_then(|budget| budget.status.clone()).unwrap_or_default();
            if status.current_healthy < status.desired_healthy {
                let name = budget.map(|budget| budget.name_any()).unwrap_or_default();
                let (healthy, wanted) = (status.current_healthy, status.desired_healthy);
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.offence.get_or_insert(format!("budget {name}: {healthy} healthy pods, {wanted} wanted"));
            }
            std::future::ready(())
        }));
        Self { testimony, watching }
    }

    /// Watches that each node of a ring is in one hand at a time: a claim goes before another comes.
    pub fn of_claims(client: &Client, ring: &str) -> Self {
        let nodes: Api<Node> = Api::all(client.clone());
        let config = watcher::Config::default().labels(&format!("{RING_LABEL}={ring}"));
        let changes = watcher(nodes, config).default_backoff().applied_objects();
        let testimony = Arc::new(Mutex::new(Testimony::default()));
        let (seen, mut holders) = (Arc::clone(&testimony), BTreeMap::<String, Option<String>>::new());
        let watching = tokio::spawn(changes.for_each(move |node| {
            if let Ok(node) = node {
                let (name, holder) = (node.name_any(), annotation(&node, CLAIMED_BY).map(str::to_owned));
                let before = holders.insert(name.clone(), holder.clone()).flatten();
                if before.is_some() && holder.is_some() && before != holder {
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.offence.get_or_insert(format!("{name} went from {before:?} to {holder:?}"));
                }
            }
            std::future::ready(())
        }));
        Self { testimony, watching }
    }

    /// Ends the watch: the most machines that were unavailable at once.
    ///
    /// # Errors
    /// The budget was broken; by whom.
    pub fn testify(self) -> Result<usize> {
        self.watching.abort();
        let testimony = self.testimony.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ensure!(testimony.offence.is_none(), "{}", testimony.offence.unwrap_or_default());
        Ok(testimony.most)
    }
}
