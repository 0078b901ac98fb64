//! Starting the control plane: the servers in order, each asked for its health before the next.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Certificate, Client, Identity};

use super::audit;
use super::kubeconfig::{self, Credential};
use super::pki::Pki;
use super::process::Processes;
use super::servers::{NodeLifecycle, Ports, Setup};
use super::wait;
use crate::control_plane::Binaries;

/// How often to try with other ports when somebody took one between our look and the server's start.
const ATTEMPTS: u32 = 3;
/// How long a server may take to be healthy, in seconds; 5 s were seen on 2 idle cores, a compiler beside it takes more.
const PATIENCE: Duration = Duration::from_secs(90);

/// Starts etcd, API server, controller-manager and scheduler, and returns the processes and the API server's URL.
pub(super) async fn control_plane(
    dir: &Path,
    binaries: &Binaries,
    pki: &Pki,
    node_lifecycle: NodeLifecycle,
) -> Result<(Processes, String)> {
    fs::write(dir.join("audit-policy.yaml"), audit::POLICY)?;
    let health = health_client(pki)?;
    let mut attempt = 1;
    loop {
        let ports = Ports::free()?;
        let setup = Setup { dir, binaries, pki, ports: &ports, node_lifecycle };
        write_kubeconfigs(&setup)?;
        let processes = Processes::new(dir)?;
        match start(&setup, &processes, &health).await {
            Ok(()) => return Ok((processes, ports.server())),
            Err(error) if attempt < ATTEMPTS && format!("{error:#}").contains("address already in use") => {
                tracing::info!("a port was taken meanwhile, trying others");
                attempt += 1;
                drop(processes);
                fs::remove_dir_all(dir.join("etcd")).context("cannot remove etcd's data")?;
                fs::remove_dir_all(dir.join("logs")).context("cannot remove the logs")?;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn start(setup: &Setup<'_>, processes: &Processes, client: &Client) -> Result<()> {
    tracing::info!("starting etcd, kube-apiserver, kube-controller-manager, kube-scheduler");
    for (spec, (name, url)) in setup.specs().into_iter().zip(setup.ports.health()) {
        processes.start(spec)?;
        let healthy = async || Ok(client.get(&url).send().await?.status().is_success());
        wait::until(processes, name, &format!("{name} is healthy"), PATIENCE, healthy).await?;
    }
    Ok(())
}

fn write_kubeconfigs(setup: &Setup<'_>) -> Result<()> {
    let identities =
        [("kube-controller-manager", &setup.pki.controller_manager), ("kube-scheduler", &setup.pki.scheduler)];
    for (name, identity) in identities {
        let credential = Credential::Certificate(identity);
        kubeconfig::write(&setup.kubeconfig(name), &setup.ports.server(), &setup.pki.ca, &credential)?;
    }
    Ok(())
}

/// A client that trusts the cluster's authority only and shows the administrator's certificate.
fn health_client(pki: &Pki) -> Result<Client> {
    let authority = Certificate::from_pem(&fs::read(&pki.ca)?)?;
    let mut identity = fs::read(&pki.admin.cert)?;
    identity.extend(fs::read(&pki.admin.key)?);
    let builder = Client::builder().tls_certs_only([authority]).identity(Identity::from_pem(&identity)?);
    Ok(builder.timeout(wait::PROBE_TIMEOUT).no_proxy().build()?)
}
