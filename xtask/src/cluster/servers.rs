//! The command lines of the control plane's servers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::pki::Pki;
use super::process::Spec;
use crate::control_plane::Binaries;

/// When the node-lifecycle controller gives up on a node that stopped its heartbeat.
#[derive(Clone, Copy, Debug)]
pub struct NodeLifecycle {
    /// How often it looks; Kubernetes' default is 5 s.
    pub monitor_period: Duration,
    /// How long a heartbeat may be missing before the node is Unknown; Kubernetes' default is 50 s.
    pub monitor_grace_period: Duration,
}

impl Default for NodeLifecycle {
    /// Quick, for stories of minutes: 1 s and 10 s. Evictions by taint keep Kubernetes' 300 s.
    fn default() -> Self {
        Self { monitor_period: Duration::from_secs(1), monitor_grace_period: Duration::from_secs(10) }
    }
}

/// The ports of one start, all free a moment ago.
pub(super) struct Ports {
    etcd: u16,
    etcd_peer: u16,
    apiserver: u16,
    controller_manager: u16,
    scheduler: u16,
}

impl Ports {
    /// Asks the system for free ports. Another process may take one before we do: the caller then tries again.
    pub fn free() -> Result<Self> {
        let [etcd, etcd_peer, apiserver, controller_manager, scheduler] = free_ports()?;
        Ok(Self { etcd, etcd_peer, apiserver, controller_manager, scheduler })
    }

    /// The URL of the API server.
    pub fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.apiserver)
    }

    /// Where each server says that it is healthy, in the order of [`specs`].
    pub fn health(&self) -> [(&'static str, String); 4] {
        [
            ("etcd", format!("https://127.0.0.1:{}/readyz", self.etcd)),
            ("kube-apiserver", format!("{}/readyz", self.server())),
            ("kube-controller-manager", format!("https://127.0.0.1:{}/healthz", self.controller_manager)),
            ("kube-scheduler", format!("https://127.0.0.1:{}/readyz", self.scheduler)),
        ]
    }
}

/// `N` different ports that are free on loopback now.
pub(super) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    let mut held = Vec::new(); // all bound at once, so that they differ
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Everything the command lines are made of.
pub(super) struct Setup<'a> {
    /// The cluster's folder.
    pub dir: &'a Path,
    /// The programs.
    pub binaries: &'a Binaries,
    /// The certificates.
    pub pki: &'a Pki,
    /// The ports.
    pub ports: &'a Ports,
    /// Times of the node-lifecycle controller.
    pub node_lifecycle: NodeLifecycle,
}

