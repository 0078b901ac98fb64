//! What the disk holds that cluster and domain know the machine by.

use super::border::{Doing, optional, unexpected};
use super::clock::domain;
use super::{WindowsHost, registry};
use crate::host::{HostResult, Identity};
use crate::shape::{certificate, password};
use jiff::Timestamp;
use std::fs;

/// Where the kubelet keeps the client certificate that it renews by itself: its default `--cert-dir`, as kubeadm and
/// Calico's installer leave it.
const KUBELET: &str = r"C:\var\lib\kubelet\pki\kubelet-client-current.pem";

/// When the machine's password was set; only SYSTEM may read it. The value's name is empty.
const SET: &str = r"SECURITY\Policy\Secrets\$MACHINE.ACC\CupdTime";

/// Netlogon's settings, where the policies of the same names write to as well.
const NETLOGON: &str = r"SYSTEM\CurrentControlSet\Services\Netlogon\Parameters";

impl Identity for WindowsHost {
    fn kubelet_certificate_ends(&self) -> HostResult<Option<Timestamp>> {
        let Some(pem) = optional(fs::read_to_string(KUBELET).doing(KUBELET))? else { return Ok(None) };
        certificate::ends(&pem).map(Some).ok_or_else(|| unexpected(format!("{KUBELET}: holds no certificate")))
    }

    fn machine_password_due(&self) -> HostResult<Option<Timestamp>> {
        if domain()?.is_none() {
            return Ok(None);
        }
        let Some(set) = registry::bytes(SET, "")? else { return Ok(None) };
        let maximum_age = registry::number(NETLOGON, "MaximumPasswordAge")?;
        let disabled = registry::number(NETLOGON, "DisablePasswordChange")?;
        password::due(&set, maximum_age, disabled).map_err(|why| unexpected(format!(r"HKLM\{SET}: {why}")))
    }
}
