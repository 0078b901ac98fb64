//! The cluster's own certificate authority and every certificate of it. Nothing in the cluster skips verification.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use super::process::write_private;

/// How long the certificates hold, in days before and after now: clocks may differ a little, and a cluster for
/// development does not outlive a year.
const VALID_DAYS: (i64, i64) = (1, 365);

/// A certificate and its key, both PEM files.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// The certificate.
    pub cert: PathBuf,
    /// Its private key, PKCS#8, readable by the owner only.
    pub key: PathBuf,
}

/// All keys and certificates of one cluster, as files.
pub(super) struct Pki {
    /// The authority that everyone trusts.
    pub ca: PathBuf,
    /// Serves etcd, and lets the API server in.
    pub etcd: Identity,
    /// Serves the API, and identifies the API server to etcd and to kubelets.
    pub apiserver: Identity,
    /// Serves health of controller-manager and scheduler.
    pub loopback: Identity,
    /// A cluster administrator (group `system:masters`).
    pub admin: Identity,
    /// The controller-manager's user.
    pub controller_manager: Identity,
    /// The scheduler's user.
    pub scheduler: Identity,
    /// The simulated machines' user.
    pub winfleet: Identity,
    /// Serves pod logs of the simulated kubelets.
    pub kubelet: Identity,
    /// Signs service account tokens.
    pub service_account_key: PathBuf,
    /// Verifies them.
    pub service_account_public_key: PathBuf,
}

impl Pki {
    /// Makes all of it in `dir`.
    pub fn create(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let mut params = params("windlass-cluster-ca", None)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let ca_path = dir.join("ca.crt");
        write_private(&ca_path, ca.pem().as_bytes())?;
        let service_account_key = dir.join("service-account.key");
        let service_account_public_key = dir.join("service-account.pub");
        let signer = KeyPair::generate()?;
        write_private(&service_account_key, signer.serialize_pem().as_bytes())?;
        write_private(&service_account_public_key, signer.public_key_pem().as_bytes())?;
        let issue = |file, user, group| issue(&ca, dir, file, &params_of(user, group)?);
        Ok(Self {
            ca: ca_path,
            etcd: issue("etcd", "etcd", None)?,
            apiserver: issue("apiserver", "kube-apiserver", None)?,
            loopback: issue("loopback", "loopback", None)?,
            admin: issue("admin", "admin", Some("system:masters"))?,
            controller_manager: issue("controller-manager", "system:kube-controller-manager", None)?,
            scheduler: issue("scheduler", "system:kube-scheduler", None)?,
            // The kubelets' own group: it gives no right here, but the API server's fair queueing puts their heartbeats
            // before other traffic, as in a real cluster.
            winfleet: issue("winfleet", "winfleet", Some("system:nodes"))?,
            kubelet: issue("kubelet", "system:node:winfleet", Some("system:nodes"))?,
            service_account_key,
            service_account_public_key,
        })
    }
}

/// A certificate for both sides of TLS: everything here listens on loopback, and etcd and the API server are both.
fn params_of(user: &str, group: Option<&str>) -> Result<CertificateParams> {
    let mut params = params(user, group)?;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let mut names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    for name in ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"] {
        names.push(SanType::DnsName(name.try_into()?));
    }
    params.subject_alt_names = names;
    Ok(params)
}

/// A subject as Kubernetes reads it: the common name is the user, the organization the group.
fn params(user: &str, group: Option<&str>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    let date = |days: i64| -> Result<_> {
        let date = Timestamp::now().checked_add(SignedDuration::from_hours(24 * days))?.in_tz("UTC")?.date();
        Ok(date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs()))
    };
    params.not_before = date(-VALID_DAYS.0)?;
    params.not_after = date(VALID_DAYS.1)?;
    Ok(params)
}

fn issue(ca: &CertifiedIssuer<'_, KeyPair>, dir: &Path, file: &str, params: &CertificateParams) -> Result<Identity> {
    let key = KeyPair::generate()?;
    let identity = Identity { cert: dir.join(format!("{file}.crt")), key: dir.join(format!("{file}.key")) };
    write_private(&identity.cert, params.signed_by(&key, ca)?.pem().as_bytes())?;
    write_private(&identity.key, key.serialize_pem().as_bytes())?;
    Ok(identity)
}
