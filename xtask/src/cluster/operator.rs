//! The operator as a process of the cluster: the shipped arguments, and the rights of its ServiceAccount.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};

use super::install::NAMESPACE;
use super::kubeconfig::{self, Credential};
use super::process::Spec;
use super::{Cluster, servers, wait};

/// The name of the operator that `up` starts.
pub(super) const DEFAULT_NAME: &str = "operator";
/// How long the operator's token holds, in seconds: a day, longer than any story.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;
/// How long an operator may take to be ready, in minutes: it fills its stores, which is seconds for hundreds of nodes.
const PATIENCE: Duration = Duration::from_mins(1);

/// An operator that was started in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Its name in the cluster, for [`Cluster::kill`], [`Cluster::restart`] and the others.
    pub name: String,
    /// Where it serves `/healthz`, `/readyz` and `/metrics`.
    pub url: String,
}

impl Cluster {
    /// Starts one more operator under `name`, which becomes its identity in leader election. It is not waited for.
    ///
    /// # Errors
    /// One of that name runs already, or the chart is not installed.
    pub async fn start_operator(&self, name: &str) -> Result<Operator> {
        self.start_operator_with(name, &[]).await
    }

    /// The same with more variables in its environment.
    ///
    /// # Errors
    /// As above.
    pub async fn start_operator_with(&self, name: &str, more: &[(&str, &str)]) -> Result<Operator> {
        let kubeconfig = self.operator_kubeconfig().await?;
        let [port] = servers::free_ports()?;
        let mut args = self.shipped_args().await?;
        args.retain(|arg| !arg.starts_with("--listen"));
        args.push(format!("--listen=127.0.0.1:{port}"));
        let variables = [("KUBECONFIG", kubeconfig.display().to_string()), ("POD_NAME", name.to_owned())];
        let mut env: BTreeMap<_, _> = variables.map(|(name, value)| (name.to_owned(), value)).into();
        env.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let program = self.programs()?.windlass.clone();
        tracing::info!("starting {name}");
        self.processes.start(Spec { name: name.to_owned(), program, args, env })?;
        Ok(Operator { name: name.to_owned(), url: format!("http://127.0.0.1:{port}") })
    }

    /// Waits until the operator says at `/readyz` that it can work.
    ///
    /// # Errors
    /// It ended, or is not ready in time; the message carries the end of its log.
    pub async fn operator_is_ready(&self, operator: &Operator) -> Result<()> {
        let url = format!("{}/readyz", operator.url);
        let client = reqwest::Client::builder().timeout(wait::PROBE_TIMEOUT).no_proxy().build()?;
        let ready = async || Ok(client.get(&url).send().await?.status().is_success());
        wait::until(&self.processes, &operator.name, "the operator is ready", PATIENCE, ready).await
    }

    /// The operator that was started under `name`, alive or not.
    ///
    /// # Errors
    /// There was none.
    pub fn operator(&self, name: &str) -> Result<Operator> {
        let spec = self.processes.spec(name)?;
        let address = spec.args.iter().find_map(|arg| arg.strip_prefix("--listen="));
        let address = address.with_context(|| format!("{name} is no operator"))?;
        Ok(Operator { name: name.to_owned(), url: format!("http://{address}") })
    }

    /// The arguments of the Deployment that the chart installed, so that what ships is what is tested.
    async fn shipped_args(&self) -> Result<Vec<String>> {
        let deployments: Api<Deployment> = Api::namespaced(self.client().await?, NAMESPACE);
        let pod = deployments.get("windlass").await?.spec.and_then(|spec| spec.template.spec);
        let container = pod.into_iter().flat_map(|pod| pod.containers).next();
        container.and_then(|container| container.args).context("the Deployment windlass has no arguments")
    }

    /// A client with the rights of the operator, neither more nor less.
    ///
    /// # Errors
    /// The chart is not installed.
    pub async fn operator_client(&self) -> Result<kube::Client> {
        super::client(&self.operator_kubeconfig().await?).await
    }

    /// Writes the operator's kubeconfig, with a fresh token of its `ServiceAccount`.
    async fn operator_kubeconfig(&self) -> Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, NAMESPACE);
        let spec = TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let answer = accounts.create_token_request("windlass", &PostParams::default(), &request).await?;
        let token = answer.status.context("the API server issued no token")?.token;
        let path = self.dir.join("operator.kubeconfig");
        kubeconfig::write(&path, self.server(), &self.dir.join("pki/ca.crt"), &Credential::Token(&token))?;
        Ok(path)
    }
}
