//! What goes wrong with a request, in words for people.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The name of the host is looked up.
    Name,
    /// A connection to this address is made.
    Connect(SocketAddr),
    /// The TLS handshake is under way.
    Tls,
    /// The request is sent, its answer not there.
    Answer,
}

impl Display for Phase {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("looking up the name of its host"),
            Self::Connect(address) => write!(f, "connecting to {address}"),
            Self::Tls => f.write_str("in the TLS handshake"),
            Self::Answer => f.write_str("waiting for the answer"),
        }
    }
}

/// Why a probe fails.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It took too long.
    #[error("timed out after {}, {phase}", span(*after))]
    TimedOut {
        /// The time that it had.
        after: Duration,
        /// How far it came.
        phase: Phase,
    },
    /// The name of the host has no address.
    #[error("the name {host} was not found: {source}")]
    Name {
        /// The name.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// There is no connection to the last of its addresses.
    #[error("no connection to {address}: {source}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// What came is no answer of HTTP.
    #[error("no answer of HTTP: {0}")]
    Answer(String),
    /// Another status.
    #[error("status {got}{}, expected was {}", to.as_ref().map(|to| format!(" to {to}")).unwrap_or_default(), list(expected))]
    Status {
        /// The status that came.
        got: u16,
        /// Where a redirect leads.
        to: Option<String>,
        /// The statuses that are a pass.
        expected: Vec<u16>,
    },
}

impl Trouble {
    /// The line that tells it of this URL.
    pub fn of(&self, url: &str) -> String {
        crate::one_line(&format!("{}: {self}", crate::target::shown(url)))
    }
}

fn span(time: Duration) -> String {
    if time.subsec_millis() == 0 { format!("{} s", time.as_secs()) } else { format!("{} ms", time.as_millis()) }
}

fn list(statuses: &[u16]) -> String {
    statuses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}
