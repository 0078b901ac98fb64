//! Kubeconfig files, self-contained and readable by their owner only.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::pki::Identity;
use super::process::write_private;

/// How a client of the cluster says who it is.
pub(super) enum Credential<'a> {
    /// A client certificate.
    Certificate(&'a Identity),
    /// A bearer token.
    Token(&'a str),
}

/// Writes a kubeconfig for `server` (a URL), which is verified with the authority `ca`.
pub(super) fn write(path: &Path, server: &str, ca: &Path, credential: &Credential<'_>) -> Result<()> {
    let user = match credential {
        Credential::Certificate(identity) => json!({
            "client-certificate-data": encode(&identity.cert)?,
            "client-key-data": encode(&identity.key)?,
        }),
        Credential::Token(token) => json!({ "token": token }),
    };
    let config: Value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "windlass", "cluster": { "server": server, "certificate-authority-data": encode(ca)? } }],
        "users": [{ "name": "windlass", "user": user }],
        "contexts": [{ "name": "windlass", "context": { "cluster": "windlass", "user": "windlass" } }],
        "current-context": "windlass",
    });
    write_private(path, serde_saphyr::to_string(&config)?.as_bytes())
}

fn encode(file: &Path) -> Result<String> {
    Ok(STANDARD.encode(fs::read(file).with_context(|| format!("cannot read {}", file.display()))?))
}
