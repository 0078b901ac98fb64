//! What a pod's own network traffic comes to on its machine: the one real HTTP request of a probe pod, and the log line of
//! any other pod that can not work. The words are those that clients written in Go print.

use super::{
    machine::{MachineFacts, PodNetwork},
    program::HttpProbe,
};
use std::time::Duration;

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
        (None, PodNetwork::NoDns) => Exit::new(1, no_such_host("kubernetes.default.svc.cluster.local")),
    }
}

fn no_such_host(name: &str) -> String {
    format!("dial tcp: lookup {name}: no such host")
}

/// Performs the request of a probe pod, really, from this process, unless the machine's network would not let it.
///
/// The loopback address stands for the service that a real probe would name, so that a machine without DNS fails it too.
pub async fn probe(client: reqwest::Client, probe: HttpProbe, network: PodNetwork) -> Exit {
    let url = probe.url.as_str();
    let address = format!(
        "{}:{}",
        probe.url.host_str().unwrap_or_default(),
        probe.url.port_or_known_default().unwrap_or_default()
    );
    match network {
        PodNetwork::Dead | PodNetwork::NoServices => {
            tokio::time::sleep(probe.timeout).await;
            return Exit::new(1, format!("Get {url:?}: dial tcp {address}: i/o timeout"));
        }
        PodNetwork::NoDns => return Exit::new(1, format!("Get {url:?}: {}", no_such_host(&address))),
        PodNetwork::Works => {}
    }
    match client.get(probe.url.clone()).timeout(probe.timeout).send().await {
        Ok(answer) => {
            let status = answer.status().as_u16();
            let code = i32::from(!probe.accepts(status));
            Exit::new(code, format!("Get {url:?}: {}", answer.status()))
        }
        Err(error) if error.is_timeout() => Exit::new(1, format!("Get {url:?}: context deadline exceeded")),
        Err(error) if error.is_connect() => {
            Exit::new(1, format!("Get {url:?}: dial tcp {address}: connection refused"))
        }
        Err(error) => Exit::new(1, format!("Get {url:?}: {error}")),
    }
}

/// The client that all probe pods share: no proxy, no redirects, a connection for each request as separate processes have.
///
/// # Errors
/// The client can not be made (no crypto provider was installed).
pub fn probe_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .connect_timeout(Duration::from_secs(30))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, http::StatusCode, routing::get};

    fn client() -> reqwest::Client {
        // A second test finds the provider installed.
        rustls::crypto::ring::default_provider().install_default().ok();
        probe_client().expect("a client")
    }

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
        probe(client(), HttpProbe::parse(words).expect("a probe"), network).await
    }

    #[tokio::test]
    async fn a_probe_really_asks() {
        let base = serve().await;
        let passes = run(&format!("http --url {base}/healthz"), PodNetwork::Works).await;
        assert_eq!(passes, Exit::new(0, format!("Get \"{base}/healthz\": 200 OK")));
        assert_eq!(run(&format!("http --url {base}/teapot"), PodNetwork::Works).await.code, 1);
        assert_eq!(run(&format!("http --url {base}/teapot --expect-status 418"), PodNetwork::Works).await.code, 0);
        let late = run(&format!("http --url {base}/hang --timeout 100ms"), PodNetwork::Works).await;
        assert!(late.code == 1 && late.line.ends_with("context deadline exceeded"), "{late:?}");
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("it");
        let refused = run(&format!("http --url http://{free}/"), PodNetwork::Works).await;
        assert!(refused.code == 1 && refused.line.ends_with("connection refused"), "{refused:?}");
    }

    #[tokio::test]
    async fn a_dead_network_fails_a_probe_whose_target_lives() {
        let base = serve().await;
        let dead = run(&format!("http --url {base}/healthz --timeout 50ms"), PodNetwork::Dead).await;
        assert!(dead.code == 1 && dead.line.ends_with("i/o timeout"), "{dead:?}");
        let no_dns = run(&format!("http --url {base}/healthz"), PodNetwork::NoDns).await;
        assert!(no_dns.code == 1 && no_dns.line.ends_with("no such host"), "{no_dns:?}");
    }

    #[test]
    fn other_pods_end_as_the_network_lets_them() {
        assert_eq!(end_of_work(PodNetwork::Works, None).code, 0);
        assert_eq!(end_of_work(PodNetwork::Dead, None).code, 1);
        assert_eq!(end_of_work(PodNetwork::NoDns, None).code, 1);
        assert_eq!(end_of_work(PodNetwork::Dead, Some(0)).code, 0, "a forced code wins");
    }
}
