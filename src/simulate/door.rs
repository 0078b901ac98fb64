//! The way from the operator to the simulated API server: a tower service in the place of a connection.

use super::calls::{Callee, Refusal, Verdict};
use super::cluster::{Answer, Request, Served};
use super::shared::Shared;
use super::trace::{Actor, Event};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use http_body::Frame;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use kube::client::Body;
use std::convert::Infallible;
use std::task::{Context, Poll};
use tower::{BoxError, Service};

/// One run of one operator, as it speaks to the API server.
#[derive(Clone)]
pub struct Door {
    /// The cluster.
    pub shared: Shared,
    /// The operator's number.
    pub instance: usize,
    /// The number of its run.
    pub life: u64,
}

type Lines = futures::stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>;
type Answered = http::Response<Either<Full<Bytes>, StreamBody<Lines>>>;

impl Service<http::Request<Body>> for Door {
    type Response = Answered;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Answered, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.clone().answer(request).boxed()
    }
}

impl Door {
    async fn answer(self, request: http::Request<Body>) -> Result<Answered, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes().to_vec();
        let request = Request::read(&parts.method, &parts.uri, body);
        let request = request.ok_or_else(|| format!("{} is no resource", parts.uri))?;
        let callee = if parts.method == http::Method::GET { Callee::Read } else { Callee::Write };
        let before = self.shared.with(|cluster, now| cluster.calls.delays(callee, now).0);
        if !before.is_zero() {
            tokio::time::sleep(before).await;
        }
        let served = self.shared.with(|cluster, now| {
            match cluster.calls.begin((self.instance, self.life), callee, || request.words(), now) {
                Verdict::Go => {
                    let why = cluster.calls.refused(request.method.as_str(), &request.plural, now);
                    let served = match why.filter(|_| request.sub.is_none()) {
                        Some(why) => Served::Answer(refused(why, &request)),
                        None => cluster.serve(Actor::Operator(self.instance), &request, now),
                    };
                    cluster.calls.end(self.instance).then_some(Ok(served))
                }
                Verdict::Dead => None,
                Verdict::Conflict => {
                    let answer = Answer::conflict(&request.plural, &request.key());
                    Some(Ok(Served::Answer(answer)))
                }
                Verdict::Unanswered | Verdict::Throttled(_) => {
                    cluster.tell(now, &Event::Unanswered);
                    Some(Err("connection refused"))
                }
            }
        });
        match served {
            Some(Ok(served)) => Ok(response(served)?),
            Some(Err(why)) => Err(why.into()),
            // Nobody is left to hear it: the task that asked ends here.
            None => std::future::pending().await,
        }
    }
}

fn refused(why: Refusal, request: &Request) -> Answer {
    match why {
        Refusal::Forbidden => {
            let message = format!("{} {:?} is forbidden: not here", request.plural, request.key());
            Answer::refusal(403, "Forbidden", &message)
        }
        Refusal::WebhookAway => {
            let message = "Internal error occurred: failed calling webhook \"rules.example\": failed to call webhook: \
                           Post \"https://rules.example/admit\": connect: connection refused";
            Answer::refusal(500, "InternalError", message)
        }
    }
}

fn response(served: Served) -> http::Result<Answered> {
    let (code, body) = match served {
        Served::Answer(Answer { code, body }) => (code, Either::Left(Full::new(Bytes::from(body)))),
        Served::Watch(lines) => {
            let frames: Lines = lines.map(|line| Ok(Frame::data(line))).boxed();
            (200, Either::Right(StreamBody::new(frames)))
        }
    };
    http::Response::builder().status(code).header("content-type", "application/json").body(body)
}
