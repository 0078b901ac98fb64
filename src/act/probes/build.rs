//! Probe `build` (no client): the node has the build that was planned.

use super::{ProbeVerdict, Subject};

pub(super) fn probe(subject: &Subject<'_>) -> ProbeVerdict {
    let expect = subject.expect;
    let message = match subject.node.build {
        Some(build) if expect.holds(build) => return ProbeVerdict::Passed,
        Some(build) => format!("the build is {build}, {}", expect.wanted()),
        None => format!("the node's kernelVersion is no Windows build, {}", expect.wanted()),
    };
    // After a restore the Node object may show the old state until the kubelet has written the new one.
    if expect.exact { ProbeVerdict::NotYet(message) } else { ProbeVerdict::Failed(message) }
}
