//! The one way to the API server: bounded rate, bounded concurrency, a time-out on each request.

use super::{limiter::Limiter, node_object::LEASE_NAMESPACE};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Node, Pod},
};
use kube::{Api, Client, Config};
use std::{path::Path, pin::Pin, time::Duration};
use tokio::sync::Semaphore;

/// Longest wait for one answer; an API server that needs longer is down, and the caller's own retry goes on.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests under way at once: enough to hide the latency of loopback, too few to exhaust file descriptors.
const CONCURRENCY: usize = 32;

/// A request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The API server or the way to it.
    #[error(transparent)]
    Kube(#[from] kube::Error),
    /// No answer in time.
    #[error("no answer from the API server within {} s", REQUEST_TIMEOUT.as_secs())]
    TimedOut,
}

impl RequestError {
    /// Whether the object is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Kube(kube::Error::Api(status)) if status.is_not_found())
    }

    /// Whether another object has the name: there already, or under another UID than was asked for.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Kube(kube::Error::Api(status)) if status.code == 409)
    }
}

/// The fleet's access to the API server.
#[derive(Debug)]
pub struct ApiServer {
    limiter: Limiter,
    slots: Semaphore,
    work: ClientBox,
    /// A connection of its own: a heartbeat must not queue behind the pods of hundreds of nodes.
    heartbeat: ClientBox,
}

/// A client that can be shown in a debug print without its secrets.
struct ClientBox(Client);

impl std::fmt::Debug for ClientBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl ApiServer {
    /// Reads the kubeconfig and makes the clients; asks nothing of the server yet.
    ///
    /// # Errors
    /// The kubeconfig can not be read, or names no usable cluster.
    pub async fn connect(kubeconfig: &Path, requests_per_second: u32) -> anyhow::Result<Self> {
        let file = kube::config::Kubeconfig::read_from(kubeconfig)?;
        let mut config = Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default()).await?;
        // Retries are the callers': each knows whether its write is still wanted.
        config.default_retry = false;
        Ok(Self::new(Client::try_from(config.clone())?, Client::try_from(config)?, requests_per_second))
    }

    /// Takes the two clients, neither of which may retry by itself.
    pub fn new(work: Client, heartbeat: Client, requests_per_second: u32) -> Self {
        Self {
            limiter: Limiter::new(requests_per_second),
            slots: Semaphore::new(CONCURRENCY),
            work: ClientBox(work),
            heartbeat: ClientBox(heartbeat),
        }
    }

    /// The client itself, for watches and events.
    pub fn client(&self) -> Client {
        self.work.0.clone()
    }

    /// Pods of a namespace.
    pub fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client(), namespace)
    }

    /// Nodes, on the connection of the heartbeats.
    pub fn nodes(&self) -> Api<Node> {
        Api::all(self.heartbeat.0.clone())
    }

    /// The nodes' Leases, on the connection of the heartbeats.
    pub fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.heartbeat.0.clone(), LEASE_NAMESPACE)
    }

    /// Makes a request when its turn comes.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn request<'a, T: 'a>(
        &'a self,
        call: impl Future<Output = kube::Result<T>> + Send + 'a,
    ) -> impl Future<Output = Result<T, RequestError>> + 'a {
        let call = Box::pin(call);
        async move {
            self.limiter.acquire().await;
            // The semaphore is never closed; were it, the request would only be unbounded.
            let _slot = self.slots.acquire().await.ok();
            answer(call).await
        }
    }

    /// Makes a request at once; it counts against the rate of the others.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn heartbeat<'a, T: 'a>(
        &'a self,
        call: impl Future<Output = kube::Result<T>> + Send + 'a,
    ) -> impl Future<Output = Result<T, RequestError>> + 'a {
        self.limiter.charge();
        answer(Box::pin(call))
    }
}

/// A call on its way. Boxed: kube's futures are some 10 KB, and hundreds of kubelets keep one in their state.
type Call<'a, T> = Pin<Box<dyn Future<Output = kube::Result<T>> + Send + 'a>>;

async fn answer<T>(call: Call<'_, T>) -> Result<T, RequestError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(RequestError::TimedOut),
    }
}
