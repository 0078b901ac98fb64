//! Asking the API server as a strict client does, and hearing its very words.

use super::cases::Kind;
use anyhow::{Context, Result};
use kube::Client;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::Request;
use serde_json::Value;

/// Whether it is only asked or also done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Asked only.
    DryRun,
    /// Done.
    ForReal,
}

/// Creates an object. The inner error is the API server's message.
pub async fn create(client: &Client, kind: Kind, object: &Value, mode: Mode) -> Result<Result<(), String>> {
    let params = PostParams { dry_run: mode == Mode::DryRun, ..PostParams::default() };
    let mut request = Request::new(collection(kind)).create(&params, serde_json::to_vec(object)?)?;
    // kubectl asks for this; kube's create has no word for it.
    let separator = if request.uri().query().is_some_and(|query| !query.is_empty()) { "&" } else { "?" };
    let strict = format!("{}{separator}fieldValidation=Strict", request.uri().to_string().trim_end_matches(['?', '&']));
    *request.uri_mut() = strict.parse().context("the request's URI")?;
    Ok(heard(client.request::<DynamicObject>(request).await)?)
}

/// Merges a change into the spec of a stored object.
pub async fn change(client: &Client, kind: Kind, name: &str, spec: &Value, mode: Mode) -> Result<Result<(), String>> {
    let params = PatchParams { dry_run: mode == Mode::DryRun, ..PatchParams::default() };
    let patch = Patch::Merge(serde_json::json!({"spec": spec}));
    let request = Request::new(collection(kind)).patch(name, &params, &patch)?;
    Ok(heard(client.request::<DynamicObject>(request).await)?)
}

fn collection(kind: Kind) -> String {
    format!("/apis/windlass.dev/v1alpha1/{}", kind.plural)
}

fn heard<T>(answer: Result<T, kube::Error>) -> Result<Result<(), String>, kube::Error> {
    match answer {
        Ok(_) => Ok(Ok(())),
        Err(kube::Error::Api(status)) => Ok(Err(status.message.clone())),
        Err(error) => Err(error),
    }
}
