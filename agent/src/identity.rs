//! Until when the disk as it is now is let in by cluster and domain: read when the baseline is, right before a snapshot.

use crate::host::{Host, HostResult};
use jiff::{SignedDuration, Timestamp};
use windlass_protocol::{DiskIdentity, HostCheck, Verdict};

/// A password that is overdue for longer is not being changed: the domain may refuse changes, and then none comes.
/// Netlogon tries every 15 minutes (its `ScavengeInterval`), so that a day is many tries.
const OVERDUE: SignedDuration = SignedDuration::from_hours(24);

/// Reads it. What can not be read is told by checks, and sets no limit.
pub(crate) fn read(host: &dyn Host, now: Timestamp) -> (DiskIdentity, Vec<HostCheck>) {
    let mut untold = Vec::new();
    let mut ask = |what: &str, answer: HostResult<Option<Timestamp>>| {
        answer.unwrap_or_else(|error| {
            untold.push(inconclusive(format!("until when {what} counts is not known: {error}")));
            None
        })
    };
    let kubelet_certificate = ask("the kubelet's client certificate", host.kubelet_certificate_ends());
    let password = ask("the machine's password in the domain", host.machine_password_due());
    let machine_password = password.filter(|due| now.duration_since(*due) < OVERDUE);
    (DiskIdentity { kubelet_certificate, machine_password }, untold)
}

fn inconclusive(detail: String) -> HostCheck {
    let (value, threshold) = (String::new(), String::new());
    HostCheck { name: DiskIdentity::CHECK.to_owned(), verdict: Verdict::Inconclusive, value, threshold, detail }
}
