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

/// The way to the cluster.
pub(super) enum Cluster {
    /// This very cluster.
    Own(Client),
    /// Another one.
    Other { secrets: Arc<dyn Secrets>, secret: String, made: Mutex<Option<(String, Client)>> },
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
        if let Some((_, client)) = kept.filter(|(version, _)| version == data.version()) {
            return Ok(client);
        }
        let refuse = |why: &str| ProviderError::Denied(format!("Secret {secret}, key {KUBECONFIG}: {why}"));
        let text = data.get(KUBECONFIG).ok_or_else(|| refuse("is not there"))?;
        let text = std::str::from_utf8(text).map_err(|_| refuse("is no text"))?;
        let client = client(text).await.map_err(|why| refuse(&why))?;
        *made.lock().unwrap_or_else(PoisonError::into_inner) = Some((data.version().to_owned(), client.clone()));
        Ok(client)
    }
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
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}],
              clusters: [{{name: c, cluster: {{server: 'https://infra.example:6443'{cluster}}}}}],
              users: [{{name: u, user: {{{user}}}}}]}}"
        );
        client(&text).await.map_or_else(|why| why, |_| "taken".to_owned())
    }

    #[tokio::test]
    async fn a_kubeconfig_holds_its_credentials_itself() {
        drop(rustls::crypto::ring::default_provider().install_default());
        assert_eq!(why("token: t", "").await, "taken");
        for (user, cluster, named) in [
            ("exec: {apiVersion: client.authentication.k8s.io/v1, command: rm, interactiveMode: Never}", "", "command"),
            ("tokenFile: /var/run/secrets/token", "", "file"),
            ("client-certificate: /a, client-key: /b", "", "file"),
            ("token: t", ", certificate-authority: /etc/ssl", "file"),
            ("token: t", ", insecure-skip-tls-verify: true", "insecure-skip-tls-verify"),
        ] {
            let why = why(user, cluster).await;
            assert!(why.contains(named) && why.contains("not allowed"), "{user} {cluster}: {why}");
        }
        assert_eq!(client("secret: [").await.map(drop), Err("is no kubeconfig".to_owned()));
    }
}
