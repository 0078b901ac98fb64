//! A cluster with a made-up fleet, one ring, and a rollout of one good update through it.

use crate::cluster::{Cluster, Options};
use crate::workspace::{self, Profile};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use windlass::api::{NodeUpdate, RolloutState, SnapshotClass, UpdatePolicy, UpdateRing, UpdateRollout};

/// The one rollout of a stage.
const ROLLOUT: &str = "bench";
/// Label of all nodes of a stage.
const POOL: &str = "windlass.example/pool";

/// How long the load may take to run, in minutes.
const LOAD_PATIENCE: Duration = Duration::from_mins(2);
/// How long a rollout may take, in minutes: several times what it does.
const ROLLOUT_PATIENCE: Duration = Duration::from_mins(15);

/// A cluster of the release programs with `nodes` machines.
pub(super) struct Stage {
    pub cluster: Cluster,
    pub nodes: u32,
    dir: PathBuf,
}

impl Stage {
    pub async fn up(name: &str, nodes: u32) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("windlass-bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let scenario = dir.with_extension("yaml");
        std::fs::write(&scenario, scenario_of(nodes))?;
        let programs = tokio::task::spawn_blocking(|| workspace::build_programs(Profile::Release)).await??;
        let options =
            Options { scenario: Some(scenario), operator: true, programs: Some(programs), ..Options::new(&dir) };
        Ok(Self { cluster: Cluster::up(options).await?, nodes, dir })
    }

    /// Puts `per_node` pods on each node, each of which takes `stop` to terminate.
    pub async fn load(&self, per_node: u32, stop: Duration) -> Result<()> {
        let client = self.cluster.client().await?;
        let namespace = serde_json::from_value(json!({"metadata": {"name": "bench"}}))?;
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
        // A Deployment per node, tied to it: what is evicted comes back when the node does, and burdens no other.
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), "bench");
        for node in 1..=self.nodes {
            let app = format!("load-{node}");
            let deployment = json!({
                "metadata": {"name": app},
                "spec": {
                    "replicas": per_node,
                    "selector": {"matchLabels": {"app": app}},
                    "template": {
                        "metadata": {
                            "labels": {"app": app},
                            "annotations": {"winfleet.windlass.dev/terminates-after": format!("{}s", stop.as_secs())},
                        },
                        "spec": {
                            "nodeSelector": {"kubernetes.io/hostname": format!("win-{node}")},
                            "terminationGracePeriodSeconds": stop.as_secs() + 5,
                            "containers": [{"name": "load", "image": "registry.example/load:1"}],
                        },
                    },
                },
            });
            deployments.create(&PostParams::default(), &serde_json::from_value(deployment)?).await?;
        }
        let pods: Api<Pod> = Api::namespaced(client, "bench");
        let running = ListParams::default().fields("status.phase=Running");
        let wanted = usize::try_from(per_node * self.nodes)?;
        let started = Instant::now();
        while pods.list(&running).await?.items.len() < wanted {
            ensure!(started.elapsed() < LOAD_PATIENCE, "the load's pods do not run");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    /// Rolls the good update out with this budget, and returns its node updates and the seconds it took.
    pub async fn roll_out(&self, max_unavailable: &str) -> Result<(Vec<NodeUpdate>, f64)> {
        self.apply(max_unavailable).await?;
        let started = Instant::now();
        let client = self.cluster.client().await?;
        let rollouts: Api<UpdateRollout> = Api::all(client.clone());
        loop {
            let status = rollouts.get(ROLLOUT).await?.status.unwrap_or_default();
            if status.ended_at.is_some() {
                ensure!(
                    status.state == RolloutState::Completed,
                    "the rollout is {:?}: {:?}",
                    status.state,
                    status.reason
                );
                break;
            }
            ensure!(
                started.elapsed() < ROLLOUT_PATIENCE,
                "the rollout has not ended: {:?} {:?}",
                status.state,
                status.reason
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let seconds = started.elapsed().as_secs_f64();
        Ok((Api::<NodeUpdate>::all(client).list(&ListParams::default()).await?.items, seconds))
    }

    async fn apply(&self, max_unavailable: &str) -> Result<()> {
        let client = self.cluster.client().await?;
        let endpoint = &self.cluster.machines().context("a stage has machines")?.hypervisor;
        let budget = max_unavailable.parse::<u32>().map_or_else(|_| json!(max_unavailable), |n| json!(n));
        let class =
            json!({"metadata": {"name": "simulated"}, "spec": {"provider": {"simulated": {"endpoint": endpoint}}}});
        let policy = json!({"metadata": {"name": "bench"}, "spec": {
            "strategy": {"type": "InPlace", "inPlace": {"snapshot": {"className": "simulated"}}},
            "verify": {"settle": "1s", "timeout": "2m", "probes": [
                {"name": "ready", "node": {"readyFor": "1s"}}, {"name": "build", "build": {}}, {"name": "host", "host": {}},
                {"name": "pod-network", "pod": {"image": "registry.example/net-probe:1", "command": ["net-probe.exe"]}},
            ]},
        }});
        let ring = json!({"metadata": {"name": "all"}, "spec": {
            "policyName": "bench", "nodeSelector": {"matchLabels": {POOL: "bench"}},
            "batch": {"maxUnavailable": budget}, "soak": {"duration": "1s", "interval": "1s"},
        }});
        let rollout = json!({"metadata": {"name": ROLLOUT}, "spec": {"rings": ["all"], "updates": {"classifications": ["Security"]}}});
        let post = PostParams::default();
        Api::<SnapshotClass>::all(client.clone())
            .create(&post, &serde_json::from_value(typed(class, "SnapshotClass"))?)
            .await?;
        Api::<UpdatePolicy>::all(client.clone())
            .create(&post, &serde_json::from_value(typed(policy, "UpdatePolicy"))?)
            .await?;
        Api::<UpdateRing>::all(client.clone())
            .create(&post, &serde_json::from_value(typed(ring, "UpdateRing"))?)
            .await?;
        Api::<UpdateRollout>::all(client)
            .create(&post, &serde_json::from_value(typed(rollout, "UpdateRollout"))?)
            .await?;
        Ok(())
    }

    /// Resident memory of the operator, in MiB.
    pub fn operator_rss_mib(&self) -> Result<f64> {
        let pid = self.cluster.pid("operator").context("the operator runs")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("no VmRSS in the process's status")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }

    /// Ends the cluster and removes its folder.
    pub fn down(self) {
        drop(self.cluster);
        let _ = std::fs::remove_file(self.dir.with_extension("yaml"));
        let _ = std::fs::remove_dir_all(self.dir);
    }
}

fn typed(mut object: serde_json::Value, kind: &str) -> serde_json::Value {
    object["apiVersion"] = json!("windlass.dev/v1alpha1");
    object["kind"] = json!(kind);
    object
}

fn scenario_of(nodes: u32) -> String {
    format!(
        "machines:\n- prefix: win-\n  count: {nodes}\n  zones: [a, b, c]\n  labels: {{{POOL}: bench}}\n  build: 10.0.20348.2461\n\
         updates:\n- kb: KB5039227\n  title: Cumulative Update (KB5039227)\n  released: 2024-06-11\n  targetBuilds: {{10.0.20348: 10.0.20348.2527}}\n\
         timings: {{stage: 2s, install: 3s, shutdown: 1s, reboot: 3s, kubeletStart: 1s, podStart: 1s, podRuns: 1s}}\n\
         hypervisor: {{snapshotTakes: 1s, restoreTakes: 3s, powerTakes: 1s}}\n"
    )
}
