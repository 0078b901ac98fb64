//! What the operator asks of the agent on a Windows node, and what the agent answers.
//!
//! Types and their text forms only: no I/O, no Windows, no Kubernetes. The operator and the agent link this very
//! crate, so that a field can not mean two things.
//!
//! A request travels as base64 of JSON in the agent pod's command line ([`Request::to_arg`]); the answer is the last
//! line of the pod's log ([`Report::from_log`]), one compact JSON document of at most [`MAX_REPORT_BYTES`].

mod build;
mod report;
mod request;
mod words;

pub use build::{Build, KbId, ParseBuildError, ParseKbError};
pub use report::HostCheck;
pub use report::{
    AgentError, AgentPhase, DiskIdentity, ErrorClass, Nonces, OfferedUpdate, Progress, RebootSignals, Report,
    ReportError, ServiceState, UpdateResult, UpdateState, Verdict,
};
pub use request::{
    AutomaticUpdates, Command, HostProbe, MAX_REQUEST_BYTES, PinnedUpdate, Request, RequestError, Source, Ticket,
};

/// Version of this protocol. An agent refuses a request of another version with exit code 40.
pub const VERSION: u32 = 1;

/// The variable in which an agent pod is told the name of its Node object. It need not be the machine's own name: a
/// kubelet may be told another (`--hostname-override`), as those of clouds are.
pub const NODE_VARIABLE: &str = "WINDLASS_NODE";

/// Largest report in bytes: what the operator reads of one pod's log (our own bound, far below the kubelet's 10 MiB rotation).
pub const MAX_REPORT_BYTES: usize = 64 * 1024;

/// Exit codes of `windlass-agent`, the same for every command.
pub mod exit {
    /// The command is complete; the report says what was found.
    pub const DONE: i32 = 0;
    /// The work goes on without this process (a scheduled task has it).
    pub const IN_PROGRESS: i32 = 3;
    /// The installation is complete up to a reboot.
    pub const REBOOT_NEEDED: i32 = 10;
    /// Failed in a way that may pass: try again later.
    pub const RETRIABLE: i32 = 20;
    /// Failed for good for this set of updates.
    pub const PERMANENT: i32 = 30;
    /// The request is not one this agent accepts; nothing was touched.
    pub const BAD_REQUEST: i32 = 40;
    /// The agent itself is not fit to work here: it can not open the machine, or print its report.
    pub const UNFIT: i32 = 50;
}
