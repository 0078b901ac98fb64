//! The cluster that runs the machines: this one, or the one that a kubeconfig in a Secret leads to.

use super::error::meaning;
use super::wire::{self, Machine, Restore, Snapshot};
use crate::ports::{ProviderError, Secrets};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The key of the Secret.
const KUBECONFIG: &str = "kubeconfig";
/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// The way to the cluster.
pub(super) enum Cluster {
    /// This very cluster.
    Own(Client),
    /// Another one.
    Other { secrets: Arc<dyn Secrets>, secret: String, made: Mutex<Option<Made>> },
}

/// What was made of a Secret.
#[derive(Clone)]
pub(super) struct Made {
    version: String,
    client: Client,
    /// Credentials that must not come back in a text.
    hidden: Vec<String>,
}

/// The objects of one namespace.
pub(super) struct Objects {
    pub client: Client,
    pub machines: Api<Machine>,
    pub snapshots: Api<Snapshot>,
    pub restores: Api<Restore>,
}

impl Cluster {
    pub(super) fn other(secrets: Arc<dyn Secrets>, secret: &str) -> Self {
        Self::Other { secrets, secret: secret.to_owned(), made: Mutex::default() }
    }

    /// The objects of a namespace. A Secret that has changed is used from now on.
    pub(super) async fn objects(&self, namespace: &str) -> Result<Objects, ProviderError> {
        let client = self.client().await?;
        Ok(Objects {
            machines: Api::namespaced_with(client.clone(), namespace, &wire::machines()),
            snapshots: Api::namespaced_with(client.clone(), namespace, &wire::snapshots()),
            restores: Api::namespaced_with(client.clone(), namespace, &wire::restores()),
            client,
        })
    }

    async fn client(&self) -> Result<Client, ProviderError> {
        let (secrets, secret, made) = match self {
            Self::Own(client) => return Ok(client.clone()),
            Self::Other { secrets, secret, made } => (secrets, secret, made),
        };
        let data = secrets.read(secret).await?;
        let kept = made.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(made) = kept.filter(|made| made.version == data.version()) {
            return Ok(made.client);
        }
        let refuse = |why: &str| ProviderError::Denied(format!("Secret {secret}, key {KUBECONFIG}: {why}"));
        let text = data.get(KUBECONFIG).ok_or_else(|| refuse("is not there"))?;
        let text = std::str::from_utf8(text).map_err(|_| refuse("is no text"))?;
        let client = client(text).await.map_err(|why| refuse(&why))?;
        let new = Made { version: data.version().to_owned(), client: client.clone(), hidden: credentials(text) };
        *made.lock().unwrap_or_else(PoisonError::into_inner) = Some(new);
        Ok(client)
    }

    /// An error with our credentials taken out of its text: an API server that is none may send back what it was sent.
    pub(super) fn told(&self, error: ProviderError) -> ProviderError {
        let Self::Other { made, .. } = self else { return error };
        let made = made.lock().unwrap_or_else(PoisonError::into_inner);
        let hidden = made.iter().flat_map(|made| &made.hidden);
        hidden.fold(error, |error, secret| error.map_text(|text| text.replace(secret, HIDDEN)))
    }
}

/// The texts under `users` of a kubeconfig that are secret.
fn credentials(text: &str) -> Vec<String> {
    let kubeconfig: serde_json::Value = serde_saphyr::from_str(text).unwrap_or_default();
    let users = kubeconfig["users"].as_array().cloned().unwrap_or_default();
    let all = users.iter().filter_map(|named| named["user"].as_object()).flatten();
    let secret = all.filter(|(field, _)| matches!(field.as_str(), "token" | "password" | "client-key-data"));
    let texts = secret.filter_map(|(_, value)| value.as_str()).filter(|text| !text.is_empty());
    texts.map(str::to_owned).collect()
}

