//! Each source of the chain against a small server on loopback.

use super::*;
use crate::ports::Answer;
use crate::providers::aws::trust::Trust;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use futures::FutureExt;
use std::collections::BTreeMap;
use std::sync::Mutex as StdMutex;

const OFFERED: &str = r#"{"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIAOFFERED", "SecretAccessKey": "s",
    "Token": "t", "Expiration": "2126-11-22T12:00:00Z"}"#;
/// As STS words it (API reference, `AssumeRoleWithWebIdentity`).
const ASSUMED: &str = r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
    <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAASSUMED</AccessKeyId>
    <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2126-11-22T12:00:00Z</Expiration>
    </Credentials><AssumedRoleUser><Arn>arn</Arn></AssumedRoleUser></AssumeRoleWithWebIdentityResult>
    <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>"#;

/// Serves `answer`, and gives the server's base URL.
async fn serve(answer: fn(&Method, &Uri, &HeaderMap, &str) -> (u16, String)) -> String {
    let handler = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
        let (status, text) = answer(&method, &uri, &headers, &String::from_utf8_lossy(&body));
        (StatusCode::from_u16(status).expect("a status"), text)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
    url
}

/// Secrets that a test changes.
#[derive(Default)]
struct Vault(StdMutex<BTreeMap<String, SecretData>>);

impl Vault {
    fn put(&self, name: &str, version: &str, values: &[(&str, &str)]) {
        let values = values.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        self.0.lock().expect("a lock").insert(name.to_owned(), SecretData::new(version, values));
    }
}

impl Secrets for Vault {
    fn read<'a>(&'a self, name: &'a str) -> Answer<'a, SecretData> {
        let found = self.0.lock().expect("a lock").get(name).cloned();
        async move { found.ok_or_else(|| ProviderError::Denied(format!("there is no Secret {name}"))) }.boxed()
    }
}

fn chain(environment: Environment, endpoint: Option<String>) -> Credentials {
    let trust = Arc::new(Trust::new(None, Arc::new(Vault::default())));
    let chain = Chain { environment, region: "eu-central-1".into(), endpoint, trust };
    Credentials::new(Source::Chain(Box::new(chain)))
}

fn without_metadata() -> Environment {
    Environment { metadata_disabled: true, ..Environment::default() }
}

/// A file with a token, removed at the end.
struct TokenFile(std::path::PathBuf);

impl TokenFile {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("windlass-{name}-{}", std::process::id()));
        std::fs::write(&path, "the-token\n").expect("a file");
        Self(path)
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

async fn id_of(credentials: &Credentials) -> String {
    credentials.get().await.expect("credentials").credentials.access_key_id().to_owned()
}

#[tokio::test]
async fn the_environment_comes_first() {
    let environment = Environment {
        access_key_id: Some("AKIAENV".into()),
        secret_access_key: Some("s".into()),
        container_full_uri: Some("http://127.0.0.1:1/".into()),
        ..without_metadata()
    };
    assert_eq!(id_of(&chain(environment, None)).await, "AKIAENV");
}

#[tokio::test]
async fn a_web_identity_is_exchanged_at_sts() {
    let sts = serve(|method, _, headers, body| {
        assert_eq!(*method, Method::POST);
        assert!(!headers.contains_key("authorization"), "nobody signs this");
        for part in ["Action=AssumeRoleWithWebIdentity", "WebIdentityToken=the-token", "RoleSessionName=windlass"] {
            assert!(body.contains(part), "{body}");
        }
        (200, ASSUMED.to_owned())
    })
    .await;
    let file = TokenFile::new("irsa");
    let environment = Environment {
        web_identity_token_file: Some(file.path()),
        role_arn: Some("arn:aws:iam::123456789012:role/windlass".into()),
        container_full_uri: Some("http://127.0.0.1:1/".into()),
        ..without_metadata()
    };
    assert_eq!(id_of(&chain(environment, Some(sts))).await, "ASIAASSUMED");
}

#[tokio::test]
async fn a_role_that_does_not_trust_us_is_a_denial_without_the_token() {
    let sts = serve(|_, _, _, body| {
        let error =
            format!("<ErrorResponse><Error><Code>AccessDenied</Code><Message>{body}</Message></Error></ErrorResponse>")
                .replace('&', "&amp;");
        (403, error)
    })
    .await;
    let file = TokenFile::new("untrusted");
    let environment = Environment {
        web_identity_token_file: Some(file.path()),
        role_arn: Some("arn:aws:iam::123456789012:role/windlass".into()),
        ..without_metadata()
    };
    let error = chain(environment, Some(sts)).get().await.expect_err("a denial");
    assert!(matches!(error, ProviderError::Denied(_)), "{error}");
    assert!(!error.to_string().contains("the-token"), "{error}");
}

