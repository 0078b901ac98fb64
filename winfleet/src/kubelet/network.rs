//! What a pod's own network traffic comes to on its machine: the one real HTTP request of a probe pod, and the log line of
//! any other pod that can not work, in the words that clients written in Go print.

use super::machine::{MachineFacts, PodNetwork};
use std::io;
use windlass_probe::{Http, Phase, Target, Trouble};

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code.
    pub code: i32,
    /// Its last words on the log; empty: none.
    pub line: String,
}

impl Exit {
    fn new(code: i32, line: impl Into<String>) -> Self {
        Self { code, line: line.into() }
    }
}

/// What the network does for one pod; a pod on the host's network does not use the pod network.
pub fn of_pod(facts: &MachineFacts, host_network: bool) -> PodNetwork {
    if host_network { PodNetwork::Works } else { facts.pod_network }
}

/// How a pod ends that works for a while: it needs the network, as nearly every pod does.
pub fn end_of_work(network: PodNetwork, forced: Option<i32>) -> Exit {
    match (forced, network) {
        (Some(code), _) => Exit::new(code, ""),
        (None, PodNetwork::Works) => Exit::new(0, "done"),
        (None, PodNetwork::Dead) => Exit::new(1, "dial tcp: lookup kubernetes.default.svc.cluster.local: i/o timeout"),
        (None, PodNetwork::NoServices) => Exit::new(1, "dial tcp 10.96.0.1:443: i/o timeout"),
        (None, PodNetwork::NoDns) => {
            Exit::new(1, "dial tcp: lookup kubernetes.default.svc.cluster.local: no such host")
        }
    }
}

/// Runs the program of an `http` probe pod, really, from this process, unless the machine's network would not let it: then it
/// says what the program would.
///
/// The loopback address stands for the service that a real probe would name, so that a machine without DNS fails it too.
pub async fn probe(http: Http, network: PodNetwork) -> Exit {
    let trouble = match network {
        PodNetwork::Works => {
            let program = tokio::task::spawn_blocking(move || windlass_probe::ask(&http));
            return match program.await {
                Ok((code, line)) => Exit::new(code.into(), line),
                Err(error) => Exit::new(1, error.to_string()),
            };
        }
        PodNetwork::Dead | PodNetwork::NoServices => {
            tokio::time::sleep(http.timeout).await;
            Trouble::TimedOut { after: http.timeout, phase: Phase::Name }
        }
        PodNetwork::NoDns => {
            let host = Target::parse(&http.url).map(|target| target.host).unwrap_or_default();
            // Windows' own words.
            Trouble::Name { host, source: io::Error::other("No such host is known. (os error 11001)") }
        }
    };
    Exit::new(1, trouble.of(&http.url))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, http::StatusCode, routing::get};
    use std::time::Duration;

    async fn serve() -> String {
        let app = Router::new()
            .route("/healthz", get(async || "ok"))
            .route("/teapot", get(async || StatusCode::IM_A_TEAPOT))
            .route("/hang", get(async || tokio::time::sleep(Duration::from_mins(1)).await));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}")
    }

    async fn run(line: &str, network: PodNetwork) -> Exit {
        let words = line.split_whitespace().map(str::to_owned);
        probe(Http::parse(words).expect("a probe"), network).await
    }

    #[tokio::test]
    async fn a_probe_really_asks() {
        let base = serve().await;
        let passes = run(&format!("http --url {base}/healthz"), PodNetwork::Works).await;
        assert!(passes.code == 0 && passes.line.starts_with(&format!("{base}/healthz: status 200 ")), "{passes:?}");
        assert_eq!(run(&format!("http --url {base}/teapot"), PodNetwork::Works).await.code, 1);
        assert_eq!(run(&format!("http --url {base}/teapot --expect-status 418"), PodNetwork::Works).await.code, 0);
        let late = run(&format!("http --url {base}/hang --timeout 100ms"), PodNetwork::Works).await;
        assert!(late.code == 1 && late.line.ends_with("timed out after 100 ms, waiting for the answer"), "{late:?}");
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("it");
        let refused = run(&format!("http --url http://{free}/"), PodNetwork::Works).await;
        assert!(refused.code == 1 && refused.line.contains(&format!("no connection to {free}: ")), "{refused:?}");
    }

    #[tokio::test]
    async fn a_dead_network_fails_a_probe_whose_target_lives() {
        let base = serve().await;
        let dead = run(&format!("http --url {base}/healthz --timeout 50ms"), PodNetwork::Dead).await;
        assert!(dead.code == 1 && dead.line.ends_with("looking up the name of its host"), "{dead:?}");
        let no_dns = run(&format!("http --url {base}/healthz"), PodNetwork::NoDns).await;
        assert!(no_dns.code == 1 && no_dns.line.contains("the name 127.0.0.1 was not found: "), "{no_dns:?}");
    }

    #[test]
    fn other_pods_end_as_the_network_lets_them() {
        assert_eq!(end_of_work(PodNetwork::Works, None).code, 0);
        assert_eq!(end_of_work(PodNetwork::Dead, None).code, 1);
        assert_eq!(end_of_work(PodNetwork::NoDns, None).code, 1);
        assert_eq!(end_of_work(PodNetwork::Dead, Some(0)).code, 0, "a forced code wins");
    }
}