impl Setup<'_> {
    /// The four servers, in the order in which they are started.
    pub fn specs(&self) -> [Spec; 4] {
        [self.etcd(), self.apiserver(), self.controller_manager(), self.scheduler()]
    }

    /// The kubeconfig file of one of the servers.
    pub fn kubeconfig(&self, server: &str) -> PathBuf {
        self.dir.join(format!("{server}.kubeconfig"))
    }

    fn etcd(&self) -> Spec {
        let (client, peer) = (url(self.ports.etcd), url(self.ports.etcd_peer));
        let (ca, identity) = (path(&self.pki.ca), &self.pki.etcd);
        spec(
            "etcd",
            &self.binaries.etcd,
            [
                format!("--data-dir={}", self.dir.join("etcd").display()),
                "--name=windlass".to_owned(),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster=windlass={peer}"),
                "--client-cert-auth=true".to_owned(),
                format!("--trusted-ca-file={ca}"),
                format!("--cert-file={}", path(&identity.cert)),
                format!("--key-file={}", path(&identity.key)),
                "--peer-client-cert-auth=true".to_owned(),
                format!("--peer-trusted-ca-file={ca}"),
                format!("--peer-cert-file={}", path(&identity.cert)),
                format!("--peer-key-file={}", path(&identity.key)),
                // The data is thrown away with the cluster; a disk shared with a compiler makes fsync slow.
                "--unsafe-no-fsync=true".to_owned(),
                "--log-level=warn".to_owned(),
            ],
        )
    }

    fn apiserver(&self) -> Spec {
        let (ca, identity, pki) = (path(&self.pki.ca), &self.pki.apiserver, self.pki);
        let (cert, key) = (path(&identity.cert), path(&identity.key));
        spec(
            "kube-apiserver",
            &self.binaries.kube_apiserver,
            [
                format!("--etcd-servers={}", url(self.ports.etcd)),
                format!("--etcd-cafile={ca}"),
                format!("--etcd-certfile={cert}"),
                format!("--etcd-keyfile={key}"),
                "--bind-address=127.0.0.1".to_owned(),
                "--advertise-address=127.0.0.1".to_owned(),
                format!("--secure-port={}", self.ports.apiserver),
                // No pod reaches the API through the `kubernetes` Service here, and it may not point at loopback.
                "--endpoint-reconciler-type=none".to_owned(),
                format!("--tls-cert-file={cert}"),
                format!("--tls-private-key-file={key}"),
                format!("--client-ca-file={ca}"),
                format!("--kubelet-certificate-authority={ca}"),
                format!("--kubelet-client-certificate={cert}"),
                format!("--kubelet-client-key={key}"),
                "--kubelet-preferred-address-types=InternalIP".to_owned(),
                format!("--service-account-key-file={}", path(&pki.service_account_public_key)),
                format!("--service-account-signing-key-file={}", path(&pki.service_account_key)),
                "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
                "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
                "--authorization-mode=RBAC".to_owned(),
                // Agent pods are HostProcess pods, the most privileged kind.
                "--allow-privileged=true".to_owned(),
                format!("--audit-policy-file={}", self.dir.join("audit-policy.yaml").display()),
                format!("--audit-log-path={}", self.dir.join("logs/audit.log").display()),
            ],
        )
    }

    fn controller_manager(&self) -> Spec {
        let times = self.node_lifecycle;
        let mut spec = self.client("kube-controller-manager", self.ports.controller_manager);
        spec.args.extend([
            "--use-service-account-credentials=true".to_owned(),
            format!("--service-account-private-key-file={}", path(&self.pki.service_account_key)),
            format!("--root-ca-file={}", path(&self.pki.ca)),
            format!("--node-monitor-period={}ms", times.monitor_period.as_millis()),
            format!("--node-monitor-grace-period={}ms", times.monitor_grace_period.as_millis()),
        ]);
        spec
    }

    fn scheduler(&self) -> Spec {
        self.client("kube-scheduler", self.ports.scheduler)
    }

    /// What controller-manager and scheduler have in common.
    fn client(&self, name: &str, port: u16) -> Spec {
        let program = match name {
            "kube-scheduler" => &self.binaries.kube_scheduler,
            _ => &self.binaries.kube_controller_manager,
        };
        let kubeconfig = self.kubeconfig(name);
        let kubeconfig = kubeconfig.display();
        let identity = &self.pki.loopback;
        spec(
            name,
            program,
            [
                format!("--kubeconfig={kubeconfig}"),
                format!("--authentication-kubeconfig={kubeconfig}"),
                format!("--authorization-kubeconfig={kubeconfig}"),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--secure-port={port}"),
                format!("--tls-cert-file={}", path(&identity.cert)),
                format!("--tls-private-key-file={}", path(&identity.key)),
                // Nobody but our health probes talks to these servers, and health needs no login.
                "--authentication-skip-lookup=true".to_owned(),
                "--leader-elect=false".to_owned(),
                // Hundreds of nodes in one process make bursts that the defaults (20 to 50 a second) would stretch.
                "--kube-api-qps=200".to_owned(),
                "--kube-api-burst=400".to_owned(),
            ],
        )
    }
}

fn spec<const N: usize>(name: &str, program: &Path, args: [String; N]) -> Spec {
    Spec { name: name.to_owned(), program: program.to_owned(), args: args.into(), env: BTreeMap::new() }
}

fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
