//! What the controllers are started with, from the operator's flags.

use super::context::Settings;
use super::run::{MakeProviders, Parts};
use crate::act::{ActConfig, Clients};
use crate::config::Config;
use crate::ports::{Clock, Monitoring};
use crate::telemetry::Metrics;
use std::sync::Arc;
use std::time::Duration;

impl Parts {
    /// The parts of an operator with these flags, in real time.
    pub fn of(
        config: &Config,
        clients: Clients,
        metrics: &Arc<Metrics>,
        (providers, monitoring): (MakeProviders, Arc<dyn Monitoring>),
    ) -> Self {
        Self {
            clients,
            act: ActConfig {
                agents_namespace: config.agents_namespace.clone(),
                probes_namespace: config.probes_namespace.clone(),
                agent_image: config.agent_image.clone(),
                probe_image: config.probe_image.clone(),
                image_pull_policy: config.image_pull_policy.clone(),
            },
            settings: Settings {
                operator_node: config.node_name.clone(),
                node_gone_after: Duration::from_secs(config.node_gone_after),
            },
            instance: config.identity(),
            metrics: Arc::clone(metrics),
            providers,
            monitoring,
            clock: Clock::system(),
        }
    }
}
