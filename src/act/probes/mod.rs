//! The probes: what must hold of a node. One kind per file; each gives a verdict, and names what is wrong.

mod build;
mod cel;
pub(super) mod host;
mod http;
mod in_service;
mod node;
mod pod;
mod prometheus;

pub use cel::cel_syntax_error;
pub use in_service::{Depth, InService, probe_in_service};

use super::means::Means;
use super::pods::Owner;
use super::{ActContext, ActError, wait};
use crate::api::{Probe, UpdatePolicySpec};
use crate::domain::{Build, NodeState, StepKey, StepResult, WaitingOn};
use futures::future::try_join_all;
use jiff::Timestamp;
use std::time::Duration;

/// How soon to look again at probes that are not through.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum ProbeVerdict {
    /// As it should be.
    Passed,
    /// Under way: a pod is not at its end.
    Running,
    /// Not as it should be, but that may come; why.
    NotYet(String),
    /// Not known, because who should know does not say; why.
    Inconclusive(String),
    /// Not as it should be; why.
    Failed(String),
}

/// The build a node must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expect {
    pub build: Build,
    /// Whether exactly this build is wanted, and not a later one of the same Windows version.
    pub exact: bool,
}

impl Expect {
    fn holds(self, build: Build) -> bool {
        if self.exact { build == self.build } else { build.same_os(self.build) && build >= self.build }
    }

    fn wanted(self) -> String {
        let how = if self.exact { "exactly" } else { "at least" };
        format!("{how} {} is wanted", self.build)
    }
}

/// What is probed.
pub(super) struct Subject<'a> {
    pub means: &'a Means,
    pub now: Timestamp,
    pub node: &'a NodeState,
    pub policy: &'a UpdatePolicySpec,
    pub expect: Expect,
    /// For whom.
    pub owner: Owner,
    /// What tells the pods of this probing from those of another.
    pub run: String,
    /// The step that asks; soak has none, and does not ask the agent.
    pub key: Option<&'a StepKey>,
    /// How often a pod may fail in a row before that counts.
    pub tries: u32,
}

impl<'a> Subject<'a> {
    /// The node of a step.
    pub(super) fn of(ctx: &ActContext<'a>, node: &'a NodeState, key: &'a StepKey, expect: Expect) -> Self {
        let policy = &ctx.intent.policy;
        Self {
            means: ctx.means,
            now: ctx.now,
            node,
            policy,
            expect,
            owner: Owner::of(ctx.intent),
            run: key.digest(),
            key: Some(key),
            tries: u32::try_from(policy.verify.failure_threshold).unwrap_or(1).max(1),
        }
    }
}

/// Runs all probes of the policy at once. The build counts also where the policy does not ask for it: a node without it was not
/// updated, or not reverted.
pub(super) async fn all(subject: &Subject<'_>, proof: &host::Proof<'_>) -> Result<StepResult, ActError> {
    let probes = subject.policy.verify.probes.iter().map(|probe| async {
        let verdict = one(subject, probe, proof).await?;
        Ok::<_, ActError>((probe.name.clone(), verdict))
    });
    let mut verdicts = try_join_all(probes).await?;
    let asked = subject.policy.verify.probes.iter().any(|probe| probe.build.is_some());
    let unasked = Some(build::probe(subject)).filter(|verdict| !asked && *verdict != ProbeVerdict::Passed);
    verdicts.extend(unasked.map(|verdict| ("build".to_owned(), verdict)));
    Ok(Verdicts(verdicts).result())
}

