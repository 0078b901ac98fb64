//! The variables that AWS's SDKs read, and EKS sets ("AWS SDKs and Tools Reference Guide", environment variables).

use std::fmt;

/// The variables, read once.
#[derive(Clone, Default)]
pub(in crate::providers::aws) struct Environment {
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
    pub session_token: Option<String>,
    pub role_arn: Option<String>,
    pub role_session_name: Option<String>,
    pub web_identity_token_file: Option<String>,
    pub container_full_uri: Option<String>,
    pub container_relative_uri: Option<String>,
    pub container_token: Option<String>,
    pub container_token_file: Option<String>,
    pub metadata_disabled: bool,
    pub metadata_endpoint: Option<String>,
}

impl Environment {
    /// The variables of this process.
    pub(in crate::providers::aws) fn of_process() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        Self {
            access_key_id: get("AWS_ACCESS_KEY_ID"),
            secret_access_key: get("AWS_SECRET_ACCESS_KEY"),
            session_token: get("AWS_SESSION_TOKEN"),
            role_arn: get("AWS_ROLE_ARN"),
            role_session_name: get("AWS_ROLE_SESSION_NAME"),
            web_identity_token_file: get("AWS_WEB_IDENTITY_TOKEN_FILE"),
            container_full_uri: get("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
            container_relative_uri: get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
            container_token: get("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
            container_token_file: get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
            metadata_disabled: get("AWS_EC2_METADATA_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true")),
            metadata_endpoint: get("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}
