//! Logs.

use std::io::{IsTerminal, stderr};
use tracing_subscriber::EnvFilter;

/// What is not logged unless `RUST_LOG` asks for it by name: kube logs each answer of 500 and above as an error, also
/// those that are simply tried again, and puts a span around every pass.
const QUIET: &str = "kube_client=warn,kube_runtime=warn";
/// What is never logged, whatever `RUST_LOG` asks for: at debug level kube's client shows refusals as they came, and an API
/// server that is none may send back the token that it was sent.
const NEVER: &str = "kube_client::client=info";

/// Begins to log to standard error, as lines for people or as one JSON object per line. What is logged is said by
/// `RUST_LOG` (`info` without it).
pub fn init_logs(json: bool) {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::new(format!("{QUIET},{wanted},{NEVER}"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    if json { logs.json().flatten_event(true).init() } else { logs.init() }
}
