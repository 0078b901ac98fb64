//! Logs.

use tracing_subscriber::EnvFilter;

/// Begins to log to standard error, as lines for people or as one JSON object per line. What is logged is said by `RUST_LOG` (`info` without it).
pub fn init_logs(json: bool) {
    // kube logs every answer of 500 and above as an error, also those that are simply tried again.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube_client=warn"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json { logs.json().flatten_event(true).init() } else { logs.init() }
}
