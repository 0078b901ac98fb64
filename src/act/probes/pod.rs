//! Probe `pod` (needs a client): a real pod on the node starts and succeeds.

use super::{ProbeVerdict, Subject};
use crate::act::means::Place;
use crate::act::pods::{Log, Stand, ensure, last_line, stand};
use crate::act::{ActError, templates};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use std::{sync::Arc, time::Duration};

/// Longest message that is read of a pod that failed, in bytes: a record has room for 512 characters in all.
pub(super) const MAX_MESSAGE: usize = 400;
/// How long after a failure the next pod is made: what is just starting gets a chance to.
const NEXT_TRY: SignedDuration = SignedDuration::from_secs(5);

/// Runs a pod until it succeeds, as often as failures in a row are allowed. The pods themselves are the count.
pub(super) async fn probe(
    subject: &Subject<'_>,
    name: &str,
    image: &str,
    command: &[String],
    timeout: Duration,
) -> Result<ProbeVerdict, ActError> {
    let mut last = String::new();
    for number in 1..=subject.tries {
        let identity = format!("{}/{name}/{number}", subject.run);
        let node = &subject.node.node.name;
        let place = templates::Place { node, owner: &subject.owner, purpose: name, identity: &identity };
        let template = || templates::probe(&subject.means.config, place, image, command.to_vec(), timeout);
        let pod = ensure(subject.means, (Place::Probes, place.pod_name()), template, subject.now).await?;
        match judge(&pod, timeout, subject.now) {
            Judged::Passed => return Ok(ProbeVerdict::Passed),
            Judged::Running => return Ok(ProbeVerdict::Running),
            Judged::Failed { how, at } => {
                last = how;
                let soon = at.is_some_and(|at| subject.now.duration_since(at) < NEXT_TRY);
                if number < subject.tries && soon {
                    return Ok(ProbeVerdict::NotYet(format!("failed {number} times of {}", subject.tries)));
                }
                if number == subject.tries {
                    last = said(subject, &pod, last).await;
                }
            }
        }
    }
    Ok(ProbeVerdict::Failed(last))
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Judged {
    Passed,
    Running,
    Failed { how: String, at: Option<Timestamp> },
}

/// Judges a pod: its deadline counts from its creation, whether or not it ever started.
fn judge(pod: &Pod, timeout: Duration, now: Timestamp) -> Judged {
    match stand(pod) {
        Stand::Ended { well: true, .. } => Judged::Passed,
        Stand::Ended { how, at, .. } => Judged::Failed { how, at },
        Stand::Running(why) => {
            let created = pod.metadata.creation_timestamp.as_ref().map_or(now, |t| t.0);
            if now.duration_since(created).unsigned_abs() < timeout {
                return Judged::Running;
            }
            let phase = pod.status.as_ref().and_then(|s| s.phase.clone()).unwrap_or_else(|| "Pending".to_owned());
            let state = why.unwrap_or(phase);
            Judged::Failed { how: format!("it did not end within {}s: {state}", timeout.as_secs()), at: None }
        }
    }
}

/// What the pod printed last, or how it ended.
async fn said(subject: &Subject<'_>, pod: &Arc<Pod>, how: String) -> String {
    if matches!(stand(pod), Stand::Running(_)) {
        return how;
    }
    match last_line(subject.means, Place::Probes, pod, MAX_MESSAGE, subject.now).await {
        Log::Line(line) if !line.trim().is_empty() => line.trim().to_owned(),
        Log::Line(_) | Log::NotNow | Log::Lost(_) => how,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_pod_that_never_starts_fails_in_time() {
        let pod = |status: &Value| -> Pod {
            let metadata = json!({"name": "p", "creationTimestamp": "2026-11-22T10:00:00Z"});
            serde_json::from_value(json!({"metadata": metadata, "status": status})).expect("a pod")
        };
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let minute = Duration::from_mins(1);
        let pending = pod(&json!({"phase": "Pending"}));
        assert_eq!(judge(&pending, minute, at("2026-11-22T10:00:59Z")), Judged::Running);
        let late = judge(&pending, minute, at("2026-11-22T10:01:00Z"));
        assert_eq!(late, Judged::Failed { how: "it did not end within 60s: Pending".into(), at: None });
        let passed = judge(&pod(&json!({"phase": "Succeeded"})), minute, at("2026-11-22T11:00:00Z"));
        assert_eq!(passed, Judged::Passed);
    }
}
