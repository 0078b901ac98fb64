//! The chain, in the order of the SDKs: environment, web identity (IRSA), EKS Pod Identity, instance metadata (IMDSv2).
//! The first source that is set up counts, also when it fails: to go on would be to act as somebody else.

use super::environment::Environment;
use super::metadata::{Metadata, Pair};
use crate::ports::ProviderError;
use crate::providers::aws::call::Call;
use crate::providers::aws::client::ask_unsigned;
use crate::providers::aws::params::Params;
use crate::providers::aws::trust::Trust;
use aws_credential_types::Credentials as Keys;
use jiff::Timestamp;
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// Name of our sessions in CloudTrail.
const SESSION_NAME: &str = "windlass";

/// Finds the operator's own identity.
pub(in crate::providers::aws) struct Chain {
    pub environment: Environment,
    pub region: String,
    /// Where STS is asked instead of the region's own.
    pub endpoint: Option<String>,
    pub trust: Arc<Trust>,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("region", &self.region).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct AssumedAnswer {
    #[serde(rename = "AssumeRoleWithWebIdentityResult")]
    result: Assumed,
}

#[derive(Deserialize)]
struct Assumed {
    #[serde(rename = "Credentials")]
    credentials: StsKeys,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StsKeys {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: Timestamp,
}

impl Chain {
    pub(super) async fn fetch(&self) -> Result<Keys, ProviderError> {
        let env = &self.environment;
        if let (Some(id), Some(key)) = (&env.access_key_id, &env.secret_access_key) {
            return Ok(Keys::new(id, key, env.session_token.clone(), None, "environment"));
        }
        if let (Some(file), Some(role)) = (&env.web_identity_token_file, &env.role_arn) {
            return self.web_identity(file, role).await;
        }
        let metadata = Metadata::new(env)?;
        if let Some(keys) = metadata.container().await? {
            return Ok(keys);
        }
        if let Some(keys) = metadata.instance().await? {
            return Ok(keys);
        }
        Err(ProviderError::Denied(
            "no credentials: none in the environment, by web identity (IRSA), by EKS Pod Identity, or by instance metadata \
             (IMDSv2), and spec.provider.aws.credentialsSecret names no Secret"
                .to_owned(),
        ))
    }

    /// IRSA: the pod's service account token is exchanged for the role's credentials.
    async fn web_identity(&self, file: &str, role: &str) -> Result<Keys, ProviderError> {
        let token = token(file).await?;
        let session = self.environment.role_session_name.as_deref().unwrap_or(SESSION_NAME);
        let params = Params::default()
            .with("RoleArn", role)
            .with("RoleSessionName", session)
            .with("WebIdentityToken", token.as_str());
        let http = self.trust.client().await?;
        let call = Call::AssumeRoleWithWebIdentity;
        let answer: AssumedAnswer = ask_unsigned(&http, self.endpoint.as_deref(), &self.region, call, &params).await?;
        let StsKeys { access_key_id, secret_access_key, session_token, expiration } = answer.result.credentials;
        let pair = Pair { id: access_key_id, key: secret_access_key };
        Ok(temporary(pair, session_token, expiration, "web-identity"))
    }
}

/// The token in a file; the kubelet changes it from time to time.
pub(super) async fn token(file: &str) -> Result<String, ProviderError> {
    let unreadable = |error: std::io::Error| ProviderError::Denied(format!("token file {file}: {}", error.kind()));
    let text = tokio::fs::read_to_string(file).await.map_err(unreadable)?;
    Ok(text.trim().to_owned())
}

pub(super) fn temporary(pair: Pair, token: String, until: Timestamp, source: &'static str) -> Keys {
    Keys::new(pair.id, pair.key, Some(token), Some(SystemTime::from(until)), source)
}
