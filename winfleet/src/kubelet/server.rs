//! The HTTPS server of all kubelets: container logs, as the API server asks for them.

use super::{
    logs::{LogStore, LogWindow, NoLog},
    machine::MachineFacts,
};
use anyhow::Context;
use axum::{
    Router,
    body::Body,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde::Deserialize;
use std::{collections::HashMap, path::Path as FilePath, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

/// Longest wait for a TLS handshake: on loopback it takes milliseconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a followed log is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

/// What the server reads.
#[derive(Clone, Debug)]
pub struct Served {
    /// The logs of all pods.
    pub logs: Arc<LogStore>,
    /// The machines by name: the kubelet of a machine that is down answers nothing.
    pub machines: Arc<HashMap<String, watch::Receiver<MachineFacts>>>,
}

/// Reads the serving certificate and its key, both PEM.
///
/// # Errors
/// A file can not be read or the two do not fit; the text names the file.
pub fn tls(cert: &FilePath, key: &FilePath) -> anyhow::Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("--kubelet-cert {}", cert.display()))?;
    let secret = PrivateKeyDer::from_pem_file(key).with_context(|| format!("--kubelet-key {}", key.display()))?;
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .with_context(|| format!("--kubelet-cert {} and --kubelet-key {}", cert.display(), key.display()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves for ever; a connection that fails ends alone.
pub async fn serve(listener: TcpListener, tls: TlsAcceptor, served: Served) {
    let router = router(served);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, tls.clone(), router.clone()))),
            Err(error) => {
                // Out of file descriptors, most likely: it passes when connections end.
                tracing::warn!(%error, "kubelet server can not accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, router: Router) {
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await else { return };
    let http = hyper::server::conn::http1::Builder::new();
    if let Err(error) = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await {
        tracing::debug!(%error, "kubelet connection ended");
    }
}

/// The routes, apart from TLS.
pub fn router(served: Served) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/containerLogs/{namespace}/{pod}/{container}", get(container_logs))
        .with_state(served)
}

/// The query of `GET /containerLogs`, as the API server makes it from `PodLogOptions`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LogQuery {
    tail_lines: Option<usize>,
    limit_bytes: Option<usize>,
    since_seconds: Option<i64>,
    since_time: Option<Timestamp>,
    timestamps: bool,
    follow: bool,
}

impl LogQuery {
    fn window(&self, now: Timestamp) -> LogWindow {
        let seconds = self.since_seconds.and_then(|s| now.checked_sub(SignedDuration::from_secs(s)).ok());
        LogWindow { skip: 0, tail: self.tail_lines, since: self.since_time.or(seconds), timestamps: self.timestamps }
    }
}

async fn container_logs(
    State(served): State<Served>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    Query(query): Query<LogQuery>,
) -> Response {
    if !served.kubelet_up(&namespace, &pod) {
        return (StatusCode::SERVICE_UNAVAILABLE, "the machine's kubelet does not answer\n").into_response();
    }
    let window = query.window(Timestamp::now());
    match served.logs.read(&namespace, &pod, &container, window) {
        Err(why @ (NoLog::Pod(_) | NoLog::Container { .. })) => {
            (StatusCode::NOT_FOUND, format!("{why}\n")).into_response()
        }
        Ok(mut log) => {
            cut(&mut log.text, query.limit_bytes);
            let running = log.running && query.limit_bytes.is_none() && query.follow;
            let follower =
                Follower { served, names: [namespace, pod, container], window, printed: log.printed, running };
            let first = futures::stream::iter([Ok::<_, std::convert::Infallible>(log.text)]);
            let body = Body::from_stream(futures::StreamExt::chain(first, follower.stream()));
            ([(header::CONTENT_TYPE, "text/plain")], body).into_response()
        }
    }
}

impl Served {
    /// Whether the kubelet that has the pod's log answers; of an unknown pod the log store says so.
    fn kubelet_up(&self, namespace: &str, pod: &str) -> bool {
        let node = self.logs.node_of(namespace, pod);
        node.and_then(|node| self.machines.get(&node)).is_none_or(|facts| facts.borrow().kubelet_up)
    }
}

/// Cuts at `limit` bytes, between two characters.
fn cut(text: &mut String, limit: Option<usize>) {
    if let Some(limit) = limit {
        text.truncate(text.floor_char_boundary(limit));
    }
}

/// The rest of a followed log.
struct Follower {
    served: Served,
    names: [String; 3],
    window: LogWindow,
    printed: usize,
    running: bool,
}

impl Follower {
    fn stream(self) -> impl futures::Stream<Item = Result<String, std::convert::Infallible>> {
        futures::stream::unfold(self, |mut follower| async move {
            let text = follower.next().await?;
            Some((Ok(text), follower))
        })
    }

    /// Waits for what is printed next; `None` when the container ended or is gone.
    async fn next(&mut self) -> Option<String> {
        let [namespace, pod, container] = &self.names;
        while self.running {
            tokio::time::sleep(FOLLOW_EVERY).await;
            let window = LogWindow { skip: self.printed, tail: None, ..self.window };
            let log = self.served.logs.read(namespace, pod, container, window).ok()?;
            self.running = log.running && self.served.kubelet_up(namespace, pod);
            self.printed = log.printed;
            if !log.text.is_empty() {
                return Some(log.text);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubelet::logs::LogOwner;
    use tower::ServiceExt;

    const OWNER: LogOwner<'static> = LogOwner { namespace: "n", name: "p", uid: "u" };

    fn served() -> Served {
        let logs = Arc::new(LogStore::default());
        logs.open(OWNER, "win-1", vec!["c".into()]);
        logs.append(OWNER, Timestamp::now(), "grüße\nzwei");
        Served { logs, machines: Arc::default() }
    }

    async fn ask(served: &Served, path: &str) -> (StatusCode, String) {
        let request = axum::http::Request::get(path).body(Body::empty()).expect("a request");
        let answer = router(served.clone()).oneshot(request).await.expect("an answer");
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn answers_as_a_kubelet_does() {
        let served = served();
        for (query, want) in [
            ("", "grüße\nzwei\n"),
            ("?tailLines=1", "zwei\n"),
            ("?limitBytes=3", "gr"),
            ("?sinceSeconds=60&follow=false", "grüße\nzwei\n"),
        ] {
            let (status, text) = ask(&served, &format!("/containerLogs/n/p/c{query}")).await;
            assert_eq!((status, text.as_str()), (StatusCode::OK, want), "{query}");
        }
        assert_eq!(ask(&served, "/healthz").await.1, "ok");
    }

    #[tokio::test]
    async fn names_what_is_unknown() {
        let served = served();
        for (path, want) in [("n/q/c", "pod \"q\""), ("m/p/c", "pod \"p\""), ("n/p/d", "container \"d\"")] {
            let (status, text) = ask(&served, &format!("/containerLogs/{path}")).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
            assert!(text.starts_with(want), "{text}");
        }
        assert_eq!(ask(&served, "/containerLogs/n/p/c?tailLines=x").await.0, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn follows_until_the_container_ends() {
        let served = served();
        let logs = served.logs.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            logs.append(OWNER, Timestamp::now(), "drei");
            logs.close(OWNER);
        });
        assert_eq!(ask(&served, "/containerLogs/n/p/c?follow=true&tailLines=1").await.1, "zwei\ndrei\n");
    }
}
