//! Counts requests to the API server, by verb and code.

use super::Metrics;
use futures::future::BoxFuture;
use http::{Request, Response};
use kube::client::ClientBuilder;
use kube::{Client, Config};
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// A client that counts its requests. With `retry` it repeats by itself what the server was too busy for.
///
/// # Errors
/// The settings make no client: a certificate that can not be read, say.
pub fn counted_client(config: &Config, retry: bool, metrics: &Arc<Metrics>) -> kube::Result<Client> {
    let mut config = config.clone();
    config.default_retry = retry;
    Ok(ClientBuilder::try_from(config)?.with_layer(&Counted::new(Arc::clone(metrics))).build())
}

/// A layer of the client that counts.
#[derive(Clone)]
struct Counted<S = ()> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl Counted {
    fn new(metrics: Arc<Metrics>) -> Self {
        Self { inner: (), metrics }
    }
}

impl<S> Layer<S> for Counted {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, metrics: Arc::clone(&self.metrics) }
    }
}

impl<S, Q, A> Service<Request<Q>> for Counted<S>
where
    S: Service<Request<Q>, Response = Response<A>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    A: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<A>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let metrics = Arc::clone(&self.metrics);
        let verb = request.method().to_string();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            // 0: no answer at all.
            metrics.requested(&verb, answer.as_ref().map_or(0, |a| a.status().as_u16()));
            answer
        })
    }
}
