//! What the operator asks.

use crate::{Build, KbId, VERSION};
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Largest request in bytes after decoding: Windows command lines end at 32,767 characters, base64 takes a third.
pub const MAX_REQUEST_BYTES: usize = 20 * 1024;

/// Names the one question that a report answers; the agent echoes it unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ticket {
    /// UID of the `NodeUpdate` (or of the rollout, for a scan).
    pub node_update_uid: String,
    /// The operator's step that asks (`Stage`, `Install`, ...).
    pub step: String,
    /// Installation round, from 1.
    pub round: u32,
    /// Attempt of the step within the round, from 1.
    pub attempt: u32,
    /// A value that only this question has; a report with another one is stale.
    pub challenge: String,
}

/// One request to the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Must be [`VERSION`].
    pub version: u32,
    /// Name of the node that is meant; an agent on another machine refuses.
    pub node: String,
    /// Echoed in the report.
    pub ticket: Ticket,
    /// What to do.
    pub command: Command,
}

/// What the agent is to do. The variant's name in lower case is the agent's sub-command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Command {
    /// Lists the updates the source offers to this machine; changes nothing.
    Scan {
        /// The catalogue to ask.
        source: Source,
    },
    /// Preflight, scan for the pinned set, download it, then write the baseline and nonce A. Installs nothing, registers nothing.
    Stage {
        /// The catalogue to take the updates from.
        source: Source,
        /// The updates that are meant, and no others.
        updates: Vec<PinnedUpdate>,
        /// Written beside the state before the snapshot: its presence after a restore proves the disk is the captured one.
        nonce_a: String,
        /// What to do about automatic updates that would install and reboot by themselves meanwhile.
        #[serde(default)]
        automatic_updates: AutomaticUpdates,
    },
    /// Writes down the machine as it is now, to compare with later; refused once anything was changed.
    Baseline {},
    /// Writes nonce B, registers the one-shot task that installs, and follows it until a reboot is requested or it ends.
    Arm {
        /// The catalogue the updates were staged from.
        source: Source,
        /// The updates to install; empty means a reboot only (a reboot that was already pending).
        updates: Vec<PinnedUpdate>,
        /// Written after the snapshot: its absence after a restore proves the disk was rewound.
        nonce_b: String,
        /// The operator's leave to reboot once servicing is idle; not after this time. Without it the agent never reboots.
        reboot_not_after: Option<Timestamp>,
        /// Reboots this node update may take in all; at the limit the agent disarms itself.
        max_reboots: u32,
        /// Seconds the installation may take before the agent gives up on it.
        timeout_seconds: u64,
    },
    /// Prints the state file; with `follow`, waits until the work on the machine is at an end and its task is off, or a
    /// reboot is requested.
    Collect {
        /// Whether to wait.
        follow: bool,
    },
    /// Prints the state file and checks the machine against the baseline.
    Probe {
        /// What to check.
        host: HostProbe,
    },
    /// Takes off what the agent put on the machine (task, staged files, policy values); keeps the state file.
    Reset {},
}

impl Command {
    /// The agent's sub-command.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Scan { .. } => "scan",
            Self::Stage { .. } => "stage",
            Self::Baseline {} => "baseline",
            Self::Arm { .. } => "arm",
            Self::Collect { .. } => "collect",
            Self::Probe { .. } => "probe",
            Self::Reset {} => "reset",
        }
    }
}

/// The catalogue that updates come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Source {
    /// Microsoft's Windows Update service, or whatever the machine's own policy names in its place.
    WindowsUpdate,
    /// The WSUS server that the machine's own policy names, and nothing else.
    Wsus,
    /// Packages (`.msu`, `.cab`) in a folder of the machine, with a manifest that says what they are.
    Offline {
        /// The folder, below the agent's own folder of packages.
        folder: String,
        /// SHA-256 of `manifest.json` in that folder, 64 hexadecimal digits: what it says is believed only with this sum.
        manifest_sha256: String,
    },
}

/// What to do about automatic updates of the machine that would install and reboot by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AutomaticUpdates {
    /// Hold them off (`NoAutoUpdate`) until the end, and put the old value back exactly.
    #[default]
    Take,
    /// Change nothing: say so, and refuse to work beside them.
    Report,
}

/// One update of the pinned set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PinnedUpdate {
    /// The catalogue's identity of the update (a GUID at Windows Update).
    pub update_id: String,
    /// Revision of that identity.
    pub revision: u32,
    /// The KB it is known by.
    pub kb: KbId,
}

/// What the host probe compares with the baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostProbe {
    /// The build the machine must at least have, of the same OS version.
    pub expected_build: Build,
    /// Whether exactly this build is wanted (after a restore).
    pub exact: bool,
}

/// A request this agent does not accept. The text names the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not base64.
    #[error("request: not base64: {0}")]
    Base64(String),
    /// Larger than an agent reads.
    #[error("request: {0} bytes, at most {MAX_REQUEST_BYTES} are read")]
    TooLarge(usize),
    /// Not the JSON of a request; the text names the field.
    #[error("request: {0}")]
    Json(String),
    /// Another version of the protocol.
    #[error("version: {0} asked, this agent speaks {VERSION}")]
    Version(u32),
    /// A question that was overtaken by a later one.
    #[error("ticket.{field}: stale: {asked} asked, this machine has worked on {seen} already")]
    Stale {
        /// The part of the ticket.
        field: &'static str,
        /// What the request says.
        asked: String,
        /// What the state on the disk says.
        seen: String,
    },
    /// A folder that the agent does not read from.
    #[error("{field}: {path} is outside of {allowed}")]
    Folder {
        /// The field.
        field: &'static str,
        /// The path that was given.
        path: String,
        /// The folder below which it must be.
        allowed: String,
    },
    /// A file of a request that can not be read.
    #[error("request: {0}")]
    File(String),
    /// Meant for another machine.
    #[error("node: meant for {asked}, this node is {here}")]
    Node {
        /// The node that the request names.
        asked: String,
        /// The name of the node that was asked.
        here: String,
    },
}

