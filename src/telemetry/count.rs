//! Counts requests to the API server, by verb and code.

use super::Metrics;
use futures::future::BoxFuture;
use http::{Request, Response};
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// A layer of the client that counts.
#[derive(Clone)]
pub struct Counted<S = ()> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl Counted {
    /// A layer that counts into these metrics.
    pub fn new(metrics: Arc<Metrics>) -> Self {
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
