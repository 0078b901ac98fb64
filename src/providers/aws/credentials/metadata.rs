//! Credentials from an endpoint beside the pod: the agent of EKS Pod Identity, or the instance's metadata service in its
//! second version only (a token first, so that no forwarded request gets anything).

use super::chain::{temporary, token};
use super::environment::Environment;
use crate::ports::ProviderError;
use aws_credential_types::Credentials as Keys;
use jiff::Timestamp;
use reqwest::{Client, RequestBuilder, StatusCode, Url, redirect};
use serde::Deserialize;
use std::time::Duration;

/// How long one request may take: these endpoints are on the same host.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Where ECS and EKS offer credentials under a relative address.
const CONTAINER_HOST: &str = "http://169.254.170.2";
/// Hosts that may be asked without TLS, beside this very host: the agents of ECS and EKS (AWS SDKs and Tools Reference
/// Guide, "Container credential provider").
const CONTAINER_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];
/// The instance's metadata service.
const INSTANCE_HOST: &str = "http://169.254.169.254";
/// How long a token of the metadata service is good, in seconds; it is used at once.
const TOKEN_SECONDS: &str = "60";
const ROLE_PATH: &str = "/latest/meta-data/iam/security-credentials/";

/// An id and its secret.
pub(super) struct Pair {
    pub id: String,
    pub key: String,
}

/// Asks the endpoints that an environment names.
pub(super) struct Metadata<'a> {
    environment: &'a Environment,
    http: Client,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Offered {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: Timestamp,
}

impl Offered {
    fn keys(self, source: &'static str) -> Keys {
        let pair = Pair { id: self.access_key_id, key: self.secret_access_key };
        temporary(pair, self.token, self.expiration, source)
    }
}

impl<'a> Metadata<'a> {
    pub(super) fn new(environment: &'a Environment) -> Result<Self, ProviderError> {
        // No proxy and no redirect: what is here is given to nobody else.
        let http = Client::builder().timeout(TIMEOUT).no_proxy().redirect(redirect::Policy::none()).build();
        let http = http.map_err(|e| ProviderError::Permanent(format!("no HTTP client can be made: {e}")))?;
        Ok(Self { environment, http })
    }

    /// Credentials of the pod; none when it has none of its own.
    pub(super) async fn container(&self) -> Result<Option<Keys>, ProviderError> {
        let env = self.environment;
        let Some(url) = container_url(env)? else { return Ok(None) };
        let authorization = match (&env.container_token_file, &env.container_token) {
            (Some(file), _) => Some(token(file).await?),
            (None, token) => token.clone(),
        };
        let request = self.http.get(url);
        let request = match authorization {
            Some(token) => request.header("authorization", token),
            None => request,
        };
        let (status, text) = send("EKS Pod Identity", request).await?;
        offered("EKS Pod Identity", status, &text).map(|offered| Some(offered.keys("container")))
    }

    /// Credentials of the instance; none when this is no instance, or it has no role.
    pub(super) async fn instance(&self) -> Result<Option<Keys>, ProviderError> {
        const WHO: &str = "instance metadata";
        if self.environment.metadata_disabled {
            return Ok(None);
        }
        let base = self.environment.metadata_endpoint.as_deref().unwrap_or(INSTANCE_HOST).trim_end_matches('/');
        let put = self.http.put(format!("{base}/latest/api/token"));
        let Ok((StatusCode::OK, token)) =
            send(WHO, put.header("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS)).await
        else {
            return Ok(None);
        };
        let get = |path: &str| self.http.get(format!("{base}{path}")).header("x-aws-ec2-metadata-token", &token);
        let (status, role) = send(WHO, get(ROLE_PATH)).await?;
        let Some(role) = role.lines().next().filter(|_| status == StatusCode::OK) else { return Ok(None) };
        let (status, text) = send(WHO, get(&format!("{ROLE_PATH}{}", role.trim()))).await?;
        offered(WHO, status, &text).map(|offered| Some(offered.keys("instance")))
    }
}

/// Where the pod's credentials are; none when the environment does not say.
fn container_url(env: &Environment) -> Result<Option<Url>, ProviderError> {
    let text = match (&env.container_full_uri, &env.container_relative_uri) {
        (_, Some(path)) => format!("{CONTAINER_HOST}{path}"),
        (Some(url), None) => url.clone(),
        (None, None) => return Ok(None),
    };
    let refuse = |why: &str| ProviderError::Denied(format!("AWS_CONTAINER_CREDENTIALS_FULL_URI: {why}"));
    let url: Url = text.parse().map_err(|_| refuse("no URL"))?;
    let host = url.host_str().unwrap_or_default();
    let is_here = matches!(host, "localhost" | "127.0.0.1" | "[::1]") || CONTAINER_HOSTS.contains(&host);
    if url.scheme() != "https" && !is_here {
        return Err(refuse("without TLS only this host and the agents of ECS and EKS are asked"));
    }
    Ok(Some(url))
}

fn offered(who: &str, status: StatusCode, text: &str) -> Result<Offered, ProviderError> {
    match status {
        StatusCode::OK => serde_json::from_str(text)
            .map_err(|_| ProviderError::Transient(format!("{who}: the credentials can not be read"))),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Err(ProviderError::Transient(format!("{who} answers {status}")))
        }
        status => Err(ProviderError::Denied(format!("{who} answers {status}"))),
    }
}

async fn send(who: &str, request: RequestBuilder) -> Result<(StatusCode, String), ProviderError> {
    let lost = |_| ProviderError::Transient(format!("{who}: no answer"));
    let response = request.send().await.map_err(lost)?;
    let status = response.status();
    Ok((status, response.text().await.map_err(lost)?))
}
