//! Probe `node` (no client): the node is Ready, and has been for a while.

use super::{ProbeVerdict, Subject};
use crate::api::NodeProbe;
use crate::domain::Readiness;

pub(super) fn probe(subject: &Subject<'_>, probe: &NodeProbe) -> ProbeVerdict {
    let wanted = probe.ready_for;
    match subject.node.readiness {
        Readiness::Ready(since) if subject.now.duration_since(since).unsigned_abs() >= wanted.get() => {
            ProbeVerdict::Passed
        }
        Readiness::Ready(_) => ProbeVerdict::NotYet(format!("the node is to be Ready for {wanted}")),
        Readiness::NotReady(_) | Readiness::Unknown => ProbeVerdict::NotYet("the node is not Ready".to_owned()),
    }
}
