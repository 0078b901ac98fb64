//! The simulated Prometheus: it answers the queries that the scenario has a metric for, from the machines as they are.

use super::cluster::Cluster;
use super::shared::Shared;
use crate::ports::{Monitoring, MonitoringError};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::ResourceExt;
use winfleet::scenario::Metric;

/// The Prometheus of a simulation, whatever the address.
pub struct Prometheus(pub Shared);

impl Monitoring for Prometheus {
    fn query<'a>(&'a self, _address: &'a str, query: &'a str) -> BoxFuture<'a, Result<Vec<f64>, MonitoringError>> {
        let value = self.0.with(|cluster, now| cluster.metric(query, now));
        std::future::ready(Ok(value.into_iter().collect())).boxed()
    }
}

impl Cluster {
    /// What a query gives now; nothing, where no metric of the scenario has it or nobody shows it.
    fn metric(&mut self, query: &str, now: Timestamp) -> Option<f64> {
        let metric = self.metrics.iter().find(|metric| metric.query == query)?;
        let machines = self.shown_by(metric);
        self.world.metric(metric, &machines, now)
    }

    /// The machines that a metric is about: those with a pod of its workload, or all.
    fn shown_by(&self, metric: &Metric) -> Vec<String> {
        let Some(workload) = &metric.workload else {
            return self.tables.nodes.all().map(|node| node.name_any()).collect();
        };
        let namespace = workload.split('/').next().unwrap_or_default();
        let pods = self.tables.pods.within(namespace);
        let ours = pods.filter(|pod| pod.owner_references().iter().any(|owner| owner.uid == *workload));
        let mut machines: Vec<_> = ours.filter_map(|pod| pod.spec.as_ref()?.node_name.clone()).collect();
        machines.sort_unstable();
        machines.dedup();
        machines
    }
}
