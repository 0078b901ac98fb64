//! Pods of ours: made once per name, looked at through the watch, read once at their end.

use super::ActError;
use super::error::{ApiError, call};
use super::means::{Means, Place};
use crate::api::{GROUP, NODE_LABEL, NODE_UPDATE_LABEL, ROLLOUT_LABEL, VERSION};
use crate::domain::Intent;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use kube::api::{LogParams, PostParams};
use std::{collections::BTreeMap, sync::Arc};

/// How long a log may be unreadable after its container ended: a kubelet that restarts answers again within a minute.
const LOG_PATIENCE: SignedDuration = SignedDuration::from_secs(60);
/// Longest value of a label.
const MAX_LABEL: usize = 63;

/// For whom a pod is made. It is garbage-collected with its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A node update.
    NodeUpdate {
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
        /// Its rollout's UID.
        rollout_uid: String,
    },
    /// A rollout itself: scans and soak probes.
    Rollout {
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
    },
}

impl Owner {
    /// The node update of this intent.
    pub fn of(intent: &Intent) -> Self {
        Self::NodeUpdate { name: intent.name.clone(), uid: intent.uid.clone(), rollout_uid: intent.rollout_uid.clone() }
    }

    /// The reference that makes the garbage collector delete the pod with its owner. It does not block the owner's
    /// deletion: that would need rights of its own, and pods of ours have nothing to finish.
    pub(super) fn reference(&self) -> OwnerReference {
        let (kind, name, uid) = match self {
            Self::NodeUpdate { name, uid, .. } => ("NodeUpdate", name, uid),
            Self::Rollout { name, uid } => ("UpdateRollout", name, uid),
        };
        OwnerReference {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: kind.to_owned(),
            name: name.clone(),
            uid: uid.clone(),
            ..OwnerReference::default()
        }
    }

    /// The labels by which all that was made for somebody is found.
    pub(super) fn labels(&self, node: &str) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([(NODE_LABEL.to_owned(), label_value(node))]);
        let rollout = match self {
            Self::NodeUpdate { uid, rollout_uid, .. } => {
                labels.insert(NODE_UPDATE_LABEL.to_owned(), uid.clone());
                rollout_uid
            }
            Self::Rollout { uid, .. } => uid,
        };
        labels.insert(ROLLOUT_LABEL.to_owned(), rollout.clone());
        labels
    }
}

/// A name as a label's value, which may be shorter than a name.
pub(super) fn label_value(name: &str) -> String {
    let cut: String = name.chars().take(MAX_LABEL).collect();
    cut.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// The pod, made now if it is not there. A pod of this name is the one that was meant: its name is made of the key.
pub(super) async fn ensure(
    means: &Means,
    (place, name): (Place, String),
    template: impl FnOnce() -> Pod,
    now: Timestamp,
) -> Result<Arc<Pod>, ActError> {
    match means.pod(place, &name, now) {
        Some(seen) => Ok(seen),
        // Boxed, as it is rare: whoever only looks at a pod is not to be as large as whoever makes one.
        None => Box::pin(make(means, (place, name), template(), now)).await,
    }
}

async fn make(means: &Means, (place, name): (Place, String), pod: Pod, now: Timestamp) -> Result<Arc<Pod>, ActError> {
    let error = |source| ActError::CreatePod { pod: format!("{}/{name}", means.namespace(place)), source };
    match call(means.writing(place).create(&PostParams::default(), &pod)).await {
        Ok(made) => Ok(means.made(place, made, now)),
        Err(e) if e.is_conflict() => {
            let there = call(means.reading(place).get(&name)).await.map_err(error)?;
            Ok(means.made(place, there, now))
        }
        Err(e) => Err(error(e)),
    }
}

/// Where a pod of ours stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// Not at its end; why it does not start, where the kubelet says so.
    Running(Option<String>),
    /// At its end.
    Ended {
        /// Whether all went well.
        well: bool,
        /// How it ended, in words.
        how: String,
        /// The exit code of its container, where that came to an end.
        code: Option<i32>,
        /// When; `None` where nobody knows.
        at: Option<Timestamp>,
    },
}

/// Says where a pod stands.
pub(super) fn stand(pod: &Pod) -> Stand {
    let status = pod.status.as_ref();
    let container = status.and_then(|s| s.container_statuses.as_ref()?.first());
    let end = container.and_then(|c| c.state.as_ref()?.terminated.as_ref());
    let well = match status.and_then(|s| s.phase.as_deref()) {
        Some("Succeeded") => true,
        Some("Failed") => false,
        _ => return Stand::Running(container.and_then(not_starting)),
    };
    let reason = status.and_then(|s| s.reason.clone());
    let how = reason.or_else(|| end.map(describe)).unwrap_or_else(|| "it ended, nobody knows how".to_owned());
    Stand::Ended {
        well,
        how,
        code: end.map(|e| e.exit_code),
        at: end.and_then(|e| e.finished_at.as_ref()).map(|t| t.0),
    }
}