/// A client from a kubeconfig's text. What it says of itself is not repeated in errors: it may hold credentials.
async fn client(text: &str) -> Result<Client, String> {
    let kubeconfig = Kubeconfig::from_yaml(text).map_err(|_| "is no kubeconfig".to_owned())?;
    if let Some(why) = refused(&kubeconfig) {
        return Err(format!("{why} is not allowed here: it must hold its credentials itself"));
    }
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let mut config = config.map_err(|_| "leads to no cluster".to_owned())?;
    // A request that was not answered is repeated by the step, which has a deadline.
    config.default_retry = false;
    Client::try_from(config).map_err(|_| "has certificates or keys that do not parse".to_owned())
}

/// Whether a URL without TLS stays on this very host.
fn is_this_host(url: &str) -> bool {
    let host = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    host.is_some_and(|host| matches!(host.as_str(), "127.0.0.1" | "localhost" | "[::1]"))
}

/// What a kubeconfig from a Secret must not do: run programs, read files of the operator, or trust anybody.
fn refused(kubeconfig: &Kubeconfig) -> Option<&'static str> {
    let users = kubeconfig.auth_infos.iter().filter_map(|named| named.auth_info.as_ref());
    for user in users {
        if user.exec.is_some() || user.auth_provider.is_some() {
            return Some("a command (exec, auth-provider)");
        }
        if user.token_file.is_some() || user.client_certificate.is_some() || user.client_key.is_some() {
            return Some("the path of a file");
        }
    }
    let clusters = kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref());
    for cluster in clusters {
        if cluster.insecure_skip_tls_verify == Some(true) {
            return Some("insecure-skip-tls-verify");
        }
        if cluster.certificate_authority.is_some() {
            return Some("the path of a file");
        }
        if cluster.server.as_deref().is_some_and(|server| server.starts_with("http:") && !is_this_host(server)) {
            return Some("a server without TLS");
        }
    }
    None
}

/// Waits for an answer, but not for ever.
pub(super) async fn ask<T>(
    what: &str,
    request: impl Future<Output = kube::Result<T>> + Send,
) -> Result<T, ProviderError> {
    match tokio::time::timeout(TIMEOUT, request).await {
        Ok(answer) => answer.map_err(|error| meaning(what, error)),
        Err(_) => Err(ProviderError::Transient(format!("{what}: no answer within {}s", TIMEOUT.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn why(user: &str, cluster: &str) -> String {
        let server = if cluster.contains("server:") { "" } else { ", server: 'https://infra.example:6443'" };
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}],
              clusters: [{{name: c, cluster: {{disable-compression: true{server}{cluster}}}}}],
              users: [{{name: u, user: {{{user}}}}}]}}"
        );
        client(&text).await.map_or_else(|why| why, |_| "taken".to_owned())
    }

    #[tokio::test]
    async fn a_kubeconfig_holds_its_credentials_itself() {
        drop(rustls::crypto::ring::default_provider().install_default());
        assert_eq!(why("token: t", "").await, "taken");
        assert_eq!(why("token: t", ", server: 'http://127.0.0.1:8080'").await, "taken");
        for (user, cluster, named) in [
            ("exec: {apiVersion: client.authentication.k8s.io/v1, command: rm, interactiveMode: Never}", "", "command"),
            ("tokenFile: /var/run/secrets/token", "", "file"),
            ("client-certificate: /a, client-key: /b", "", "file"),
            ("token: t", ", certificate-authority: /etc/ssl", "file"),
            ("token: t", ", insecure-skip-tls-verify: true", "insecure-skip-tls-verify"),
            ("token: t", ", server: 'http://infra.example:8080'", "without TLS"),
            ("token: t", ", server: 'http://127.0.0.1.example:8080'", "without TLS"),
        ] {
            let why = why(user, cluster).await;
            assert!(why.contains(named) && why.contains("not allowed"), "{user} {cluster}: {why}");
        }
        assert_eq!(client("secret: [").await.map(drop), Err("is no kubeconfig".to_owned()));
    }

    #[test]
    fn the_credentials_of_a_kubeconfig_are_known_and_hidden() {
        let text = "users: [{name: u, user: {token: tok, username: me}}, {name: v, user: {client-key-data: a2V5}}]";
        assert_eq!(credentials(text), ["tok", "a2V5"]);
        assert_eq!(credentials("nonsense: ["), Vec::<String>::new());
    }
}
