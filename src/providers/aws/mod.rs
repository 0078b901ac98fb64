//! `aws`: EC2 instances and EBS snapshots of their root volumes.
//!
//! Typed calls of the query protocol, signed by `aws-sigv4`; the SDK for EC2 alone costs ten minutes of build. It takes
//! only machines whose providerID is `aws:///<zone>/<instance>` in the class's region.

mod answers;
mod bucket;
mod call;
mod client;
mod credentials;
mod ec2;
mod error;
mod machine;
mod params;
mod power;
mod restore;
mod sign;
mod snapshot;
#[cfg(test)]
mod tests;
mod trust;
mod young;

use crate::api::{self, ReplacedRootVolume};
use crate::domain::{NodeRef, StepKey};
use crate::ports::{
    Answer, Capabilities, Capability, ConsoleFacts, Found, Handle, Order, Power, Progress, ProviderError, Secrets,
    SnapshotFacts, SnapshotProvider,
};
use answers::SnapshotsAnswer;
use bucket::{Buckets, Rate};
use call::Call;
use client::Client;
use credentials::{Chain, Credentials, Environment, Source};
use futures::FutureExt;
use machine::Machine;
use params::Params;
use std::sync::Arc;
use std::time::Duration;
use trust::Trust;
use young::Young;

/// How long a call of the contract may take. It only starts and looks up; what is missed is done by the next one.
const CALL: Duration = Duration::from_secs(25);

/// What all providers for EC2 of one process share.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    buckets: Arc<Buckets>,
}

/// A provider that speaks to EC2 in one region.
pub struct Aws {
    client: Client,
    installation: String,
    keep_replaced: bool,
    young: Young,
}

impl Aws {
    /// A provider of these settings; nothing is sent yet, and no Secret read.
    pub fn new(settings: &api::Aws, installation: &str, secrets: &Arc<dyn Secrets>, shared: &Shared) -> Self {
        Self::within(Environment::of_process(), settings, installation, secrets, shared)
    }

    fn within(
        environment: Environment,
        settings: &api::Aws,
        installation: &str,
        secrets: &Arc<dyn Secrets>,
        shared: &Shared,
    ) -> Self {
        let api::Aws { region, endpoint, credentials_secret, ca_secret, requests_per_second, burst, .. } =
            settings.clone();
        let trust = Arc::new(Trust::new(ca_secret, Arc::clone(secrets)));
        let source = match credentials_secret {
            Some(name) => Source::Secret { name, secrets: Arc::clone(secrets) },
            None => Source::Chain(Box::new(Chain {
                environment,
                region: region.clone(),
                endpoint: endpoint.clone(),
                trust: Arc::clone(&trust),
            })),
        };
        let rate = Rate { per_second: requests_per_second, burst };
        let credentials = Credentials::new(source);
        Self {
            client: Client::new(region, endpoint, rate, credentials, trust, Arc::clone(&shared.buckets)),
            installation: installation.to_owned(),
            keep_replaced: settings.replaced_root_volume == ReplacedRootVolume::Keep,
            young: Young::default(),
        }
    }

    /// EC2 answers; that the credentials are known was seen before.
    async fn works(&self) -> Result<(), ProviderError> {
        let params = Params::default().list("Owner", ["self"]).with("MaxResults", "5");
        self.client.ask::<SnapshotsAnswer>(Call::DescribeSnapshots, &params).await.map(|_| ())
    }

    /// Does a call of the contract when it is its turn. What is no machine of ours is refused before anything is sent,
    /// and what takes too long is ended: whatever it had started is found by the next call.
    fn call<'a, T: Send + 'a>(
        &'a self,
        node: Option<&'a NodeRef>,
        work: impl Future<Output = Result<T, ProviderError>> + Send + 'a,
    ) -> Answer<'a, T> {
        let late = || ProviderError::Transient(format!("no answer from AWS within {} s", CALL.as_secs()));
        let in_turn = async {
            let _turn = self.client.turn().await?;
            work.await
        };
        async move {
            node.map_or(Ok(()), |node| self.accepts(node))?;
            tokio::time::timeout(CALL, in_turn).await.unwrap_or_else(|_| Err(late()))
        }
        .boxed()
    }
}

impl SnapshotProvider for Aws {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::InPlace,
            Capability::KeepsIdentity,
            Capability::Online,
            Capability::DataDisksExcluded,
        ])
    }

    fn accepts(&self, node: &NodeRef) -> Result<(), ProviderError> {
        Machine::of(node, &self.client.region).map(|_| ())
    }

    fn ready(&self) -> Answer<'_, ()> {
        self.call(None, self.works())
    }

    fn examine<'a>(&'a self, node: &'a NodeRef) -> Answer<'a, ()> {
        self.call(Some(node), self.is_there(node))
    }

    fn ensure<'a>(&'a self, order: &'a Order<'a>) -> Answer<'a, Progress> {
        self.call(Some(order.node), self.take(order))
    }

    fn restore<'a>(&'a self, node: &'a NodeRef, handle: &'a Handle, key: &'a StepKey) -> Answer<'a, Progress> {
        self.call(Some(node), self.put_back(node, handle, key))
    }

    fn inspect<'a>(&'a self, handle: &'a Handle) -> Answer<'a, SnapshotFacts> {
        self.call(None, self.look(handle))
    }

    fn delete<'a>(&'a self, handle: &'a Handle) -> Answer<'a, ()> {
        self.call(None, self.remove(handle))
    }

    fn list(&self) -> Answer<'_, Vec<Found>> {
        self.call(None, self.all())
    }

    fn power<'a>(&'a self, node: &'a NodeRef, want: Power, _key: &'a StepKey) -> Answer<'a, Progress> {
        // No key is needed: what is asked for is a state, and it is looked at first.
        self.call(Some(node), self.switch(node, want))
    }

    fn console<'a>(&'a self, node: &'a NodeRef) -> Answer<'a, ConsoleFacts> {
        self.call(Some(node), self.screen(node))
    }
}