impl Request {
    /// Writes the request as the one argument of `--request`.
    pub fn to_arg(&self) -> String {
        // Serialising owned strings, numbers and enums can not fail.
        BASE64_STANDARD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads the argument of `--request`.
    ///
    /// # Errors
    /// [`RequestError`], naming the field; the version is checked before the rest is believed.
    pub fn from_arg(arg: &str) -> Result<Self, RequestError> {
        let arg = arg.trim();
        // Base64 makes four characters of three bytes: what is too long is not even decoded.
        if arg.len() / 4 * 3 > MAX_REQUEST_BYTES + 2 {
            return Err(RequestError::TooLarge(arg.len() / 4 * 3));
        }
        Self::from_json(&BASE64_STANDARD.decode(arg).map_err(|e| RequestError::Base64(e.to_string()))?)
    }

    /// Reads the JSON of a request: what a file of one holds.
    ///
    /// # Errors
    /// [`RequestError`], naming the field; the version is checked before the rest is believed.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLarge(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|e| RequestError::Json(e.to_string()))?;
        let raw: serde_json::Value = serde_json::from_str(text).map_err(|e| RequestError::Json(e.to_string()))?;
        if let Some(version) = raw.get("version").and_then(serde_json::Value::as_u64)
            && version != u64::from(VERSION)
        {
            return Err(RequestError::Version(u32::try_from(version).unwrap_or(u32::MAX)));
        }
        serde_path_to_error::deserialize(raw).map_err(|e| match e.path().to_string().as_str() {
            "." => RequestError::Json(e.into_inner().to_string()),
            path => RequestError::Json(format!("{path}: {}", e.inner())),
        })
    }

    /// Refuses a request that is meant for another node than the one of this name (compared without case: the names of
    /// Windows machines have none).
    ///
    /// # Errors
    /// [`RequestError::Node`].
    pub fn check_node(&self, here: &str) -> Result<(), RequestError> {
        if self.node.eq_ignore_ascii_case(here) {
            return Ok(());
        }
        Err(RequestError::Node { asked: self.node.clone(), here: here.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Request {
        Request {
            version: VERSION,
            node: "win-7".into(),
            ticket: Ticket {
                node_update_uid: "u".into(),
                step: "Stage".into(),
                round: 1,
                attempt: 1,
                challenge: "c".into(),
            },
            command: Command::Collect { follow: true },
        }
    }

    #[test]
    fn survives_the_command_line() {
        assert_eq!(Request::from_arg(&sample().to_arg()), Ok(sample()));
        assert_eq!(sample().check_node("WIN-7"), Ok(()));
    }

    #[test]
    fn refuses_and_names_the_field() {
        let mut other = sample();
        other.version = 9;
        assert_eq!(Request::from_arg(&other.to_arg()), Err(RequestError::Version(9)));
        let unknown = BASE64_STANDARD.encode(r#"{"version":1,"node":"n","bogus":1}"#);
        assert!(Request::from_arg(&unknown).is_err_and(|e| e.to_string().contains("bogus")));
        assert!(Request::from_arg("%%%").is_err());
        assert!(sample().check_node("win-8").is_err_and(|e| e.to_string().starts_with("node:")));
        let huge = BASE64_STANDARD.encode(vec![b' '; MAX_REQUEST_BYTES + 1]);
        assert!(matches!(Request::from_arg(&huge), Err(RequestError::TooLarge(_))));
        assert!(matches!(Request::from_json(&vec![b' '; MAX_REQUEST_BYTES + 1]), Err(RequestError::TooLarge(_))));
        assert!(Request::from_json(b"{\"version\":\"\xff\"}").is_err_and(|e| e.to_string().contains("utf-8")));
    }

    #[test]
    fn a_value_that_does_not_parse_is_named_by_its_path() {
        let stage = |kb: &str| {
            let update = format!(r#"{{"updateId":"u","revision":1,"kb":"{kb}"}}"#);
            let command = format!(r#"{{"stage":{{"source":"WindowsUpdate","updates":[{update}],"nonceA":"a"}}}}"#);
            let ticket = r#"{"nodeUpdateUid":"u","step":"Stage","round":1,"attempt":1,"challenge":"c"}"#;
            format!(r#"{{"version":1,"node":"n","ticket":{ticket},"command":{command}}}"#)
        };
        let good = Request::from_json(stage("KB5040437").as_bytes()).expect("a request");
        let Command::Stage { automatic_updates, .. } = good.command else { panic!("it stages") };
        assert_eq!(automatic_updates, AutomaticUpdates::Take);
        for kb in ["5040437", "kb5040437", "KB1", "KB504043799", ""] {
            let error = Request::from_json(stage(kb).as_bytes()).expect_err(kb).to_string();
            assert!(error.starts_with("request: command.stage.updates[0].kb: "), "{error}");
        }
    }
}