fn describe(end: &ContainerStateTerminated) -> String {
    match end.reason.as_deref() {
        Some(reason) if reason != "Error" => format!("{reason}, exit code {}", end.exit_code),
        _ => format!("exit code {}", end.exit_code),
    }
}

/// Why the container does not start, where that is more than its turn not having come.
fn not_starting(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    waiting.reason.clone().filter(|reason| !matches!(reason.as_str(), "ContainerCreating" | "PodInitializing"))
}

/// What reading a pod's log gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// Its last line.
    Line(String),
    /// Nothing yet: the kubelet may be back in a moment.
    NotNow,
    /// Nothing any more, and why.
    Lost(String),
}

/// Reads the last line of the log of a pod that ended, at most so many bytes of it; once, it does not change any more.
/// Not by the client that repeats by itself: a machine that reboots answers nothing for a while, and the next pass comes
/// anyway.
pub(super) async fn last_line(means: &Means, place: Place, pod: &Pod, bytes: usize, now: Timestamp) -> Log {
    let uid = pod.uid().unwrap_or_default();
    if let Some(line) = means.memory.line(&uid) {
        return Log::Line(line);
    }
    let limit = i64::try_from(bytes).unwrap_or(i64::MAX);
    let params = LogParams { tail_lines: Some(1), limit_bytes: Some(limit), ..LogParams::default() };
    match call(means.writing(place).logs(&pod.name_any(), &params)).await {
        Ok(line) => {
            means.memory.note_line(uid, &line, now);
            Log::Line(line)
        }
        Err(error) => unreadable(&error, &stand(pod), now),
    }
}

fn unreadable(error: &ApiError, stand: &Stand, now: Timestamp) -> Log {
    let since = match stand {
        Stand::Ended { at: Some(at), .. } => now.duration_since(*at),
        // A pod that was failed from afar never ended on its node: there is nothing to wait for.
        Stand::Ended { at: None, .. } => LOG_PATIENCE,
        Stand::Running(_) => SignedDuration::ZERO,
    };
    if since >= LOG_PATIENCE || error.is_not_found() { Log::Lost(error.to_string()) } else { Log::NotNow }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).expect("a pod")
    }

    #[test]
    fn a_pods_end_is_told_apart_from_its_course() {
        let ended = |exit: i32, reason: &str| {
            json!([{"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated":
                {"exitCode": exit, "reason": reason, "finishedAt": "2026-11-22T10:00:00Z"}}}])
        };
        let waiting = |reason: &str| {
            json!([{"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": reason}}}])
        };
        let at = Some("2026-11-22T10:00:00Z".parse().expect("a time"));
        for (status, want) in [
            (json!({}), Stand::Running(None)),
            (json!({"phase": "Running"}), Stand::Running(None)),
            (json!({"phase": "Pending", "containerStatuses": waiting("ContainerCreating")}), Stand::Running(None)),
            (
                json!({"phase": "Pending", "containerStatuses": waiting("ErrImagePull")}),
                Stand::Running(Some("ErrImagePull".into())),
            ),
            (
                json!({"phase": "Succeeded", "containerStatuses": ended(0, "Completed")}),
                Stand::Ended { well: true, how: "Completed, exit code 0".into(), code: Some(0), at },
            ),
            (
                json!({"phase": "Failed", "containerStatuses": ended(3, "Error")}),
                Stand::Ended { well: false, how: "exit code 3".into(), code: Some(3), at },
            ),
            (
                json!({"phase": "Failed", "reason": "DeadlineExceeded"}),
                Stand::Ended { well: false, how: "DeadlineExceeded".into(), code: None, at: None },
            ),
        ] {
            assert_eq!(stand(&pod(&status)), want, "{status}");
        }
    }

    #[test]
    fn a_log_is_given_up_only_when_it_can_not_come_any_more() {
        let at: Timestamp = "2026-11-22T10:00:00Z".parse().expect("a time");
        let ended = |at| Stand::Ended { well: false, how: String::new(), code: None, at };
        let later = |seconds| at + SignedDuration::from_secs(seconds);
        let lost = |stand, now| matches!(unreadable(&ApiError::TimedOut, &stand, now), Log::Lost(_));
        assert!(!lost(ended(Some(at)), later(5)));
        assert!(lost(ended(Some(at)), later(60)));
        assert!(lost(ended(None), at));
    }

    #[test]
    fn long_node_names_fit_into_labels() {
        let long = format!("{}.{}", "a".repeat(62), "b".repeat(100));
        assert_eq!(label_value(&long), "a".repeat(62));
        assert_eq!(label_value("win-7"), "win-7");
    }
}
