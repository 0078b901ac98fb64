//! Probe `host` (needs a client): the agent compares the machine with its baseline, and proves whose disk it is.

use super::{ProbeVerdict, Subject};
use crate::act::agent::{Asked, Question, ask, ticket};
use crate::act::{ActError, report};
use crate::domain::StepKey;
use windlass_protocol::{AgentPhase, Command, HostProbe, Progress, Report, Verdict};

/// How often the agent is waited for because it is still at work after a boot: each time it works until it is through or
/// asks for a reboot, so that hardly more than once is needed.
const WAITS: u32 = 3;

/// What the agent's state must say, beside the checks of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::act) enum Proof<'a> {
    /// The pinned set is installed.
    Updated,
    /// The disk is that of this node update's snapshot.
    Restored {
        /// UID of the node update.
        uid: &'a str,
    },
}

/// What one answer of the agent comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Judged {
    Good,
    /// It is at work still; to be asked again.
    AtWork,
    /// Something is not as it was, which may come.
    Bad(String),
    /// Wrong for good.
    Wrong(String),
}

/// Asks the agent, again where something is not as it was: services take their time after a boot.
pub(in crate::act) async fn probe(subject: &Subject<'_>, proof: &Proof<'_>) -> Result<ProbeVerdict, ActError> {
    let Some(key) = subject.key else { return Ok(ProbeVerdict::Passed) };
    let host = HostProbe { expected_build: subject.expect.build, exact: subject.expect.exact };
    let (mut failures, mut last) = (0, String::new());
    for number in 1..=subject.tries + WAITS {
        let command = Command::Probe { host: host.clone() };
        let judged = match question(subject, key, &format!("probe-{number}"), command).await? {
            Asked::Pending(why) => return Ok(pending(why)),
            Asked::Unread(_) => return Ok(ProbeVerdict::Running),
            Asked::Report(answer) => judge(&answer, proof),
            Asked::Lost(why) => Judged::Bad(why),
        };
        match judged {
            Judged::Good => return Ok(ProbeVerdict::Passed),
            Judged::Wrong(why) => return Ok(ProbeVerdict::Failed(why)),
            Judged::AtWork => {
                "the agent is at work after the boot".clone_into(&mut last);
                let follow = Command::Collect { follow: true };
                let asked = question(subject, key, &format!("follow-{number}"), follow).await?;
                if matches!(asked, Asked::Pending(_) | Asked::Unread(_)) {
                    return Ok(ProbeVerdict::NotYet(last));
                }
            }
            Judged::Bad(why) => {
                failures += 1;
                last = why;
            }
        }
        if failures >= subject.tries {
            break;
        }
    }
    Ok(ProbeVerdict::Failed(last))
}

async fn question(subject: &Subject<'_>, key: &StepKey, purpose: &str, command: Command) -> Result<Asked, ActError> {
    let node = &subject.node.node.name;
    let question = Question { node, owner: &subject.owner, purpose, ticket: ticket(key), command };
    ask(subject.means, &question, subject.now).await
}

fn pending(why: Option<String>) -> ProbeVerdict {
    why.map_or(ProbeVerdict::Running, ProbeVerdict::NotYet)
}

fn judge(report: &Report, proof: &Proof<'_>) -> Judged {
    if report.progress == Progress::Failed && report.checks.is_empty() {
        return Judged::Bad(report::reason(report));
    }
    let state = match proof {
        Proof::Updated => updated(report),
        Proof::Restored { uid } => restored(report, uid),
    };
    if state != Judged::Good {
        return state;
    }
    let bad: Vec<_> = report
        .checks
        .iter()
        .filter(|check| check.verdict != Verdict::Pass)
        .map(|check| format!("{}: {}", check.name, check.detail))
        .collect();
    if bad.is_empty() { Judged::Good } else { Judged::Bad(bad.join("; ")) }
}

fn updated(report: &Report) -> Judged {
    use AgentPhase as P;
    match report.phase {
        P::RebootRequested | P::PostBoot | P::Rescan | P::Install => Judged::AtWork,
        P::MoreToInstall => Judged::Wrong("more of the pinned set wants installing".to_owned()),
        P::Failed | P::Unknown => Judged::Wrong(report::reason(report)),
        // A machine that had the build before we came was never worked on.
        P::Idle | P::Preflight | P::Scan | P::Download | P::Staged | P::Done => Judged::Good,
    }
}

fn restored(report: &Report, uid: &str) -> Judged {
    let (a, _) = report::nonces(uid);
    if report.nonces.a.as_deref() != Some(a.as_str()) {
        return Judged::Wrong("the disk is not that of the snapshot: what was written before it is missing".to_owned());
    }
    if report.nonces.b.is_some() {
        return Judged::Wrong(
            "the disk was not rewound: what was written after the snapshot is still there".to_owned(),
        );
    }
    if report.armed {
        return Judged::Wrong("the agent is armed: the next boot would install the update again".to_owned());
    }
    Judged::Good
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::report::tests::report as sample;
    use windlass_protocol::{HostCheck, Nonces};

    fn check(verdict: Verdict) -> HostCheck {
        let (value, threshold) = (String::new(), String::new());
        HostCheck { name: "services".into(), verdict, value, threshold, detail: "dns is stopped".into() }
    }

    #[test]
    fn only_a_passed_check_is_a_pass() {
        let mut report = sample(Progress::Done, AgentPhase::Done);
        assert_eq!(judge(&report, &Proof::Updated), Judged::Good);
        for verdict in [Verdict::Fail, Verdict::Inconclusive] {
            report.checks = vec![check(Verdict::Pass), check(verdict)];
            assert_eq!(judge(&report, &Proof::Updated), Judged::Bad("services: dns is stopped".into()));
        }
    }

    #[test]
    fn a_restore_is_proved_by_both_nonces() {
        let (a, b) = report::nonces("u");
        let proof = Proof::Restored { uid: "u" };
        let judged = |nonces: Nonces, armed| {
            judge(&Report { nonces, armed, ..sample(Progress::Done, AgentPhase::Staged) }, &proof)
        };
        let nonces = |a: Option<&String>, b: Option<&String>| Nonces { a: a.cloned(), b: b.cloned() };
        assert_eq!(judged(nonces(Some(&a), None), false), Judged::Good);
        for (wrong, armed) in [
            (nonces(None, None), false),
            (nonces(Some(&b), None), false),
            (nonces(Some(&a), Some(&b)), false),
            (nonces(Some(&a), None), true),
        ] {
            assert!(matches!(judged(wrong.clone(), armed), Judged::Wrong(_)), "{wrong:?} {armed}");
        }
    }

    #[test]
    fn work_that_goes_on_is_waited_for() {
        let judged = |phase| judge(&sample(Progress::Done, phase), &Proof::Updated);
        assert_eq!(judged(AgentPhase::Rescan), Judged::AtWork);
        assert!(matches!(judged(AgentPhase::MoreToInstall), Judged::Wrong(_)));
        assert!(matches!(judged(AgentPhase::Failed), Judged::Wrong(_)));
    }
}