/// Runs one probe.
async fn one(subject: &Subject<'_>, probe: &Probe, proof: &host::Proof<'_>) -> Result<ProbeVerdict, ActError> {
    if let Some(node) = &probe.node {
        return Ok(node::probe(subject, node));
    }
    if probe.build.is_some() {
        return Ok(build::probe(subject));
    }
    if probe.host.is_some() {
        return host::probe(subject, proof).await;
    }
    if let Some(pod) = &probe.pod {
        return pod::probe(subject, &probe.name, &pod.image, &pod.command, pod.timeout.get()).await;
    }
    if let Some(http) = &probe.http {
        return http::probe(subject, &probe.name, http).await;
    }
    if let Some(prometheus) = &probe.prometheus {
        return Ok(prometheus::probe(subject, prometheus).await);
    }
    match &probe.cel {
        Some(cel) => Ok(cel::probe(subject.means, cel).await),
        None => Ok(ProbeVerdict::Failed(
            "it says nothing: one of node, build, host, pod, http, prometheus, cel must be set".into(),
        )),
    }
}

/// The verdicts of several probes, in the order of the policy.
pub(super) struct Verdicts(pub Vec<(String, ProbeVerdict)>);

impl Verdicts {
    /// What they come to: the first that failed, else those that are waited for.
    pub(super) fn result(&self) -> StepResult {
        let failed = self.0.iter().find_map(|(name, verdict)| match verdict {
            ProbeVerdict::Failed(why) => Some(format!("probe {name} failed: {why}")),
            ProbeVerdict::Passed | ProbeVerdict::Running | ProbeVerdict::NotYet(_) | ProbeVerdict::Inconclusive(_) => {
                None
            }
        });
        if let Some(message) = failed {
            return StepResult::failed(message);
        }
        let mut pending: Vec<_> = self.0.iter().filter_map(|(name, verdict)| waited_for(name, verdict)).collect();
        if pending.is_empty() {
            return StepResult::done(match self.0.len() {
                1 => "1 probe passed".to_owned(),
                n => format!("{n} probes passed"),
            });
        }
        pending.sort_unstable();
        wait(WaitingOn::Probes(pending), LOOK_AGAIN)
    }
}

fn waited_for(name: &str, verdict: &ProbeVerdict) -> Option<String> {
    match verdict {
        ProbeVerdict::Running => Some(name.to_owned()),
        ProbeVerdict::NotYet(why) | ProbeVerdict::Inconclusive(why) => Some(format!("{name} ({why})")),
        ProbeVerdict::Passed | ProbeVerdict::Failed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(list: &[(&str, ProbeVerdict)]) -> StepResult {
        Verdicts(list.iter().map(|(name, verdict)| ((*name).to_owned(), verdict.clone())).collect()).result()
    }

    #[test]
    fn the_first_failure_of_the_policys_order_is_told() {
        let failed = |why: &str| ProbeVerdict::Failed(why.into());
        let list = [("a", ProbeVerdict::Running), ("net", failed("x")), ("app", failed("y"))];
        assert_eq!(verdicts(&list), StepResult::failed("probe net failed: x"));
    }

    #[test]
    fn what_is_waited_for_is_named_and_sorted() {
        let list = [
            ("net", ProbeVerdict::Running),
            ("app", ProbeVerdict::NotYet("1 of 2".into())),
            ("a", ProbeVerdict::Passed),
        ];
        let StepResult::Pending { on, .. } = verdicts(&list) else { panic!("it is waited") };
        assert_eq!(on.to_string(), "probes to pass: app (1 of 2), net");
    }

    #[test]
    fn all_passed_is_done() {
        assert_eq!(verdicts(&[("a", ProbeVerdict::Passed)]), StepResult::done("1 probe passed"));
    }

    #[test]
    fn a_build_is_wanted_at_least_or_exactly() {
        let build = |ubr| Build::new(10, 0, 20348, ubr);
        let least = Expect { build: build(5), exact: false };
        assert!(least.holds(build(5)) && least.holds(build(10)) && !least.holds(build(4)));
        assert!(!least.holds(Build::new(10, 0, 26100, 9)), "another Windows version is no later build");
        let exact = Expect { exact: true, ..least };
        assert!(exact.holds(build(5)) && !exact.holds(build(10)));
    }
}