#[tokio::test]
async fn pod_identity_is_asked_with_its_token() {
    let agent = serve(|_, uri, headers, _| {
        assert_eq!(uri.path(), "/v1/credentials");
        assert_eq!(headers["authorization"], "the-token");
        (200, OFFERED.to_owned())
    })
    .await;
    let file = TokenFile::new("pod");
    let environment = Environment {
        container_full_uri: Some(format!("{agent}/v1/credentials")),
        container_token_file: Some(file.path()),
        ..without_metadata()
    };
    assert_eq!(id_of(&chain(environment, None)).await, "ASIAOFFERED");
    let foreign = Environment { container_full_uri: Some("http://example.com/".into()), ..without_metadata() };
    let error = chain(foreign, None).get().await.expect_err("a denial");
    assert!(error.to_string().contains("without TLS only this host"), "{error}");
}

#[tokio::test]
async fn instance_metadata_is_asked_in_its_second_version_only() {
    let imds = serve(|method, uri, headers, _| {
        if *method == Method::PUT {
            assert_eq!(headers["x-aws-ec2-metadata-token-ttl-seconds"], "60");
            return (200, "imds-token".to_owned());
        }
        assert_eq!(headers["x-aws-ec2-metadata-token"], "imds-token");
        match uri.path() {
            "/latest/meta-data/iam/security-credentials/" => (200, "node-role\n".to_owned()),
            "/latest/meta-data/iam/security-credentials/node-role" => (200, OFFERED.to_owned()),
            other => panic!("{other}"),
        }
    })
    .await;
    let environment = Environment { metadata_endpoint: Some(imds), ..Environment::default() };
    assert_eq!(id_of(&chain(environment, None)).await, "ASIAOFFERED");
}

#[tokio::test]
async fn no_credentials_at_all_are_a_denial_that_names_the_places() {
    let error = chain(without_metadata(), None).get().await.expect_err("a denial");
    assert!(matches!(error, ProviderError::Denied(_)), "{error}");
    for place in ["environment", "IRSA", "EKS Pod Identity", "IMDSv2", "spec.provider.aws.credentialsSecret"] {
        assert!(error.to_string().contains(place), "{error}");
    }
}

#[tokio::test]
async fn credentials_that_end_soon_are_fetched_anew_and_used_when_that_fails() {
    static ASKED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let agent = serve(|_, _, _, _| {
        let n = ASKED.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(2);
        let text = OFFERED.replace("2126-11-22T12:00:00Z", &soon.to_string()).replace("OFFERED", &n.to_string());
        (if n < 2 { 200 } else { 500 }, text)
    })
    .await;
    let environment = Environment { container_full_uri: Some(agent), ..without_metadata() };
    let credentials = chain(environment, None);
    assert_eq!(id_of(&credentials).await, "ASIA0");
    assert_eq!(id_of(&credentials).await, "ASIA1");
    assert_eq!(id_of(&credentials).await, "ASIA1", "the endpoint fails, and these are good for two minutes");
}

#[tokio::test]
async fn a_changed_secret_is_used_and_a_bad_one_is_named() {
    let vault = Arc::new(Vault::default());
    let secrets: Arc<dyn Secrets> = vault.clone();
    let credentials = Credentials::new(Source::Secret { name: "keys".into(), secrets });
    let error = credentials.get().await.expect_err("no Secret");
    assert!(matches!(&error, ProviderError::Denied(text) if text.contains("there is no Secret keys")), "{error}");
    vault.put("keys", "1", &[("aws_access_key_id", "AKIA1")]);
    let error = credentials.get().await.expect_err("half a Secret");
    assert!(error.to_string().contains("Secret keys has no text under its key aws_secret_access_key"), "{error}");
    vault.put("keys", "2", &[("aws_access_key_id", "AKIA2"), ("aws_secret_access_key", "s\n")]);
    let first = credentials.get().await.expect("credentials");
    assert_eq!(first.credentials.secret_access_key(), "s");
    assert!(Arc::ptr_eq(&first, &credentials.get().await.expect("credentials")), "kept while unchanged");
    assert!(credentials.other_than(&first).await.expect("an answer").is_none());
    vault.put("keys", "3", &[("aws_access_key_id", "AKIA3"), ("aws_secret_access_key", "s")]);
    let other = credentials.other_than(&first).await.expect("an answer").expect("other credentials");
    assert_eq!(other.credentials.access_key_id(), "AKIA3");
}

#[test]
fn nothing_secret_is_printed() {
    let keys = Keys::new("AKIAPLANTED", "plantedkey", Some("plantedtoken".into()), None, "test");
    let session = Session::new(keys);
    let environment = Environment { secret_access_key: Some("plantedkey".into()), ..Environment::default() };
    let shown = format!("{session:?} {environment:?}");
    assert!(!shown.to_lowercase().contains("planted"), "{shown}");
    let echoed = session.without_secrets("you sent plantedtoken, plantedkey and AKIAPLANTED");
    assert_eq!(echoed, "you sent ***, *** and ***");
}
