//! Probing a node that is in service, while its ring soaks (needs a client).

use super::{Expect, ProbeVerdict, Subject, host, one};
use crate::act::ActError;
use crate::act::means::Means;
use crate::act::pods::Owner;
use crate::api::{Probe, UpdatePolicySpec};
use crate::domain::{Build, NodeState};
use futures::future::try_join_all;
use jiff::Timestamp;

/// One probing of one node in service.
#[derive(Clone, Copy)]
pub struct InService<'a> {
    /// What effects work with.
    pub means: &'a Means,
    /// The time.
    pub now: Timestamp,
    /// Name of the rollout.
    pub rollout: &'a str,
    /// UID of the rollout.
    pub rollout_uid: &'a str,
    /// The node.
    pub node: &'a NodeState,
    /// The policy, frozen.
    pub policy: &'a UpdatePolicySpec,
    /// The build that the node must at least have.
    pub build: Build,
    /// How much is done.
    pub depth: Depth,
    /// What tells this probing from others of the rollout: its pods are named by it.
    pub run: &'a str,
}

/// How much a probing of one node does. The probes `node` and `build` cost nothing and are always made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Whether probes are made that need a pod on the node.
    pub pods: bool,
    /// Whether probes are made that speak of the whole and not of one node.
    pub whole: bool,
}

impl Depth {
    fn includes(self, probe: &Probe) -> bool {
        let needs_pod = probe.pod.is_some() || probe.http.is_some();
        let of_whole = probe.cel.is_some() || probe.prometheus.is_some();
        // The agent is not asked.
        probe.host.is_none() && (self.pods || !needs_pod) && (self.whole || !of_whole)
    }
}

/// Runs the policy's probes once on a node in service, or looks how they came along; each with its verdict, in the
/// order of the policy. It is called again, with the same `run`, until no verdict is [`ProbeVerdict::Running`].
///
/// # Guarantees
/// No verdict is [`ProbeVerdict::NotYet`]: of a node in service, what is not as it should be has failed. What
/// nobody knows stays [`ProbeVerdict::Inconclusive`]; so does what the API server refuses to have asked, a pod that may not
/// be made: whoever asks has a deadline for it. The pods stay; [`Whose::Soak`](super::super::Whose::Soak) deletes them.
///
/// # Errors
/// [`ActError`] when the API server gives nothing that says anything about the node, and may do so the next time.
pub async fn probe_in_service(probing: &InService<'_>) -> Result<Vec<(String, ProbeVerdict)>, ActError> {
    let subject = subject(probing);
    let probes = probing.policy.verify.probes.iter().filter(|probe| probing.depth.includes(probe));
    let verdicts = probes.map(|probe| async {
        let verdict = match one(&subject, probe, &host::Proof::Updated).await {
            Err(error) if error.is_refused() => ProbeVerdict::Inconclusive(error.to_string()),
            other => final_verdict(other?),
        };
        Ok::<_, ActError>((probe.name.clone(), verdict))
    });
    try_join_all(verdicts).await
}

fn subject<'a>(probing: &InService<'a>) -> Subject<'a> {
    Subject {
        means: probing.means,
        now: probing.now,
        node: probing.node,
        policy: probing.policy,
        expect: Expect { build: probing.build, exact: false },
        owner: Owner::Rollout { name: probing.rollout.to_owned(), uid: probing.rollout_uid.to_owned() },
        run: format!("{}/{}/{}", probing.rollout_uid, probing.node.node.uid, probing.run),
        key: None,
        // The soak counts failures over several probings itself.
        tries: 1,
    }
}

fn final_verdict(verdict: ProbeVerdict) -> ProbeVerdict {
    match verdict {
        ProbeVerdict::NotYet(why) => ProbeVerdict::Failed(why),
        other => other,
    }
}
