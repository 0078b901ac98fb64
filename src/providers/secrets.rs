//! Secrets of the operator's own namespace, read from the API server.

use crate::ports::{Answer, ProviderError, SecretData, Secrets};
use futures::FutureExt;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use std::collections::BTreeMap;

/// Reads the Secrets of one namespace.
pub struct KubeSecrets {
    api: Api<Secret>,
    namespace: String,
}

impl KubeSecrets {
    /// Those of this namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), namespace: namespace.to_owned() }
    }

    async fn get(&self, name: &str) -> Result<SecretData, ProviderError> {
        let namespace = &self.namespace;
        match self.api.get_opt(name).await {
            Ok(Some(secret)) => {
                let values = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
                let version = secret.metadata.resource_version.unwrap_or_default();
                Ok(SecretData::new(version, values.collect::<BTreeMap<_, _>>()))
            }
            Ok(None) => Err(ProviderError::Denied(format!("there is no Secret {name} in namespace {namespace}"))),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                Err(ProviderError::Denied(format!("Secret {name} in namespace {namespace} may not be read")))
            }
            Err(error) => Err(ProviderError::Transient(format!("Secret {name} can not be read: {error}"))),
        }
    }
}

impl Secrets for KubeSecrets {
    fn read<'a>(&'a self, name: &'a str) -> Answer<'a, SecretData> {
        self.get(name).boxed()
    }
}
