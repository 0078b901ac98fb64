//! The API server's audit log: who asked for what. It is how requests per node update are counted.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Deserialize;

/// Records each finished request of the operator, and of agent and probe pods, without bodies. The simulated machines and
/// the control plane itself are left out: their heartbeats would bury the rest.
pub(super) const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  users: ['system:serviceaccount:windlass-system:windlass']
- level: Metadata
  userGroups: ['system:serviceaccounts:windlass-agents', 'system:serviceaccounts:windlass-probes']
- level: None
";

/// One request that the API server has finished; a watch is on record once it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The user's name, such as `system:serviceaccount:windlass-system:windlass`.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The plural and, after a slash, the subresource: `nodes`, `pods/eviction`, `nodeupdates/status`; empty for a path that
    /// is no resource.
    pub resource: String,
    /// The object's namespace, if it has one.
    pub namespace: Option<String>,
    /// The object's name, if the request names one.
    pub name: Option<String>,
    /// The HTTP status of the answer.
    pub code: u16,
    /// When the request was received.
    pub at: Timestamp,
}

impl Request {
    /// Whether it asks for a change, as opposed to reading.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

/// Reads an audit log; one that does not exist yet is empty. A last line that is still being written is left out.
pub(super) fn read(path: &Path) -> Result<Vec<Request>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let mut requests = Vec::new();
    for line in BufReader::new(file).lines() {
        match parse(&line?) {
            Ok(request) => requests.push(request),
            Err(error) if error.is_eof() => break,
            Err(error) => return Err(error).with_context(|| format!("cannot parse {}", path.display())),
        }
    }
    Ok(requests)
}

fn parse(line: &str) -> Result<Request, serde_json::Error> {
    let event: Event = serde_json::from_str(line)?;
    let object = event.object_ref.unwrap_or_default();
    let resource = match object.subresource {
        Some(subresource) => format!("{}/{subresource}", object.resource),
        None => object.resource,
    };
    Ok(Request {
        user: event.user.username,
        verb: event.verb,
        resource,
        namespace: object.namespace,
        name: object.name,
        code: event.response_status.code,
        at: event.request_received_timestamp,
    })
}

/// The part of an `audit.k8s.io/v1` Event that is used here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    user: User,
    #[serde(default)]
    object_ref: Option<ObjectRef>,
    #[serde(default)]
    response_status: ResponseStatus,
    request_received_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectRef {
    resource: String,
    subresource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVICTION: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1",
        "stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/pods/web-1/eviction","verb":"create",
        "user":{"username":"system:serviceaccount:windlass-system:windlass","groups":["system:authenticated"]},
        "objectRef":{"resource":"pods","namespace":"shop","name":"web-1","apiVersion":"v1","subresource":"eviction"},
        "responseStatus":{"metadata":{},"code":429},"requestReceivedTimestamp":"2026-11-22T18:00:00.123456Z"}"#;

    #[test]
    fn an_eviction_is_a_write_on_a_subresource() {
        let request = parse(EVICTION).unwrap();
        assert_eq!((request.resource.as_str(), request.code), ("pods/eviction", 429));
        assert_eq!((request.namespace.as_deref(), request.name.as_deref()), (Some("shop"), Some("web-1")));
        assert!(request.is_write());
    }

    #[test]
    fn a_line_that_is_being_written_is_left_out() {
        let path = std::env::temp_dir().join(format!("windlass-audit-{}.log", std::process::id()));
        let whole = EVICTION.replace('\n', "");
        std::fs::write(&path, format!("{whole}\n{}", &whole[..80])).unwrap();
        let requests = read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(requests.len(), 1);
    }

    #[test]
    fn no_log_yet_is_no_request() {
        assert_eq!(read(Path::new("/nonexistent/audit.log")).unwrap(), []);
    }
}
